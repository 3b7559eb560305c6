"""The data points of an alarm on metrics: the last periods that are over, counted back from this minute. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from busway.alarm.record import AlarmSettings, judged_id, queries_of
from busway.alarm.state import RANGE_BEYOND_JUDGED, Datapoint
from busway.errors import InvalidExpression
from busway.metrics.points import FIVE_MINUTES_S, HOUR_S, MINUTE_S, Metric
from busway.metrics.queries import Query, Stat, answers, stats_in
from busway.metrics.recent import Place, Seen
from busway.metrics.statistics import Statistics, merged, value
from busway.metrics.values import Series

# Ours: what looks further back is judged by five minutes, if its periods allow.
FINE_S = 3 * HOUR_S


@dataclass(frozen=True, slots=True)
class Asked:
    """What an alarm asks of its metrics. `step_s`: it changes only when so many seconds are over."""

    queries: list[Query]
    stats: list[Stat]
    judged: str
    period_s: int
    periods: int
    step_s: int

    def end(self, now: float) -> int:
        """Where its newest period ends, of those that are over."""
        return int(now) - int(now) % self.step_s

    def places(self) -> dict[Place, int]:
        """What is to be at hand, each so many seconds back from any time."""
        wanted: dict[Place, int] = {}
        for stat in self.stats:
            place, back_s = (stat.metric, self.step_s), self.periods * stat.period_s + self.step_s
            wanted[place] = max(back_s, wanted.get(place, 0))
        return wanted


def asked_of(settings: AlarmSettings) -> Asked:
    """Raises InvalidExpression."""
    queries, periods = queries_of(settings), settings.evaluation_periods + RANGE_BEYOND_JUDGED
    stats = stats_in(queries)
    longest = max((stat.period_s * periods for stat in stats), default=0)
    coarse = longest > FINE_S and all(stat.period_s % FIVE_MINUTES_S == 0 for stat in stats)
    step_s = FIVE_MINUTES_S if coarse else MINUTE_S
    return Asked(queries, stats, judged_id(settings), settings.period_s, periods, step_s)


def datapoints(asked: Asked, end: int, seen: Callable[[Metric, int], Seen]) -> list[Datapoint]:
    """Oldest first, one a period; None where nothing is known."""
    series = {stat: _series(stat, end, asked, seen(stat.metric, asked.step_s)) for stat in asked.stats}
    try:
        found = answers(asked.queries, series, lambda one_s: starts_back(end, one_s, asked.periods))[asked.judged]
    except InvalidExpression:
        # What it makes of these points is nothing: as if there were none.
        found = None
    values: Mapping[int, float] = found if isinstance(found, Mapping) else {}
    return [Datapoint(at, values.get(at)) for at in starts_back(end, asked.period_s, asked.periods)]


def _series(stat: Stat, end: int, asked: Asked, seen: Seen) -> Series:
    found: Series = {}
    for start in starts_back(end, stat.period_s, asked.periods):
        parts: list[Statistics] = []
        for at in range(start, start + stat.period_s, asked.step_s):
            units = seen.get(at)
            if units:
                parts += units.values() if not stat.unit else [units[stat.unit]] if stat.unit in units else ()
        together = merged(parts)
        number = None if together is None else value(together, stat.statistic)
        if number is not None:
            found[start] = number
    return found


def starts_back(end: int, period_s: int, count: int) -> list[int]:
    """The starts of the last `count` periods before `end`, oldest first."""
    return [end - number * period_s for number in range(count, 0, -1)]
