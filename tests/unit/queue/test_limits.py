"""Limits: messages in flight, names of deleted queues, clients that hung up, permissions."""

from __future__ import annotations

import asyncio

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, settle
from busway.engine.memory import MemoryEngine
from busway.errors import InvalidQueueAttribute, InvalidQueueRequest, QueueDeletedRecently, QueueLimitExceeded
from busway.metrics import Metrics
from busway.queue.message import Outgoing
from busway.queue.queues import SqsQueues
from busway.queue.record import QueueRecord


@pytest.fixture
async def tight(engine: MemoryEngine, clock: ManualClock, metrics: Metrics) -> SqsQueues:
    queues = SqsQueues(engine, clock, SeededEntropy(1), metrics, in_flight_max=3, recreate_s=60)
    await queues.open()
    return queues


async def filled(queues: SqsQueues, scope: Scope, name: str, count: int) -> QueueRecord:
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if name.endswith(".fifo") else {}
    queue = await queues.create(scope, name, fifo)
    await queues.send(queue.arn, [Outgoing(f"m{n}", group_id=f"g{n}") for n in range(count)], "me")
    return queue


async def test_a_standard_queue_refuses_more_in_flight_than_it_may_have(
    tight: SqsQueues, scope: Scope, clock: ManualClock
):
    queue = await filled(tight, scope, "q", 6)
    first = await tight.receive(queue.arn, 10)
    assert len(first) == 3
    with pytest.raises(QueueLimitExceeded):
        await tight.receive(queue.arn, 1)
    await tight.remove(queue.arn, [first[0].receipt.handle()])
    assert len(await tight.receive(queue.arn, 10)) == 1
    await clock.advance(30)
    assert len(await tight.receive(queue.arn, 10)) == 3


async def test_a_fifo_queue_at_the_limit_is_empty(tight: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await filled(tight, scope, "q.fifo", 6)
    first = await tight.receive(queue.arn, 10)
    assert len(first) == 3
    assert await tight.receive(queue.arn, 1) == []
    poll = asyncio.create_task(tight.receive(queue.arn, 10, wait_s=20))
    await settle()
    await tight.remove(queue.arn, [first[0].receipt.handle()])
    await clock.advance(1)
    assert [received.item.body for received in await poll] == [b"m3"]


async def test_what_was_in_flight_before_a_restart_counts(
    tight: SqsQueues, scope: Scope, engine: MemoryEngine, clock: ManualClock, metrics: Metrics
):
    queue = await filled(tight, scope, "q", 6)
    await tight.receive(queue.arn, 2)
    again = SqsQueues(engine, clock, SeededEntropy(2), metrics, in_flight_max=3)
    await again.open()
    assert len(await again.receive(queue.arn, 10)) == 1


async def test_a_client_that_hung_up_takes_nothing(queues: SqsQueues, scope: Scope):
    queue = await queues.create(scope, "q")
    gone = asyncio.Event()

    async def until_gone() -> None:
        await gone.wait()

    left = asyncio.create_task(queues.receive(queue.arn, wait_s=20, gone=until_gone))
    stays = asyncio.create_task(queues.receive(queue.arn, wait_s=20, gone=asyncio.Event().wait))
    await settle()
    gone.set()
    assert await left == []
    await queues.send(queue.arn, [Outgoing("x")], "me")
    assert [received.receive_count for received in await stays] == [1]


async def test_who_hangs_up_while_a_message_is_taken_gives_it_back(
    queues: SqsQueues, scope: Scope, engine: MemoryEngine
):
    queue = await queues.create(scope, "q")
    gone = asyncio.Event()

    async def until_gone() -> None:
        await gone.wait()

    lease = engine.queues.lease

    async def lease_slowly(*what: object) -> object:
        items = await lease(*what)  # type: ignore[arg-type]
        if items:
            gone.set()
            await settle()
        return items

    engine.queues.lease = lease_slowly  # type: ignore[assignment, method-assign]
    poll = asyncio.create_task(queues.receive(queue.arn, wait_s=20, gone=until_gone))
    await settle()
    await queues.send(queue.arn, [Outgoing("x")], "me")
    assert await poll == []
    engine.queues.lease = lease  # type: ignore[method-assign]
    assert [received.receive_count for received in await queues.receive(queue.arn)] == [1]


async def test_a_deleted_queues_name_may_be_used_again_after_a_minute(
    tight: SqsQueues, scope: Scope, clock: ManualClock
):
    queue = await tight.create(scope, "q")
    await tight.delete(queue.arn)
    with pytest.raises(QueueDeletedRecently, match="You must wait 60 seconds after deleting a queue"):
        await tight.create(scope, "q")
    await tight.create(scope, "other")
    await clock.advance(60)
    await tight.create(scope, "q")


POLICIES = (
    "", "{", "[]", "{}", '{"Version":"2012-10-17","Statement":[]}', '{"Statement":"x"}', '{"Statement":["x"]}',
    '{"Version":"2020-01-01","Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*"}}',
    '{"Statement":{"Effect":"Perhaps","Principal":"*","Action":"sqs:*"}}',
    '{"Statement":{"Effect":"Allow","Action":"sqs:*"}}', '{"Statement":{"Effect":"Allow","Principal":"*"}}',
)  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES[1:])
async def test_a_policy_that_is_none_is_refused(queues: SqsQueues, scope: Scope, policy: str):
    with pytest.raises(InvalidQueueAttribute, match="Invalid value for the parameter Policy"):
        await queues.create(scope, "q", {"Policy": policy})


async def test_a_policy_is_kept_as_it_was_given(queues: SqsQueues, scope: Scope):
    policy = '{ "Version": "2012-10-17", "Statement": {"Effect":"Allow","Principal":"*","Action":"sqs:SendMessage"} }'
    queue = await queues.create(scope, "q", {"Policy": policy})
    assert (await queues.attributes(queue.arn, ["Policy"]))["Policy"] == policy
    await queues.set_attributes(queue.arn, {"Policy": ""})
    assert await queues.attributes(queue.arn, ["Policy"]) == {}


@pytest.mark.parametrize(
    ("label", "account", "actions", "kind", "words"),
    [
        ("a b", "1" * 12, ["SendMessage"], InvalidQueueRequest, "Value a b for parameter Label is invalid"),
        ("x", "1" * 11, ["SendMessage"], InvalidQueueRequest, "for parameter PrincipalId is invalid"),
        ("x", "1" * 12, ["Fly"], InvalidQueueRequest, "Value SQS:Fly for parameter ActionName is invalid"),
        ("x", "1" * 12, ["SendMessage"] * 8, QueueLimitExceeded, "8 Actions were found, maximum allowed is 7"),
    ],
)
async def test_a_permission_that_cannot_be_given_is_refused(
    queues: SqsQueues, scope: Scope, label: str, account: str, actions: list[str], kind: type[Exception], words: str
):
    queue = await queues.create(scope, "q")
    with pytest.raises(kind, match=words):
        await queues.add_permission(queue.arn, label, [account], actions)
