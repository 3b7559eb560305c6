"""HTTP/2 in clear text on the one port, for clients that begin with it (AWS's SDK for Node speaks it to Kinesis).

`h2` keeps the rules of the frames; this file keeps its own: how many streams, for how long, how much of a body ahead
of its reader, how many requests taken back. The application, and with it the gate, is the one that HTTP/1.1 has.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame
from uvicorn.server import ServerState

from busway.aws.http2_exchange import App, Exchange, Headers
from busway.aws.http2_inflow import Inflow
from busway.aws.http2_request import pairs_of, scope_of, too_many_headers
from busway.aws.http_limits import (
    CONNECTION_WINDOW,
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    KEEP_ALIVE_S,
    REQUEST_READ_S,
    RESETS_MAX,
    STREAM_WINDOW,
    STREAMS_MAX,
)

log = logging.getLogger("busway.aws.http2")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# What every connection begins with before its window is moved (RFC 9113, 6.9.2).
_WINDOW_AT_FIRST = 65_535


class _Frames(H2Connection):
    """`h2`'s connection, except that a client's GOAWAY ends it only when its streams are done (RFC 9113, 6.8).

    Node says GOAWAY with its last request; `h2` would take nothing more of that request and send no answer.
    """

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        return [], [ConnectionTerminated()]


class Http2Connection(asyncio.Protocol):
    """One connection: frames in, exchanges run, frames out."""

    def __init__(self, app: App, state: ServerState, busy: App | None) -> None:
        """`busy` answers in the place of `app` where the server has too many connections."""
        self._app, self._state = busy or app, state
        self._loop = asyncio.get_running_loop()
        self._h2 = _Frames(H2Configuration(client_side=False, header_encoding=None))
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX,
                SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: HEAD_BYTES_MAX,
                SettingCodes.ENABLE_PUSH: 0,
            },
        )
        self._inflow = Inflow(self._grant)
        self._exchanges: dict[int, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()
        self._write_stalled_since: float | None = None
        # The loop's time since which there is no exchange.
        self._idle_since: float | None = self._loop.time()
        self._answered = self._resets = self._newest = 0
        self._leaving = self._closed = False

    # asyncio's side.

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport
        self._state.connections.add(self)  # pyright: ignore[reportArgumentType]
        self._client, self._server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW - _WINDOW_AT_FIRST)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            log.info("HTTP/2 connection refused: %s", error)
            self._close()
            return
        for event in events:
            self._handle(event)
            if self._closed:
                return
        self.flush()
        self._close_if_left()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._state.connections.discard(self)  # pyright: ignore[reportArgumentType]
        for exchange in list(self._exchanges.values()):
            exchange.disconnect()
        self._writable.set()

    def pause_writing(self) -> None:
        """The client does not read: nothing more is read from it either, or its pings would pile up as answers."""
        self._writable.clear()
        self._write_stalled_since = self._loop.time()
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._writable.set()
        self._write_stalled_since = None
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # The server's side.

    def shutdown(self) -> None:
        """Take no new requests, let those under way finish, close."""
        self._leave()
        self._close_if_left()

    def close_if_slow(self, now: float) -> None:
        """End what takes too long: requests that do not end, answers that are not taken, a connection without any."""
        if _longer_than(KEEP_ALIVE_S, self._idle_since, now):
            self.shutdown()
        if _longer_than(REQUEST_READ_S, self._write_stalled_since, now):
            self.transport.abort()
            return
        for exchange in list(self._exchanges.values()):
            slow = not exchange.ended and now - exchange.began > REQUEST_READ_S
            if slow or _longer_than(REQUEST_READ_S, exchange.stalled_since, now):
                self.reset(exchange.stream, fault=True)
                exchange.disconnect()
        self.flush()

    def drop_stalled(self) -> None:
        """Let go of streams, answers without a length, whose client takes nothing, at the server's end."""
        streams = [exchange for exchange in self._exchanges.values() if exchange.streams]
        if self._write_stalled_since is not None and len(streams) == len(self._exchanges):
            # Not closed: that would wait until the client has taken the rest.
            self.transport.abort()
            return
        for exchange in streams:
            if exchange.stalled_since is not None:
                self.reset(exchange.stream, fault=True)
                exchange.disconnect()
        self.flush()

    # Events.

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._begin(event.stream_id or 0, pairs_of(event.headers))
        elif isinstance(event, DataReceived):
            self._data(event.stream_id or 0, event.data or b"", event.flow_controlled_length or 0)
        elif isinstance(event, StreamEnded):
            self._inflow.whole(event.stream_id or 0)
            if event.stream_id in self._exchanges:
                self._exchanges[event.stream_id].end_of_request()
        elif isinstance(event, StreamReset):
            self._taken_back(event.stream_id or 0)
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            # A setting may open the windows of all streams; one of the connection opens all that wait for it.
            for exchange in self._exchanges.values():
                exchange.window_opened()
        elif isinstance(event, ConnectionTerminated):
            self._leaving = True

    def _begin(self, stream: int, headers: Headers) -> None:
        self._newest = max(self._newest, stream)
        if self._leaving or len(self._tasks) >= STREAMS_MAX:
            # Exchanges, not streams: one that was reset is still being worked on.
            self._reset(stream, ErrorCodes.REFUSED_STREAM)
            return
        scope = scope_of(headers, self._client, self._server)
        if scope is None:
            self._reset(stream, ErrorCodes.PROTOCOL_ERROR)
            return
        exchange = Exchange(stream, scope, self, self._loop.time(), self._state.default_headers)
        self._exchanges[stream] = exchange
        self._inflow.begin(stream)
        self._idle_since = None
        app = self._app if len(headers) <= HEADERS_MAX else too_many_headers
        task = self._loop.create_task(exchange.run(app))
        self._tasks.add(task)
        self._state.tasks.add(task)
        task.add_done_callback(lambda done: self._ended(exchange, done))

    def _ended(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._state.tasks.discard(task)
        self._exchanges.pop(exchange.stream, None)
        self._inflow.end(exchange.stream)
        self.flush()
        if task.cancelled() and not exchange.complete:
            self.reset(exchange.stream, fault=True)
            self.flush()
        if not exchange.gone:
            self._answered += 1
        if not self._exchanges:
            self._idle_since = self._loop.time()
        self._close_if_left()

    def _data(self, stream: int, data: bytes, size: int) -> None:
        self._inflow.came(stream, size)
        exchange = self._exchanges.get(stream)
        if exchange is not None:
            exchange.received(data, size)

    def _taken_back(self, stream: int) -> None:
        exchange = self._exchanges.get(stream)
        if exchange is not None:
            exchange.disconnect()
        self._resets += 1
        if self._resets > self._answered + RESETS_MAX:
            log.info("HTTP/2 connection closed: its client resets streams as fast as it opens them")
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._close()

    # What an exchange needs.

    def acknowledge(self, stream: int, size: int) -> None:
        self._inflow.taken(stream, size)

    def _grant(self, stream: int, size: int) -> None:
        if stream == 0 and not self._closed:
            self._h2.increment_flow_control_window(size)
        elif self._is_open(stream):
            self._h2.increment_flow_control_window(size, stream)

    def send_head(self, stream: int, headers: Headers, *, end: bool) -> None:
        if self._is_open(stream):
            self._h2.send_headers(stream, headers, end_stream=end)

    def send_part(self, stream: int, data: bytes, *, end: bool) -> None:
        if self._is_open(stream):
            self._h2.send_data(stream, data, end_stream=end)

    def room(self, stream: int) -> int:
        if not self._is_open(stream):
            return 0
        return min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)

    def flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def reset(self, stream: int, *, fault: bool) -> None:
        self._reset(stream, ErrorCodes.INTERNAL_ERROR if fault else ErrorCodes.NO_ERROR)

    async def writable(self) -> None:
        await self._writable.wait()

    def _reset(self, stream: int, code: ErrorCodes) -> None:
        if self._is_open(stream):
            self._h2.reset_stream(stream, code)

    def _is_open(self, stream: int) -> bool:
        """Whether frames may still be sent on it."""
        found = self._h2.streams.get(stream)
        return not self._closed and found is not None and not found.closed

    # The end.

    def _leave(self) -> None:
        """Say that no further request is taken. Not `h2.close_connection`: that ends the streams under way too."""
        if self._leaving or self._closed:
            return
        self._leaving = True
        frame = GoAwayFrame(0, last_stream_id=self._newest, error_code=int(ErrorCodes.NO_ERROR))
        if not self.transport.is_closing():
            self.transport.write(frame.serialize())

    def _close_if_left(self) -> None:
        if self._leaving and not self._exchanges:
            self._close()

    def _close(self) -> None:
        self.flush()
        self._closed = True
        self.transport.close()
        for exchange in list(self._exchanges.values()):
            exchange.disconnect()


def _longer_than(limit_s: float, since: float | None, now: float) -> bool:
    return since is not None and now - since > limit_s
