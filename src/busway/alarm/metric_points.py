"""The data points of an alarm on metrics: the last periods that are over, counted back from the minute that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from busway.alarm.record import AlarmRecord, judged_id, queries_of
from busway.alarm.state import RANGE_BEYOND_JUDGED, Datapoint
from busway.arn import Scope
from busway.errors import InvalidExpression
from busway.metrics.points import MINUTE_S, Metric, Point
from busway.metrics.queries import Stat, answers
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import Statistics, merged
from busway.metrics.values import Value


async def metric_points(series: TimeSeries, alarm: AlarmRecord, now: float) -> list[Datapoint]:
    """Oldest first, one a period; None where nothing is known."""
    settings, end = alarm.settings, int(now) - int(now) % MINUTE_S
    period_s, count = settings.period_s, settings.evaluation_periods + RANGE_BEYOND_JUDGED
    queries = queries_of(settings)
    stats = [query.asks for query in queries if isinstance(query.asks, Stat)]
    read = await _read(series, alarm.scope, stats, end, count)
    found: Value = {}
    try:
        found = answers(queries, read, lambda one_s: starts_back(end, one_s, count))[judged_id(settings)]
    except InvalidExpression:
        # What it makes of these points is nothing: as if there were none.
        found = {}
    values: Mapping[int, float] = found if isinstance(found, Mapping) else {}
    return [Datapoint(at, values.get(at)) for at in starts_back(end, period_s, count)]


def starts_back(end: int, period_s: int, count: int) -> list[int]:
    """The starts of the last `count` periods before `end`, oldest first."""
    return [end - number * period_s for number in range(count, 0, -1)]


async def _read(
    series: TimeSeries, scope: Scope, stats: Sequence[Stat], end: int, count: int
) -> dict[Stat, list[Point]]:
    read: dict[Stat, list[Point]] = {}
    for stat in stats:
        start = end - count * stat.period_s
        minutes = (await series.read(scope, [stat.metric], start, end, MINUTE_S, stat.unit))[stat.metric]
        read[stat] = sliding(stat.metric, minutes, stat.period_s, end)
    return read


def sliding(metric: Metric, minutes: Sequence[Point], period_s: int, end: int) -> list[Point]:
    """Minutes put together into periods that end at `end`. Pure."""
    periods: dict[int, list[Statistics]] = {}
    for one in minutes:
        periods.setdefault(end - -(-(end - one.at) // period_s) * period_s, []).append(one.seen)
    found = ((at, merged(parts)) for at, parts in sorted(periods.items()))
    return [Point(metric, at, "", seen) for at, seen in found if seen is not None]
