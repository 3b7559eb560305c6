"""The alarms on metrics, judged every minute, and after an absence for what came before it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from busway.alarm.catch_up import Judged, hidden, minutes_due
from busway.alarm.event import reason_data
from busway.alarm.metric_points import Asked, asked_of, datapoints
from busway.alarm.record import AlarmRecord, AlarmSettings
from busway.alarm.registry import Alarms
from busway.alarm.state import Decision, Rule, decide, state_of
from busway.arn import Scope
from busway.clock import Clock, settle
from busway.engine import Engine
from busway.errors import StorageFull
from busway.metrics.recent import Place, Recent
from busway.metrics.series import TimeSeries

# Ours: how long after a minute's end its metrics are taken to be kept.
KEPT_S = 2.0
# Ours: so many values are looked at before others get their turn of the event loop.
AT_ONCE = 1_000
_KEY = "alarm-minutes/judged"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is worked out once of an alarm's settings."""

    settings: AlarmSettings
    scope: Scope
    rule: Rule
    asked: Asked

    @property
    def work(self) -> int:
        """How many values it looks at."""
        return self.asked.periods * (len(self.asked.queries) + 1)


class MetricAlarms:
    """Judges; who is told of what is decided is the evaluator's."""

    def __init__(self, alarms: Alarms, series: TimeSeries, engine: Engine, clock: Clock) -> None:
        self._alarms, self._records, self._clock = alarms, engine.records, clock
        self._recent = Recent(series)
        self._prepared: dict[str, _Prepared] = {}
        self._judged: Judged | None = None
        self._started, self._changed = True, False

    async def open(self) -> None:
        """Read what is stored; once, before anything else."""
        stored = await self._records.get(_KEY)
        self._judged = stored and msgspec.json.decode(stored.data, type=Judged)

    async def due(self, changed: Iterable[str]) -> AsyncIterator[tuple[AlarmRecord, Decision]]:
        """The alarms that are to move, at each minute that is over since the last time; those changed at once.

        Who asks for the next has moved this one: minutes are in order, each judged on what the one before left.
        """
        now = int(self._clock.now() - KEPT_S)
        ends, judged = minutes_due(self._judged, now, started=self._started)
        if ends:
            alarms = self._alarms.on_metrics()
            await self._watch(alarms, ends[0])
            self._forget_others(alarms)
        else:
            alarms = [alarm for arn in changed if (alarm := self._alarms.get(arn)) and not alarm.queue_arn]
            await self._watch(alarms, now)
        for end in ends or [now]:
            async for move in self._judge(alarms, end, judged):
                yield move
        if ends and alarms:
            # While the disk is full a start takes the minutes that are not written down for an absence.
            with suppress(StorageFull):
                await self._records.put(_KEY, msgspec.json.encode(judged))
        self._judged, self._started, self._recent.until = judged, False, judged.until

    async def _judge(
        self, alarms: Sequence[AlarmRecord], now: int, judged: Judged
    ) -> AsyncIterator[tuple[AlarmRecord, Decision]]:
        done = 0
        for alarm in alarms:
            done += self._prepared[alarm.arn].work
            if done > AT_ONCE:
                done = 0
                await settle(1)
            # It may have been deleted or changed while others were judged, and is then due again.
            current = self._alarms.get(alarm.arn)
            if current is not None and current.settings is alarm.settings:
                try:
                    decision = self._decision(current, now, judged)
                except Exception:
                    # One that cannot be judged must not end all others.
                    log.exception("%s cannot be judged: a fault of ours", alarm.arn)
                    continue
                if decision is not None:
                    yield current, decision

    def _decision(self, alarm: AlarmRecord, now: int, judged: Judged) -> Decision | None:
        known = self._prepared[alarm.arn]
        points = datapoints(known.asked, known.asked.end(now), partial(self._recent.seen, known.scope))
        rule = known.rule
        if judged.absences and hidden(points[-rule.evaluation_periods :], known.asked.period_s, judged):
            rule = replace(rule, missing="ignore")
        if state_of(rule, points, alarm.state) == alarm.state:
            return None
        data = reason_data(alarm.settings, rule, points, self._clock.now())
        return replace(decide(rule, points, alarm.state), data=data)

    async def _watch(self, alarms: Sequence[AlarmRecord], end: int) -> None:
        """See to it that what they ask of is at hand, as of `end`."""
        wanted: dict[Scope, dict[Place, int]] = {}
        for alarm in alarms:
            known = self._prepared.get(alarm.arn)
            if known is None or known.settings is not alarm.settings:
                known = self._prepare(alarm)
                places = wanted.setdefault(known.scope, {})
                for place, back_s in known.asked.places().items():
                    places[place] = max(back_s, places.get(place, 0))
        for scope, places in wanted.items():
            await self._recent.watch(scope, places, end)

    def _prepare(self, alarm: AlarmRecord) -> _Prepared:
        settings = alarm.settings
        self._changed = self._changed or alarm.arn in self._prepared
        known = self._prepared[alarm.arn] = _Prepared(settings, alarm.scope, settings.rule, asked_of(settings))
        return known

    def _forget_others(self, alarms: Sequence[AlarmRecord]) -> None:
        """Of alarms that were deleted or changed: seldom, as it looks at all metrics there are."""
        if not self._changed and len(self._prepared) == len(alarms):
            return
        self._prepared = {alarm.arn: self._prepared[alarm.arn] for alarm in alarms}
        wanted: dict[Scope, set[Place]] = {}
        for known in self._prepared.values():
            wanted.setdefault(known.scope, set()).update(known.asked.places())
        self._recent.keep_only(wanted)
        self._changed = False
