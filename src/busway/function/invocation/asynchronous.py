"""Asynchronous invocation: from a row in a function's queue to its end.

One dispatcher a function. It leases as much as the pool has room for, runs it, and ends each row in one of three
ways: done, due again later (`retry` decides), or given up. Giving up puts the dead letter and tells the destination
first, and ends the row after that: a crash in between repeats, and loses nothing.

An event whose lease ran out here while it still runs (the server stood still) is leased again by the same
dispatcher, which then takes over the new token instead of running it twice.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from msgspec.structs import replace

from busway.engine import Item
from busway.errors import (
    CorruptRecord,
    EngineStopped,
    FunctionNotFound,
    FunctionNotReady,
    FunctionThrottled,
    RecursiveInvocation,
    StillRunning,
    WorkersStopped,
)
from busway.function.invocation.desk import NAMESPACE, Desk, TooOld
from busway.function.invocation.ending import Ending, Lost, interrupted, no_function, recursive, words
from busway.function.invocation.letters import Work, error_message
from busway.function.invocation.repeats import TURN_S, Repeats, Turn
from busway.function.invocation.retry import (
    EXHAUSTED,
    TOO_OLD,
    GiveUp,
    Policy,
    Retry,
    after_error,
    after_throttle,
    interrupted_too_often,
    may_start,
)
from busway.function.mapping.report import FAILED_ITEMS, reported_failure
from busway.function.record import PENDING, FunctionRecord, qualified
from busway.function.workers.pool import Run
from busway.function.workers.worker import Answer
from busway.handling import ONCE_EVENT, ONCE_TAG

# Ours: short, and renewed while the event is in flight, so that after a crash it is due again within seconds.
LEASE_S = 6.0
RENEW_EVERY_S = 2.0
# What is leased at once when nothing runs: only judged, and put back or given up.
JUDGED_AT_ONCE = 100
# Ours: the store is asked when so large a part of what may be in flight is free.
ASKED_PART = 4
# After a fault of ours.
GO_ON_S = 1.0
# What `busway.once` raises while another invocation runs the same step: a reason to wait, and no failed attempt.
STILL_RUNNING = StillRunning.__name__

log = logging.getLogger(__name__)


class Dispatcher:
    """Works off the queue of one function, as long as `run` runs."""

    def __init__(self, function_arn: str, desk: Desk) -> None:
        self._arn, self._desk = function_arn, desk
        self._ending = Ending(function_arn, desk)
        self._queues = desk.engine.queues
        self._in_flight: dict[int, Item] = {}
        # Of those, the ones whose row has its next due time or its end: no longer renewed.
        self._let_go: set[int] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: dict[str, list[Item]] = {}
        # Ended, but a crash would repeat them: they take room until the store knows.
        self._unrecorded = 0
        self._repeats = Repeats(function_arn, desk.once)
        # How often in a row each event was throttled. Forgotten at a restart: then the waits begin at a second again.
        self._throttles: dict[int, int] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight, and every end is recorded."""
        return not self._tasks and self._flusher is None

    def changed(self) -> None:
        """There may be more room than before."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled, or the engine stops; after a fault of ours it goes on."""
        while True:
            try:
                await self._turn()
            except EngineStopped:
                return
            except CorruptRecord as error:
                log.critical("%s stands still: %s", self._arn, error, extra={"function": self._arn})
                self._desk.trail.note("halted", function=self._arn, error_message=str(error))
                return
            except Exception:
                facts = {"function": self._arn}
                log.exception("%s: a fault of ours in taking up its events; it goes on", self._arn, extra=facts)
                await self._desk.clock.sleep(GO_ON_S)

    async def _turn(self) -> None:
        """Take up what there is room for, or wait for either."""
        limit, enough = self._room()
        if limit < enough:
            self._changed.clear()
            await self._changed.wait()
            return
        items = await self._queues.lease(self._arn, limit, LEASE_S)
        for item in items:
            self._take(item)
        if len(items) < limit:
            await self._queues.wait(self._arn)

    async def _renew(self) -> None:
        """Keep what is in flight leased; ends by itself when nothing is."""
        try:
            await self._desk.clock.sleep(RENEW_EVERY_S)
            while self._in_flight:
                until = self._desk.clock.now() + LEASE_S
                for item_id in list(self._in_flight):
                    if item_id in self._in_flight and item_id not in self._let_go:
                        await self._queues.release(self._in_flight[item_id], until)
                await self._desk.clock.sleep(RENEW_EVERY_S)
        except EngineStopped:
            return
        finally:
            self._renewing = None

    async def drain(self) -> None:
        """Return when everything in flight ended or was put back, and that is recorded."""
        while self._tasks or self._flusher is not None:
            await asyncio.gather(*self._tasks, *([self._flusher] if self._flusher else []), return_exceptions=True)
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)

    def _room(self) -> tuple[int, int]:
        """How many events there is room for, and how many are worth asking the store for."""
        record = self._desk.books.functions.get(self._arn)
        if record is None or record.reserved == 0:
            return JUDGED_AT_ONCE - len(self._in_flight), 1
        if record.state == PENDING:
            # What it needs is still being built: its events wait, and grow older.
            return 0, 1
        pool = self._desk.pool
        capacity = pool.capacity(self._arn)
        taken = max(len(self._in_flight) + self._unrecorded, pool.running(self._arn))
        return capacity - taken, max(1, capacity // ASKED_PART)

    def _held(self, item: Item) -> Item:
        """The row with its newest token, to be given back or ended: from here on it is not renewed."""
        self._let_go.add(item.id)
        return self._in_flight[item.id]

    def _take(self, item: Item) -> None:
        known = item.id in self._in_flight
        self._in_flight[item.id] = item
        if not known:
            task = asyncio.get_running_loop().create_task(self._handle(item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew())

    async def _handle(self, item: Item) -> None:
        work = _work_of(item)
        try:
            await self._attempt(item, work)
        except EngineStopped:
            # The lease is forgotten with the engine: after a restart the event is due again.
            return
        except Exception:
            facts = {"request_id": work.request_id, "function": self._arn, "event_id": work.event_id}
            log.exception("attempt at %s for %s failed in the server itself", work.request_id, self._arn, extra=facts)
            await self._put_back(item, work)
        finally:
            del self._in_flight[item.id]
            self._let_go.discard(item.id)
            self._changed.set()

    # --- one attempt ---

    async def _attempt(self, item: Item, work: Work) -> None:
        desk, now = self._desk, self._desk.clock.now()
        record = desk.record_of(self._arn, work.qualifier)
        if record is None:
            return await self._give_up(item, Lost(work, EXHAUSTED, no_function(qualified(self._arn, work.qualifier))))
        if not self._handled_once(work):
            await self._try(item, record, work)
            return None
        turn = await self._repeats.begin(work.event_id, seen=item.attempts > 1 or work.again)
        if turn is Turn.WAIT:
            await self._queues.refund(self._held(item), now + TURN_S)
        elif turn is Turn.COMPLETED:
            self._repeated(item, work)
        else:
            try:
                await self._try(item, record, work)
            finally:
                self._repeats.end(work.event_id)
        return None

    async def _try(self, item: Item, record: FunctionRecord, work: Work) -> None:
        desk, now, policy = self._desk, self._desk.clock.now(), self._desk.policy(self._arn, work.qualifier)
        if item.attempts == 1 and not work.errors:
            desk.metrics.count(NAMESPACE, "AsyncEventsReceived", of=record.arn, FunctionName=record.name)
        if not may_start(policy, work.received_at, now):
            return await self._give_up(item, Lost(work, TOO_OLD, work.error))
        if interrupted_too_often(item.attempts, work.errors):
            return await self._give_up(item, Lost(work, EXHAUSTED, work.error or interrupted(item.attempts)))
        if not work.first_at:
            work = replace(work, first_at=now)
        try:
            run = await self._run(item, record, work, policy)
        except (FunctionThrottled, FunctionNotReady):
            return await self._put_back(item, work)
        except RecursiveInvocation as error:
            return await self._give_up(item, Lost(work, EXHAUSTED, recursive(error)))
        except WorkersStopped:
            await self._queues.refund(self._held(item), now)
            return None
        except TooOld:
            return await self._give_up(item, Lost(work, TOO_OLD, work.error))
        except FunctionNotFound:
            return await self._give_up(item, Lost(work, EXHAUSTED, no_function(qualified(self._arn, work.qualifier))))
        if work.reports:
            run = _judged(run)
        if run.answer.kind is None:
            return await self._succeed(item, work, run, record.version)
        if run.answer.kind == STILL_RUNNING:
            return await self._put_back(item, work)
        return await self._fail(item, work, policy, run)

    async def _run(self, item: Item, record: FunctionRecord, work: Work, policy: Policy) -> Run:
        desk = self._desk
        if desk.trail.listening:
            desk.trail.note("attempt", **self._facts(work), attempt=work.errors + 1)
        start_by = work.received_at + policy.age_s_max
        return await desk.attempt(record, item.body, work, work.errors + 1, start_by)

    async def _succeed(self, item: Item, work: Work, run: Run, version: str) -> None:
        await self._ending.succeeded(item, work, run.answer.body, version)
        self._repeats.completed(work.event_id)
        self._done(item, "delivered")
        if self._desk.trail.listening:
            self._desk.trail.note("delivered", **self._facts(work), attempt=work.errors + 1)

    async def _fail(self, item: Item, work: Work, policy: Policy, run: Run) -> None:
        now, error = self._desk.clock.now(), run.answer.body
        work = replace(work, errors=work.errors + 1, error=error)
        facts = {**self._facts(work), "attempt": work.errors, "error_code": run.answer.kind or ""}
        self._desk.trail.note("attempt", **facts, error_message=error_message(error))
        decision = after_error(policy, work.errors, work.received_at, now)
        if isinstance(decision, GiveUp):
            return await self._give_up(item, Lost(work, decision.condition, error))
        self._throttles.pop(item.id, None)
        await self._queues.release(self._held(item), decision.at, msgspec.json.encode(work))
        self._desk.trail.note("retried", **facts, due_at=decision.at)
        return None

    async def _put_back(self, item: Item, work: Work) -> None:
        """A throttle, or a fault of ours: due again later, without counting as an attempt."""
        desk, now = self._desk, self._desk.clock.now()
        policy = desk.policy(self._arn, work.qualifier)
        throttles = self._throttles[item.id] = self._throttles.get(item.id, 0) + 1
        decision = after_throttle(policy, throttles, work.received_at, now)
        if isinstance(decision, Retry):
            await self._queues.refund(self._held(item), decision.at)
        else:
            await self._give_up(item, Lost(work, decision.condition, work.error))

    # --- the end ---

    def _done(self, item: Item, outcome: str) -> None:
        """End the row with the next batch."""
        self._throttles.pop(item.id, None)
        self._unrecorded += 1
        self._ended.setdefault(outcome, []).append(self._held(item))
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._ended:
                ended, self._ended = self._ended, {}
                recorded = await self._repeats.record()
                for outcome, items in ended.items():
                    await self._queues.done(items, outcome)
                    self._unrecorded -= len(items)
                    self._changed.set()
                self._repeats.forget(recorded)
        except EngineStopped:
            self._ended.clear()
        finally:
            self._flusher = None

    async def _give_up(self, item: Item, lost: Lost) -> None:
        await self._ending.given_up(item, lost)
        self._done(item, "dead-lettered")
        work, (code, message) = lost.work, words(lost)
        name = self._arn.rsplit(":", 1)[1]
        self._desk.metrics.count(NAMESPACE, "AsyncEventsDropped", of=self._arn, FunctionName=name)
        self._desk.trail.note(
            "dead-lettered", **self._facts(work), attempt=work.errors, error_code=code, error_message=message
        )

    def _handled_once(self, work: Work) -> bool:
        function = self._desk.books.functions.get(self._arn)
        if work.anew or not work.event_id:
            return False
        return function is not None and function.tags.get(ONCE_TAG) == ONCE_EVENT

    def _repeated(self, item: Item, work: Work) -> None:
        """It was handled: by an attempt that a crash kept from being the last, or under another invocation."""
        self._done(item, "repeated")
        if self._desk.trail.listening:
            self._desk.trail.note("repeated", **self._facts(work))

    def _facts(self, work: Work) -> dict[str, str]:
        return {
            "event_id": work.event_id,
            "bus": work.bus_arn,
            "rule": work.rule_arn,
            "function": self._arn,
            "request_id": work.request_id,
        }


def _judged(run: Run) -> Run:
    """An answer that reports its batch as failed is an error, as it is where a mapping runs it."""
    error = None if run.answer.kind is not None else reported_failure(run.answer.body)
    return run if error is None else replace(run, answer=Answer(error, FAILED_ITEMS))


def _work_of(item: Item) -> Work:
    try:
        return msgspec.json.decode(item.meta, type=Work)
    except msgspec.DecodeError:
        # Written by another version: the event is still worth its attempts.
        return Work(request_id="", received_at=item.put_at)
