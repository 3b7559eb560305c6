"""FIFO queues: order in groups, deduplication, receives that are asked again, handles that expired."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, settle
from busway.engine.memory import MemoryEngine
from busway.errors import InvalidQueueAttribute, InvalidQueueRequest, MissingQueueParameter, QueueError
from busway.queue.fifo import read_meta
from busway.queue.message import Outgoing
from busway.queue.queues import SqsQueues, VisibilityChange
from busway.queue.receiving import Received
from busway.queue.record import QueueRecord
from busway.queue.sending import Sent

FIFO = {"FifoQueue": "true"}


@pytest.fixture
async def fifo(queues: SqsQueues, scope: Scope) -> QueueRecord:
    return await queues.create(scope, "orders.fifo", {**FIFO, "ContentBasedDeduplication": "true"})


async def send(queues: SqsQueues, queue: QueueRecord, *bodies: str, **about: Any) -> list[Sent]:
    """Messages whose group is the first letter of their body."""
    messages = [Outgoing(body, **{"group_id": body[0], **about}) for body in bodies]
    answers = await queues.send(queue.arn, messages, "me")
    assert all(isinstance(answer, Sent) for answer in answers), answers
    return [answer for answer in answers if isinstance(answer, Sent)]


async def refusal(queues: SqsQueues, queue: QueueRecord, message: Outgoing) -> QueueError:
    (answer,) = await queues.send(queue.arn, [message], "me")
    assert isinstance(answer, QueueError)
    return answer


def bodies(received: list[Received]) -> str:
    return " ".join(message.item.body.decode() for message in received)


async def delete(queues: SqsQueues, received: list[Received]) -> list[QueueError | None]:
    return await queues.remove(received[0].item.queue, [message.receipt.handle() for message in received])


async def test_a_group_is_received_in_order_and_by_one_receiver_at_a_time(queues: SqsQueues, fifo: QueueRecord):
    await send(queues, fifo, "a1", "b1", "a2", "a3", "b2")
    first = await queues.receive(fifo.arn, 2)
    assert bodies(first) == "a1 a2"
    assert bodies(await queues.receive(fifo.arn, 10)) == "b1 b2"
    assert bodies(await queues.receive(fifo.arn, 10)) == ""
    await delete(queues, first[:1])
    assert bodies(await queues.receive(fifo.arn, 10)) == ""
    await delete(queues, first[1:])
    assert bodies(await queues.receive(fifo.arn, 10)) == "a3"


async def test_a_failing_group_keeps_its_order_and_blocks_no_other(
    queues: SqsQueues, fifo: QueueRecord, clock: ManualClock
):
    await send(queues, fifo, "a1", "a2", "b1")
    assert bodies(await queues.receive(fifo.arn, 1)) == "a1"
    assert bodies(await queues.receive(fifo.arn, 1)) == "b1"
    await clock.advance(30)
    (failed,) = await queues.receive(fifo.arn, 1)
    assert (failed.item.body, failed.receive_count) == (b"a1", 2)
    await queues.change_visibility(fifo.arn, [VisibilityChange(failed.receipt.handle(), 0)])
    assert bodies(await queues.receive(fifo.arn, 10)) == "a1 a2 b1"


async def test_a_delay_of_the_queue_holds_back_what_comes_later(
    queues: SqsQueues, fifo: QueueRecord, clock: ManualClock
):
    await queues.set_attributes(fifo.arn, {"DelaySeconds": "20"})
    await send(queues, fifo, "a1")
    await queues.set_attributes(fifo.arn, {"DelaySeconds": "0"})
    await send(queues, fifo, "a2", "b1")
    assert bodies(await queues.receive(fifo.arn, 10)) == "b1"
    await clock.advance(20)
    assert bodies(await queues.receive(fifo.arn, 10)) == "a1 a2"


async def test_a_long_poll_is_woken_when_a_group_is_free(queues: SqsQueues, fifo: QueueRecord):
    await send(queues, fifo, "a1", "a2")
    first = await queues.receive(fifo.arn, 1)
    poll = asyncio.create_task(queues.receive(fifo.arn, 1, wait_s=20))
    await settle()
    await delete(queues, first)
    assert bodies(await poll) == "a2"


async def test_a_duplicate_is_told_what_the_first_was_and_is_not_delivered(
    queues: SqsQueues, fifo: QueueRecord, clock: ManualClock
):
    (first,) = await send(queues, fifo, "a1")
    (again,) = await send(queues, fifo, "a1")
    assert again == first
    received = await queues.receive(fifo.arn, 10)
    assert [(m.meta.message_id, m.sequence_number) for m in received] == [(first.message_id, first.sequence_number)]
    await delete(queues, received)
    await clock.advance(299)
    assert await send(queues, fifo, "a1", "a2") == [first, *(await send(queues, fifo, "a2"))]
    await clock.advance(1)
    (later,) = await send(queues, fifo, "a1")
    assert later.message_id != first.message_id
    assert bodies(await queues.receive(fifo.arn, 10)) == "a2 a1"


async def test_an_explicit_id_wins_over_the_content(queues: SqsQueues, fifo: QueueRecord):
    await send(queues, fifo, "a1", deduplication_id="one")
    await send(queues, fifo, "a2", deduplication_id="one")
    await send(queues, fifo, "a1", deduplication_id="two")
    received = await queues.receive(fifo.arn, 10)
    assert [(m.item.body, m.meta.deduplication_id) for m in received] == [(b"a1", "one"), (b"a1", "two")]


async def test_duplicates_are_the_queues_or_the_groups(queues: SqsQueues, scope: Scope):
    wide = await queues.create(scope, "wide.fifo", FIFO)
    narrow = await queues.create(scope, "narrow.fifo", {**FIFO, "DeduplicationScope": "messageGroup"})
    for queue, delivered in ((wide, "a1"), (narrow, "a1 b1")):
        await send(queues, queue, "a1", "b1", "a2", deduplication_id="same")
        assert bodies(await queues.receive(queue.arn, 10)) == delivered


async def test_sequence_numbers_have_twenty_digits_and_grow(queues: SqsQueues, fifo: QueueRecord):
    numbers = [sent.sequence_number for sent in await send(queues, fifo, "a1", "a2", "b1", "a3")]
    assert numbers == sorted({str(number) for number in numbers})
    assert {len(number or "") for number in numbers} == {20}


async def test_a_queue_that_was_made_again_knows_no_duplicates(queues: SqsQueues, fifo: QueueRecord, scope: Scope):
    await send(queues, fifo, "a1")
    await queues.delete(fifo.arn)
    again = await queues.create(scope, "orders.fifo", {**FIFO, "ContentBasedDeduplication": "true"})
    await send(queues, again, "a1")
    assert bodies(await queues.receive(again.arn, 10)) == "a1"


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        (Outgoing("x"), MissingQueueParameter, "The request must contain the parameter MessageGroupId."),
        (Outgoing("x", group_id="g"), InvalidQueueRequest,
         "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
         "explicitly"),
        (Outgoing("x", group_id="a b"), InvalidQueueRequest,
         "Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric "
         "and punctuation characters. 1 to 128 in length."),
        (Outgoing("x", group_id="g", deduplication_id="d" * 129), InvalidQueueRequest,
         f"Value {'d' * 129} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can "
         "only include alphanumeric and punctuation characters. 1 to 128 in length."),
        (Outgoing("x", 2, group_id="g", deduplication_id="d"), InvalidQueueRequest,
         "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for "
         "this queue type."),
    ],
)  # fmt: skip
async def test_what_a_fifo_queue_does_not_take(
    queues: SqsQueues, scope: Scope, message: Outgoing, kind: type[QueueError], text: str
):
    queue = await queues.create(scope, "strict.fifo", FIFO)
    refused = await refusal(queues, queue, message)
    assert (type(refused), str(refused)) == (kind, text)


async def test_a_delay_of_zero_is_taken(queues: SqsQueues, fifo: QueueRecord):
    await send(queues, fifo, "a1", delay_s=0)
    assert bodies(await queues.receive(fifo.arn, 10)) == "a1"


async def test_a_standard_queue_takes_groups_for_fairness_and_no_deduplication(queues: SqsQueues, scope: Scope):
    queue = await queues.create(scope, "standard")
    await send(queues, queue, "a1", "a2")
    assert bodies(await queues.receive(queue.arn, 1)) == "a1"
    (second,) = await queues.receive(queue.arn, 1)
    assert (second.item.body, second.meta.group_id, second.sequence_number) == (b"a2", "a", None)
    refused = await refusal(queues, queue, Outgoing("x", deduplication_id="d"))
    assert "not valid for this queue type" in str(refused)


async def test_an_expired_handle_deletes_nothing_and_says_so(
    queues: SqsQueues, fifo: QueueRecord, clock: ManualClock
):
    await send(queues, fifo, "a1", "a2")
    received = await queues.receive(fifo.arn, 2)
    assert await delete(queues, received[:1]) == [None]
    # What is deleted already stays deleted.
    assert await delete(queues, received[:1]) == [None]
    await clock.advance(30)
    (expired,) = await delete(queues, received[1:])
    handle = received[1].receipt.handle()
    assert isinstance(expired, InvalidQueueRequest)
    assert str(expired) == (
        f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    )
    assert bodies(await queues.receive(fifo.arn, 2)) == "a2"
    (stale,) = await delete(queues, received[1:])
    assert isinstance(stale, InvalidQueueRequest)


async def test_an_attempt_that_is_asked_again_gets_the_same_messages(
    queues: SqsQueues, fifo: QueueRecord, clock: ManualClock
):
    await send(queues, fifo, "a1", "a2", "b1")
    first = await queues.receive(fifo.arn, 2, attempt_id="try")
    await clock.advance(20)
    again = await queues.receive(fifo.arn, 2, attempt_id="try")
    assert [m.receipt for m in again] == [m.receipt for m in first]
    # It counts from the second time on.
    await clock.advance(20)
    assert await queues.receive(fifo.arn, 2, attempt_id="try") == first
    assert bodies(await queues.receive(fifo.arn, 2, attempt_id="another")) == "b1"
    await delete(queues, first[:1])
    assert bodies(await queues.receive(fifo.arn, 2, attempt_id="try")) == ""


async def test_an_attempt_is_forgotten_when_its_messages_are_visible_again_or_after_five_minutes(
    queues: SqsQueues, fifo: QueueRecord, clock: ManualClock
):
    await send(queues, fifo, "a1")
    await queues.receive(fifo.arn, attempt_id="try")
    await clock.advance(30)
    (second,) = await queues.receive(fifo.arn, attempt_id="try", visibility_s=600)
    assert second.receive_count == 2
    await clock.advance(299)
    assert len(await queues.receive(fifo.arn, attempt_id="try", visibility_s=600)) == 1
    await clock.advance(1)
    assert await queues.receive(fifo.arn, attempt_id="try") == []


async def test_an_attempts_id_has_a_form(queues: SqsQueues, fifo: QueueRecord):
    with pytest.raises(InvalidQueueRequest, match="parameter ReceiveRequestAttemptId is invalid"):
        await queues.receive(fifo.arn, attempt_id="a b")


async def test_a_poison_message_leaves_its_group_and_goes_to_a_fifo_dead_letter_queue(
    queues: SqsQueues, scope: Scope, clock: ManualClock
):
    dead = await queues.create(scope, "dead.fifo", FIFO)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
    queue = await queues.create(scope, "work.fifo", {**FIFO, "RedrivePolicy": policy})
    (poison, _) = [(await send(queues, queue, body, deduplication_id=body))[0] for body in ("a1", "a2")]
    for _ in range(2):
        assert bodies(await queues.receive(queue.arn, 1, visibility_s=0)) == "a1"
    await clock.advance(100)
    assert bodies(await queues.receive(queue.arn, 10)) == "a2"
    (letter,) = await queues.receive(dead.arn, 10)
    meta = letter.meta
    assert (meta.message_id, meta.group_id, meta.source_queue_arn) == (poison.message_id, "a", queue.arn)
    # Its age begins anew, unlike a standard queue's.
    assert meta.sent_ms == int(clock.now() * 1000)


async def test_a_move_to_the_dead_letters_that_is_done_again_moves_once(
    queues: SqsQueues, scope: Scope, engine: MemoryEngine
):
    dead = await queues.create(scope, "dead.fifo", FIFO)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    queue = await queues.create(scope, "work.fifo", {**FIFO, "RedrivePolicy": policy})
    await send(queues, queue, "a1", deduplication_id="d")
    await queues.receive(queue.arn, visibility_s=0)
    done, engine.queues.done = engine.queues.done, None  # type: ignore[assignment]
    with pytest.raises(TypeError):
        await queues.receive(queue.arn, visibility_s=0)
    engine.queues.done = done  # type: ignore[method-assign]
    await queues.receive(queue.arn)
    assert bodies(await queues.receive(dead.arn, 10)) == "a1"


async def test_dead_letter_queues_are_of_the_same_kind(queues: SqsQueues, fifo: QueueRecord, scope: Scope):
    standard = await queues.create(scope, "standard")
    for name, other in (("a.fifo", standard.arn), ("a", fifo.arn)):
        policy = json.dumps({"deadLetterTargetArn": other, "maxReceiveCount": 2})
        kind = FIFO if name.endswith(".fifo") else {}
        with pytest.raises(InvalidQueueRequest, match="Dead letter target must be same type of queue as the source"):
            await queues.create(scope, name, {**kind, "RedrivePolicy": policy})


@pytest.mark.parametrize("name", ["orders", "a b.fifo", ".fifo", "a" * 76 + ".fifo", "orders.FIFO"])
async def test_the_name_of_a_fifo_queue_ends_in_fifo(queues: SqsQueues, scope: Scope, name: str):
    with pytest.raises(InvalidQueueRequest, match=r"must end with \.fifo suffix"):
        await queues.create(scope, name, FIFO)


async def test_a_name_that_ends_in_fifo_needs_the_attribute(queues: SqsQueues, scope: Scope):
    with pytest.raises(InvalidQueueRequest, match="Can only include alphanumeric characters"):
        await queues.create(scope, "orders.fifo")


async def test_a_fifo_queues_attributes_are_shown_and_checked(queues: SqsQueues, fifo: QueueRecord):
    shown = await queues.attributes(fifo.arn, ["All"])
    assert {name: shown[name] for name in ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope")} == {
        "FifoQueue": "true", "ContentBasedDeduplication": "true", "DeduplicationScope": "queue",
    }  # fmt: skip
    assert shown["FifoThroughputLimit"] == "perQueue"
    for changes, words in (
        ({"FifoQueue": "false"}, "Invalid value for the parameter FifoQueue. Reason: Modifying queue type"),
        ({"DeduplicationScope": "group"}, "Invalid value for the parameter DeduplicationScope"),
        ({"ContentBasedDeduplication": "1"}, "Invalid value for the parameter ContentBasedDeduplication"),
        ({"FifoThroughputLimit": "perMessageGroupId"}, "allowed only when the value for DeduplicationScope"),
    ):
        with pytest.raises(InvalidQueueAttribute, match=words):
            await queues.set_attributes(fifo.arn, changes)
    high = {"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"}
    await queues.set_attributes(fifo.arn, high)
    with pytest.raises(InvalidQueueAttribute):
        await queues.set_attributes(fifo.arn, {"DeduplicationScope": "queue"})


async def test_other_rooms_put_messages_of_a_group(queues: SqsQueues, fifo: QueueRecord, engine: MemoryEngine):
    put = queues.message_put(fifo.arn, b"x", now=0.0, group_id="g")
    (item_id,) = await engine.queues.put([put])
    item = await engine.queues.find(fifo.arn, item_id)
    assert item is not None
    (sent,) = await queues.send(fifo.arn, [Outgoing("x", group_id="g")], "me")
    assert isinstance(sent, Sent) and read_meta(item).message_id != ""
    with pytest.raises(MissingQueueParameter):
        queues.message_put(fifo.arn, b"x", now=0.0)
