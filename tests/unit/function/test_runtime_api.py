"""The protocol with a worker, byte by byte, without a socket."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import msgspec
from hypothesis import given, strategies as st

from busway.function.workers.runtime_api import (
    HEAD_BYTES_MAX,
    HELD_MAX,
    RESPONSE_BYTES_MAX,
    UNREAD_BYTES_MAX,
    Invocation,
    RuntimeConnection,
)

API = "/2018-06-01/runtime"
NEXT = f"GET {API}/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n".encode()
EVENT = Invocation("r-1", b'{"a":1}', "arn:f", 1234, trace_header="Root=1\r\nEvil: 1", client_context="{}")


class Wire:
    """The transport's end: what was written, and whether it was closed."""

    def __init__(self) -> None:
        self.written = b""
        self.writes = 0
        self.closed = self.unread = False

    def write(self, data: bytes) -> None:
        self.written += data
        self.writes += 1

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return len(self.written) if self.unread else 0


class Asked:
    """What the runtime client asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.status = 202

    def next(self, connection: RuntimeConnection) -> None:
        self.calls.append(("next",))

    def response(self, request_id: str, body: bytes, *, too_large: bool) -> int:
        self.calls.append(("response", request_id, body, too_large))
        return self.status

    def error(self, request_id: str, body: bytes, kind: str) -> int:
        self.calls.append(("error", request_id, body, kind))
        return self.status

    def init_error(self, body: bytes, kind: str) -> int:
        self.calls.append(("init", body, kind))
        return self.status

    def hung_up(self, connection: RuntimeConnection) -> None:
        self.calls.append(("gone",))


def connected() -> tuple[RuntimeConnection, Asked, Wire]:
    asked, wire = Asked(), Wire()
    connection = RuntimeConnection(asked)
    connection.connection_made(cast(asyncio.BaseTransport, wire))
    return connection, asked, wire


def post(path: str, body: bytes, headers: str = "") -> bytes:
    return f"POST {API}/{path} HTTP/1.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_an_event_has_aws_s_headers_and_nothing_can_be_added_to_them():
    connection, _, wire = connected()
    connection.data_received(NEXT)
    connection.send(EVENT)
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        "Lambda-Runtime-Aws-Request-Id: r-1",
        "Lambda-Runtime-Deadline-Ms: 1234",
        "Lambda-Runtime-Invoked-Function-Arn: arn:f",
        "Lambda-Runtime-Trace-Id: Root=1Evil: 1",
        "Lambda-Runtime-Client-Context: {}",
        "Content-Length: 7",
    ]
    assert body == b'{"a":1}'


def test_an_answer_and_the_next_event_leave_in_one_write():
    connection, asked, wire = connected()
    connection.data_received(post("invocation/r-1/response", b"1") + NEXT)
    assert wire.writes == 0
    connection.send(EVENT)
    assert wire.writes == 1
    assert wire.written.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert asked.calls == [("response", "r-1", b"1", False), ("next",)]


def test_a_client_that_asks_for_the_next_event_later_is_answered_at_once():
    connection, _, wire = connected()
    connection.data_received(post("invocation/r-1/response", b"1"))
    assert wire.written.endswith(b'{"status":"OK"}\n')


@given(cuts=st.lists(st.integers(0, 600), max_size=30))
def test_requests_may_arrive_in_any_pieces(cuts: list[int]):
    connection, asked, _ = connected()
    stream = (
        NEXT
        + post("invocation/r-1/response", b'{"x":"y"}')
        + post("invocation/r-2/error", b"{}", "Lambda-Runtime-Function-Error-Type: Bad\r\n")
        + post("init/error", b"[]")
    )
    edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    for start, stop in pairwise(edges):
        if start < stop:
            connection.data_received(stream[start:stop])
    assert asked.calls == [
        ("next",),
        ("response", "r-1", b'{"x":"y"}', False),
        ("error", "r-2", b"{}", "Bad"),
        ("init", b"[]", ""),
    ]


@given(noise=st.binary(max_size=300))
def test_noise_is_refused_or_waited_out_and_never_raises(noise: bytes):
    connection, _, wire = connected()
    connection.data_received(noise)
    assert wire.written == b"" or wire.written.startswith((b"HTTP/1.1 4", b"HTTP/1.1 202"))


def test_a_chunked_response_is_taken_as_it_is():
    connection, asked, _ = connected()
    head = f"POST {API}/invocation/r-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    connection.data_received(head + b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")
    assert asked.calls == [("response", "r-1", b"abcde", False)]


def test_a_body_above_the_limit_is_not_kept():
    connection, asked, wire = connected()
    asked.status = 413
    connection.data_received(post("invocation/r-1/response", b"x" * (RESPONSE_BYTES_MAX + 1)))
    assert asked.calls == [("response", "r-1", b"", True)]
    assert wire.written.startswith(b"HTTP/1.1 413")


def test_endless_headers_end_the_connection():
    connection, _, wire = connected()
    connection.data_received(f"GET {API}/invocation/next HTTP/1.1\r\n".encode())
    for _ in range(HEAD_BYTES_MAX // 1000 + 2):
        connection.data_received(b"X-Header: " + b"x" * 1000 + b"\r\n")
    assert wire.closed


def test_an_unknown_path_is_told_so_in_json():
    connection, _, wire = connected()
    connection.data_received(b'GET /"quoted" HTTP/1.1\r\n\r\n')
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    assert msgspec.json.decode(body)["errorType"] == "NotFound"


def test_a_connection_that_ends_is_reported():
    connection, asked, _ = connected()
    connection.connection_lost(None)
    connection.send(EVENT)
    assert asked.calls == [("gone",)]


def test_a_client_that_is_accepted_as_its_worker_ends_is_hung_up_on():
    wire, connection = Wire(), RuntimeConnection(Asked())
    connection.close()
    connection.connection_made(cast(asyncio.BaseTransport, wire))
    assert wire.closed


def test_a_worker_that_floods_its_line_while_it_waits_for_an_event_is_hung_up_on():
    connection, _, wire = connected()
    connection.data_received(NEXT)
    for _ in range(HELD_MAX):
        connection.data_received(b"GET /nothing HTTP/1.1\r\n\r\n")
    assert not wire.closed
    connection.data_received(b"GET /nothing HTTP/1.1\r\n\r\n")
    assert wire.closed and not wire.written


def test_a_worker_that_asks_and_never_reads_is_hung_up_on():
    connection, _, wire = connected()
    wire.unread = True
    flood = b"GET /nothing HTTP/1.1\r\n\r\n" * 1_000
    for _ in range(UNREAD_BYTES_MAX // 100_000):
        if not wire.closed:
            connection.data_received(flood)
    assert wire.closed and len(wire.written) < UNREAD_BYTES_MAX + 1_000_000
