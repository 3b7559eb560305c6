"""The third party of this example: it takes two calls a second, up to a hundred orders in each.

python ledger.py [PORT]
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

CALLS_PER_SECOND = 2
ORDERS_PER_CALL = 100


class Ledger:
    """A running ledger, in a thread of its own until the `with` block ends."""

    def __init__(self, port: int = 0) -> None:
        self.orders: dict[str, str] = {}
        self.calls = self.throttled = 0
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def post(self, orders: list[dict[str, str]]) -> tuple[int, dict[str, Any]]:
        """(HTTP status, answer): 429 for a call too many, 413 for orders too many."""
        with self._lock:
            now = time.monotonic()
            while self._recent and self._recent[0] <= now - 1:
                self._recent.popleft()
            if len(self._recent) >= CALLS_PER_SECOND:
                self.throttled += 1
                return 429, {"error": f"more than {CALLS_PER_SECOND} calls a second"}
            if len(orders) > ORDERS_PER_CALL:
                return 413, {"error": f"{len(orders)} orders; at most {ORDERS_PER_CALL} a call"}
            self._recent.append(now)
            self.calls += 1
            refused = [order["id"] for order in orders if float(order["total"]) < 0]
            self.orders |= {o["id"]: o["total"] for o in orders if o["id"] not in refused}
            return 200, {"refused": refused}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = ledger.post(json.loads(body))
                print(f"{status}: {ledger.calls} calls, {len(ledger.orders)} orders", flush=True)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """One line a call is printed above."""

        return Handler


if __name__ == "__main__":
    with Ledger(int(sys.argv[1]) if len(sys.argv) > 1 else 8100) as running:
        print(f"the ledger takes orders at {running.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
