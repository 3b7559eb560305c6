"""Counters and gauges under CloudWatch's names.

Cheap enough for the hot path: one dictionary entry a series, no locks. Call from the event loop's thread only.
Nothing is persisted: a restart begins at zero, as Prometheus expects of a counter.
"""

from __future__ import annotations

from dataclasses import dataclass

from busway.clock import Clock

# Ours: the dimensions of one metric are names that users choose, and a metric must not grow without bound.
# Further combinations are added up in one series whose dimensions have the value OTHER.
SERIES_MAX_PER_METRIC = 1_000
OTHER = "(other)"
# Ours: longer than any name that AWS gives a resource.
VALUE_CHARS_MAX = 1_024

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


class Metrics:
    """What happened since the server started, by namespace, name and dimensions."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_at = clock.now()
        self._counters: dict[SeriesKey, float] = {}
        self._gauges: dict[SeriesKey, float] = {}
        self._series: dict[tuple[str, str], int] = {}

    @property
    def uptime_s(self) -> float:
        return self._clock.now() - self.started_at

    def count(self, namespace: str, name: str, value: float = 1.0, /, **dimensions: str) -> None:
        """Add `value` to a counter: `count("AWS/Events", "Invocations", RuleName="orders")`."""
        key = (namespace, name, tuple(dimensions.items()))
        try:
            self._counters[key] += value
        except KeyError:
            key = self._admit(key, self._counters)
            self._counters[key] = self._counters.get(key, 0.0) + value

    def gauge(self, namespace: str, name: str, value: float, /, **dimensions: str) -> None:
        """Set a gauge to `value`."""
        key = (namespace, name, tuple(dimensions.items()))
        if key not in self._gauges:
            key = self._admit(key, self._gauges)
        self._gauges[key] = value

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
