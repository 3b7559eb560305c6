"""A queue's batches: received, handed to the function, and deleted when it is done with them.

One receives, several run: as many batches are under way as the function's workers have room for, and never more than
`MaximumConcurrency`. (AWS begins with five pollers and adds some each minute; here nothing is gained by waiting.)
An error leaves the messages hidden until their visibility timeout. What could not be run at all is put back within
seconds, and that does not count as a receive (ours: a throttled message must not end in the dead-letter queue).
While a function runs, its messages stay hidden, also beyond the visibility timeout (ours).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Sequence
from dataclasses import dataclass

from busway.clock import any_of
from busway.errors import CorruptRecord, EngineStopped, QueueNotFound
from busway.function.mapping.filters import Filters
from busway.function.mapping.ledger import DELIVERED, FAILED, FILTERED, Ledger, Note, mark_of
from busway.function.mapping.notes import error_of
from busway.function.mapping.payload import BYTES_MAX, HEAD, TAIL, batch, message_facts, message_record
from busway.function.mapping.record import MappingRecord
from busway.function.mapping.retry import wait_s
from busway.function.mapping.runner import Answered, Batch, Crowd, Desk, Status, count, run_batch
from busway.pattern.event_tree import Tree
from busway.queue.queues import RECEIVE_MAX, VISIBILITY_S_MAX, VisibilityChange
from busway.queue.receiving import Received

LOOK_AGAIN_S = 0.1
THROTTLED_S_MAX = 30.0
AGAIN_S = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A received message, and its bytes in a payload."""

    received: Received
    record: bytes

    @property
    def id(self) -> str:
        return self.received.meta.message_id

    @property
    def mark(self) -> str:
        return mark_of(self.received.item, self.id)

    @property
    def handle(self) -> str:
        return self.received.receipt.handle()


def fitting(messages: Sequence[Message], size: int, bytes_max: int) -> int:
    """How many of these, from the front, make one batch: at most `size`, at most `bytes_max` bytes; one always."""
    total = len(HEAD) + len(TAIL)
    for place, message in enumerate(messages[:size]):
        total += len(message.record) + 1
        if total > bytes_max and place:
            return place
    return min(size, len(messages))


def may_take(under_way: int, running: int, capacity: int, concurrency_max: int | None) -> bool:
    """Whether one more batch is to be received. One may always be under way: who asks for a worker gets it started.

    `under_way` are this mapping's batches, `running` all invocations of the function that have begun.
    """
    if concurrency_max is not None and under_way >= concurrency_max:
        return False
    return under_way == 0 or max(under_way, running) < capacity


class QueuePoller:
    """Polls one queue for one mapping, as long as `run` runs."""

    def __init__(self, record: MappingRecord, desk: Desk, status: Status, ledger: Ledger) -> None:
        self._record, self._desk, self._status, self._ledger = record, desk, status, ledger
        self._region = record.source_arn.split(":")[3]
        self._filters = Filters(record.filters, "body")
        self._stopping = asyncio.Event()
        self._crowd = Crowd()
        # Received, and not yet under way: what did not fit into the last batch, or waits for the window.
        self._held: list[Message] = []
        self._held_bytes = 0
        self._held_until = 0.0
        self._under_way: dict[int, Sequence[Message]] = {}
        self._throttles = 0
        self._not_before = 0.0

    def stop(self) -> None:
        """Take no further work. `run` returns when what is under way has ended."""
        self._stopping.set()

    async def run(self) -> None:
        """Until told to stop, or the engine stops; after a fault of ours it goes on."""
        try:
            while not self._stopping.is_set():
                await self._guarded_turn()
            await self._put_back(self._held, 0.0)
            await self._crowd.finish()
        except EngineStopped:
            return

    async def idle(self) -> bool:
        """Whether only time, or a new message, gives it something to do."""
        desk = self._desk
        if self._crowd or (self._held and self._held_until <= desk.clock.monotonic()):
            return False
        return not (await desk.engine.queues.counts(self._record.source_arn)).ready

    async def abandon(self) -> None:
        """Let go of what is under way: its messages are visible again at once."""
        left = [message for messages in self._under_way.values() for message in messages]
        await self._crowd.cancel()
        await self._put_back(left, 0.0)

    async def _guarded_turn(self) -> None:
        try:
            await self._turn()
        except EngineStopped:
            raise
        except QueueNotFound as error:
            self._status.result = f"PROBLEM: {error}"
            await any_of(self._desk.clock, AGAIN_S, self._stopping.wait())
        except CorruptRecord as error:
            log.critical("mapping %s stands still: %s", self._record.uuid, error)
            self._desk.trail.note("halted", function=self._record.function, error_message=str(error))
            await self._stopping.wait()
        except Exception:
            log.exception("mapping %s: a fault of ours; it goes on", self._record.uuid)
            await any_of(self._desk.clock, AGAIN_S, self._stopping.wait())

    async def _turn(self) -> None:
        desk, clock = self._desk, self._desk.clock
        runner, function = desk.runner, self._record.function
        running, capacity = runner.running(function), runner.capacity(function)
        if not may_take(len(self._crowd), running, capacity, self._record.concurrency_max):
            self._crowd.changed.clear()
            await any_of(clock, LOOK_AGAIN_S, self._crowd.changed.wait(), self._stopping.wait())
            return
        if (left_s := self._not_before - clock.monotonic()) > 0:
            await any_of(clock, left_s, self._stopping.wait())
            return
        await self._gather()
        if self._held and not self._stopping.is_set():
            cut = fitting(self._held, self._record.batch_size, BYTES_MAX)
            messages, self._held = self._held[:cut], self._held[cut:]
            self._held_bytes = sum(len(message.record) for message in self._held)
            self._crowd.add(self._handle(messages))

    # --- receive ---

    async def _gather(self) -> None:
        """Hold messages until a batch is full, or its window is over."""
        clock, size = self._desk.clock, self._record.batch_size
        if not self._held:
            await self._receive(min(RECEIVE_MAX, size), None)
        self._held_until = clock.monotonic() + self._record.window_s
        while len(self._held) < size and self._held_bytes < BYTES_MAX:
            left_s = self._held_until - clock.monotonic()
            if left_s <= 0 or not self._held or self._stopping.is_set():
                return
            await self._receive(min(RECEIVE_MAX, size - len(self._held)), left_s)

    async def _receive(self, limit: int, left_s: float | None) -> None:
        """Wait for messages, at most `left_s` seconds, and hold those that are wanted."""
        desk, arn = self._desk, self._record.source_arn
        visibility_s = desk.queues.need(arn).visibility_s
        hidden_s = min(VISIBILITY_S_MAX, max(1, visibility_s) + (self._record.window_s if left_s is None else 0))
        received = await desk.queues.receive(arn, limit, visibility_s=hidden_s, wait_s=0)
        if not received:
            # Nothing there: wait where a wait can be broken off, then receive once more.
            delay_s = float("inf") if left_s is None else left_s
            await any_of(desk.clock, delay_s, desk.engine.queues.wait(arn), self._stopping.wait())
            if self._stopping.is_set():
                return
            received = await desk.queues.receive(arn, limit, visibility_s=hidden_s, wait_s=0)
        if received:
            count(desk, self._record, "PolledEventCount", len(received))
            await self._hold(received)

    async def _hold(self, received: Sequence[Received]) -> None:
        unwanted: list[str] = []
        marks: list[str] = []
        for one in received:
            if self._filters and not self._filters.want(one.item.body, lambda one=one: self._facts(one)):
                unwanted.append(one.receipt.handle())
                marks.append(mark_of(one.item, one.meta.message_id))
            else:
                message = Message(one, message_record(one, self._region))
                self._held.append(message)
                self._held_bytes += len(message.record)
        if unwanted:
            await self._desk.queues.remove(self._record.source_arn, unwanted)
            count(self._desk, self._record, "FilteredOutEventCount", len(unwanted))
            self._ledger.note(self._record.source_arn, Note(FILTERED, self._desk.clock.now(), marks=marks))

    def _facts(self, received: Received) -> dict[str, Tree]:
        return message_facts(received, self._region)

    # --- run ---

    async def _handle(self, messages: Sequence[Message]) -> None:
        self._under_way[id(messages)] = messages
        hiding = asyncio.get_running_loop().create_task(self._keep_hidden(messages))
        try:
            answer = await run_batch(self._desk, self._record, self._status, self._batch(messages))
        finally:
            del self._under_way[id(messages)]
            hiding.cancel()
            await asyncio.gather(hiding, return_exceptions=True)
        if isinstance(answer, Answered):
            self._throttles = 0
            await self._finish(messages, answer)
        elif not answer.hopeless:
            self._throttles += 1
            delay_s = min(THROTTLED_S_MAX, wait_s(self._throttles))
            self._not_before = self._desk.clock.monotonic() + delay_s
            await self._put_back(messages, delay_s)

    def _batch(self, messages: Sequence[Message]) -> Batch:
        return Batch(
            batch(message.record for message in messages),
            [message.id for message in messages],
            [message.received.item.body for message in messages],
            attempt=messages[0].received.receive_count,
            trace_header=next((header for one in messages if (header := one.received.meta.trace_header)), ""),
        )

    async def _finish(self, messages: Sequence[Message], answer: Answered) -> None:
        """Delete what the function is done with; the rest is visible again after its timeout."""
        kept = {message.id for message in messages} if answer.failed is None else set(answer.failed)
        self._note(messages, kept, answer)
        if answer.failed is None:
            return
        handles = [message.handle for message in messages if message.id not in kept]
        try:
            await self._desk.queues.remove(self._record.source_arn, handles)
        except QueueNotFound:
            log.info("mapping %s: the queue went away while its messages were handled", self._record.uuid)
        count(self._desk, self._record, "DeletedEventCount", len(handles))

    def _note(self, messages: Sequence[Message], failed: Container[str], answer: Answered) -> None:
        result, now, arn = answer.result, self._desk.clock.now(), self._record.source_arn
        done = [message.mark for message in messages if message.id not in failed]
        if done:
            self._ledger.note(arn, Note(DELIVERED, now, marks=done, request_id=result.request_id))
        for message in messages:
            if message.id in failed:
                code, text = error_of(result)
                attempt = message.received.receive_count
                note = Note(FAILED, now, (), [message.mark], result.request_id, attempt, code, text)
                self._ledger.note(arn, note)

    async def _keep_hidden(self, messages: Sequence[Message]) -> None:
        """While the function runs: nobody else is handed its messages."""
        desk, arn = self._desk, self._record.source_arn
        queue = desk.queues.get(arn)
        visibility_s = max(1, queue.visibility_s if queue is not None else 1)
        changes = [VisibilityChange(message.handle, visibility_s) for message in messages]
        while True:
            await desk.clock.sleep(visibility_s * 2 / 3)
            await desk.queues.change_visibility(arn, changes)

    async def _put_back(self, messages: Sequence[Message], delay_s: float) -> None:
        """Visible again after `delay_s`, as if it had not been received."""
        due_at = self._desk.clock.now() + delay_s
        refund = self._desk.engine.queues.refund
        await asyncio.gather(*(refund(message.received.item, due_at) for message in messages))
        if messages:
            self._desk.queues.tell(self._record.source_arn)
