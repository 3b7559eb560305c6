"""An attacker with patience at the HTTP doors: whatever comes is answered as HTTP says or ends its connection.

No fault of ours (500), no error in the log, and the next client is served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from h2.exceptions import ProtocolError
from hypothesis import HealthCheck, example, given, settings, strategies as st

from busway.aws.gate import AccessKey, Gate, Keys
from busway.aws.gateway import Gateway
from busway.aws.server_http import HttpServer
from busway.aws.services.sts import Sts
from busway.aws.signature import sign
from busway.clock import ManualClock, SeededEntropy, SystemClock

from .conftest import KEY, SECRET, ToyEvents, ToyLambda, ToySqs
from .test_doors import Toy
from .test_http2 import Client

PATIENCE_S = 20
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/eu-west-1/{}/aws4_request, SignedHeaders=host, Signature="
    + "0" * 64
)


class StrictAndLoose:
    """Two servers: one verifies signatures, one takes any. Both have services, a door, and a path of their own."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.faults: list[Any] = []
        self.servers = [self.run(self._start(keys)) for keys in (None, Keys({KEY: AccessKey(SECRET)}))]

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def _start(self, keys: Keys | None) -> HttpServer:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.faults.append(context))
        clock = SystemClock()

        async def own(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
            await send({"type": "http.response.body", "body": b"own"})

        gateway = Gateway(
            [ToyEvents(), ToyLambda(), ToySqs(), Sts()], Gate(clock, keys), clock, SeededEntropy(1), own=own,
            doors=[Toy()], open_bytes_max=10_000,
        )  # fmt: skip
        server = HttpServer(gateway, ManualClock())
        await server.start()
        return server

    async def is_well(self, server: HttpServer) -> None:
        """A client that means no harm is served."""
        body = b'{"Name":"r"}'
        url, target = f"{server.url}/", {"X-Amz-Target": "AWSEvents.PutRule", "Content-Length": str(len(body))}
        headers = sign("POST", url, target, body, KEY, SECRET, "eu-west-1", "events", SystemClock().now())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status, _, found = await ask(server, [f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body], "POST")
        assert (status, b'"RuleArn"' in found) == (200, True)
        assert not self.faults


async def ask(server: HttpServer, pieces: Sequence[bytes], method: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """The one answer to a whole request. Fails where it is none of HTTP's, or does not come."""
    reader, writer = await asyncio.open_connection(*server.address)
    for piece in pieces:
        writer.write(piece)
        with suppress(ConnectionError):
            await writer.drain()
    async with asyncio.timeout(PATIENCE_S):
        status = 100
        while status < 200:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n").split(b"\r\n")
            version, code, _ = first.split(b" ", 2)
            status, headers = int(code), dict(line.lower().split(b": ", 1) for line in lines)
            assert version == b"HTTP/1.1"
        length = 0 if method == "HEAD" else int(headers.get(b"content-length", b"0"))
        body = await reader.readexactly(length)
    writer.close()
    return status, headers, body


@pytest.fixture(scope="module")
def both() -> Iterator[StrictAndLoose]:
    both = StrictAndLoose()
    yield both
    for server in both.servers:
        both.run(server.stop())
    both.runner.close()


@pytest.fixture
def check(both: StrictAndLoose, caplog: pytest.LogCaptureFixture) -> Callable[..., None]:
    """Plays `attack(server)` against both servers, then sees that they are well and that no fault was logged."""

    def play(attack: Callable[[HttpServer], Coroutine[Any, Any, None]]) -> None:
        for server in both.servers:
            both.run(attack(server))
            both.run(both.is_well(server))
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []

    return play


def mostly(usual: st.SearchStrategy[str], noise: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Or most requests would end at the first thing that is wrong with them."""
    return st.integers(0, 19).flatmap(lambda n: noise if n == 19 else usual)


PLAIN = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)
METHODS = mostly(
    st.sampled_from(["GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH"]),
    st.one_of(st.sampled_from(["CONNECT", "TRACE", "PRI", "x", ""]), PLAIN),
)
PARTS = mostly(
    st.sampled_from(
        [
            "", ".", "..", "%", "%ff", "%00", "%2e%2e", "door", "open", "signed", "none", "_busway", "health",
            "metrics", "2015-03-31", "functions", "f", "invocations", "service", "operation", "_lambda_url", "*",
            "http:", "?", "#",
        ]
    ),
    PLAIN,
)  # fmt: skip
PATHS = mostly(
    st.one_of(
        st.lists(PARTS, max_size=6).map(lambda parts: "/" + "/".join(parts)),
        st.sampled_from(["/", "/door/open", "/2015-03-31/functions/f/invocations", "/_busway/x", "/health"]),
    ),
    st.one_of(st.sampled_from(["*", "http://localhost", "http://localhost/x", "localhost:80", "//", "?", ""]), PLAIN),
)
TOKENS = st.sampled_from(
    [
        "X-Amz-Target", "Content-Type", "Content-Encoding", "Authorization", "Origin", "Sec-Fetch-Site", "Cookie",
        "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token", "Smithy-Protocol", "Expect", "Connection",
        "Upgrade", "HTTP2-Settings", "X-Amz-Invocation-Type", "X-Amzn-Trace-Id", "TE", "Range", "Host", "Trailer",
    ]
)  # fmt: skip
NAMES = mostly(TOKENS, PLAIN.filter(lambda name: name.strip().lower() not in ("content-length", "transfer-encoding")))
VALUES = mostly(
    st.sampled_from(
        [
            "AWSEvents.PutRule", "AmazonSQS.SendMessage", "DynamoDB_20120810.X", ".", "gzip", "identity",
            "rpc-v2-cbor", "application/x-www-form-urlencoded", "application/x-amz-json-1.0", "application/cbor",
            "100-continue", "close", "keep-alive", "upgrade", "h2c", "websocket", "UNSIGNED-PAYLOAD",
            "20261123T000000Z", "localhost", "Event", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "http://evil.example", *map(
                AUTHORIZATION.format, ("events", "lambda", "sqs", "sts", "s3", "ec2", "dynamodb")
            ),
        ]
    ),
    PLAIN,
)  # fmt: skip
# Headers that get past the loose gate, or none of them, and any others behind.
PASSES = st.sampled_from(["events", "lambda", "sqs", "sts", "s3"]).map(
    lambda service: [("Host", "localhost"), ("Authorization", AUTHORIZATION.format(service))]
)
HEADERS = st.tuples(
    st.one_of(PASSES, PASSES, st.just([("Host", "localhost")]), st.just([])),
    st.lists(st.tuples(NAMES, VALUES), max_size=4, unique_by=lambda pair: pair[0]),
).map(lambda pair: [*pair[0], *pair[1]])
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"", b"{}", b"[" * 5000, b'{"Name":"r"}', b"Action=X", b"Action=GetCallerIdentity", b"x" * 20_000, b"\xa0"]
    ),
)
CUTS = st.lists(st.integers(0, 400), max_size=6)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if end > start]


def request(method: str, path: str, headers: list[tuple[str, str]], body: bytes, chunks: list[int] | None) -> bytes:
    """A request that is whole: its length, or its chunks, are as they should be."""
    lines = [f"{name}: {value}" for name, value in headers]
    if chunks is None:
        lines.append(f"Content-Length: {len(body)}")
        coded = body
    else:
        lines.append("Transfer-Encoding: chunked")
        coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(body, chunks)) + b"0\r\n\r\n"
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + coded


@SETTINGS
@given(METHODS, PATHS, HEADERS, BODIES, st.one_of(st.none(), CUTS), CUTS)
@example("GET", "http://localhost", [], b"", None, [])
@example("CONNECT", "localhost:80", [("Host", "localhost")], b"", None, [])
@example("OPTIONS", "*", [("Host", "localhost")], b"", None, [])
@example("POST", "/door/open", [("Host", "localhost")], b"x" * 20_000, [10_000], [])
@example("GET", "/health", [("Host", "localhost"), ("Connection", "Upgrade"), ("Upgrade", "h2c")], b"", None, [])
def test_every_request_is_answered(
    check: Callable[..., None], method: str, path: str, headers: Any, body: bytes, chunks: list[int] | None, cuts: Any
):
    async def attack(server: HttpServer) -> None:
        pieces = cut(request(method, path, headers, body, chunks), cuts)
        with suppress(ConnectionResetError):
            status, told, text = await ask(server, pieces, method)
            assert status != 500
            assert status in (200, 202, 204) or status >= 400
            if status >= 400 and method != "HEAD":
                assert told[b"content-type"] and text

    check(attack)


@SETTINGS
@given(
    METHODS, PATHS, HEADERS, BODIES, CUTS, st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=9)), max_size=9)
)
def test_no_noise_in_a_request_brings_the_server_down(
    check: Callable[..., None], method: str, path: str, headers: Any, body: bytes, cuts: Any, noise: Any
):
    """Lengths that are wrong, chunks that are none, requests in requests. The client leaves without an answer."""
    data = bytearray(request(method, path, headers, body, cuts))
    for place, junk in noise:
        data[place : place + len(junk)] = junk

    async def attack(server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection(*server.address)
        with suppress(ConnectionError):
            for piece in cut(bytes(data), cuts):
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                found = await reader.read()
            assert not found or found.startswith(b"HTTP/1.1 ")
            assert b"HTTP/1.1 500" not in found
        writer.close()

    check(attack)


@SETTINGS
@given(METHODS, PATHS, HEADERS, BODIES, CUTS)
def test_every_request_on_an_http_2_stream_is_answered_or_ended(
    check: Callable[..., None], method: str, path: str, headers: Any, body: bytes, cuts: list[int]
):
    async def attack(server: HttpServer) -> None:
        client = await Client.to(server)
        head = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        stream = client.h2.get_next_available_stream_id()
        plain = [(name.lower(), value) for name, value in headers]
        with suppress(ProtocolError, ConnectionError, AssertionError):
            client.h2.send_headers(stream, [*head, *plain], end_stream=not body)
            for place, part in enumerate(parts := cut(body, cuts)):
                for start in range(0, len(part), 16_384):
                    last = place == len(parts) - 1 and start + 16_384 >= len(part)
                    client.h2.send_data(stream, part[start : start + 16_384], end_stream=last)
                client.flush()
            client.flush()
        with suppress(ProtocolError, ConnectionError):
            while not client.ended and not any(
                type(event).__name__ in ("StreamEnded", "StreamReset") for event in client.events
            ):
                await client.more()
            status, _ = await client.answer(stream) if not client.ended else ("", b"")
            assert status != "500"
        client.writer.close()

    check(attack)
