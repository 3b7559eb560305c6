"""HTTP/2 in clear text: what a client gets, and what one that means harm does not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings, strategies as st

from busway.aws.gate import Gate
from busway.aws.gateway import Gateway
from busway.aws.http2 import PREFACE, Http2Connection
from busway.aws.http_limits import HEADERS_MAX, KEEP_ALIVE_S, REQUEST_READ_S, RESETS_MAX, STREAM_WINDOW, STREAMS_MAX
from busway.aws.server_http import HttpServer, close_slow, listen
from busway.aws.services.sts import Sts
from busway.clock import ManualClock, SeededEntropy

HEAD = [(":method", "POST"), (":path", "/a%20b?c=d"), (":scheme", "http"), (":authority", "localhost")]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says how it was asked, and the body backwards."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message["body"], message["more_body"]
    told = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} {scope['http_version']} "
    answer = told.encode() + dict(scope["headers"])[b"host"] + b" " + body[::-1]
    headers = [(b"content-length", b"%d" % len(answer)), (b"Connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def big(scope: Any, receive: Any, send: Any) -> None:
    """Twenty megabytes, in one piece."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"20000000")]})
    await send({"type": "http.response.body", "body": bytes(20_000_000)})


Serve = Callable[[Any], Awaitable[HttpServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    started: list[HttpServer] = []

    async def start(app: Any) -> HttpServer:
        server = HttpServer(app, ManualClock())
        await server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


class Client:
    """Frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.events: list[Event] = []
        self.ended = False

    @classmethod
    async def to(cls, server: HttpServer) -> Client:
        client = cls(*await asyncio.open_connection(*server.address))
        client.flush()
        await client.until(lambda event: event.__class__.__name__ == "RemoteSettingsChanged")
        return client

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, headers: list[tuple[str, str]] = HEAD, body: bytes | None = b"") -> int:
        """A request; without an end for None."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, headers, end_stream=body == b"")
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event of the kind, also one that came before; fails when the connection ends first."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if wanted(event):
                    return event
            seen = len(self.events)
            assert not self.ended, self.events
            await self.more()

    async def more(self, acknowledge: bool = True) -> None:
        data = await asyncio.wait_for(self.reader.read(65_536), 20)
        if not data:
            self.ended = True
            return
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if acknowledge and isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
        self.flush()

    async def end(self) -> None:
        while not self.ended:
            with suppress(ConnectionResetError):
                await self.more()
                continue
            self.ended = True
        self.writer.close()

    async def answer(self, stream: int) -> tuple[str, bytes]:
        await self.until(lambda e: isinstance(e, StreamEnded | StreamReset) and e.stream_id == stream)
        heads = [e for e in self.events if isinstance(e, ResponseReceived) and e.stream_id == stream]
        parts = [e.data or b"" for e in self.events if isinstance(e, DataReceived) and e.stream_id == stream]
        status = dict(heads[0].headers or [])[b":status"] if heads else b""
        return bytes(status).decode(), b"".join(parts)

    def terminations(self) -> list[Any]:
        return [event.error_code for event in self.events if isinstance(event, ConnectionTerminated)]


async def test_a_client_that_begins_with_http_2_is_answered_in_it(serve: Serve):
    server = await serve(echo)
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        found = await client.post(f"{server.url}/x%2Fy?q=1", content=b"abc")
    assert found.http_version == "HTTP/2"
    host = server.url.removeprefix("http://")
    assert found.text == f"POST /x/y q=1 2 {host} cba"
    assert found.headers["server"] == "busway"
    assert "connection" not in found.headers


async def test_http_1_on_the_same_port_is_as_it_was(serve: Serve):
    server = await serve(echo)
    async with httpx.AsyncClient() as client:
        found = await client.post(f"{server.url}/x", content=b"abc")
    assert found.http_version == "HTTP/1.1"
    assert found.text.endswith("1.1 " + server.url.removeprefix("http://") + " cba")


@pytest.mark.parametrize("request_line", [b"POST", b"PUT", b"PATCH"])
async def test_a_request_that_begins_like_the_preface_and_is_none_is_read_byte_by_byte(
    serve: Serve, request_line: bytes
):
    reader, writer = await asyncio.open_connection(*(await serve(echo)).address)
    for byte in request_line + b" /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nz":
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0)
    assert (await reader.read()).endswith(request_line + b" /x  1.1 h z")
    writer.close()


async def test_the_preface_may_come_in_pieces(serve: Serve):
    client = Client(*await asyncio.open_connection(*(await serve(echo)).address))
    for byte in client.h2.data_to_send():
        client.writer.write(bytes((byte,)))
        await client.writer.drain()
    stream = client.ask()
    assert (await client.answer(stream))[0] == "200"
    client.writer.close()


async def test_what_begins_like_the_preface_and_goes_on_otherwise_is_refused(serve: Serve):
    reader, writer = await asyncio.open_connection(*(await serve(echo)).address)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_requests_on_one_connection_are_answered_side_by_side(serve: Serve):
    server = await serve(echo)
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        found = await asyncio.gather(*(client.post(server.url, content=b"%d" % n * 50_000) for n in range(40)))
    assert [answer.text[-5:] for answer in found] == [(f"{n}" * 50_000)[::-1][-5:] for n in range(40)]


async def test_a_long_answer_waits_for_the_clients_window(serve: Serve):
    server = await serve(big)
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        found = await client.get(server.url)
    assert len(found.content) == 20_000_000


async def test_a_long_body_is_let_in_as_it_is_read(serve: Serve):
    server = await serve(echo)
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        found = await client.post(server.url, content=bytes(6_000_000))
    assert len(found.content) > 6_000_000


async def test_a_body_that_nobody_reads_is_not_let_in(serve: Serve):
    """Windows bound what is kept: no stream gets more than its own."""
    hold = asyncio.Event()

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await hold.wait()
        await echo(scope, receive, send)

    client = await Client.to(await serve(deaf))
    stream = client.ask(body=None)
    sent = 0
    while (room := client.h2.local_flow_control_window(stream)) > 0:
        client.h2.send_data(stream, bytes(min(room, 16_384)))
        sent += min(room, 16_384)
    client.flush()
    assert sent == STREAM_WINDOW
    hold.set()
    await client.until(lambda event: type(event).__name__ == "WindowUpdated")
    client.h2.end_stream(stream)
    client.flush()
    status, body = await client.answer(stream)
    assert (status, len(body) - sent > 0) == ("200", True)
    client.writer.close()


async def test_an_answer_before_the_end_of_the_request_says_that_the_rest_is_not_wanted(serve: Serve):
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    client = await Client.to(await serve(refuse))
    stream = client.ask(body=None)
    assert await client.answer(stream) == ("403", b"no")
    reset = await client.until(lambda event: isinstance(event, StreamReset))
    assert isinstance(reset, StreamReset)
    assert reset.error_code == ErrorCodes.NO_ERROR
    client.writer.close()


async def test_an_expectation_is_answered_when_the_body_is_wanted(serve: Serve):
    client = await Client.to(await serve(echo))
    stream = client.ask([*HEAD, ("expect", "100-continue")], body=None)
    await client.until(lambda event: type(event).__name__ == "InformationalResponseReceived")
    client.h2.send_data(stream, b"ab", end_stream=True)
    client.flush()
    assert (await client.answer(stream))[1].endswith(b" ba")
    client.writer.close()


@pytest.mark.parametrize("started", [False, True])
async def test_a_fault_of_the_application_ends_one_stream_and_no_more(serve: Serve, started: bool):
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/broken":
            await echo(scope, receive, send)
            return
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a fault")

    client = await Client.to(await serve(broken))
    stream = client.ask([*HEAD[:1], (":path", "/broken"), *HEAD[2:]])
    status, _ = await client.answer(stream)
    assert status == ("200" if started else "500")
    assert any(isinstance(event, StreamReset) for event in client.events) == started
    assert (await client.answer(client.ask()))[0] == "200"
    client.writer.close()


async def test_a_client_that_takes_a_request_back_is_told_to_the_application(serve: Serve):
    told: asyncio.Queue[str] = asyncio.Queue()

    async def listen(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await told.put((await receive())["type"])

    client = await Client.to(await serve(listen))
    stream = client.ask()
    client.h2.reset_stream(stream)
    client.flush()
    assert await asyncio.wait_for(told.get(), 20) == "http.disconnect"
    client.ask()
    client.writer.close()
    assert await asyncio.wait_for(told.get(), 20) == "http.disconnect"


async def test_a_client_that_says_goodbye_still_gets_its_answers(serve: Serve):
    """As Node does with its last request."""
    hold = asyncio.Event()

    async def later(scope: Any, receive: Any, send: Any) -> None:
        await hold.wait()
        await echo(scope, receive, send)

    client = await Client.to(await serve(later))
    stream = client.ask(body=None)
    client.writer.write(GoAwayFrame(0).serialize())
    client.h2.send_data(stream, b"ab", end_stream=True)
    client.h2.increment_flow_control_window(1000)
    client.flush()
    await asyncio.sleep(0)
    hold.set()
    assert (await client.answer(stream))[1].endswith(b" ba")
    await client.end()


async def test_a_server_that_stops_finishes_what_is_under_way_and_takes_no_more():
    begun, hold = asyncio.Event(), asyncio.Event()

    async def later(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await hold.wait()
        await echo(scope, receive, send)

    server = HttpServer(later, ManualClock())
    await server.start()
    client = await Client.to(server)
    stream = client.ask()
    await begun.wait()
    stopping = asyncio.create_task(server.stop())
    await client.until(lambda event: isinstance(event, ConnectionTerminated))
    hold.set()
    status = await raw_status(client, stream)
    assert status
    client.writer.close()
    await stopping


async def raw_status(client: Client, stream: int) -> bool:
    """Whether frames of the stream come until the connection ends. `h2` itself gives up at the GOAWAY."""
    data = b""
    while chunk := await asyncio.wait_for(client.reader.read(65_536), 20):
        data += chunk
    return b"POST /a b" in data


# What one client may not do.


async def test_more_streams_than_there_may_be_are_refused_also_when_they_are_reset(serve: Serve):
    """Streams that the client takes back are worked on all the same, so they count until they are done."""
    hold = asyncio.Event()
    running = most = 0

    async def later(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await hold.wait()
        running -= 1
        await echo(scope, receive, send)

    client = await Client.to(await serve(later))
    streams: list[int] = []
    for _ in range(STREAMS_MAX + 20):
        streams.append(client.ask())
        client.h2.reset_stream(streams[-1])
    client.flush()
    last = client.ask()
    reset = await client.until(lambda event: isinstance(event, StreamReset) and event.stream_id == last)
    assert isinstance(reset, StreamReset)
    assert reset.error_code == ErrorCodes.REFUSED_STREAM
    assert most <= STREAMS_MAX
    hold.set()
    client.writer.close()


async def test_a_client_that_opens_and_resets_without_end_is_sent_away(serve: Serve):
    client = await Client.to(await serve(echo))
    for _ in range(RESETS_MAX + 5):
        stream = client.ask(body=None)
        client.h2.reset_stream(stream)
        client.flush()
    await client.end()
    assert client.terminations() == [ErrorCodes.ENHANCE_YOUR_CALM]


async def test_too_many_headers_are_refused(serve: Serve):
    client = await Client.to(await serve(echo))
    stream = client.ask([*HEAD, *((f"x-{n}", "v") for n in range(HEADERS_MAX))])
    status, body = await client.answer(stream)
    assert status == "431"
    assert b"RequestHeaderSectionTooLarge" in body
    client.writer.close()


async def test_headers_that_are_too_large_end_the_connection(serve: Serve):
    client = await Client.to(await serve(echo))
    client.h2.remote_settings[SettingCodes.MAX_HEADER_LIST_SIZE] = 10**9
    client.ask([*HEAD, *((f"x-{n}", "v" * 8_000) for n in range(20))])
    await client.end()
    assert client.terminations()


@pytest.mark.parametrize("path", ["*", "no-slash", "/é"])
async def test_what_is_no_path_is_refused(serve: Serve, path: str):
    client = await Client.to(await serve(echo))
    stream = client.ask([HEAD[0], (":path", path), *HEAD[2:]])
    await client.until(lambda event: isinstance(event, StreamReset) and event.stream_id == stream)
    client.writer.close()


async def test_a_body_longer_than_announced_is_refused(serve: Serve):
    client = await Client.to(await serve(echo))
    client.ask([*HEAD, ("content-length", "1")], body=b"two")
    await client.end()
    assert client.terminations()


@pytest.mark.parametrize("kind", ["request", "idle"])
async def test_who_is_slow_is_ended_by_the_sweep(serve: Serve, kind: str):
    server = await serve(echo)
    client = await Client.to(server)
    stream = client.ask(body=None) if kind == "request" else 0
    # The frames of this client were all read once a ping behind them is answered.
    client.h2.ping(b"12345678")
    client.flush()
    await client.until(lambda event: type(event).__name__ == "PingAckReceived")
    connections = server._server.server_state.connections  # pyright: ignore[reportPrivateUsage]
    now, limit = asyncio.get_running_loop().time(), REQUEST_READ_S if kind == "request" else KEEP_ALIVE_S
    close_slow(connections, now + limit - 5)
    assert len(connections) == 1
    close_slow(connections, now + limit + 1)
    if kind == "request":
        await client.until(lambda event: isinstance(event, StreamReset) and event.stream_id == stream)
    else:
        await client.end()
    client.writer.close()


async def test_an_answer_that_is_never_taken_is_ended_by_the_sweep(serve: Serve):
    server = await serve(big)
    client = await Client.to(server)
    stream = client.ask()
    while client.h2.remote_flow_control_window(stream) > 0:
        await client.more(acknowledge=False)
    now = asyncio.get_running_loop().time()
    # Its window is used up; the server notices at once or has noticed.
    close_slow(server._server.server_state.connections, now + REQUEST_READ_S + 5)  # pyright: ignore[reportPrivateUsage]
    await client.until(lambda event: isinstance(event, StreamReset) and event.stream_id == stream)
    client.writer.close()


async def test_a_client_that_pings_and_does_not_read_is_not_read_either():
    """Answers to pings are bounded by the socket, not by memory."""
    listener = listen("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server = HttpServer(echo, ManualClock(), listener=listener)
    await server.start()
    client = await Client.to(server)
    client.writer.transport.pause_reading()
    (connection,) = server._server.server_state.connections  # pyright: ignore[reportPrivateUsage]
    assert isinstance(connection, Http2Connection)
    pings = PingFrame(0, opaque_data=b"12345678").serialize() * 1_000
    sent = 0
    while connection.transport.is_reading():
        sent += 1
        assert sent < 1_000, "the connection went on reading"
        client.writer.write(pings)
        await asyncio.sleep(0)
    assert connection.transport.get_write_buffer_size() < 1024 * 1024
    client.writer.transport.abort()
    await server.stop()


STREAMS = st.integers(1, 9)
PAYLOADS = st.binary(max_size=40)


def data_frame(stream: int, payload: bytes, end: bool) -> DataFrame:
    return DataFrame(stream, data=payload, flags=["END_STREAM"] if end else [])


def headers_frame(stream: int, payload: bytes, end: bool) -> HeadersFrame:
    return HeadersFrame(stream, data=payload, flags=["END_HEADERS", "END_STREAM"] if end else ["END_HEADERS"])


FRAMES = st.one_of(
    st.builds(data_frame, STREAMS, PAYLOADS, st.booleans()),
    st.builds(headers_frame, STREAMS, PAYLOADS, st.booleans()),
    # A block that stands for `:method POST, :path /, :scheme http`.
    st.builds(headers_frame, STREAMS, st.just(b"\x83\x84\x86\x41\x01h"), st.booleans()),
    st.builds(lambda s, code: RstStreamFrame(s, error_code=code), STREAMS, st.integers(0, 20)),
    st.builds(lambda s, by: WindowUpdateFrame(s, window_increment=by), st.integers(0, 9), st.integers(1, 2**31 - 1)),
    st.builds(
        lambda key, value: SettingsFrame(0, settings={key: value}), st.integers(0, 10), st.integers(0, 2**32 - 1)
    ),
    st.builds(lambda s, on: PriorityFrame(s, depends_on=on), STREAMS, st.integers(0, 9)),
    st.builds(lambda code: GoAwayFrame(0, error_code=code), st.integers(0, 20)),
    st.builds(lambda data: PingFrame(0, opaque_data=data), st.binary(min_size=8, max_size=8)),
)
PIECES = st.lists(st.one_of(FRAMES.map(lambda frame: frame.serialize()), st.binary(max_size=60)), max_size=12)


def test_no_frames_bring_the_server_down():
    """Whatever comes, the connection is answered or ended, nothing is a fault, and the next one is served."""
    faults: list[Any] = []

    async def begin() -> HttpServer:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        server = HttpServer(echo, ManualClock())
        await server.start()
        return server

    async def send(pieces: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(PREFACE + SettingsFrame(0).serialize() + b"".join(pieces))
        writer.write_eof()
        with suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 20)
        writer.close()
        client = await Client.to(server)
        assert (await client.answer(client.ask()))[0] == "200"
        client.writer.close()
        assert not faults

    @settings(max_examples=200, deadline=None)
    @given(PIECES)
    def play(pieces: list[bytes]) -> None:
        runner.run(send(pieces))

    with asyncio.Runner() as runner:
        server = runner.run(begin())
        play()
        runner.run(server.stop())


# The same gate.


@pytest.fixture
async def door(serve: Serve) -> HttpServer:
    clock = ManualClock()
    return await serve(Gateway([Sts()], Gate(clock), clock, SeededEntropy(1)))


@pytest.mark.parametrize(
    ("extra", "host", "words"),
    [
        ([("origin", "http://evil.example")], "localhost", b"Requests from web pages are refused"),
        ([], "evil.example", b"is not one that this server answers to"),
        ([], "localhost", b"Missing Authentication Token"),
        ([("content-length", "999999999")], "localhost", b"Missing Authentication Token"),
    ],
)
async def test_the_gate_is_the_same(door: HttpServer, extra: list[tuple[str, str]], host: str, words: bytes):
    client = await Client.to(door)
    stream = client.ask([*HEAD[:3], (":authority", host), *extra], body=None)
    status, body = await client.answer(stream)
    assert status == "403"
    assert words in body
    client.writer.close()


async def test_a_second_host_beside_the_authority_is_no_way_around_the_gate(door: HttpServer):
    client = await Client.to(door)
    client.ask([*HEAD[:3], (":authority", "evil.example"), ("host", "localhost")])
    await client.end()
    assert client.terminations()
