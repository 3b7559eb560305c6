"""Spans and samples to a collector, by OpenTelemetry's own exporters: they read the rest of OTEL_… themselves.

Their threads send; what a collector does not take in time is dropped, and they say so in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from busway import __version__
from busway.metrics import COUNTER, Sample
from busway.metrics.prometheus import snake
from busway.telemetry.spans import CONSUMER, INTERNAL, PRODUCER, Span

_KINDS = {PRODUCER: SpanKind.PRODUCER, INTERNAL: SpanKind.INTERNAL, CONSUMER: SpanKind.CONSUMER}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NANOSECONDS = 1_000_000_000
# Ours: how long a server that ends waits for a collector.
CLOSE_S = 2.0


class Otlp:
    """Sends to where the environment says. `close` sends what is left, and blocks meanwhile."""

    def __init__(self, environ: Mapping[str, str], started_at: float) -> None:
        """`started_at` is when counters were zero, Unix seconds."""
        name = environ.get("OTEL_SERVICE_NAME") or "busway"
        self._resource = Resource.create({"service.name": name, "service.version": __version__})
        self._scope = InstrumentationScope("busway", __version__)
        self._exporter = OTLPSpanExporter()
        self._spans = BatchSpanProcessor(self._exporter)
        # Its own types are partly unknown.
        self._metrics: Any = OTLPMetricExporter()
        self._started_at = started_at

    def span(self, span: Span) -> None:
        """Send it with the next batch."""
        parent = None if not span.parent else _context(span.trace_id, span.parent, remote=True)
        self._spans.on_end(
            ReadableSpan(
                span.name, _context(span.trace_id, span.span_id), parent, self._resource, span.attributes,
                kind=_KINDS[span.kind], instrumentation_scope=self._scope, start_time=_ns(span.start),
                end_time=_ns(span.end),
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            )
        )  # fmt: skip

    def metrics(self, samples: Iterable[Sample], now: float) -> None:
        """Send every series, under the names of `/metrics`; blocks until the collector answered."""
        points: dict[tuple[str, str], list[NumberDataPoint]] = {}
        begun = {COUNTER: _ns(self._started_at)}
        for sample in samples:
            name = f"{snake(sample.namespace)}_{snake(sample.name)}"
            labels = {snake(dimension): value for dimension, value in sample.dimensions}
            point = NumberDataPoint(labels, begun.get(sample.kind, _ns(now)), _ns(now), sample.value)
            points.setdefault((name, sample.kind), []).append(point)
        metrics = [
            Metric(name, None, None, Sum(found, _CUMULATIVE, True) if kind == COUNTER else Gauge(found))
            for (name, kind), found in points.items()
        ]
        scopes = [ScopeMetrics(self._scope, metrics, "")]
        self._metrics.export(MetricsData([ResourceMetrics(self._resource, scopes, "")]))

    def close(self) -> None:
        self._metrics.shutdown()
        # The exporter tries a collector that does not answer again and again, unless it is told to end.
        give_up = threading.Timer(CLOSE_S, self._exporter.shutdown)
        give_up.start()
        self._spans.shutdown()
        give_up.cancel()


_CUMULATIVE = AggregationTemporality.CUMULATIVE


def _context(trace_id: str, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, _SAMPLED)


def _ns(at: float) -> int:
    return int(at * _NANOSECONDS)
