"""What is counted of each invocation, kept at hand: looking a meter up costs more than using it."""

from __future__ import annotations

from busway.function.invocation.desk import NAMESPACE
from busway.function.record import FunctionRecord, qualified
from busway.metrics import COUNTER, GAUGE, Meter, Metrics

# Ours: of how many functions and versions the meters are kept at hand.
METERS_MAX = 5_000
CONCURRENT = "ConcurrentExecutions"


class Meters:
    """Of a function, and of the version or alias (`qualifier`) that was asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._made: dict[tuple[str, str, str], tuple[Meter, ...]] = {}

    def count(self, record: FunctionRecord, qualifier: str, metric: str) -> None:
        for meter in self._of(record, qualifier, metric):
            meter.count()

    def observe(self, record: FunctionRecord, qualifier: str, metric: str, value: float) -> None:
        for meter in self._of(record, qualifier, metric):
            meter.observe(value)

    def running(self, record: FunctionRecord, count: int) -> None:
        for meter in self._of(record, "", CONCURRENT):
            meter.set(count)

    def _of(self, record: FunctionRecord, qualifier: str, metric: str) -> tuple[Meter, ...]:
        place = (record.arn, qualifier, metric)
        found = self._made.get(place)
        if found is None:
            if len(self._made) >= METERS_MAX:
                self._made.clear()
            kind, name = GAUGE if metric == CONCURRENT else COUNTER, record.name
            made = [self._metrics.meter(NAMESPACE, metric, kind, of=record.arn, FunctionName=name)]
            if qualifier:
                of = qualified(name, qualifier)
                made.append(
                    self._metrics.meter(NAMESPACE, metric, kind, of=record.arn, FunctionName=name, Resource=of)
                )
            found = self._made[place] = tuple(made)
        return found
