"""The last minutes of the metrics that somebody watches, kept at hand: who judges 10,000 alarms reads no records.

What is read once and what comes in afterwards meet without a gap: a metric is read while nothing is taken in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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
    """All of a metric of the last `back_s` seconds."""

    __slots__ = ("back_s", "seen")

    def __init__(self, back_s: int) -> None:
        self.back_s = back_s
        self.seen: dict[int, dict[str, Statistics]] = {}

    def add(self, point: Point, period_s: int, until: int) -> None:
        """`until`: who watches has seen all up to it."""
        at = point.at - point.at % period_s
        units = self.seen.get(at)
        if units is None:
            units = self.seen[at] = {}
            for old in [one for one in self.seen if one < until - self.back_s]:
                del self.seen[old]
        present = units.get(point.unit)
        together = point.seen if present is None else merged((present, point.seen))
        if together is not None:
            units[point.unit] = together


class Recent:
    """Follows what `series` takes in, of the metrics that are watched. Who watches moves `until`, in Unix seconds."""

    def __init__(self, series: TimeSeries) -> None:
        self._series = series
        self._followed: dict[Scope, dict[Metric, dict[int, _Followed]]] = {}
        self.until = 0
        series.followers.append(self._took)

    def seen(self, scope: Scope, metric: Metric, period_s: int) -> Seen:
        """As far back as it is watched; nothing of what is not."""
        followed = self._followed.get(scope, {}).get(metric, {}).get(period_s)
        return followed.seen if followed else _NOTHING

    async def watch(self, scope: Scope, places: Mapping[Place, int], until: int) -> None:
        """From now on these too, each for so many seconds before `until`: what is not at hand is read."""
        known, missing = self._followed.setdefault(scope, {}), dict[int, dict[Metric, int]]()
        for (metric, period_s), back_s in places.items():
            followed = known.get(metric, {}).get(period_s)
            if followed is None or followed.back_s < back_s:
                missing.setdefault(period_s, {})[metric] = back_s
        for period_s, metrics in missing.items():
            async with self._series.changing:
                first = until - max(metrics.values())
                read = await self._series.read(scope, list(metrics), first, float("inf"), period_s)
                for metric, points in read.items():
                    followed = known.setdefault(metric, {})[period_s] = _Followed(metrics[metric])
                    for point in points:
                        followed.add(point, period_s, until)

    def keep_only(self, wanted: Mapping[Scope, Collection[Place]]) -> None:
        """Forget what is not among these."""
        for scope, known in self._followed.items():
            places = wanted.get(scope, ())
            for metric in list(known):
                known[metric] = {one: kept for one, kept in known[metric].items() if (metric, one) in places}
                if not known[metric]:
                    del known[metric]

    def _took(self, scope: Scope, points: Sequence[Point]) -> None:
        known = self._followed.get(scope)
        if not known:
            return
        for point in points:
            for period_s, followed in known.get(point.metric, {}).items():
                followed.add(point, period_s, self.until)
