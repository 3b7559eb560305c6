"""Message move tasks: the messages of a dead-letter queue go back to where they came from, or to another queue.

    start → RUNNING → COMPLETED
               │  └── FAILED       the destination is gone, or nobody knows where a message came from
               └ CANCELLING → CANCELLED

A task's record is written when its state changes and as it goes on, so a restart takes it up again. Messages are put
first and ended after; a key keeps a message that was put before a crash from being put again.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable

import msgspec

from busway.clock import Clock, Entropy, uuids
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Item, Once, Put
from busway.errors import CorruptRecord, InvalidQueueRequest, MoveNotRunning, NoSuchMove, StorageFull
from busway.queue.fifo import read_meta
from busway.queue.message import MessageMeta, encode_meta
from busway.queue.record import FIFO_SUFFIX, QueueRecord
from busway.queue.registry import QueueRegistry

log = logging.getLogger(__name__)

RATE_MAX = 500
TASKS_LISTED_MAX = 10
# AWS's words for why a task failed.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/troubleshooting-dlq-redrive.html
NO_DESTINATION = "AWS.SimpleQueueService.NonExistentQueue"
NO_SOURCE = "CouldNotDetermineMessageSource"
# Ours: AWS has no word for why a redrive policy put a message aside.
RECEIVED_TOO_OFTEN = "ReceivedTooOften"
# Ours: messages moved in one step, how long a step may take before its messages come back, and how long a moved
# message is known by its key.
STEP = 100
LEASE_S = 60.0
KNOWN_S = 3_600.0
# Ours: a rate is kept in steps of a tenth of a second. While the disk is full a task waits this long and tries again.
STEPS_PER_S = 10
FULL_RETRY_S = 5.0

RUNNING, COMPLETED, CANCELLING, CANCELLED, FAILED = "RUNNING", "COMPLETED", "CANCELLING", "CANCELLED", "FAILED"


class MoveTask(msgspec.Struct, frozen=True):
    """A task as it is stored. `rate` is messages a second at most; `to_move` what the queue held at the start."""

    id: str
    source_arn: str
    destination_arn: str | None
    rate: int | None
    started_ms: int
    to_move: int
    moved: int = 0
    status: str = RUNNING
    failure: str | None = None

    @property
    def handle(self) -> str:
        text = msgspec.json.encode({"taskId": self.id, "sourceArn": self.source_arn})
        return base64.b64encode(text).decode()

    @property
    def key(self) -> str:
        return f"queue-move/{self.source_arn}/{self.id}"


class _Handle(msgspec.Struct):
    taskId: str
    sourceArn: str


def _task_id(handle: str) -> str:
    """The id that a handle carries. Raises `InvalidQueueRequest` for what is no handle."""
    try:
        return msgspec.json.decode(base64.b64decode(handle, validate=True), type=_Handle).taskId
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise InvalidQueueRequest(f"Value {handle} for parameter TaskHandle is invalid.") from None


class MessageMoves:
    """All tasks, and who runs them. `changed` is told the ARN of a queue whose content changed."""

    def __init__(
        self, engine: Engine, clock: Clock, entropy: Entropy, queues: QueueRegistry, changed: Callable[[str], None]
    ) -> None:
        self._engine, self._clock, self._entropy = engine, clock, entropy
        self._queues, self._changed = queues, changed
        self._tasks: dict[str, MoveTask] = {}
        self._started = asyncio.Event()

    async def open(self) -> None:
        """Load every task whose queue is still there; those that were running go on in `run`."""
        values = await self._engine.records.list("queue-move/")
        tasks = [(value, msgspec.json.decode(value.data, type=MoveTask)) for value in values]
        for value, task in sorted(tasks, key=lambda pair: pair[1].started_ms):
            if self._queues.exists(task.source_arn):
                self._tasks[task.id] = task
            else:
                await self._engine.records.delete(value.key)
        self._started.set()

    async def start(self, source_arn: str, destination_arn: str | None = None, rate: int | None = None) -> MoveTask:
        """Begin to move what `source_arn` holds, to `destination_arn` or to each message's own source queue.

        Raises `NoSuchMove` for a queue that is not there, `InvalidQueueRequest` for one that is no dead-letter queue
        or has a task running, for another kind of queue, or a rate out of range.
        """
        self._check(source_arn, destination_arn, rate)
        held = await self._engine.queues.counts(source_arn)
        task = MoveTask(
            uuids(self._entropy, 1)[0], source_arn, destination_arn, rate, int(self._clock.now() * 1000), held.ready
        )
        if self._active(source_arn) is not None:
            raise _one_at_a_time()
        self._tasks[task.id] = task
        await self._engine.records.put(task.key, msgspec.json.encode(task))
        await self._forget_old(source_arn)
        self._started.set()
        return task

    def _check(self, source_arn: str, destination_arn: str | None, rate: int | None) -> None:
        if not self._queues.exists(source_arn):
            raise _no_queue("SourceArn")
        if destination_arn is not None and not self._queues.exists(destination_arn):
            raise _no_queue("DestinationArn")
        if not self._queues.dead_letter_sources(source_arn):
            raise InvalidQueueRequest("Source queue must be configured as a Dead Letter Queue.")
        if destination_arn == source_arn:
            raise InvalidQueueRequest("Source queue arn and destination queue arn cannot be the same.")
        if destination_arn and destination_arn.endswith(FIFO_SUFFIX) != source_arn.endswith(FIFO_SUFFIX):
            raise InvalidQueueRequest("Source queue and destination queue must be of the same type.")
        if rate is not None and not 1 <= rate <= RATE_MAX:
            raise InvalidQueueRequest(
                f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and "
                f"{RATE_MAX}, if provided."
            )
        if self._active(source_arn) is not None:
            raise _one_at_a_time()

    async def cancel(self, handle: str) -> MoveTask:
        """Stop a task that is running; what it moved stays moved.

        Raises `NoSuchMove`, `MoveNotRunning`, `InvalidQueueRequest`.
        """
        task = self._tasks.get(_task_id(handle))
        if task is None:
            raise NoSuchMove("Task does not exist.")
        if task.status != RUNNING:
            raise MoveNotRunning(f"Only tasks that are RUNNING can be cancelled; this one is {task.status}.")
        return await self._save(task.id, status=CANCELLING)

    def latest(self, source_arn: str, limit: int | None = None) -> list[MoveTask]:
        """The latest tasks of a queue, newest first: one, or up to `limit`.

        Raises `NoSuchMove`, `InvalidQueueRequest`.
        """
        if not self._queues.exists(source_arn):
            raise _no_queue("SourceArn")
        if limit is not None and not 1 <= limit <= TASKS_LISTED_MAX:
            raise InvalidQueueRequest(
                f"Value {limit} for parameter MaxResults is invalid. Reason: Must be between 1 and "
                f"{TASKS_LISTED_MAX}, if provided."
            )
        return self._of(source_arn)[: limit or 1]

    async def run(self) -> None:
        """Run what is to be run, until cancelled."""
        running: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._started.wait()
                self._started.clear()
                for task in self._tasks.values():
                    if task.status in (RUNNING, CANCELLING) and task.id not in running:
                        running.add(task.id)
                        group.create_task(self._move_all(task.id))
                running &= self._tasks.keys()

    async def _move_all(self, task_id: str) -> None:
        while (task := self._tasks[task_id]).status == RUNNING:
            step = STEP if task.rate is None else max(1, task.rate // STEPS_PER_S)
            try:
                moved = await self._move_some(task, step)
            except StorageFull as error:
                log.warning("move task %s waits: %s", task_id, error)
                await self._clock.sleep(FULL_RETRY_S)
                continue
            except CorruptRecord as error:
                log.error("move task %s ends: %s", task_id, error)
                await self._save(task_id, status=FAILED, failure="CorruptRecord")
                continue
            if task.rate is not None and moved:
                await self._clock.sleep(moved / task.rate)
        if task.status == CANCELLING:
            await self._save(task_id, status=CANCELLED)

    async def _move_some(self, task: MoveTask, limit: int) -> int:
        """Move up to `limit` messages; a task that finds none, or can't go on, ends."""
        if not self._queues.exists(task.source_arn):
            await self._save(task.id, status=FAILED, failure=NO_DESTINATION)
            return 0
        items = await self._engine.queues.lease(task.source_arn, limit, LEASE_S)
        puts: list[Put] = []
        failure: str | None = None
        for item in items:
            put = self._put_of(task, item)
            if isinstance(put, str):
                failure = put
                break
            puts.append(put)
        moved, kept = items[: len(puts)], items[len(puts) :]
        try:
            await self._engine.queues.put(puts)
        except StorageFull:
            kept, moved = items, []
            raise
        finally:
            for item in reversed(kept):
                await self._engine.queues.refund(item, item.put_at)
        if moved:
            await self._engine.queues.done(moved, "redriven")
            for arn in {task.source_arn, *(put.queue for put in puts)}:
                self._changed(arn)
        await self._advance(task.id, len(moved), failure, ended=not items)
        return len(moved)

    async def _advance(self, task_id: str, moved: int, failure: str | None, *, ended: bool) -> None:
        task = self._tasks[task_id]
        status = FAILED if failure else COMPLETED if ended and task.status == RUNNING else task.status
        await self._save(task_id, status=status, failure=failure, moved=task.moved + moved)

    def _put_of(self, task: MoveTask, item: Item) -> Put | str:
        """Where a message goes, or why the task can't go on."""
        meta = read_meta(item)
        arn = task.destination_arn or meta.source_queue_arn
        if arn is None:
            return NO_SOURCE
        queue = self._queues.get(arn)
        if queue is None:
            return NO_DESTINATION
        now = self._clock.now()
        once = Once(f"moved  {task.id} {item.id}", now + KNOWN_S)
        return moved_put(queue, item, uuids(self._entropy, 1)[0], once, now)

    async def _save(self, task_id: str, **changes: object) -> MoveTask:
        task = self._tasks[task_id] = msgspec.structs.replace(self._tasks[task_id], **changes)
        await self._engine.records.put(task.key, msgspec.json.encode(task))
        return task

    def _active(self, source_arn: str) -> MoveTask | None:
        return next((t for t in self._of(source_arn) if t.status in (RUNNING, CANCELLING)), None)

    def _of(self, source_arn: str) -> list[MoveTask]:
        return [task for task in reversed(self._tasks.values()) if task.source_arn == source_arn]

    async def _forget_old(self, source_arn: str) -> None:
        for task in self._of(source_arn)[TASKS_LISTED_MAX:]:
            del self._tasks[task.id]
            await self._engine.records.delete(task.key)


def _no_queue(parameter: str) -> NoSuchMove:
    return NoSuchMove(f"The resource that you specified for the {parameter} parameter doesn't exist.")


def _one_at_a_time() -> InvalidQueueRequest:
    return InvalidQueueRequest(
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    )


def moved_put(queue: QueueRecord, item: Item, message_id: str, once: Once | None, now: float) -> Put:
    """The message in another queue. On AWS too it is a new one, with an id and a retention of its own."""
    meta = read_meta(item)
    fresh = MessageMeta(
        message_id="" if queue.fifo else message_id,
        sent_ms=int(now * 1000),
        sender=meta.sender,
        attributes=meta.attributes,
        trace_header=meta.trace_header,
        group_id=meta.group_id,
        deduplication_id=meta.deduplication_id,
    )
    group = (meta.group_id or meta.message_id) if queue.fifo else ""
    return Put(queue.arn, item.body, now, encode_meta(fresh), group=group, once=once)


def source_of(item: Item) -> Source | None:
    """Where a dead letter came from: as was kept with it, else the queue whose redrive policy put it aside."""
    meta = read_meta(item)
    if meta.source is not None or meta.source_queue_arn is None:
        return meta.source
    return Source(
        kind="queue", payload=item.body, target_arn=meta.source_queue_arn, error_code=RECEIVED_TOO_OFTEN,
        error_message=f"received {meta.received_before} times without being deleted", attempts=meta.received_before,
        first_at=(meta.first_received_ms or meta.sent_ms) / 1000, failed_at=item.put_at,
        trace_header=meta.trace_header, message_group_id=meta.group_id,
    )  # fmt: skip
