"""Reads the alarmed queues, moves the states, hands over the notices.

When: alarms on metrics each minute (`on_metrics`). Those on a queue's depth at once when something arrives in an
empty queue that an alarm watches, at once when told that a queue changed (`changed`), each second while an alarm is
not OK, else every ten seconds.

Never a lost alert, in three steps that each survive a death after them:

    1. the record says the new state and whom it owes a notice, with the notice's text
    2. the change is an event on the default bus, with an id that is the same however often it is put there;
       the notice is queued, with an origin that leaves out a second one
    3. the record says so

Order: a route is told of a state only when nothing is under way to it from this alarm, so that a resolve never
overtakes its trigger, however long the trigger is retried. States that come and go meanwhile are not told; when the
trigger was delivered or given up, the route is told of the state that holds then, if it is another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from busway.alarm.event import announcement, message_to
from busway.alarm.notice import QueueDigest, notice_delivery
from busway.alarm.on_metrics import MetricAlarms
from busway.alarm.record import (
    AlarmRecord,
    is_function,
    is_settled,
    owed,
    settled,
    unannounced,
    untold,
    with_announced,
    with_notice,
    with_queued,
)
from busway.alarm.registry import Alarms
from busway.alarm.series import Series
from busway.alarm.state import OK, RANGE_BEYOND_JUDGED, Datapoint, Decision, decide
from busway.arn import parse_arn
from busway.bus.put_events import Announcement
from busway.clock import Clock, first_of
from busway.delivery import Delivery
from busway.engine import Engine, Put
from busway.errors import AlarmNotFound, StorageFull
from busway.metrics import Metrics
from busway.metrics.series import TimeSeries
from busway.trail import Trail

log = logging.getLogger(__name__)

TICK_S = 1.0
QUIET_S = 10.0


class AlarmedQueues(Protocol):
    """The queues as an alarm sees them."""

    async def depth(self, queue_arn: str) -> int | None:
        """Messages that could be received now; None when there is no such queue."""
        ...

    async def filled(self, queue_arn: str) -> None:
        """Return when the queue holds a message that could be received."""
        ...

    async def digest(self, queue_arn: str) -> QueueDigest:
        """What it holds, for people."""
        ...


class Evaluator:
    """One task (`run`) evaluates all alarms. `notice_put` gives the work that delivers a notice."""

    def __init__(
        self,
        alarms: Alarms,
        queues: AlarmedQueues,
        engine: Engine,
        clock: Clock,
        *,
        notice_put: Callable[[Delivery], Put],
        announce: Callable[[Announcement], Awaitable[None]],
        metrics: Metrics,
        trail: Trail,
        series: TimeSeries,
    ) -> None:
        self._alarms, self._queues, self._engine, self._clock = alarms, queues, engine, clock
        self._notice_put, self._announce, self._metrics, self._trail = notice_put, announce, metrics, trail
        self._on_metrics = MetricAlarms(alarms, series, engine, clock)
        self._series: dict[str, tuple[float, int, Series]] = {}
        self._evaluated_at: dict[str, float] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._changed: set[str] = set()
        self._unsettled: set[str] = set()
        self._woken = asyncio.Event()

    async def open(self) -> None:
        """Once, when the alarms are read: what a process that died left to be told is told."""
        await self._on_metrics.open()
        self._unsettled = {alarm.arn for alarm in self._alarms.all() if not is_settled(alarm)}

    def changed(self, arn: str) -> None:
        """A queue may have become empty or full, or an alarm been changed: who watches it is judged at once."""
        self._changed.add(arn)
        self._woken.set()

    async def run(self) -> None:
        """Evaluate until cancelled. While the disk is full nothing moves; raises whatever else the engine raises."""
        try:
            while True:
                self._woken.clear()
                try:
                    await self.evaluate()
                except StorageFull as error:
                    log.warning("alarms wait: %s", error)
                await first_of(self._clock, self._woken.wait(), TICK_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop watching queues; `run` does it at its end."""
        watchers = list(self._watchers.values())
        self._watchers.clear()
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)

    async def set_state(self, alarm_arn: str, decision: Decision, reason_data: str | None = None) -> None:
        """As SetAlarmState: tells the routes, and holds until the next evaluation. Raises `AlarmNotFound`."""
        async with self._alarms.changing:
            alarm = self._alarms.get(alarm_arn)
            if alarm is None:
                raise AlarmNotFound(alarm_arn)
            record = alarm.moved(decision, self._clock.now(), reason_data)
            if record.state != alarm.state:
                self._tell_of(record, None)
            await self._settle(alarm, record)
        if record.queue_arn:
            self.changed(record.arn)

    async def evaluate(self) -> None:
        """Evaluate each alarm that is due."""
        changed, self._changed = self._changed, set()
        for alarm, queue_arn in self._alarms.on_queues():
            if changed & {alarm.arn, queue_arn} or self._is_due(alarm, queue_arn):
                async with self._alarms.changing:
                    # It may have been deleted or changed while others were evaluated.
                    current = self._alarms.get(alarm.arn)
                    if current is not None and current.queue_arn == queue_arn:
                        await self._evaluate(current, queue_arn)
        async for alarm, decision in self._on_metrics.due(changed):
            async with self._alarms.changing:
                if self._alarms.get(alarm.arn) is alarm:
                    await self._move(alarm, decision, None)
        await self._settle_all(changed)
        self._forget_deleted()

    async def _settle_all(self, changed: set[str]) -> None:
        """What is still to be told, and of alarms that were changed what that makes of it."""
        for arn in [*self._unsettled, *changed]:
            async with self._alarms.changing:
                current = self._alarms.get(arn)
                if current is None:
                    self._unsettled.discard(arn)
                else:
                    await self._settle(current, current)

    def _is_due(self, alarm: AlarmRecord, queue_arn: str) -> bool:
        last = self._evaluated_at.get(alarm.arn)
        # Only a queue that was empty has a watcher; while it has one, nothing arrived.
        quiet = alarm.state == OK and queue_arn in self._watchers
        return last is None or self._clock.now() - last >= (QUIET_S if quiet else 0.0)

    async def _evaluate(self, alarm: AlarmRecord, queue_arn: str) -> None:
        now = self._clock.now()
        self._evaluated_at[alarm.arn] = now
        depth = await self._queues.depth(queue_arn)
        points = self._points_of_queue(alarm, queue_arn, depth, now)
        decision = decide(alarm.settings.rule, points, alarm.state)
        if decision.state != alarm.state:
            await self._move(alarm, decision, depth)

    async def _move(self, alarm: AlarmRecord, decision: Decision, depth: int | None) -> None:
        record = alarm.moved(decision, self._clock.now(), decision.data)
        self._tell_of(record, depth)
        await self._settle(alarm, record)

    def _points_of_queue(self, alarm: AlarmRecord, queue_arn: str, depth: int | None, now: float) -> list[Datapoint]:
        series = self._series_of(alarm)
        if depth is not None:
            series.add(now, depth)
        if depth == 0:
            self._watch(queue_arn)
        return series.points(now, alarm.settings.statistic)

    async def _settle(self, stored: AlarmRecord, record: AlarmRecord) -> None:
        """Steps 1 to 3 above."""
        routes = [route for route in untold(record) if not await self._is_under_way(record, route)]
        if routes:
            of_queue = record.queue_arn
            digest = await self._queues.digest(of_queue) if of_queue else QueueDigest("", 0)
            for route in routes:
                if route not in dict(owed(record)):
                    record = with_notice(record, route, message_to(record, route, digest).decode())
        record = settled(record)
        if record is not stored:
            await self._alarms.store(record)
        waiting, told = owed(record), await self._told_the_bus(record)
        for route, notice in waiting:
            delivery = notice_delivery(record, route, notice, self._clock.now())
            await self._engine.queues.put([self._notice_put(delivery)], accepted=True)
            record = with_queued(record, route)
        if waiting or told:
            record = with_announced(record) if told else record
            await self._alarms.store(record)
        (self._unsettled.discard if is_settled(record) else self._unsettled.add)(record.arn)

    async def _told_the_bus(self, record: AlarmRecord) -> bool:
        """Whether there was something to tell, and all of it is on the bus: not while the disk is full."""
        changes = unannounced(record)
        try:
            for number, change in changes:
                await self._announce(announcement(record, number, change))
        except StorageFull:
            return False
        return bool(changes)

    async def _is_under_way(self, record: AlarmRecord, route: str) -> bool:
        """Whether the route has something of this alarm to take yet. A function has a queue of its own for that."""
        if is_function(parse_arn(route)):
            return False
        return bool(await self._engine.queues.pending(record.subscriber(route)))

    def _tell_of(self, record: AlarmRecord, depth: int | None) -> None:
        dimensions = {"AlarmName": record.settings.name, "State": record.state}
        self._metrics.count("Busway/Alarms", "StateChanges", of=record.arn, **dimensions)
        self._trail.note(
            "alarm",
            alarm=record.settings.name,
            state=record.state,
            before=record.history[-1].before,
            reason=record.reason,
            queue=record.queue_arn,
            depth=depth,
        )

    def _series_of(self, alarm: AlarmRecord) -> Series:
        settings = alarm.settings
        shape = (settings.period_s, settings.evaluation_periods)
        known = self._series.get(alarm.arn)
        if known is None or known[:2] != shape:
            known = (*shape, Series(settings.period_s, settings.evaluation_periods + RANGE_BEYOND_JUDGED))
            self._series[alarm.arn] = known
        return known[2]

    def _watch(self, queue_arn: str) -> None:
        if queue_arn not in self._watchers:
            self._watchers[queue_arn] = asyncio.create_task(self._filled(queue_arn))

    def _forget_deleted(self) -> None:
        deleted = [arn for arn in self._evaluated_at if self._alarms.get(arn) is None]
        for arn in deleted:
            del self._evaluated_at[arn]
            self._series.pop(arn, None)
        if deleted:
            watched = {queue_arn for _, queue_arn in self._alarms.on_queues()}
            for queue_arn in [arn for arn in self._watchers if arn not in watched]:
                self._watchers.pop(queue_arn).cancel()

    async def _filled(self, queue_arn: str) -> None:
        await self._queues.filled(queue_arn)
        self._watchers.pop(queue_arn, None)
        self.changed(queue_arn)
