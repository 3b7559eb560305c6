"""Bad input at a real door: always a 4xx with an AWS-shaped body, and the server goes on."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from busway.aws.gate import Gate
from busway.aws.gateway import Gateway
from busway.aws.server_http import HttpServer
from busway.aws.service import Caller
from busway.aws.services.sts import Sts
from busway.aws.signature import sign
from busway.clock import SystemClock, SystemEntropy

CLOCK = SystemClock()


class Events:
    name = "events"

    def __init__(self) -> None:
        self.operations = {"PutRule": self.put_rule}

    async def put_rule(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"RuleArn": request["Name"]}


class Functions:
    name = "lambda"

    def __init__(self) -> None:
        self.operations = {"Invoke": self.invoke}

    async def invoke(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"Payload": request.get("Payload")}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    services = [Events(), Functions(), Sts()]
    server = HttpServer(Gateway(services, Gate(CLOCK), CLOCK, SystemEntropy()), CLOCK)
    await server.start()
    yield server.url
    # Whatever was done to it, it still answers.
    answer = await ask(server.url, b'{"Name":"r"}')
    assert (answer.status_code, answer.json()) == (200, {"RuleArn": "r"})
    await server.stop()


async def ask(
    url: str, body: bytes, headers: dict[str, str] | None = None, path: str = "/", service: str = "events"
) -> httpx.Response:
    sent = {"X-Amz-Target": "AWSEvents.PutRule"} if service == "events" else {}
    signed = sign("POST", url + path, sent | (headers or {}), body, "AKID", "s", "us-east-1", service, CLOCK.now())
    async with httpx.AsyncClient(timeout=20) as client:
        return await client.post(url + path, content=body, headers=signed)


def assert_told(answer: httpx.Response) -> None:
    """A 4xx that an AWS client can read."""
    assert 400 <= answer.status_code < 500, answer.text
    if "xml" in answer.headers["content-type"]:
        assert "<Code>" in answer.text
        return
    found = msgspec.json.decode(answer.content)
    assert found.get("__type") or answer.headers.get("x-amzn-errortype")
    assert found.get("message") or found.get("Message")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\x00" * 100, b"\xff\xfe", b"[" * 100_000, b'{"Name":' * 50_000, b'{"Name":[]}',
        b'{"Name":1}', b'{"Name":"' + b"x" * 1_000_000 + b'"}', b'{"Name":"r","State":{}}', b'{"Name":"\\ud800"}',
        b'{"Name":"r","Tags":[' + b'{"Key":"k","Value":"v"},' * 5000 + b'1]}', b'{"Name":' + b"9" * 100_000 + b"}",
    ],
)  # fmt: skip
async def test_a_bad_body_is_told(url: str, body: bytes):
    assert_told(await ask(url, body))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Amz-Target": "AWSEvents.Nonsense"},
        {"X-Amz-Target": "x" * 10_000},
        {"X-Amz-Target": "Nobody.Knows"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "zstd"},
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Authorization": "AWS4-HMAC-SHA256 " + "x" * 10_000},
        {"Authorization": "Basic eDp5"},
        {f"X-Junk-{i}": "x" for i in range(500)},
        {"X-Junk": "x" * 100_000},
    ],
)
async def test_bad_headers_are_told(url: str, headers: dict[str, str]):
    body = b'{"Name":"r"}'
    sent = sign(
        "POST", url, {"X-Amz-Target": "AWSEvents.PutRule"}, body, "A", "s", "us-east-1", "events", CLOCK.now()
    )
    async with httpx.AsyncClient(timeout=20) as client:
        assert_told(await client.post(url, content=body, headers=sent | headers))


@pytest.mark.parametrize(
    "path", ["/%ff", "/..%2f..%2fetc%2fpasswd", "/2015-03-31/functions/%00%ff/invocations", "/" + "a/" * 5000]
)
async def test_bad_paths_are_told(url: str, path: str):
    assert_told(await ask(url, b"{}", path=path, service="lambda"))


async def test_a_huge_body_is_refused_and_the_client_reads_why(url: str):
    answer = await ask(url, b"x" * (40 * 1024 * 1024))
    assert_told(answer)
    assert (answer.status_code, answer.json()["__type"]) == (413, "RequestEntityTooLargeException")


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0))
    connection.settimeout(20)
    return connection


async def test_clients_that_leave_in_the_middle_harm_nobody(url: str):
    authorization = sign("POST", url, {}, b"", "A", "s", "us-east-1", "events", CLOCK.now())["Authorization"]
    head = (
        f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\nX-Amz-Target: AWSEvents.PutRule\r\n"
    )
    for part in (
        head[:9],
        head,
        head + "Content-Length: 100\r\n\r\n{",
        head + "Transfer-Encoding: chunked\r\n\r\n5\r\n",
    ):
        with connect(url) as connection:
            connection.sendall(part.encode())


async def test_noise_harms_nobody(url: str):
    chance = random.Random(11)
    valid = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: AWSEvents.PutRule\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(100):
        noise = bytearray(valid)
        for _ in range(chance.randrange(1, 20)):
            noise[chance.randrange(len(noise))] = chance.randrange(256)
        with connect(url) as connection:
            connection.sendall(noise)
