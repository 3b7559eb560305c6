"""Spans and metrics of a real server, as a collector of the test's own reads them from OTLP's protobuf."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from busway.config import Settings
from busway.server import Server

from .test_traces import PYTHON, handler, in_python, message, put
from .whole_server import PATIENCE_S, rule_to_queue, whole_server


class Collector:
    """What came by OTLP/HTTP so far; `arrived` is notified of each request."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: dict[str, Any] = {}
        self.services: set[str] = set()
        self.arrived = threading.Condition()

    def take(self, path: str, body: bytes) -> bytes:
        with self.arrived:
            if path == "/v1/traces":
                for told in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self.services |= {
                        a.value.string_value for a in told.resource.attributes if a.key == "service.name"
                    }
                    self.spans += [span for scope in told.scope_spans for span in scope.spans]
                answer = ExportTraceServiceResponse()
            else:
                assert path == "/v1/metrics"
                for told in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self.metrics |= {metric.name: metric for scope in told.scope_metrics for metric in scope.metrics}
                answer = ExportMetricsServiceResponse()
            self.arrived.notify_all()
        return answer.SerializeToString()

    def wait(self, *names: str) -> dict[str, Span]:
        """The spans of these names, once all are there."""

        def all_there() -> dict[str, Span] | None:
            found = {span.name: span for span in self.spans}
            return found if set(names) <= set(found) else None

        with self.arrived:
            found = self.arrived.wait_for(all_there, PATIENCE_S)
            assert found, [span.name for span in self.spans]
            return found


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = found.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_chain_of_handlers_is_one_trace_at_the_collector_and_metrics_come_too(
    collector: tuple[Collector, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found, url = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    with whole_server(tmp_path) as server:
        handler(server, "take", "Order Placed", in_python(), NEXT="Receipt Asked")
        handler(server, "broken", "Receipt Asked", in_python(PYTHON.replace("publish(", "raise OSError(")), NEXT="")
        queue = rule_to_queue(server, "asked", '{"detail-type": ["Receipt Asked"]}')
        event_id = put(server, "Order Placed")
        assert message(server, queue)["Attributes"]["AWSTraceHeader"]
        spans = found.wait(
            "accept Order Placed", "match take", "attempt take", "accept Receipt Asked", "match asked",
            "attempt broken", "dead letter of broken",
        )  # fmt: skip
        with found.arrived:
            assert found.arrived.wait_for(lambda: "aws_lambda_errors" in found.metrics, PATIENCE_S)
    assert {span.trace_id.hex() for span in spans.values()} == {event_id.replace("-", "")}
    chain = ["accept Order Placed", "match take", "attempt take", "accept Receipt Asked", "match broken",
             "attempt broken"]  # fmt: skip
    for cause, after in pairwise(chain):
        assert spans[after].parent_span_id == spans[cause].span_id, (cause, after)
    assert spans["attempt broken"].status.code == Status.STATUS_CODE_ERROR
    assert spans["attempt take"].end_time_unix_nano > spans["attempt take"].start_time_unix_nano
    assert found.services == {"busway"}
    errors = found.metrics["aws_lambda_errors"].sum
    (point,) = [one for one in errors.data_points if one.attributes[0].value.string_value == "broken"]
    assert (errors.is_monotonic, point.as_double) == (True, 3.0)


def test_a_collector_that_is_not_there_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    with whole_server(tmp_path) as server:
        queue = rule_to_queue(server, "orders", '{"detail-type": ["Order"]}')
        put(server, "Order")
        assert json.loads(message(server, queue)["Body"])["detail-type"] == "Order"


def test_nothing_of_it_is_loaded_where_no_collector_is_named():
    code = (
        "import sys, busway.server, busway.telemetry as t; print(t.wanted({}),"
        " [name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'google')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False []\n"


async def test_a_server_without_the_packages_says_so_and_takes_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "busway.telemetry.push", None)
    server = Server(Settings(port=0, data=str(tmp_path), engine="memory"), lambda error: None)
    await server.start()
    await server.stop()
    assert "pip install 'busway[otel]'" in caplog.text
