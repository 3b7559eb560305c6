"""Counters and gauges under CloudWatch's names, and what was seen of them in the minute that goes on.

    statistics, points     what a period's samples come to, minutes and longer       (pure)
    series                 metrics over time, as records
    feed                   the server's own metrics into them, every minute
    values, functions, expression, queries      metric math                          (pure)

Counting is cheap enough for the hot path: two dictionary entries a series, no locks. Call from the event loop's
thread only. A restart begins at zero, as Prometheus expects of a counter; a crash loses the minute under way.
"""

from __future__ import annotations

from dataclasses import dataclass

from busway.arn import Scope, parse_arn
from busway.clock import Clock
from busway.metrics.statistics import VALUES_MAX, Statistics, of_values

# Ours: the dimensions of one metric are names that users choose, and a metric must not grow without bound.
# Further combinations are added up in one series whose dimensions have the value OTHER.
SERIES_MAX_PER_METRIC = 1_000
OTHER = "(other)"
# Ours: longer than any name that AWS gives a resource.
VALUE_CHARS_MAX = 1_024
# Ours: ARNs of which it is remembered whose they are.
OWNERS_MAX = 10_000

Dimensions = tuple[tuple[str, str], ...]
SeriesKey = tuple[str, str, Dimensions]


@dataclass(frozen=True, slots=True)
class Sample:
    """The present value of one series. `kind` is "counter" or "gauge"."""

    namespace: str
    name: str
    dimensions: Dimensions
    kind: str
    value: float


class _Seen:
    """The samples of a minute: how often each value."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[float, float] = {}

    def add(self, value: float, times: float) -> None:
        values = self.values
        if value not in values and len(values) >= VALUES_MAX:
            value = float(f"{value:.3g}")
        values[value] = values.get(value, 0.0) + times


class Metrics:
    """What happened since the server started, by namespace, name and dimensions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_at = clock.now()
        self._counters: dict[SeriesKey, float] = {}
        self._gauges: dict[SeriesKey, float] = {}
        self._series: dict[tuple[str, str], int] = {}
        self._minute: dict[tuple[Scope, SeriesKey], _Seen] = {}
        self._owners: dict[str, Scope] = {}

    @property
    def uptime_s(self) -> float:
        return self._clock.now() - self.started_at

    def count(
        self, namespace: str, name: str, value: float = 1.0, /, of: str | Scope = "", **dimensions: str
    ) -> None:
        """Add `value` to a counter: `count("AWS/Events", "Invocations", of=rule_arn, RuleName="orders")`.

        `of` is an account and Region, or an ARN in them, where it is seen over time as so many samples of 1; "" for
        nobody's.
        """
        key = self._add(namespace, name, value, dimensions)
        if of:
            self._seen(of, key).add(1.0, value)

    def observe(self, namespace: str, name: str, value: float, /, of: str | Scope = "", **dimensions: str) -> None:
        """Add `value` to a counter, and see it over time as one sample: `observe("AWS/Lambda", "Duration", 12.5)`."""
        key = self._add(namespace, name, value, dimensions)
        if of:
            self._seen(of, key).add(value, 1.0)

    def gauge(self, namespace: str, name: str, value: float, /, of: str | Scope = "", **dimensions: str) -> None:
        """Set a gauge to `value`; each time is a sample."""
        key = (namespace, name, tuple(dimensions.items()))
        if key not in self._gauges:
            key = self._admit(key, self._gauges)
        self._gauges[key] = value
        if of:
            self._seen(of, key).add(value, 1.0)

    def take(self) -> dict[Scope, list[tuple[SeriesKey, Statistics]]]:
        """What was seen since the last time, by account and Region; each is given once."""
        seen, self._minute = self._minute, {}
        taken: dict[Scope, list[tuple[SeriesKey, Statistics]]] = {}
        for (scope, key), found in seen.items():
            taken.setdefault(scope, []).append((key, of_values(found.values)))
        return taken

    def _add(self, namespace: str, name: str, value: float, dimensions: dict[str, str]) -> SeriesKey:
        key = (namespace, name, tuple(dimensions.items()))
        try:
            self._counters[key] += value
        except KeyError:
            key = self._admit(key, self._counters)
            self._counters[key] = self._counters.get(key, 0.0) + value
        return key

    def _seen(self, of: str | Scope, key: SeriesKey) -> _Seen:
        place = (of if isinstance(of, Scope) else self._owners.get(of) or self._owner(of), key)
        seen = self._minute.get(place)
        if seen is None:
            seen = self._minute[place] = _Seen()
        return seen

    def _owner(self, of: str) -> Scope:
        if len(self._owners) >= OWNERS_MAX:
            self._owners.clear()
        arn = parse_arn(of)
        scope = self._owners[of] = arn.scope if arn else Scope()
        return scope

    def value(self, namespace: str, name: str, /, **dimensions: str) -> float:
        """The value of one counter or gauge, 0.0 when nothing was ever noted there."""
        key = (namespace, name, tuple(sorted(dimensions.items())))
        return self._counters.get(key, self._gauges.get(key, 0.0))

    def snapshot(self) -> list[Sample]:
        """Every series, sorted by namespace, name and dimensions."""
        samples = [Sample(*key, "counter", value) for key, value in self._counters.items()]
        samples += [Sample(*key, "gauge", value) for key, value in self._gauges.items()]
        return sorted(samples, key=lambda s: (s.namespace, s.name, s.dimensions))

    def prometheus(self) -> bytes:
        """The text exposition of every series, for `/metrics`."""
        # prometheus_client takes long to import and only a scrape needs it.
        from busway.metrics.prometheus import exposition

        return exposition(self.snapshot(), self.uptime_s)

    def _admit(self, key: SeriesKey, series: dict[SeriesKey, float]) -> SeriesKey:
        """The key under which a new series is kept: dimensions in order of name, or OTHER where that is refused."""
        namespace, name, dimensions = key
        ordered = (namespace, name, tuple(sorted(dimensions)))
        if ordered in series:
            return ordered
        metric = (namespace, name)
        too_long = any(len(value) > VALUE_CHARS_MAX for _, value in dimensions)
        if too_long or self._series.get(metric, 0) >= SERIES_MAX_PER_METRIC:
            return (namespace, name, tuple((dimension, OTHER) for dimension, _ in ordered[2]))
        self._series[metric] = self._series.get(metric, 0) + 1
        return ordered
