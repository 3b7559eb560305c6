"""How much of its requests' bodies one HTTP/2 connection may hold, however many streams it opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from busway.aws.http2_inflow import Inflow
from busway.aws.http_limits import CONNECTION_BODIES_MAX, STREAM_WINDOW, STREAMS_MAX
from busway.aws.server_http import HttpServer
from busway.clock import ManualClock

from .test_http2 import HEAD, Client


class Sender:
    """A client that sends as much as its windows let it, and an application that reads it at once."""

    def __init__(self, bytes_max: int) -> None:
        self.windows: dict[int, int] = {}
        self.inflow = Inflow(self.grant, bytes_max)

    def grant(self, stream: int, size: int) -> None:
        if stream:
            self.windows[stream] += size

    def begin(self, stream: int) -> None:
        self.windows[stream] = STREAM_WINDOW
        self.inflow.begin(stream)

    def send(self, stream: int, size: int) -> int:
        sent = min(size, self.windows[stream])
        self.windows[stream] -= sent
        self.inflow.came(stream, sent)
        self.inflow.taken(stream, sent)
        return sent


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, STREAM_WINDOW)), max_size=200), st.data())
def test_whatever_streams_send_in_whatever_order_is_bounded_and_comes_through(
    pieces: list[tuple[int, int]], data: st.DataObject
):
    """Bounded: by the limit, one body beyond it, and a window for each stream. And no stream waits for ever."""
    bytes_max, body = 4 * STREAM_WINDOW, 8 * STREAM_WINDOW
    sender = Sender(bytes_max)
    left = dict.fromkeys(range(1, 21), body)
    for stream in left:
        sender.begin(stream)

    def send(stream: int, size: int) -> None:
        left[stream] -= sender.send(stream, min(size, left[stream]))
        assert sender.inflow.held <= bytes_max + body + len(left) * STREAM_WINDOW
        if left[stream] == 0:
            sender.inflow.whole(stream)

    for stream, size in pieces:
        send(stream, size)
    while left:
        done = [stream for stream, rest in left.items() if rest == 0]
        if done:
            answered = data.draw(st.sampled_from(done))
            sender.inflow.end(answered)
            del left[answered]
            continue
        before = sum(left.values())
        for stream in left:
            send(stream, body)
        assert sum(left.values()) < before, "all streams wait"
    assert sender.inflow.held == 0


def fill(client: Client, left: dict[int, int]) -> None:
    """Send of each stream's body what its window takes; `left` is what remains of each."""
    for stream in left:
        while room := min(left[stream], client.h2.local_flow_control_window(stream), 16_384):
            left[stream] -= room
            client.h2.send_data(stream, bytes(room), end_stream=left[stream] == 0)
    client.flush()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Any], Awaitable[HttpServer]]]:
    started: list[HttpServer] = []

    async def start(app: Any) -> HttpServer:
        server = HttpServer(app, ManualClock())
        await server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


async def test_many_streams_do_not_multiply_what_one_may_hold(serve: Callable[..., Any]):
    """Whole bodies wait for their answers; no further one is let in until some are given. Then all come through."""
    hold, kept, size = asyncio.Event(), 0, 2 * 1024 * 1024

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal kept
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            kept += len(message["body"])
        await hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    server = await serve(app)
    client = await Client.to(server)
    left = {client.ask([*HEAD], body=None): size for _ in range(20)}

    fill(client, left)
    # The server stands still once it has answered a ping without a window in between.
    for number in range(10_000):
        windows = dict(left)
        client.h2.ping(b"%08d" % number)
        fill(client, left)
        await client.until(lambda event, n=number: getattr(event, "ping_data", None) == b"%08d" % n)
        if windows == left and number > 100:
            break
    assert CONNECTION_BODIES_MAX / 2 < kept <= CONNECTION_BODIES_MAX + size + STREAMS_MAX * STREAM_WINDOW
    assert sum(left.values()) > 0
    hold.set()
    while any(left.values()):
        fill(client, left)
        await client.more()
    for stream in left:
        assert await client.answer(stream) == ("200", b"ok")
    client.writer.close()


async def test_one_body_may_be_larger_than_what_many_may_hold(serve: Callable[..., Any]):
    """As the code of a function."""

    async def count(scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % size})

    client = await Client.to(await serve(count))
    size = CONNECTION_BODIES_MAX + 1024 * 1024
    left = {client.ask([*HEAD], body=None): size for _ in range(2)}
    while any(left.values()):
        fill(client, left)
        await client.more()
    assert [await client.answer(stream) for stream in left] == [("200", b"%d" % size)] * 2
    client.writer.close()
