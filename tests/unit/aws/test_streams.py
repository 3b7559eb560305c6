"""Answers without an end, through the gateway and a real server: over HTTP/1.1 and over HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
from botocore.eventstream import EventStreamBuffer
from h2.events import DataReceived, StreamReset

from busway.aws.errors import AwsError
from busway.aws.gate import Gate
from busway.aws.gateway import Gateway
from busway.aws.http_limits import REQUEST_READ_S
from busway.aws.server_http import HttpServer, close_slow, drop_stalled
from busway.aws.service import Caller
from busway.aws.signature import sign
from busway.clock import ManualClock, SeededEntropy, SystemClock

from .conftest import KEY, SECRET
from .test_http2 import Client

BODY = b'{"logGroupIdentifiers": ["arn:aws:logs:eu-west-1:123456789012:log-group:g"]}'
PATIENCE_S = 10


class Tail:
    """The events of one answer, as the test puts them: an exception ends it, None is an end."""

    def __init__(self, endless: Mapping[str, Any] | None) -> None:
        self.events, self.asked = asyncio.Queue[Any](), 0
        self.closed = asyncio.Event()
        self._endless = endless

    async def __anext__(self) -> Mapping[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        event = self._endless or await self.events.get()
        if event is None:
            raise StopAsyncIteration
        if isinstance(event, Exception):
            raise event
        return event

    async def aclose(self) -> None:
        self.closed.set()

    def tell(self, message: str) -> None:
        self.events.put_nowait({"sessionUpdate": {"sessionResults": [{"message": message}]}})


class ToyLogs:
    name = "logs"

    def __init__(self) -> None:
        self.tails: list[Tail] = []
        self.endless: Mapping[str, Any] | None = None
        self.operations = {"StartLiveTail": self.start}

    async def start(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        self.tails.append(Tail(self.endless))
        return {"responseStream": self.tails[-1]}


class Door:
    """The server, and what is behind it."""

    def __init__(self) -> None:
        self.logs = ToyLogs()
        clock = ManualClock()
        self.server = HttpServer(Gateway([self.logs], Gate(clock), SystemClock(), SeededEntropy(1)), clock)

    @property
    def connections(self) -> set[Any]:
        return self.server._server.server_state.connections

    def headers(self, method: str = "POST") -> dict[str, str]:
        target = {"X-Amz-Target": "Logs_20140328.StartLiveTail", "Content-Type": "application/x-amz-json-1.1"}
        return sign(method, f"{self.server.url}/", target, BODY, KEY, SECRET, "eu-west-1", "logs", 0.0)

    def raw(self, method: str = "POST") -> bytes:
        head = {**self.headers(method), "Host": self.server.url.removeprefix("http://"), "Content-Length": len(BODY)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        return f"{method} / HTTP/1.1\r\n{lines}\r\n".encode() + BODY

    def http2_head(self) -> list[tuple[str, str]]:
        head = [(name.lower(), value) for name, value in self.headers().items() if name.lower() != "host"]
        authority = self.server.url.removeprefix("http://")
        return [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", authority), *head]

    @property
    def tail(self) -> Tail:
        return self.logs.tails[-1]

    async def closed(self) -> None:
        await asyncio.wait_for(self.tail.closed.wait(), PATIENCE_S)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    door = Door()
    await door.server.start()
    yield door
    for tail in door.logs.tails:
        tail.events.put_nowait(None)
    await door.server.stop()


@pytest.fixture(params=["1.1", "2"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    two = request.param == "2"
    async with httpx.AsyncClient(http1=not two, http2=two, timeout=PATIENCE_S) as client:
        yield client


class Read:
    """What a client has of an answer, message by message."""

    def __init__(self, response: httpx.Response) -> None:
        self._pieces, self._buffer = response.aiter_raw(), EventStreamBuffer()

    async def next(self) -> tuple[str, bytes]:
        while True:
            for message in self._buffer:
                headers = dict(message.headers)
                return headers.get(":event-type") or headers[":exception-type"], message.payload
            self._buffer.add_data(await anext(self._pieces))


async def asked(client: httpx.AsyncClient, door: Door) -> httpx.Response:
    request = client.build_request("POST", f"{door.server.url}/", content=BODY, headers=door.headers())
    return await client.send(request, stream=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


async def test_every_event_arrives_when_it_came_and_not_when_the_answer_ends(client: httpx.AsyncClient, door: Door):
    response = await asked(client, door)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/vnd.amazon.eventstream")
    assert "content-length" not in response.headers and response.headers["x-amzn-requestid"]
    read = Read(response)
    assert await read.next() == ("initial-response", b"{}")
    for message in ("one", "two"):
        door.tail.tell(message)
        assert await read.next() == ("sessionUpdate", b'{"sessionResults":[{"message":"%b"}]}' % message.encode())
    await response.aclose()


@pytest.mark.parametrize("way", ["HTTP/1.1", "one stream of HTTP/2", "HTTP/2"])
async def test_a_client_that_goes_away_ends_its_stream_and_what_stands_behind_it(door: Door, way: str):
    if way == "HTTP/1.1":
        async with httpx.AsyncClient() as client:
            await Read(await asked(client, door)).next()
    else:
        client = await Client.to(door.server)
        stream = client.ask(door.http2_head(), BODY)
        await client.until(lambda event: isinstance(event, DataReceived))
        if way == "HTTP/2":
            client.writer.close()
        else:
            client.h2.reset_stream(stream)
            client.flush()
            await door.closed()
            client.writer.close()
    await door.closed()
    await until(lambda: not door.server._server.server_state.tasks)


async def test_behind_a_stream_that_ends_the_connection_takes_the_next_request(client: httpx.AsyncClient, door: Door):
    for message in ("one", "two"):
        response = await asked(client, door)
        door.tail.tell(message)
        door.tail.events.put_nowait(AwsError("SessionTimeoutException", "over"))
        read = Read(response)
        assert [(await read.next())[0] for _ in range(3)] == [
            "initial-response", "sessionUpdate", "SessionTimeoutException",
        ]  # fmt: skip
        with pytest.raises(StopAsyncIteration):
            await read.next()
        await response.aclose()
        await door.closed()
    assert len(door.connections) == 1


async def test_a_stream_that_breaks_is_not_taken_for_one_that_ended(
    client: httpx.AsyncClient, door: Door, caplog: pytest.LogCaptureFixture
):
    response = await asked(client, door)
    read = Read(response)
    await read.next()
    door.tail.events.put_nowait(RuntimeError("a bug"))
    with pytest.raises(httpx.RemoteProtocolError):
        await read.next()
    await door.closed()
    assert "a bug" in caplog.text
    await response.aclose()


async def test_a_request_that_is_refused_begins_no_stream(client: httpx.AsyncClient, door: Door):
    request = client.build_request("POST", f"{door.server.url}/", content=b"{}", headers=door.headers())
    response = await client.send(request)
    assert (response.status_code, door.logs.tails) == (400, [])
    assert response.json()["__type"] == "InvalidParameterException"


ENDLESS = {"sessionUpdate": {"sessionResults": [{"message": "x" * 100_000}]}}


async def stalled_1(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client of HTTP/1.1 that asked and reads nothing, once the server waits for it."""
    door.logs.endless = ENDLESS
    reader, writer = await asyncio.open_connection(*door.server.address, limit=1_024)
    writer.transport.pause_reading()
    head = "".join(f"{name}: {value}\r\n" for name, value in door.headers().items())
    writer.write(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    await until(lambda: any(getattr(connection, "stalled_since", None) for connection in door.connections))
    return reader, writer


async def stalled_2(door: Door) -> tuple[Client, int]:
    """The same in HTTP/2: the stream's window is used up, and the connection is well."""
    door.logs.endless = ENDLESS
    client = await Client.to(door.server)
    stream = client.ask(door.http2_head(), BODY)
    while client.h2.remote_flow_control_window(stream) > 0:
        await client.more(acknowledge=False)
    return client, stream


async def test_a_client_that_does_not_read_makes_nothing_pile_up_and_is_let_go_in_the_end(door: Door):
    _reader, writer = await stalled_1(door)
    asked_for = door.tail.asked
    for _ in range(100):
        await asyncio.sleep(0)
    assert door.tail.asked == asked_for and not door.tail.closed.is_set()
    now = asyncio.get_running_loop().time()
    close_slow(door.connections, now + REQUEST_READ_S - 10)
    assert len(door.connections) == 1
    close_slow(door.connections, now + REQUEST_READ_S + 10)
    await door.closed()
    assert not door.connections
    writer.close()


async def test_the_same_over_http_2(door: Door):
    client, stream = await stalled_2(door)
    assert not door.tail.closed.is_set()
    close_slow(door.connections, asyncio.get_running_loop().time() + REQUEST_READ_S + 10)
    await client.until(lambda event: isinstance(event, StreamReset) and event.stream_id == stream)
    await door.closed()
    client.writer.close()


async def test_a_server_that_stops_waits_for_no_client_that_does_not_read(
    door: Door, caplog: pytest.LogCaptureFixture
):
    _reader, writer = await stalled_1(door)
    first = door.tail
    client, _ = await stalled_2(door)
    await door.server.stop()
    await asyncio.wait_for(first.closed.wait(), PATIENCE_S)
    await door.closed()
    assert "exceeded" not in caplog.text
    writer.close()
    client.writer.close()


async def test_letting_go_of_who_does_not_read_leaves_the_others_alone(client: httpx.AsyncClient, door: Door):
    response = await asked(client, door)
    read, tail = Read(response), door.tail
    await read.next()
    _reader, writer = await stalled_1(door)
    drop_stalled(door.connections)
    await door.closed()
    tail.tell("still here")
    assert b"still here" in (await read.next())[1]
    await response.aclose()
    writer.close()


async def test_to_head_there_is_no_stream_to_wait_for(client: httpx.AsyncClient, door: Door):
    request = client.build_request("HEAD", f"{door.server.url}/", content=BODY, headers=door.headers("HEAD"))
    response = await client.send(request)
    assert (response.status_code, response.content) == (200, b"")
    await door.closed()
    assert door.tail.asked == 0


async def test_a_request_behind_a_stream_that_has_no_end_ends_it(door: Door):
    """Nobody reads behind a request that waits, so nobody would see that the client is gone."""
    reader, writer = await asyncio.open_connection(*door.server.url.removeprefix("http://").split(":"))
    writer.write(door.raw())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(door.raw())
    await door.closed()
    writer.close()
