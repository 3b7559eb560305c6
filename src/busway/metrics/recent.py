"""The last minutes of the metrics that somebody watches, kept at hand: who judges 10,000 alarms reads no records.

What is read once and what comes in afterwards meet without a gap: a metric is read while nothing is taken in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from busway.arn import Scope
from busway.metrics.points import Metric, Point
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import Statistics, merged

# A metric, and the length of the periods that it is kept by, in seconds.
Place = tuple[Metric, int]
# What was seen by the start of a period and by unit.
Seen = Mapping[int, Mapping[str, Statistics]]
_NOTHING: Seen = {}


class _Followed:
    """All of a metric from `since` on."""

    __slots__ = ("seen", "since")

    def __init__(self, since: int) -> None:
        self.since = since
        self.seen: dict[int, dict[str, Statistics]] = {}

    def add(self, point: Point, period_s: int) -> None:
        at = point.at - point.at % period_s
        if at < self.since:
            return
        units = self.seen.setdefault(at, {})
        present = units.get(point.unit)
        together = point.seen if present is None else merged((present, point.seen))
        if together is not None:
            units[point.unit] = together

    def forget_before(self, since: int) -> None:
        self.since = max(self.since, since)
        for at in [at for at in self.seen if at < since]:
            del self.seen[at]


class Recent:
    """Follows what `series` takes in, of the metrics that are watched."""

    def __init__(self, series: TimeSeries) -> None:
        self._series = series
        self._followed: dict[Scope, dict[Metric, dict[int, _Followed]]] = {}
        series.followers.append(self._took)

    def seen(self, scope: Scope, metric: Metric, period_s: int) -> Seen:
        """From where it is watched until now; nothing of what is not."""
        followed = self._followed.get(scope, {}).get(metric, {}).get(period_s)
        return followed.seen if followed else _NOTHING

    async def watch(self, scope: Scope, places: Mapping[Place, int]) -> None:
        """From now on these too, each from so many Unix seconds on: what is not at hand is read."""
        known, missing = self._followed.setdefault(scope, {}), dict[int, dict[Metric, int]]()
        for (metric, period_s), since in places.items():
            followed = known.get(metric, {}).get(period_s)
            if followed is None or followed.since > since:
                missing.setdefault(period_s, {})[metric] = since
        for period_s, metrics in missing.items():
            async with self._series.changing:
                first = min(metrics.values())
                read = await self._series.read(scope, list(metrics), first, float("inf"), period_s)
                for metric, points in read.items():
                    followed = known.setdefault(metric, {})[period_s] = _Followed(first)
                    for point in points:
                        followed.add(point, period_s)

    def keep_only(self, wanted: Mapping[Scope, Mapping[Place, int]]) -> None:
        """Forget what is not among these, and of these what was before."""
        for scope, known in self._followed.items():
            places = wanted.get(scope, {})
            for metric in list(known):
                for period_s in list(known[metric]):
                    since = places.get((metric, period_s))
                    if since is None:
                        del known[metric][period_s]
                    else:
                        known[metric][period_s].forget_before(since)
                if not known[metric]:
                    del known[metric]

    def _took(self, scope: Scope, points: Sequence[Point]) -> None:
        known = self._followed.get(scope)
        if not known:
            return
        for point in points:
            for period_s, followed in known.get(point.metric, {}).items():
                followed.add(point, period_s)
