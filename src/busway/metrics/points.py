"""A metric's name, and what was seen of it in a minute; and how minutes, five minutes and hours hang together. Pure.

CloudWatch keeps minutes for 15 days, five minutes for 63 days and hours for 455 days:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from busway.metrics.statistics import Statistics, merged

Dimensions = tuple[tuple[str, str], ...]
MINUTE_S, FIVE_MINUTES_S, HOUR_S, DAY_S = 60, 300, 3_600, 86_400
# How long points of each resolution are kept.
RETENTION_S: Mapping[int, int] = {MINUTE_S: 15 * DAY_S, FIVE_MINUTES_S: 63 * DAY_S, HOUR_S: 455 * DAY_S}


class Metric(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """A metric is its namespace, its name and exactly these dimensions, which are in order of name."""

    namespace: str
    name: str
    dimensions: Dimensions = ()


class Point(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was seen of a metric in the period that begins at `at` (Unix seconds); `unit` is CloudWatch's word."""

    metric: Metric
    at: int
    unit: str
    seen: Statistics


def metric_of(namespace: str, name: str, dimensions: Mapping[str, str]) -> Metric:
    return Metric(namespace, name, tuple(sorted(dimensions.items())))


def rolled_up(points: Iterable[Point], period_s: int, end: int = 0) -> list[Point]:
    """Points of longer periods, one a metric and unit, in order of time. `end`: where one of the periods ends."""
    groups: dict[tuple[int, Metric, str], list[Statistics]] = {}
    for point in points:
        groups.setdefault((point.at - (point.at - end) % period_s, point.metric, point.unit), []).append(point.seen)
    found = ((at, metric, unit, merged(parts)) for (at, metric, unit), parts in sorted(groups.items()))
    return [Point(metric, at, unit, seen) for at, metric, unit, seen in found if seen is not None]


def resolution(start: float, period_s: int, now: float) -> int:
    """The longest periods of which those asked for are made, that go back as far."""
    fitting = [one for one in RETENTION_S if period_s % one == 0] or [MINUTE_S]
    old = [one for one in RETENTION_S if start >= now - RETENTION_S[one]] or [HOUR_S]
    return max(max(fitting), min(old))
