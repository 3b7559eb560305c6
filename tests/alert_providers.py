"""Datadog and Slack for tests: a recording HTTPS server that checks the provider's rules and answers as it does."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

DATADOG_KEY = "0123456789abcdef0123456789abcdef"
SLACK_PATH = "/services/T00000000/B00000000/canaryCanaryCanaryCanary"

# Headers have small letters; gives the status and the body of the answer.
Judge = Callable[[str, dict[str, str], Any], tuple[int, bytes]]


def datadog(path: str, headers: dict[str, str], body: Any) -> tuple[int, bytes]:
    """As https://docs.datadoghq.com/api/latest/events/post-an-event/ (v1) has it."""
    if path != "/api/v1/events":
        return 404, b'{"errors":["Not found"]}'
    if headers.get("dd-api-key") != DATADOG_KEY:
        return 403, b'{"errors":["Forbidden"]}'
    faults = datadog_faults(body)
    return (400, json.dumps({"errors": faults}).encode()) if faults else (202, b'{"status":"ok","event":{"id":1}}')


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


@dataclass
class Provider:
    """`taken` are the bodies it took, `asked` counts all requests. `down`: how it answers meanwhile."""

    url: str = ""
    taken: list[Any] = field(default_factory=list[Any])
    refused: list[bytes] = field(default_factory=list[bytes])
    asked: int = 0
    down: tuple[int, dict[str, str]] | None = None


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
