"""One metric's samples folded into periods, in memory: what an alarm judges. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from busway.alarm.state import Datapoint

# SampleCount and percentiles say nothing about a depth that is read now and then.
STATISTICS = ("Maximum", "Minimum", "Average", "Sum")


@dataclass(slots=True)
class _Period:
    newest: float
    high: float
    low: float
    total: float
    samples: int

    def statistic(self, name: str) -> float:
        if name == "Maximum":
            return self.high
        if name == "Minimum":
            return self.low
        if name == "Average":
            return self.total / self.samples
        # CloudWatch gets one sample of a queue's depth a minute; ours are as many as we happened to read, so that
        # their sum means nothing. The newest is what CloudWatch's sum of one sample would be.
        return self.newest


class Series:
    """The last `keep` periods of `period_s` seconds, aligned to the epoch as CloudWatch's are."""

    def __init__(self, period_s: float, keep: int) -> None:
        self._period_s, self._keep = period_s, keep
        self._periods: dict[int, _Period] = {}

    def add(self, at: float, value: float) -> None:
        index = int(at // self._period_s)
        period = self._periods.get(index)
        if period is None:
            self._periods[index] = _Period(value, value, value, value, 1)
            for old in [key for key in self._periods if key <= index - self._keep]:
                del self._periods[old]
            return
        period.newest, period.samples, period.total = value, period.samples + 1, period.total + value
        period.high, period.low = max(period.high, value), min(period.low, value)

    def points(self, now: float, statistic: str) -> list[Datapoint]:
        """`keep` data points, oldest first.

        Ours: the period under way counts with its newest sample, whatever the statistic, so that an alarm of one
        period follows its metric at once instead of when the period is over.
        """
        current = int(now // self._period_s)
        points: list[Datapoint] = []
        for index in range(current - self._keep + 1, current + 1):
            period = self._periods.get(index)
            value = None
            if period is not None:
                value = period.newest if index == current else period.statistic(statistic)
            points.append(Datapoint(index * self._period_s, value))
        return points
