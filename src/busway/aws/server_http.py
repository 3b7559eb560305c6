"""The HTTP server in front of the gateway: uvicorn with httptools on uvloop, started from code and bounded.

A connection that begins with HTTP/2's preface is handed to `http2`; the first bytes decide, once.

What uvicorn leaves open is closed here: the size and number of headers, and how long a client may take to send
them (a keep-alive connection that waits for its next request is closed after `KEEP_ALIVE_S`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from busway.aws.http2 import PREFACE, Http2Connection
from busway.aws.http_answer import Answer
from busway.aws.http_limits import (
    BACKLOG,
    CONNECTIONS_MAX,
    GRACE_S,
    HEAD_BYTES_MAX,
    HEAD_READ_S,
    HEADERS_MAX,
    KEEP_ALIVE_S,
    REQUEST_READ_S,
    SWEEP_S,
)
from busway.clock import Clock
from busway.errors import CannotListen

T = TypeVar("T")


class _HeadTooLarge(Exception):
    """A request's head is over the limits; the parser turns this into a refusal."""


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with limits on a request's head, and refusals that an AWS client can read."""

    # When the head that is being read began, in the loop's time; None between the end of a head and the next request.
    head_since: float | None = None
    # The same for the whole request; None between its end and the next one.
    request_since: float | None = None
    # The same since which the client takes nothing of what was written; None while it does.
    stalled_since: float | None = None
    _head_bytes = 0
    _too_large = False
    _refused = False
    # The first bytes of the connection while they may still become HTTP/2's preface; None once that is decided.
    _first: bytes | None = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.head_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        if self._first is not None:
            data = self._decide(data)
            if not data:
                return
        if self._refused:
            return
        streaming = self.cycle if self.streams else None
        super().data_received(data)
        if streaming is not None and self.pipeline:
            # The next request would wait for an answer that has no end, and nobody would see that the client goes.
            streaming.disconnected = True
            streaming.message_event.set()
            self.transport.abort()
            return
        if self.head_since is not None and not self._refused:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._too_large = True
                self.send_400_response("")

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = None

    @property
    def streams(self) -> bool:
        """Whether an answer without a length is under way, which is written piece by piece as the client takes it."""
        cycle: Answer | None = self.cycle  # type: ignore[assignment]
        return cycle is not None and bool(cycle.chunked_encoding) and not cycle.response_complete

    def drop_stalled(self) -> None:
        """Let go of a stream whose client takes nothing, at the server's end."""
        if self.streams and self.stalled_since is not None:
            self.transport.abort()

    def _decide(self, data: bytes) -> bytes:
        """What HTTP/1.1 is to read of the first bytes: all, or nothing where they are HTTP/2's or not yet clear."""
        first = (self._first or b"") + data
        if first.startswith(PREFACE):
            self._hand_over(first)
            return b""
        if PREFACE.startswith(first):
            self._first = first
            return b""
        self._first = None
        return first

    def _hand_over(self, first: bytes) -> None:
        busy = service_unavailable if self._over_limit() else None
        successor = Http2Connection(self.app, self.server_state, busy)  # pyright: ignore
        self.connections.discard(self)
        self.transport.set_protocol(successor)
        successor.connection_made(self.transport)
        successor.data_received(first)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_since = self.request_since = self.loop.time()
        self._head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head_since is None:
            # A trailer, behind a chunked body: no client of AWS needs one here, the gate has not seen it, and there
            # could be any number.
            raise _HeadTooLarge
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        self.request_since = None
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        self.head_since = None
        headers = self.headers
        if len(headers) > HEADERS_MAX or sum(len(n) + len(v) for n, v in headers) > HEAD_BYTES_MAX:
            self._too_large = True
            raise _HeadTooLarge
        scope: Any = self.scope
        parser: httptools.HttpRequestParser = self.parser  # type: ignore[assignment]
        version = parser.get_http_version()
        scope["http_version"] = version
        scope["method"] = parser.get_method().decode("ascii")
        url = httptools.parse_url(self.url)
        scope["raw_path"], scope["query_string"] = url.path, url.query or b""
        scope["path"] = unquote(url.path.decode("ascii"))
        before: Answer | None = self.cycle  # type: ignore[assignment]
        cycle = self.cycle = Answer(
            scope=scope, transport=self.transport, flow=self.flow, logger=self.logger,
            access_logger=self.access_logger, access_log=False,
            default_headers=self.server_state.default_headers, message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(), on_response=self.on_response_complete,
        )  # fmt: skip
        if before is not None and not before.response_complete:
            self._queue_up(cycle)
        else:
            self._begin(cycle)

    def _begin(self, cycle: Answer) -> None:
        self._start_asgi_task(cycle, service_unavailable if self._over_limit() else self.app)  # pyright: ignore

    def _queue_up(self, cycle: Answer) -> None:
        """A pipelined request waits for the answer before its own."""
        self.flow.pause_reading()
        self.pipeline.appendleft((cycle, self.app))  # pyright: ignore

    def _over_limit(self) -> bool:
        return max(len(self.connections), len(self.tasks)) >= CONNECTIONS_MAX

    def _unsupported_upgrade_warning(self) -> None:
        """Java's own client offers HTTP/2 with its first request; an answer in HTTP/1.1 declines it, and no more."""

    def send_400_response(self, msg: str) -> None:
        self._refused = True
        if self.cycle and not self.cycle.response_complete:
            # A request is under way on this connection: its handler sees its client gone and is not heard any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        status, code, text = b"400 Bad Request", b"BadRequest", b"This is not a request that HTTP allows."
        if self._too_large:
            status, code = b"431 Request Header Fields Too Large", b"RequestHeaderSectionTooLarge"
            text = f"Wanted at most {HEADERS_MAX} headers of {HEAD_BYTES_MAX} bytes in all.".encode()
        body = b'{"__type":"%b","message":"%b"}' % (code, text)
        self.transport.write(
            b"HTTP/1.1 %b\r\nserver: busway\r\ncontent-type: application/json\r\nx-amzn-errortype: %b\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (status, code, len(body), body)
        )
        # Closing now, with data unread, would reset the connection and the client would never see why. So what still
        # comes is thrown away until the client closes, or the sweep does.
        self.head_since = self.loop.time()
        if self.transport.can_write_eof():
            self.transport.write_eof()


class _Server(uvicorn.Server):
    """uvicorn's server without its command line: no signal handlers, and started and stopped by us."""

    async def begin(self, listener: socket.socket) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[listener])


class HttpServer:
    """Serves one ASGI app on one address until it is stopped."""

    def __init__(
        self,
        app: Callable[..., Any],
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        listener: socket.socket | None = None,
    ) -> None:
        """Port 0 takes any free one; a `listener` that is already bound wins over host and port.

        `clock` must be the machine's own: it bounds slow clients.
        """
        self._clock = clock
        self._listener = listener
        self._host, self._port = host, port
        config = uvicorn.Config(
            app,
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=[("server", "busway")],
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Server(config)
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Listen and answer; returns once connections are accepted. Raises `CannotListen`."""
        if self._listener is None:
            self._listener = listen(self._host, self._port)
        await self._server.begin(self._listener)
        self._tasks = [asyncio.create_task(self._server.main_loop()), asyncio.create_task(self._sweep())]

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: (host, port)."""
        if self._listener is None:
            return self._host, self._port
        name = self._listener.getsockname()
        return name[0], name[1]

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Take no new connections, let what is under way finish for up to `GRACE_S` seconds, close. Idempotent."""
        if not self._tasks or self._listener is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        drop_stalled(self._server.server_state.connections)
        await self._server.shutdown(sockets=[self._listener])

    async def _sweep(self) -> None:
        """Close connections whose head has been coming for too long."""
        loop = asyncio.get_running_loop()
        while True:
            await self._clock.sleep(SWEEP_S)
            close_slow(self._server.server_state.connections, loop.time())


def drop_stalled(connections: set[Any]) -> None:
    """Let go of streams whose clients take nothing: a server that stops would wait for them."""
    for connection in list(connections):
        if isinstance(connection, BoundedHttp | Http2Connection):
            connection.drop_stalled()


def close_slow(connections: set[Any], now: float) -> None:
    """Close the connections that send one head or request, or take nothing of a stream, for too long.

    `now` is the loop's time.
    """
    for connection in list(connections):
        if isinstance(connection, Http2Connection):
            connection.close_if_slow(now)
        elif isinstance(connection, BoundedHttp):
            if _longer_than(HEAD_READ_S, connection.head_since, now) or _longer_than(
                REQUEST_READ_S, connection.request_since, now
            ):
                connection.transport.close()
            elif connection.streams and _longer_than(REQUEST_READ_S, connection.stalled_since, now):
                # Not closed: that would wait until the client has taken the rest.
                connection.transport.abort()


def _longer_than(limit_s: float, since: float | None, now: float) -> bool:
    return since is not None and now - since > limit_s


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises `CannotListen` that says by whom a taken port is held, if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            holder = port_holder(port)
            raise CannotListen(host, port, f"the port is taken{f' by {holder}' if holder else ''}") from None
        raise CannotListen(host, port, (error.strerror or str(error)).lower()) from None
    listener.setblocking(False)
    return listener


def port_holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """Which process listens on a TCP port, as `name (process 123)`; None where that cannot be known.

    Reads Linux's /proc; on other systems, and for other users' processes, there is nothing to read.
    """
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listeners(proc / "net" / table, port)}
    if not inodes:
        return None
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(str(fd.readlink()) in inodes for fd in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"{words[:120] or (process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _listeners(table: Path, port: int) -> list[str]:
    """Socket inodes that listen on a port, from a table in the form of /proc/net/tcp (state 0A is listening)."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]


def allow_open_files(wanted: int = 4 * CONNECTIONS_MAX) -> int:
    """Raise this process's limit of open files as far as it may, up to `wanted`; return what it is now.

    Many systems begin with 1,024, fewer than the connections that are taken: who opens so many could keep functions
    from being started. Children get the limit too; workers set their own.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop, where there is one (not on Windows)."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
