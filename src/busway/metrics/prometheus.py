"""CloudWatch's names as Prometheus's: `AWS/Events` `Invocations` is `aws_events_invocations_total`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from busway.metrics import Sample

# A capital begins a word after a small letter or digit, or before a small letter (`DLQSize` is dlq_size).
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """`ApproximateAgeOfOldestMessage` as `approximate_age_of_oldest_message`; what Prometheus refuses becomes `_`."""
    return re.sub(r"[^a-z0-9]+", "_", _WORD_START.sub("_", name).lower()).strip("_")


def exposition(samples: Sequence[Sample], uptime_s: float) -> bytes:
    """Prometheus's text format of `samples`, and `busway_uptime_seconds`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(samples, uptime_s))
    return generate_latest(registry)


class _Samples(Collector):
    def __init__(self, samples: Sequence[Sample], uptime_s: float) -> None:
        self._samples, self._uptime_s = samples, uptime_s

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        uptime = Metric("busway_uptime_seconds", "Seconds since this server started", "gauge")
        uptime.add_sample("busway_uptime_seconds", {}, self._uptime_s)
        families = {"busway_uptime_seconds": uptime}
        for sample in self._samples:
            name = f"{snake(sample.namespace)}_{snake(sample.name)}"
            help_text = f"{sample.namespace} {sample.name}"
            family = families.setdefault(name, Metric(name, help_text, sample.kind))
            labels = {snake(dimension): value for dimension, value in sample.dimensions}
            family.add_sample(f"{name}_total" if sample.kind == "counter" else name, labels, sample.value)
        return families.values()
