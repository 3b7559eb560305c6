"""PagerDuty, Datadog, Slack for tests: a recording HTTPS server that checks their rules and answers as they do."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

from busway.cli.demo.receivers import pagerduty_faults

PAGERDUTY_KEY, PAGERDUTY_PATH = "R0123456789abcdef0123456789abcde", "/v2/enqueue"
DATADOG_KEY = "0123456789abcdef0123456789abcdef"
SERIES_PATH = "/api/v2/series"
SERIES_BYTES_MAX = 512_000
SLACK_PATH = "/services/T00000000/B00000000/canaryCanaryCanaryCanary"

# Headers have small letters; gives the status and the body of the answer.
Judge = Callable[[str, dict[str, str], Any], tuple[int, bytes]]


def datadog_at(now: Callable[[], float]) -> Judge:
    """Datadog by a clock: it takes points of series that are not too old."""

    def judge(path: str, headers: dict[str, str], body: Any) -> tuple[int, bytes]:
        # https://docs.datadoghq.com/api/latest/events/post-an-event/ (v1)
        # https://docs.datadoghq.com/api/latest/metrics/submit-metrics/ (v2)
        if path not in ("/api/v1/events", SERIES_PATH):
            return 404, b'{"errors":["Not found"]}'
        if headers.get("dd-api-key") != DATADOG_KEY:
            return 403, b'{"errors":["Forbidden"]}'
        if path == SERIES_PATH and int(headers["content-length"]) > SERIES_BYTES_MAX:
            return 413, b'{"errors":["Payload too large"]}'
        faults = datadog_series_faults(body, now()) if path == SERIES_PATH else datadog_faults(body)
        if faults:
            return 400, json.dumps({"errors": faults}).encode()
        return 202, b'{"errors":[]}' if path == SERIES_PATH else b'{"status":"ok","event":{"id":1}}'

    return judge


datadog = datadog_at(time.time)


def datadog_series_faults(body: Any, now: float) -> list[str]:
    """By the page on submitting metrics, and by https://docs.datadoghq.com/metrics/custom_metrics/."""
    if set(body) != {"series"} or not body["series"]:
        return ["series is required"]
    known = {"metric", "type", "interval", "points", "tags", "resources", "metadata", "source_type_name", "unit"}
    faults: list[str] = []
    for one in body["series"]:
        faults += [f"unknown {name}" for name in sorted(set(one) - known)]
        name = one.get("metric", "")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]{0,199}", name):
            faults.append(f"metric {name!r}")
        if one.get("type", 0) not in (0, 1, 2, 3):
            faults.append(f"type {one['type']!r} of {name}")
        if one.get("type") in (1, 2) and type(one.get("interval")) is not int:
            faults.append(f"no interval of {name}")
        if not one.get("points"):
            faults.append(f"no points of {name}")
        for point in one.get("points", []):
            if set(point) != {"timestamp", "value"} or type(point["timestamp"]) is not int:
                faults.append(f"point {point} of {name}")
            elif isinstance(point["value"], bool) or not isinstance(point["value"], int | float):
                faults.append(f"value {point['value']!r} of {name}")
            elif not now - 3_600 <= point["timestamp"] <= now + 600:
                faults.append(f"a point of {name} is {now - point['timestamp']:.0f} s old")
        # https://docs.datadoghq.com/getting_started/tagging/#define-tags
        faults += [f"tag {tag}" for tag in one.get("tags", []) if not re.fullmatch(r"[^\W\d_][\w:./-]{0,199}", tag)]
    return faults


# A series is its name and its tags; of two points of one moment Datadog keeps the newer.
SeriesKept = dict[tuple[str, tuple[str, ...]], dict[int, float]]


def series_kept(bodies: Iterable[Any]) -> SeriesKept:
    """What is in Datadog after these requests; events are passed over."""
    kept: SeriesKept = {}
    for one in (one for body in bodies for one in body.get("series", ())):
        points = kept.setdefault((one["metric"], tuple(sorted(one["tags"]))), {})
        points.update({point["timestamp"]: point["value"] for point in one["points"]})
    return kept


def datadog_faults(body: Any) -> list[str]:
    known = {
        "title", "text", "alert_type", "aggregation_key", "date_happened", "priority", "tags", "host", "device_name",
        "related_event_id", "source_type_name",
    }  # fmt: skip
    types = ("error", "warning", "info", "success", "user_update", "recommendation", "snapshot")
    faults = [f"unknown {name}" for name in sorted(set(body) - known)]
    faults += [f"{name} is required" for name in ("title", "text") if not body.get(name)]
    if len(body.get("text", "")) > 4_000:
        faults.append("text is longer than 4000 characters")
    if len(body.get("aggregation_key", "")) > 100:
        faults.append("aggregation_key is longer than 100 characters")
    if body.get("alert_type", "info") not in types:
        faults.append("alert_type")
    if body.get("priority", "normal") not in ("normal", "low"):
        faults.append("priority")
    if type(body.get("date_happened", 0)) is not int:
        faults.append("date_happened is no integer")
    faults += [f"tag {tag}" for tag in body.get("tags", []) if not isinstance(tag, str) or len(tag) > 200]
    return faults


def slack(path: str, headers: dict[str, str], body: Any) -> tuple[int, bytes]:
    """As https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks has it."""
    if path != SLACK_PATH:
        return 404, b"no_service"
    return (400, b"invalid_blocks") if slack_faults(body) else (200, b"ok")


def slack_faults(body: Any) -> list[str]:
    """https://docs.slack.dev/reference/block-kit/blocks: at most 50 blocks, 3,000 characters in a section's text."""
    faults = [] if body.get("text") else ["no text"]
    blocks = body.get("blocks", [])
    if not 1 <= len(blocks) <= 50:
        faults.append(f"{len(blocks)} blocks")
    for block in blocks:
        if len(block.get("block_id", "")) > 255:
            faults.append("block_id is longer than 255 characters")
        if block["type"] == "context":
            texts = block["elements"]
            if not 1 <= len(texts) <= 10:
                faults.append(f"{len(texts)} elements of a context")
        else:
            texts = [block["text"]]
        for text in texts:
            if text["type"] not in ("mrkdwn", "plain_text") or not 1 <= len(text["text"]) <= 3_000:
                faults.append(f"text of {len(text['text'])} characters")
            if re.search(r"<(?!https?:)|&(?!amp;|lt;|gt;)", text["text"]):
                faults.append(f"not escaped: {text['text']}")
    return faults


def pagerduty(path: str, headers: dict[str, str], body: Any) -> tuple[int, bytes]:
    """https://developer.pagerduty.com/docs/send-alert-event"""
    faults = pagerduty_faults(body)
    if path != PAGERDUTY_PATH or faults:
        answer = {"status": "invalid event", "message": "Event object is invalid", "errors": faults}
        return 400, json.dumps(answer).encode()
    return 202, json.dumps(
        {"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]}
    ).encode()


@dataclass
class Provider:
    """`taken` are the bodies it took, `raw` their paths and bytes, `asked` counts all requests.

    `down`: how it answers meanwhile.

    `when_taken` is called with a body that it took, before it says so.
    """

    url: str = ""
    taken: list[Any] = field(default_factory=list[Any])
    raw: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    refused: list[bytes] = field(default_factory=list[bytes])
    asked: int = 0
    down: tuple[int, dict[str, str]] | None = None
    when_taken: Callable[[Any], None] = lambda body: None


@contextmanager
def provider(judge: Judge, folder: Path | None = None) -> Iterator[Provider]:
    """On loopback; with a folder over TLS, by an authority in `folder/ca.pem`."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            made.asked += 1
            headers: dict[str, str] = {}
            if made.down is not None:
                (status, headers), answer = made.down, b"not now"
            else:
                body = json.loads(raw)
                status, answer = judge(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                if status < 300:
                    made.taken.append(body)
                    made.raw.append((self.path, raw))
                    made.when_taken(body)
                else:
                    made.refused.append(answer)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if folder is not None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    made.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
