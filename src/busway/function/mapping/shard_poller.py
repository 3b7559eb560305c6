"""One shard's batches: read, handed to the function in order, and the checkpoint moved behind what is finished.

`shard_work` and `retry` decide; here it is done. What is given up is told to the destination first, and finished
after that: a crash in between tells it twice rather than never.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from busway.clock import any_of, uuids
from busway.errors import BuswayError, EngineStopped, NoSuchDestination, QueueNotFound
from busway.function.mapping.filters import Filters
from busway.function.mapping.ledger import FILTERED, Ledger, Note, offsets_of
from busway.function.mapping.letters import batch_source
from busway.function.mapping.notes import note_of_loss, notes_of
from busway.function.mapping.payload import BYTES_MAX, HEAD, TAIL, Place, batch, batch_letter, stream_writer
from busway.function.mapping.record import AT_TIMESTAMP, MappingRecord
from busway.function.mapping.retry import (
    WAIT_S_MAX,
    GivenUp,
    Policy,
    Segment,
    Step,
    after_error,
    after_no_start,
    after_report,
    after_success,
    too_large,
    wait_s,
    without_too_old,
)
from busway.function.mapping.runner import (
    NAMESPACE,
    Answered,
    Batch,
    Crowd,
    Desk,
    NotRun,
    Result,
    Status,
    count,
    event_id_of,
    named,
    role_of,
    run_batch,
)
from busway.function.mapping.shard_work import Limits, ShardWork
from busway.function.record import LATEST
from busway.stream.record import Shard, StreamEntry
from busway.tracing import begun_by

# Ours: what is read at once, so that the event loop is not held up.
READ_MAX, READ_BYTES_MAX = 1_000, 4 * 1_048_576

log = logging.getLogger(__name__)


class ShardPoller:
    """Reads one shard for one mapping. The ledger is told what became of each record, and of the checkpoint."""

    def __init__(
        self,
        record: MappingRecord,
        shard: Shard,
        desk: Desk,
        status: Status,
        ledger: Ledger,
        ahead: frozenset[int],
    ) -> None:
        """`ahead` are offsets above the checkpoint that an earlier poller of this shard finished.

        Raises `FunctionNotFound`.
        """
        self._record, self._shard, self._desk, self._status, self._ledger = record, shard, desk, status, ledger
        self._writer = stream_writer(record.source_arn, shard.id, role_of(desk, record))
        self._filters = Filters(record.filters, "data")
        self._crowd = Crowd()
        self._stopping = asyncio.Event()
        self._ended = False
        self._checkpoint = 0
        self._work = self._new_work(0, ahead)

    @property
    def ahead(self) -> frozenset[int]:
        """The offsets above the checkpoint that are finished."""
        return self._work.ahead

    def _new_work(self, start: int, ahead: frozenset[int]) -> ShardWork:
        record = self._record
        bytes_max = BYTES_MAX - len(HEAD) - len(TAIL)
        limits = Limits(record.batch_size, float(record.window_s), record.lanes, bytes_max)
        return ShardWork(limits, start, self._writer.bytes_of, ahead)

    def stop(self) -> None:
        """Take no further work. `run` returns when what is under way has ended."""
        self._stopping.set()

    async def idle(self) -> bool:
        """Whether only time, or a new record, gives it something to do."""
        work, desk = self._work, self._desk
        if self._crowd or work.due_at() <= desk.clock.monotonic():
            return False
        return self._ended or not work.room or work.read_to >= await desk.streams.head(self._shard)

    async def abandon(self) -> None:
        """Let go of what is under way: it comes again, from the checkpoint on."""
        await self._crowd.cancel()

    async def run(self) -> bool:
        """Until told to stop; True when the shard is closed and everything in it is finished.

        Raises `EngineStopped`, `CorruptRecord`.
        """
        start = await self._start()
        self._work, self._checkpoint = self._new_work(start, self.ahead), start
        while not self._stopping.is_set():
            self._begin()
            if self._ended and not self._work.unfinished:
                return True
            if not await self._read():
                await self._wait()
        await self._crowd.finish()
        return False

    async def _start(self) -> int:
        """The offset up to which this mapping is finished with the shard, or never wanted it."""
        record, streams = self._record, self._desk.streams
        known = await self._desk.engine.journal.position(self._shard.journal, record.uuid)
        begun = record.starts.get(self._shard.id, 0)
        if record.position == AT_TIMESTAMP and record.position_at is not None:
            begun = max(begun, await streams.offset_at(self._shard, record.position_at))
        return max(known, begun)

    def _begin(self) -> None:
        for lane, segment in self._work.take(self._desk.clock.monotonic()):
            self._crowd.add(self._handle(lane, segment))

    async def _read(self) -> bool:
        """Take in what comes next; False when there is nothing, or no room for it."""
        work, desk = self._work, self._desk
        if self._ended or not work.room:
            return False
        present = desk.streams.now(self._shard)
        limit = min(work.room, READ_MAX)
        entries = await desk.streams.read(self._shard, work.read_to, limit, READ_BYTES_MAX)
        if entries:
            left_out = work.offer(entries, self._wanted, desk.clock.monotonic())
            count(desk, self._record, "PolledEventCount", len(entries))
            if left_out:
                count(desk, self._record, "FilteredOutEventCount", len(left_out))
                note = Note(FILTERED, desk.clock.now(), offsets_of(left_out))
                self._ledger.note(self._shard.journal, note)
                self._advance()
        elif present is None or present.closed:
            # Looked at before the read, so nothing can have come since.
            self._ended = True
            work.end()
        return bool(entries) or self._ended

    def _wanted(self, entry: StreamEntry) -> bool:
        record = self._record
        if record.position_at is not None and entry.arrived_at < record.position_at:
            return False
        return not self._filters or self._filters.want(entry.data, lambda: self._writer.facts(entry))

    async def _wait(self) -> None:
        """Until a batch can go, one has ended, or there is something to read."""
        work, desk = self._work, self._desk
        self._crowd.changed.clear()
        wakes: list[Coroutine[Any, Any, Any]] = [self._crowd.changed.wait(), self._stopping.wait()]
        if not self._ended and work.room:
            wakes.append(desk.streams.wait(self._shard, work.read_to))
        await any_of(desk.clock, work.due_at() - desk.clock.monotonic(), *wakes)

    # --- one batch ---

    async def _handle(self, lane: int, segment: Segment) -> None:
        try:
            step = await self._process(segment)
        except EngineStopped:
            raise
        except Exception:
            log.exception("mapping %s: a fault of ours with a batch of %s", self._record.uuid, self._shard.id)
            step = after_no_start(segment)
        self._work.settle(lane, step, self._desk.clock.monotonic())
        self._advance()

    async def _process(self, segment: Segment) -> Step:
        desk, record, policy = self._desk, self._record, self._policy()
        aged = without_too_old(segment, policy, desk.clock.now())
        if aged is not None:
            if aged.lost is not None:
                await self._tell(aged.lost, None)
            return aged
        answer = await run_batch(desk, record, self._status, self._batch(segment))
        self._measure_age(segment)
        step = follow(segment, answer, policy)
        if isinstance(answer, Answered):
            for note in notes_of(step, answer.result, segment.failures + 1, desk.clock.now()):
                self._ledger.note(self._shard.journal, note)
        if step.lost is not None:
            await self._tell(step.lost, answer.result if isinstance(answer, Answered) else None)
        return step

    def _batch(self, segment: Segment) -> Batch:
        entries = segment.entries
        return Batch(
            batch(map(self._writer.record, entries)),
            [entry.sequence_number for entry in entries],
            [entry.data for entry in entries],
            self._shard.id,
            segment.failures + 1,
            # A record has no place for a trace: of an event it is the one that the event begins.
            begun_by(first) if (first := event_id_of(entries[0].data)) else "",
        )

    def _policy(self) -> Policy:
        """What is past the stream's retention is gone, as if the mapping said so."""
        record, stream = self._record, self._desk.streams.get(self._record.source_arn)
        retention_s = stream.retention_s if stream is not None else float("inf")
        age_s = float(record.age_s_max) if record.age_s_max >= 0 else float("inf")
        return Policy(record.retries_max, min(age_s, retention_s), record.bisect)

    def _measure_age(self, segment: Segment) -> None:
        """How old the batch's last record was when the function was done with it, as on AWS."""
        age_ms = max(0.0, self._desk.clock.now() - segment.entries[-1].arrived_at) * 1000
        name = self._record.function_name
        self._desk.metrics.gauge(NAMESPACE, "IteratorAge", age_ms, of=self._record.function_arn, FunctionName=name)

    def _advance(self) -> None:
        if self._work.checkpoint > self._checkpoint:
            self._checkpoint = self._work.checkpoint
            self._ledger.moved(self._shard.journal, self._checkpoint)

    # --- what is given up ---

    async def _tell(self, lost: GivenUp, result: Result | None) -> None:
        """Tell the destination, if there is one, and the trail always."""
        desk, record = self._desk, self._record
        request_id = result.request_id if result is not None else uuids(desk.entropy, 1)[0]
        told = record.on_failure is not None and await self._send(lost, result, request_id, record.on_failure)
        self._ledger.note(self._shard.journal, note_of_loss(lost, result, request_id, record, told, desk.clock.now()))
        name = "OnFailureDestinationDeliveredEventCount" if told else "DroppedEventCount"
        count(desk, record, name, len(lost.entries))
        desk.trail.note(
            "dead-lettered", function=record.function, mapping=record.uuid, request_id=request_id,
            source=record.source_arn, shard=self._shard.id, records=len(lost.entries), attempt=lost.invocations,
            queue=record.on_failure if told else "", error_code=lost.condition,
            error_message=f"{len(lost.entries)} records given up, from {lost.entries[0].sequence_number}",
            **named([entry.sequence_number for entry in lost.entries], [entry.data for entry in lost.entries]),
        )  # fmt: skip

    async def _send(self, lost: GivenUp, result: Result | None, request_id: str, destination: str) -> bool:
        """False when there is no such destination. For anything else that stands in the way it waits."""
        desk, record = self._desk, self._record
        qualifier = record.qualifier or LATEST
        place = Place(f"{record.function}:{qualifier}", record.source_arn, self._shard.id)
        letter = batch_letter(
            lost, place, request_id=request_id, executed_version=result.executed_version if result else LATEST,
            function_error=result.function_error if result else None, now=desk.clock.now(),
        )  # fmt: skip
        payload = batch(map(self._writer.record, lost.entries))
        source = batch_source(
            lost,
            record.function_arn,
            payload,
            result,
            request_id=request_id,
            now=desk.clock.now(),
            mapping=record.uuid,
        )
        tries = 0
        while True:
            try:
                await desk.destinations.send(
                    destination, letter, function_arn=record.function, success=False, trace_header="",
                    now=desk.clock.now(), source=source,
                )  # fmt: skip
                return True
            except EngineStopped:
                raise
            except (QueueNotFound, NoSuchDestination) as error:
                log.warning("mapping %s: %s did not take a record: %s", record.uuid, destination, error)
                of, name = record.function_arn, record.function_name
                desk.metrics.count(NAMESPACE, "DestinationDeliveryFailures", of=of, FunctionName=name)
                return False
            except BuswayError:
                log.exception("mapping %s: a record for %s could not be stored; again", record.uuid, destination)
            tries += 1
            await desk.clock.sleep(min(WAIT_S_MAX, wait_s(tries)))


def follow(segment: Segment, answer: Answered | NotRun, policy: Policy) -> Step:
    """What the answer means for the segment."""
    if isinstance(answer, NotRun):
        return too_large(segment) if answer.hopeless and len(segment.entries) == 1 else after_no_start(segment)
    if answer.failed is None:
        return after_error(segment, policy)
    if not answer.failed:
        return after_success(segment)
    reported = set(answer.failed)
    first = next(at for at, entry in enumerate(segment.entries) if entry.sequence_number in reported)
    return after_report(segment, first, policy)
