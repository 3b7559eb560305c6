"""An HTTP endpoint of a topic, as its owner writes one: it confirms what it is asked, and keeps what it is sent."""

from __future__ import annotations

import json
import queue
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from .whole_server import PATIENCE_S


class Sent(NamedTuple):
    """One request. `headers` have lower-case names."""

    headers: dict[str, str]
    body: str


class Endpoint(ThreadingHTTPServer):
    """Answers notifications with `status`."""

    def __init__(self, port: int = 0, status: int = 200) -> None:
        super().__init__(("127.0.0.1", port), _Answering)
        self.status = status
        self.confirmations: queue.Queue[Sent] = queue.Queue()
        self.notifications: queue.Queue[Sent] = queue.Queue()
        self.confirmed: queue.Queue[str] = queue.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/in"

    def take(self) -> Sent:
        """The next notification."""
        return self.notifications.get(timeout=PATIENCE_S)

    def take_confirmed(self) -> str:
        """What the server answered when a subscription was confirmed."""
        return self.confirmed.get(timeout=PATIENCE_S)


class _Answering(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        sent = Sent({name.lower(): value for name, value in self.headers.items()}, body)
        confirming = sent.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
        self.send_response(200 if confirming else self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if not confirming:
            self.server.notifications.put(sent)
            return
        self.server.confirmations.put(sent)
        told: dict[str, Any] = json.loads(body)
        with urllib.request.urlopen(told["SubscribeURL"], timeout=PATIENCE_S) as answer:
            self.server.confirmed.put(answer.read().decode())

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def endpoint(port: int = 0, status: int = 200) -> Iterator[Endpoint]:
    serving = Endpoint(port, status)
    threading.Thread(target=serving.serve_forever).start()
    try:
        yield serving
    finally:
        serving.shutdown()
        serving.server_close()
