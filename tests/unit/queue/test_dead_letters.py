"""Dead letters as messages, and the undeliverable queue of a bus."""

from __future__ import annotations

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.delivery.dead_letter import Source
from busway.engine import Origin
from busway.engine.memory import MemoryEngine
from busway.errors import QueueNotFound
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.message import AttributeValue
from busway.queue.queues import SqsQueues
from busway.queue.record import UNDELIVERABLE_TAG

BUS = "arn:aws:events:us-east-1:000000000000:event-bus/orders"
UNDELIVERABLE = "arn:aws:sqs:us-east-1:000000000000:busway-undeliverable-orders"
SOURCE = Source(
    kind="rule-target",
    payload=b"{}",
    rule_arn="arn:aws:events:us-east-1:000000000000:rule/orders/big",
    trace_header="Root=1",
)
ATTRIBUTES = {"ERROR_CODE": ("String", "NO_RESOURCE")}


@pytest.fixture
def dead_letters(queues: SqsQueues, metrics: Metrics) -> QueueDeadLetters:
    return QueueDeadLetters(queues, metrics)


async def test_a_dead_letter_is_a_message_with_its_source_off_the_wire(
    queues: SqsQueues, dead_letters: QueueDeadLetters, engine: MemoryEngine, scope: Scope, clock: ManualClock
):
    dead = await queues.create(scope, "dead")
    put = dead_letters.put(dead.arn, BUS, scope, b"body", ATTRIBUTES, SOURCE, clock.now())
    assert put.origin is None
    await engine.queues.put([put], accepted=True)
    (letter,) = await queues.receive(dead.arn)
    assert letter.item.body == b"body"
    assert letter.meta.attributes == {"ERROR_CODE": AttributeValue("String", text="NO_RESOURCE")}
    assert (letter.meta.trace_header, letter.meta.source) == ("Root=1", SOURCE)


async def test_without_a_queue_the_bus_keeps_it(
    queues: SqsQueues, dead_letters: QueueDeadLetters, engine: MemoryEngine, scope: Scope, clock: ManualClock
):
    put = dead_letters.put(None, BUS, scope, b"body", ATTRIBUTES, SOURCE, clock.now())
    assert put.queue == UNDELIVERABLE
    assert queues.need(UNDELIVERABLE).tags == {UNDELIVERABLE_TAG: "orders"}
    await engine.queues.put([put], accepted=True)
    assert [r.item.body for r in await queues.receive(UNDELIVERABLE)] == [b"body"]


async def test_an_undeliverable_queue_is_saved_with_the_next_sweep(
    queues: SqsQueues, dead_letters: QueueDeadLetters, engine: MemoryEngine, scope: Scope, clock: ManualClock
):
    put = dead_letters.put(None, BUS, scope, b"body", ATTRIBUTES, SOURCE, clock.now())
    await engine.queues.put([put], accepted=True)
    await queues.sweep()
    assert await engine.records.get(f"queue/{UNDELIVERABLE}") is not None


async def test_a_queue_that_is_gone_is_counted_and_the_bus_keeps_it(
    dead_letters: QueueDeadLetters, metrics: Metrics, scope: Scope
):
    gone = scope.arn("sqs", "gone")
    assert dead_letters.put(gone, BUS, scope, b"", {}, SOURCE, 0.0).queue == UNDELIVERABLE
    assert metrics.value("AWS/Events", "InvocationsFailedToBeSentToDlq", RuleName="big") == 1
    function = Source(kind="function", payload=b"", function_arn=scope.arn("lambda", "function:mail"))
    default = scope.arn("sqs", "busway-undeliverable-default")
    assert dead_letters.put(gone, None, scope, b"", {}, function, 0.0).queue == default
    assert metrics.value("AWS/Lambda", "DeadLetterErrors", FunctionName="mail") == 1


async def test_an_undeliverable_queue_that_was_never_saved_comes_back_with_its_messages(
    dead_letters: QueueDeadLetters, engine: MemoryEngine, scope: Scope, clock: ManualClock, metrics: Metrics
):
    await engine.queues.put([dead_letters.put(None, BUS, scope, b"kept", {}, SOURCE, clock.now())], accepted=True)
    assert await engine.records.get(f"queue/{UNDELIVERABLE}") is None
    again = SqsQueues(engine, clock, SeededEntropy(2), metrics)
    await again.open()
    assert [r.item.body for r in await again.receive(UNDELIVERABLE)] == [b"kept"]
    assert await engine.records.get(f"queue/{UNDELIVERABLE}") is not None


async def test_an_undeliverable_queue_is_a_queue_like_any_other(
    queues: SqsQueues, dead_letters: QueueDeadLetters, scope: Scope
):
    dead_letters.put(None, BUS, scope, b"", {}, SOURCE, 0.0)
    await queues.set_attributes(UNDELIVERABLE, {"VisibilityTimeout": "5"})
    assert [queue.arn for queue in queues.find(scope)] == [UNDELIVERABLE]
    await queues.delete(UNDELIVERABLE)
    assert not queues.exists(UNDELIVERABLE)
    dead_letters.put(None, BUS, scope, b"", {}, SOURCE, 0.0)
    assert queues.exists(UNDELIVERABLE)


async def test_listeners_hear_of_a_dead_letter(queues: SqsQueues, dead_letters: QueueDeadLetters, scope: Scope):
    heard: list[str] = []
    queues.listeners.append(heard.append)
    dead_letters.put(None, BUS, scope, b"", {}, SOURCE, 0.0)
    assert heard == [UNDELIVERABLE]


async def test_a_message_put_by_another_room_follows_the_queues_delay(
    queues: SqsQueues, scope: Scope, engine: MemoryEngine, clock: ManualClock
):
    queue = await queues.create(scope, "slow", {"DelaySeconds": "5"})
    origin = Origin("rule#1", 7)
    put = queues.message_put(queue.arn, b"{}", now=clock.now(), origin=origin, message_id="m")
    assert (put.queue, put.due_at, put.origin) == (queue.arn, clock.now() + 5, origin)
    assert queues.message_put(queue.arn, b"{}", now=clock.now(), due_at=9.0).due_at == 9.0
    await engine.queues.put([put])
    await clock.advance(5)
    (received,) = await queues.receive(queue.arn)
    assert (received.meta.message_id, received.meta.sender) == ("m", "000000000000")


def test_a_put_to_a_missing_queue_says_so(queues: SqsQueues, scope: Scope):
    with pytest.raises(QueueNotFound) as caught:
        queues.message_put(scope.arn("sqs", "none"), b"{}", now=0.0)
    assert caught.value.arn == scope.arn("sqs", "none")
