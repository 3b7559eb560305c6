"""Message move tasks: back to each message's own source, at a rate, cancelled, failed, over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, settle
from busway.engine.memory import MemoryEngine
from busway.errors import InvalidQueueRequest, MoveNotRunning, NoSuchMove
from busway.metrics import Metrics
from busway.queue.message import Outgoing
from busway.queue.moves import FULL_RETRY_S, MoveTask
from busway.queue.queues import SqsQueues
from busway.queue.record import QueueRecord


class Yard:
    """A dead-letter queue of two source queues, and who runs its moves."""

    def __init__(self, queues: SqsQueues, scope: Scope, clock: ManualClock) -> None:
        self.queues, self.scope, self.clock = queues, scope, clock
        self.suffix = ""
        self.dead: QueueRecord
        self.sources: list[QueueRecord] = []
        self.running: asyncio.Task[None] | None = None

    async def build(self, *, fifo: bool = False) -> Yard:
        self.suffix = ".fifo" if fifo else ""
        kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
        self.dead = await self.queues.create(self.scope, f"dead{self.suffix}", kind)
        policy = json.dumps({"deadLetterTargetArn": self.dead.arn, "maxReceiveCount": 1})
        for name in ("one", "two"):
            wanted = {**kind, "RedrivePolicy": policy}
            self.sources.append(await self.queues.create(self.scope, f"{name}{self.suffix}", wanted))
        return self

    async def bury(self, source: QueueRecord, *bodies: str) -> None:
        """Send messages and let them fail."""
        group = "g" if self.suffix else None
        await self.queues.send(source.arn, [Outgoing(body, group_id=group) for body in bodies], "me")
        await self.queues.receive(source.arn, 10, visibility_s=0)
        assert await self.queues.receive(source.arn, 10) == []

    def start(self) -> None:
        self.running = asyncio.create_task(self.queues.run())

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            self.running = None

    async def bodies(self, queue: QueueRecord) -> list[str]:
        return [r.item.body.decode() for r in await self.queues.receive(queue.arn, 10, visibility_s=0)]

    def latest(self) -> MoveTask:
        return self.queues.moves.latest(self.dead.arn)[0]


@pytest.fixture
async def yard(queues: SqsQueues, scope: Scope, clock: ManualClock) -> AsyncIterator[Yard]:
    yard = await Yard(queues, scope, clock).build()
    yard.start()
    yield yard
    await yard.stop()


async def test_each_message_goes_back_to_its_own_source(yard: Yard):
    one, two = yard.sources
    await yard.bury(one, "a", "b")
    await yard.bury(two, "c")
    before = {r.meta.message_id for r in await yard.queues.receive(yard.dead.arn, 10, visibility_s=0)}
    await yard.clock.advance(100)
    task = await yard.queues.moves.start(yard.dead.arn)
    await settle()
    assert (task.to_move, yard.latest().moved, yard.latest().status) == (3, 3, "COMPLETED")
    received = await yard.queues.receive(one.arn, 10)
    assert [r.item.body for r in received] == [b"a", b"b"]
    fresh = received[0].meta
    # A new message: its own id, age and count.
    assert fresh.message_id not in before and fresh.sent_ms == int(yard.clock.now() * 1000)
    assert (received[0].receive_count, fresh.source_queue_arn) == (1, None)
    assert await yard.bodies(two) == ["c"]
    assert await yard.bodies(yard.dead) == []


async def test_a_destination_takes_all_also_what_has_no_source(yard: Yard, queues: SqsQueues, scope: Scope):
    other = await queues.create(scope, "other")
    await yard.bury(yard.sources[0], "a")
    await queues.send(yard.dead.arn, [Outgoing("direct")], "me")
    await queues.moves.start(yard.dead.arn, other.arn)
    await settle()
    assert await yard.bodies(other) == ["a", "direct"]
    assert yard.latest().destination_arn == other.arn


async def test_a_message_without_a_source_fails_the_task(yard: Yard, queues: SqsQueues):
    await yard.bury(yard.sources[0], "a")
    await queues.send(yard.dead.arn, [Outgoing("direct")], "me")
    await queues.moves.start(yard.dead.arn)
    await settle()
    task = yard.latest()
    assert (task.status, task.failure, task.moved) == ("FAILED", "CouldNotDetermineMessageSource", 1)
    assert await yard.bodies(yard.dead) == ["direct"]


async def test_a_destination_that_vanishes_fails_the_task(yard: Yard, queues: SqsQueues, scope: Scope):
    other = await queues.create(scope, "other")
    await yard.bury(yard.sources[0], "a", "b", "c")
    await queues.moves.start(yard.dead.arn, other.arn, 1)
    await settle()
    await queues.delete(other.arn)
    await yard.clock.advance(1)
    task = yard.latest()
    assert (task.status, task.failure) == ("FAILED", "AWS.SimpleQueueService.NonExistentQueue")
    assert sorted(await yard.bodies(yard.dead)) == ["b", "c"]


async def test_a_rate_is_kept(yard: Yard):
    await yard.bury(yard.sources[0], *(str(n) for n in range(10)))
    await yard.queues.moves.start(yard.dead.arn, rate=2)
    await settle()
    assert yard.latest().moved == 1
    await yard.clock.advance(2)
    assert 4 <= yard.latest().moved <= 5
    await yard.clock.advance(4)
    assert (yard.latest().moved, yard.latest().status) == (10, "COMPLETED")


async def test_a_cancelled_task_leaves_the_rest(yard: Yard, queues: SqsQueues):
    await yard.bury(yard.sources[0], "a", "b", "c")
    task = await queues.moves.start(yard.dead.arn, rate=1)
    await settle()
    cancelled = await queues.moves.cancel(task.handle)
    assert (cancelled.status, cancelled.moved) == ("CANCELLING", 1)
    await yard.clock.advance(5)
    assert (yard.latest().status, yard.latest().moved) == ("CANCELLED", 1)
    assert await yard.bodies(yard.dead) == ["b", "c"]
    with pytest.raises(MoveNotRunning):
        await queues.moves.cancel(task.handle)


async def test_a_task_goes_on_after_a_restart(
    yard: Yard, queues: SqsQueues, engine: MemoryEngine, clock: ManualClock, metrics: Metrics
):
    await yard.bury(yard.sources[0], "a", "b", "c")
    await queues.moves.start(yard.dead.arn, rate=1)
    await settle()
    await yard.stop()
    again = SqsQueues(engine, clock, SeededEntropy(2), metrics)
    await again.open()
    yard.queues = again
    assert (yard.latest().status, yard.latest().moved) == ("RUNNING", 1)
    yard.start()
    await clock.advance(10)
    assert (yard.latest().status, yard.latest().moved) == ("COMPLETED", 3)
    assert await yard.bodies(yard.sources[0]) == ["a", "b", "c"]


async def test_a_message_that_was_put_before_a_crash_is_not_put_again(
    yard: Yard, queues: SqsQueues, engine: MemoryEngine, clock: ManualClock
):
    await yard.bury(yard.sources[0], "a")
    await yard.stop()
    done, engine.queues.done = engine.queues.done, None  # type: ignore[assignment]
    await queues.moves.start(yard.dead.arn)
    yard.start()
    await settle()
    assert yard.running is not None and yard.running.done()
    await yard.stop()
    engine.queues.done = done  # type: ignore[method-assign]
    await clock.advance(60)
    yard.start()
    await queues.moves.open()
    await settle()
    assert yard.latest().status == "COMPLETED"
    assert await yard.bodies(yard.sources[0]) == ["a"]


async def test_a_full_disk_holds_a_task_up_and_loses_nothing(yard: Yard, queues: SqsQueues, engine: MemoryEngine):
    await yard.bury(yard.sources[0], "a", "b")
    await queues.moves.start(yard.dead.arn)
    engine.full = True
    await settle()
    assert yard.latest().status == "RUNNING"
    engine.full = False
    await yard.clock.advance(FULL_RETRY_S)
    assert yard.latest().status == "COMPLETED"
    assert await yard.bodies(yard.sources[0]) == ["a", "b"]


async def test_fifo_messages_keep_their_group_and_order(queues: SqsQueues, scope: Scope, clock: ManualClock):
    yard = await Yard(queues, scope, clock).build(fifo=True)
    await yard.bury(yard.sources[0], "a", "b", "c")
    yard.start()
    await queues.moves.start(yard.dead.arn)
    await settle()
    received = await queues.receive(yard.sources[0].arn, 10)
    assert [(r.item.body, r.meta.group_id) for r in received] == [(b"a", "g"), (b"b", "g"), (b"c", "g")]
    await yard.stop()


async def test_what_cannot_be_moved_is_refused(yard: Yard, queues: SqsQueues, scope: Scope):
    start, missing = queues.moves.start, scope.arn("sqs", "missing")
    fifo = await queues.create(scope, "q.fifo", {"FifoQueue": "true"})
    with pytest.raises(NoSuchMove, match="The resource that you specified for the SourceArn parameter doesn't exist"):
        await start(missing)
    with pytest.raises(NoSuchMove, match="for the DestinationArn parameter doesn't exist"):
        await start(yard.dead.arn, missing)
    for arn, destination, rate, words in (
        (yard.sources[0].arn, None, None, "Source queue must be configured as a Dead Letter Queue."),
        (yard.dead.arn, yard.dead.arn, None, "cannot be the same"),
        (yard.dead.arn, fifo.arn, None, "must be of the same type"),
        (yard.dead.arn, None, 0, "Value 0 for parameter MaxNumberOfMessagesPerSecond is invalid"),
        (yard.dead.arn, None, 501, "Must be between 1 and 500, if provided"),
    ):
        with pytest.raises(InvalidQueueRequest, match=words):
            await start(arn, destination, rate)
    await yard.bury(yard.sources[0], "a", "b")
    await start(yard.dead.arn, rate=1)
    with pytest.raises(InvalidQueueRequest, match="There is already a task running"):
        await start(yard.dead.arn)


async def test_tasks_that_are_not_there(yard: Yard, queues: SqsQueues):
    with pytest.raises(InvalidQueueRequest, match="for parameter TaskHandle is invalid"):
        await queues.moves.cancel("nonsense")
    stranger = MoveTask("x", yard.dead.arn, None, None, 0, 0)
    with pytest.raises(NoSuchMove, match="Task does not exist"):
        await queues.moves.cancel(stranger.handle)
    with pytest.raises(NoSuchMove):
        queues.moves.latest(yard.dead.arn + "x")
    with pytest.raises(InvalidQueueRequest, match="Value 11 for parameter MaxResults is invalid"):
        queues.moves.latest(yard.dead.arn, 11)


async def test_the_ten_latest_tasks_are_kept_newest_first(yard: Yard, queues: SqsQueues, engine: MemoryEngine):
    started: list[str] = []
    for _ in range(12):
        started.append((await queues.moves.start(yard.dead.arn)).id)
        await yard.clock.advance(1)
    assert [task.id for task in queues.moves.latest(yard.dead.arn, 10)] == started[:1:-1]
    assert [task.id for task in queues.moves.latest(yard.dead.arn)] == started[-1:]
    assert len(await engine.records.list("queue-move/")) == 10
