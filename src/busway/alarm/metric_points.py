"""The data points of an alarm on metrics: the last periods that are over, counted back from the minute that is."""

from __future__ import annotations

from collections.abc import Mapping

from busway.alarm.record import AlarmRecord, judged_id, queries_of
from busway.alarm.state import RANGE_BEYOND_JUDGED, Datapoint
from busway.errors import InvalidExpression
from busway.metrics.points import MINUTE_S, Point, rolled_up
from busway.metrics.queries import Stat, answers, stats_in
from busway.metrics.series import TimeSeries


async def metric_points(series: TimeSeries, alarm: AlarmRecord, now: float) -> list[Datapoint]:
    """Oldest first, one a period; None where nothing is known."""
    settings, end = alarm.settings, int(now) - int(now) % MINUTE_S
    period_s, count = settings.period_s, settings.evaluation_periods + RANGE_BEYOND_JUDGED
    queries = queries_of(settings)
    read: dict[Stat, list[Point]] = {}
    for stat in stats_in(queries):
        start = end - count * stat.period_s
        minutes = await series.read(alarm.scope, [stat.metric], start, end, MINUTE_S, stat.unit)
        read[stat] = rolled_up(minutes[stat.metric], stat.period_s, end)
    try:
        found = answers(queries, read, lambda one_s: starts_back(end, one_s, count))[judged_id(settings)]
    except InvalidExpression:
        # What it makes of these points is nothing: as if there were none.
        found = None
    values: Mapping[int, float] = found if isinstance(found, Mapping) else {}
    return [Datapoint(at, values.get(at)) for at in starts_back(end, period_s, count)]


def starts_back(end: int, period_s: int, count: int) -> list[int]:
    """The starts of the last `count` periods before `end`, oldest first."""
    return [end - number * period_s for number in range(count, 0, -1)]
