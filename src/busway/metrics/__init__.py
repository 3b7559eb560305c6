"""Counters and gauges under CloudWatch's names, and what was seen of them in the minute that goes on.

    statistics, points     what a period's samples come to, minutes and longer       (pure)
    series, minute_records metrics over time, as records
    recent                 the last minutes of what alarms watch, at hand
    feed                   the server's own metrics into them, every minute
    values, functions, expression, queries      metric math                          (pure)

Counting is cheap enough for the hot path: one dictionary entry a series, no locks; who counts at every turn keeps the
`Meter`. Call from the event loop's thread only. A restart begins at zero, as Prometheus expects of a counter; a crash
loses the minute under way.
"""

from __future__ import annotations

from dataclasses import dataclass

from busway.arn import Scope, scope_of
from busway.clock import Clock
from busway.metrics.statistics import VALUES_MAX, Statistics, of_values, short

# Ours: the dimensions of one metric are names that users choose, and a metric must not grow without bound.
# Further combinations are added up in one series whose dimensions have the value OTHER.
SERIES_MAX_PER_METRIC = 1_000
OTHER = "(other)"
COUNTER, GAUGE = "counter", "gauge"
# Ours: longer than any name that AWS gives a resource.
VALUE_CHARS_MAX = 1_024

Dimensions = tuple[tuple[str, str], ...]
SeriesKey = tuple[str, str, Dimensions]


@dataclass(frozen=True, slots=True)
class Sample:
    """The present value of one series, of all accounts together. `kind` is "counter" or "gauge"."""

    namespace: str
    name: str
    dimensions: Dimensions
    kind: str
    value: float


class Meter:
    """One series of one owner: its value since the start, and how often each value was seen in this minute.

    `scope` is None for what is nobody's, which is not seen over time.
    """

    __slots__ = ("key", "kind", "scope", "value", "values")

    def __init__(self, key: SeriesKey, kind: str, scope: Scope | None) -> None:
        self.key, self.kind, self.scope = key, kind, scope
        self.value = 0.0
        self.values: dict[float, float] = {}

    def count(self, value: float = 1.0) -> None:
        """So many samples of 1."""
        self.value += value
        if value:
            values = self.values
            values[1.0] = values.get(1.0, 0.0) + value

    def observe(self, value: float) -> None:
        """One sample, which the counter grows by."""
        self.value += value
        self._see(value)

    def set(self, value: float) -> None:
        """One sample, which the gauge is now."""
        self.value = value
        self._see(value)

    def _see(self, value: float) -> None:
        values = self.values
        if value not in values and len(values) >= VALUES_MAX:
            value = short(value)
        values[value] = values.get(value, 0.0) + 1.0


class Metrics:
    """What happened since the server started, by namespace, name and dimensions.

    `of` is an account and Region, or an ARN in them, where something is seen over time; "" for nobody's.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.started_at = clock.now()
        self._meters: dict[tuple[str | Scope, str, str, Dimensions], Meter] = {}
        self._series: dict[tuple[str, str], set[Dimensions]] = {}

    @property
    def uptime_s(self) -> float:
        return self._clock.now() - self.started_at

    def count(
        self, namespace: str, name: str, value: float = 1.0, /, of: str | Scope = "", **dimensions: str
    ) -> None:
        """Add `value` to a counter: `count("AWS/Events", "Invocations", of=rule_arn, RuleName="orders")`."""
        key = (of, namespace, name, tuple(dimensions.items()))
        (self._meters.get(key) or self._made(key, COUNTER)).count(value)

    def observe(self, namespace: str, name: str, value: float, /, of: str | Scope = "", **dimensions: str) -> None:
        """Add `value` to a counter, and see it over time as one sample: `observe("AWS/Lambda", "Duration", 12.5)`."""
        self.meter(namespace, name, of=of, **dimensions).observe(value)

    def gauge(self, namespace: str, name: str, value: float, /, of: str | Scope = "", **dimensions: str) -> None:
        """Set a gauge to `value`; each time is a sample."""
        self.meter(namespace, name, GAUGE, of=of, **dimensions).set(value)

    def meter(
        self, namespace: str, name: str, kind: str = COUNTER, /, of: str | Scope = "", **dimensions: str
    ) -> Meter:
        """To be kept by who counts often."""
        key = (of, namespace, name, tuple(dimensions.items()))
        return self._meters.get(key) or self._made(key, kind)

    def value(self, namespace: str, name: str, /, **dimensions: str) -> float:
        """The value of one counter or gauge, of all owners together; 0.0 when nothing was ever noted there."""
        key = (namespace, name, tuple(sorted(dimensions.items())))
        return sum(meter.value for meter in set(self._meters.values()) if meter.key == key)

    def take(self) -> dict[Scope, list[tuple[SeriesKey, Statistics]]]:
        """What was seen since the last time, by account and Region; each is given once."""
        taken: dict[Scope, list[tuple[SeriesKey, Statistics]]] = {}
        for meter in set(self._meters.values()):
            if meter.values and meter.scope is not None:
                taken.setdefault(meter.scope, []).append((meter.key, of_values(meter.values)))
            meter.values = {}
        return taken

    def snapshot(self) -> list[Sample]:
        """Every series, sorted by namespace, name and dimensions."""
        values: dict[tuple[SeriesKey, str], float] = {}
        for meter in set(self._meters.values()):
            place = (meter.key, meter.kind)
            values[place] = values.get(place, 0.0) + meter.value
        samples = [Sample(*key, kind, value) for (key, kind), value in values.items()]
        return sorted(samples, key=lambda s: (s.namespace, s.name, s.dimensions))

    def prometheus(self) -> bytes:
        """The text exposition of every series, for `/metrics`."""
        # prometheus_client takes long to import and only a scrape needs it.
        from busway.metrics.prometheus import exposition

        return exposition(self.snapshot(), self.uptime_s)

    def _made(self, key: tuple[str | Scope, str, str, Dimensions], kind: str) -> Meter:
        """Dimensions in order of name, or OTHER where that is refused; the same meter in whatever order they come."""
        of, namespace, name, dimensions = key
        scope, ordered = _owner(of), tuple(sorted(dimensions))
        admitted = self._admitted(namespace, name, ordered)
        place = (scope or "", namespace, name, admitted)
        meter = self._meters.get(place)
        if meter is None:
            meter = self._meters[place] = Meter(place[1:], kind, scope)
        if admitted == ordered:
            # What is refused is asked for by ever other names.
            self._meters[key] = meter
        return meter

    def _admitted(self, namespace: str, name: str, dimensions: Dimensions) -> Dimensions:
        known = self._series.setdefault((namespace, name), set())
        too_long = any(len(value) > VALUE_CHARS_MAX for _, value in dimensions)
        if dimensions not in known and (too_long or len(known) >= SERIES_MAX_PER_METRIC):
            return tuple((dimension, OTHER) for dimension, _ in dimensions)
        known.add(dimensions)
        return dimensions


def _owner(of: str | Scope) -> Scope | None:
    if isinstance(of, Scope) or not of:
        return of or None
    return scope_of(of)
