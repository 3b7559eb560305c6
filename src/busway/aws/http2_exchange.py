"""One request and its answer on an HTTP/2 stream: the two sides of ASGI, with flow control both ways.

A body is acknowledged, and so more of it let in, as the application takes it; an answer waits for the client's window
and for the socket. A client that goes away is told to the application by `http.disconnect`; its task goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

log = logging.getLogger("busway.aws.http2")

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# Ours: what is handed to the socket at once.
WRITE_BYTES = 64 * 1024
# What HTTP/2 says about connections in its own frames (RFC 9113, 8.2.2).
_NOT_HERE = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


class Link(Protocol):
    """What an exchange needs of its connection."""

    def acknowledge(self, stream: int, size: int) -> None:
        """`size` bytes of the stream's flow control were taken; the client may send as many more, now or later."""
        ...

    def send_head(self, stream: int, headers: Headers, *, end: bool) -> None: ...

    def send_part(self, stream: int, data: bytes, *, end: bool) -> None: ...

    def room(self, stream: int) -> int:
        """How many bytes may be sent in one frame now."""
        ...

    def flush(self) -> None: ...

    def reset(self, stream: int, *, fault: bool) -> None: ...

    async def writable(self) -> None:
        """Return once the socket takes more, or is gone."""
        ...


class Exchange:
    """See the module. `scope` is ASGI's; `head` says that the answer has no body whatever is sent."""

    def __init__(self, stream: int, scope: dict[str, Any], link: Link, began: float, default: Headers) -> None:
        """`began` is the loop's time; `default` are headers of every answer."""
        self.stream, self.scope, self.began = stream, scope, began
        self.ended = self.gone = self.complete = False
        # Whether the answer has no length: it goes on for as long as there is something to say.
        self.streams = False
        # The loop's time since which the answer waits for the client's window; None while it does not.
        self.stalled_since: float | None = None
        self._link, self._default = link, default
        self._parts: list[bytes] = []
        self._unread = 0
        self._given = False
        self._started = False
        self._head: Headers | None = None
        self._moved = asyncio.Event()
        self._window = asyncio.Event()
        self._continue = any(n == b"expect" and v.lower() == b"100-continue" for n, v in scope["headers"])

    # From the connection.

    def received(self, data: bytes, size: int) -> None:
        """A piece of the body; `size` is what it counts in flow control, padding included."""
        if self.complete or self.gone:
            self._link.acknowledge(self.stream, size)
            return
        self._parts.append(data)
        self._unread += size
        self._moved.set()

    def end_of_request(self) -> None:
        self.ended = True
        self._moved.set()

    def disconnect(self) -> None:
        """The client is not there any more."""
        self.gone = True
        self._moved.set()
        self._window.set()

    def window_opened(self) -> None:
        self._window.set()

    # The application's side.

    async def run(self, app: App) -> None:
        try:
            await app(self.scope, self.receive, self.send)
            if not self.complete and not self.gone:
                log.error("HTTP/2 stream %d: the application ended without an answer", self.stream)
                await self._fail()
        except Exception:
            log.exception("HTTP/2 stream %d failed", self.stream)
            await self._fail()

    async def receive(self) -> Message:
        if self._continue and not self._started and not self.gone:
            self._continue = False
            self._link.send_head(self.stream, [(b":status", b"100")], end=False)
            self._link.flush()
        while not (self._parts or self.gone or self.complete or (self.ended and not self._given)):
            self._moved.clear()
            await self._moved.wait()
        if not self._parts and (self.gone or self.complete):
            return {"type": "http.disconnect"}
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._take_all()
        self._given = self.ended
        return {"type": "http.request", "body": body, "more_body": not self.ended}

    def _take_all(self) -> None:
        self._parts.clear()
        size, self._unread = self._unread, 0
        if size:
            self._link.acknowledge(self.stream, size)
            self._link.flush()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = _head_of(message, self._default)
            if not any(name == b"content-length" for name, _ in self._head):
                self.streams = True
                self._send_head(end=False)
                self._link.flush()
            return
        last = not message.get("more_body", False)
        body: bytes = message.get("body", b"") if self.scope["method"] != "HEAD" else b""
        if self.gone or self.complete:
            return
        if self._head is not None:
            self._send_head(end=last and not body)
        elif last and not body:
            self._link.send_part(self.stream, b"", end=True)
        if body:
            await self._send_body(body, last)
        if last:
            self._finish()
        self._link.flush()

    def _send_head(self, *, end: bool) -> None:
        if self._head is not None and not self.gone:
            self._link.send_head(self.stream, self._head, end=end)
            self._head, self._started = None, True

    async def _send_body(self, body: bytes, last: bool) -> None:
        at = buffered = 0
        while at < len(body):
            if self.gone:
                return
            room = min(self._link.room(self.stream), len(body) - at)
            if room <= 0:
                self._link.flush()
                await self._wait_for_window()
                continue
            self._link.send_part(self.stream, body[at : at + room], end=last and at + room == len(body))
            at, buffered = at + room, buffered + room
            if buffered >= WRITE_BYTES:
                buffered = 0
                self._link.flush()
                await self._link.writable()

    async def _wait_for_window(self) -> None:
        self.stalled_since = asyncio.get_running_loop().time()
        self._window.clear()
        await self._window.wait()
        self.stalled_since = None

    def _finish(self) -> None:
        self.complete = True
        self._take_all()
        self._moved.set()
        if not self.ended and not self.gone:
            # The answer is whole and the request is not: the rest of it is not wanted (RFC 9113, 8.1).
            self._link.flush()
            self._link.reset(self.stream, fault=False)

    async def _fail(self) -> None:
        if self.gone or self.complete:
            return
        if self._started:
            self._finish_broken()
            return
        self._head = [(b":status", b"500"), (b"content-length", b"0")]
        self._send_head(end=True)
        self._finish()
        self._link.flush()

    def _finish_broken(self) -> None:
        self.complete = True
        self._take_all()
        self._link.reset(self.stream, fault=True)
        self._link.flush()


def _head_of(message: Message, default: Headers) -> Headers:
    status = (b":status", b"%d" % message["status"])
    own = [(name.lower(), value) for name, value in (*default, *message["headers"])]
    return [status, *((name, value) for name, value in own if name not in _NOT_HERE)]
