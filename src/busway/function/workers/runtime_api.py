"""The Lambda Runtime API (2018-06-01): our side of the connection to one worker.

    GET  /runtime/invocation/next              waits for an event
    POST /runtime/invocation/{id}/response     its result
    POST /runtime/invocation/{id}/error        or its error
    POST /runtime/init/error                   the handler could not be loaded
    POST /busway/once                          ours: asks about a step that is to run once (function/once.py)

HTTP/1.1 with keep-alive and pipelining, parsed by httptools. Bodies are bounded. What a request means is the
worker's to say (`Runtime`); this file only speaks.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, cast

import httptools
import msgspec

from busway.clock import Clock

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, and AWS's text of the error
RESPONSE_BYTES_MAX = 6_291_556
# Ours: the request line and all headers of one request.
HEAD_BYTES_MAX = 65_536
# Ours: answers that wait for the client to ask for an event, or to read. One that asks and asks is no runtime client.
HELD_MAX = 100
UNREAD_BYTES_MAX = 16_777_216

API = b"/2018-06-01/runtime/"
ONCE = b"/2018-06-01/busway/once"
_STATUS_LINES = {
    200: b"HTTP/1.1 200 OK\r\n",
    202: b"HTTP/1.1 202 Accepted\r\n",
    400: b"HTTP/1.1 400 Bad Request\r\n",
    403: b"HTTP/1.1 403 Forbidden\r\n",
    404: b"HTTP/1.1 404 Not Found\r\n",
    413: b"HTTP/1.1 413 Payload Too Large\r\n",
}
_ACCEPTED = b'{"status":"OK"}\n'


class Invocation(msgspec.Struct, frozen=True, gc=False):
    """One event for a worker. `deadline_ms` is Unix milliseconds of the machine's clock.

    The last two are for our logs only: the bus's event that it came from, and which attempt this is.
    """

    request_id: str
    payload: bytes
    function_arn: str
    deadline_ms: int
    trace_header: str = ""
    client_context: str = ""
    event_id: str = ""
    attempt: int = 1


class Runtime(Protocol):
    """What the worker's runtime client asked for; each POST gives the HTTP status of the answer."""

    def next(self, connection: RuntimeConnection) -> None: ...

    def response(self, request_id: str, body: bytes, *, too_large: bool) -> int: ...

    def error(self, request_id: str, body: bytes, kind: str) -> int: ...

    def init_error(self, body: bytes, kind: str) -> int: ...

    def once(self, connection: RuntimeConnection, body: bytes) -> None: ...

    def hung_up(self, connection: RuntimeConnection) -> None: ...


class RuntimeConnection(asyncio.Protocol):
    """One connection of a runtime client. `admit` looks at the socket before anything is read from it."""

    def __init__(self, runtime: Runtime, admit: Callable[[socket.socket], bool] | None = None) -> None:
        self._runtime, self._admit = runtime, admit
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._closed = False
        # Answers not sent yet. While the client waits for an event they are held back and leave with it: a client
        # that asked for the next event in the same write needs no separate packet for the answer before.
        self._held: list[bytes] = []
        self._waits = False
        self._asked = 0
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._kind = ""
        self._head_size = 0
        self._body: list[bytes] = []
        self._size = 0

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        # A client may be accepted while its worker is ended: asyncio tells of it a moment later.
        if self._closed or (self._admit is not None and not self._admit(transport.get_extra_info("socket"))):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._held.append(_reply(400, "Malformed", "found no HTTP/1.1 request"))
            self._flush()
            self.close()
            return
        if not self._waits:
            self._flush()
        if len(self._held) + self._asked > HELD_MAX or self._unread() > UNREAD_BYTES_MAX:
            self.close()

    def _unread(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._runtime.hung_up(self)

    # --- httptools ---

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name + value)
        if name.lower() == b"lambda-runtime-function-error-type":
            self._kind = value.decode("latin-1")

    def _count(self, part: bytes) -> None:
        self._head_size += len(part)
        if self._head_size > HEAD_BYTES_MAX:
            raise ValueError(f"request line and headers are larger than {HEAD_BYTES_MAX} bytes")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= RESPONSE_BYTES_MAX:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        url, method = self._url, self._parser.get_method()
        if url == ONCE and method == b"POST" and self._size <= RESPONSE_BYTES_MAX:
            self._asked += 1
            self._runtime.once(self, b"".join(self._body))
            return
        if not url.startswith(API):
            self._held.append(_reply(404, "NotFound", f"no {url[:200]!r} here"))
            return
        parts = url[len(API) :].decode("latin-1").split("/")
        if method == b"GET" and parts == ["invocation", "next"]:
            self._waits = True
            self._runtime.next(self)
        elif method == b"POST":
            self._held.append(self._post(parts))
        else:
            self._held.append(_reply(404, "NotFound", f"no {method.decode()} {url[:200]!r} here"))

    def _post(self, parts: list[str]) -> bytes:
        body = b"".join(self._body)
        too_large = self._size > RESPONSE_BYTES_MAX
        match parts:
            case ["invocation", request_id, "response"]:
                status = self._runtime.response(request_id, body, too_large=too_large)
            case ["invocation", request_id, "error"]:
                status = self._runtime.error(request_id, body, self._kind)
            case ["init", "error"]:
                status = self._runtime.init_error(body, self._kind)
            case _:
                return _reply(404, "NotFound", "wanted invocation/next, invocation/{id}/… or init/error")
        return _OK if status == 202 else _reply(status, "InvalidRequestID", "found no such invocation under way")

    # --- for the worker ---

    def send(self, invocation: Invocation) -> None:
        """Give the client that waits its event."""
        self._waits = False
        payload = invocation.payload
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {invocation.deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {invocation.function_arn}\r\n"
        )
        if invocation.trace_header:
            head += f"Lambda-Runtime-Trace-Id: {_one_line(invocation.trace_header)}\r\n"
        if invocation.client_context:
            head += f"Lambda-Runtime-Client-Context: {_one_line(invocation.client_context)}\r\n"
        self._held += (f"{head}Content-Length: {len(payload)}\r\n\r\n".encode("latin-1", "replace"), payload)
        self._flush()

    def reply(self, body: bytes) -> None:
        """Answer a question about a step. A client asks one after the other, and for no event meanwhile."""
        self._asked -= 1
        self._held.append(_reply(200, body=body))
        self._flush()

    def close(self) -> None:
        """End it, without waiting for a client that does not read."""
        self._closed = True
        self._held.clear()
        if self._transport is not None:
            end = self._transport.abort if self._unread() > UNREAD_BYTES_MAX else self._transport.close
            end()

    def _flush(self) -> None:
        if self._held and self._transport is not None:
            self._transport.write(b"".join(self._held))
        self._held.clear()


async def stop_listening(listener: asyncio.Server, clock: Clock) -> None:
    """Close it, and lose no client that was accepted in this very turn of the loop: asyncio would leave it open.

    https://github.com/python/cpython/issues/109564: such a client gets its protocol in the turn after.
    """
    for listening in listener.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    await clock.sleep(0)
    listener.close()


def _reply(status: int, kind: str = "", message: str = "", body: bytes = b"") -> bytes:
    body = body or msgspec.json.encode({"errorMessage": message, "errorType": kind})
    about = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return _STATUS_LINES[status] + about + body


_OK = _reply(202, body=_ACCEPTED)


def _one_line(text: str) -> str:
    """The text without anything that would end a header."""
    return text if text.isprintable() else "".join(c for c in text if c >= " " and c != "\x7f")
