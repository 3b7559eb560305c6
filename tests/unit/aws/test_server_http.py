"""The HTTP server's bounds, on a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from busway.aws.server_http import HEAD_BYTES_MAX, HEAD_READ_S, HttpServer, close_slow, listen, port_holder, run
from busway.clock import ManualClock
from busway.errors import CannotListen


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()
    if scope["path"] == "/unsafe":
        headers = [(b"content-length", b"2"), (b"x-told", b"1\r\nx-forged: 1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    server = HttpServer(app, ManualClock())
    await server.start()
    yield server
    await server.stop()


async def talk(server: HttpServer, data: bytes) -> bytes:
    """Send, and read until the server closes."""
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(data)
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


async def test_it_answers_with_its_own_name_and_a_date(server: HttpServer):
    found = await talk(server, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 200 OK\r\n") and found.endswith(b"\r\n\r\nok")
    assert b"server: busway\r\n" in found and b"date: " in found and b"uvicorn" not in found


async def test_a_connection_is_kept_for_further_requests(server: HttpServer):
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    found = await talk(server, request * 3 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert found.count(b"HTTP/1.1 200 OK") == 4


async def test_the_head_of_a_stream_does_not_wait_for_its_first_piece(server: HttpServer):
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()


async def test_a_head_request_gets_no_body(server: HttpServer):
    found = await talk(
        server, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert found.count(b"content-length: 2\r\n") == 2 and found.count(b"\r\n\r\nok") == 1


async def test_a_header_that_would_forge_another_is_not_sent(server: HttpServer):
    found = await talk(server, b"GET /unsafe HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"x-forged" not in found


async def test_an_offer_of_http_2_is_answered_in_http_1(server: HttpServer, caplog: pytest.LogCaptureFixture):
    offer = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 2\r\n\r\n{}"
    )
    reader, writer = await asyncio.open_connection(*server.address)
    for request in (b"POST / HTTP/1.1\r\n" + offer, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"):
        writer.write(request)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()
    assert not caplog.records


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c: folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_not_http_is_refused_with_an_aws_shaped_body(server: HttpServer, junk: bytes):
    found = await talk(server, junk)
    assert found.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b'{"__type":"BadRequest"' in found


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % i for i in range(10_000)) + b"\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * (HEAD_BYTES_MAX + 1) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * (HEAD_BYTES_MAX * 4),
        b"GET /" + b"x" * (HEAD_BYTES_MAX * 4),
    ],
    ids=["many", "large", "endless header", "endless path"],
)
async def test_a_head_over_the_limits_is_refused(server: HttpServer, head: bytes):
    found = await talk(server, head)
    assert found.startswith(b"HTTP/1.1 431 ") and b"RequestHeaderSectionTooLarge" in found


async def test_a_head_that_takes_too_long_ends_its_connection_and_no_other(server: HttpServer):
    slow_reader, slow_writer = await asyncio.open_connection(*server.address)
    slow_writer.write(b"GET / HTTP/1.1\r\nHost:")
    idle_reader, idle_writer = await asyncio.open_connection(*server.address)
    idle_writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await idle_reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    connections = server._server.server_state.connections
    while len(connections) < 2:
        await asyncio.sleep(0)
    now = asyncio.get_running_loop().time()
    close_slow(connections, now)
    assert len(connections) == 2
    close_slow(connections, now + HEAD_READ_S + 1)
    assert await slow_reader.read() == b""
    assert len(connections) == 1
    for writer in (slow_writer, idle_writer):
        writer.close()
        await writer.wait_closed()


async def test_a_stop_lets_a_request_under_way_finish_and_takes_no_other():
    server = HttpServer(app, ManualClock())
    await server.start()
    address = server.address
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    while not server._server.server_state.tasks:
        await asyncio.sleep(0)
    await server.stop()
    assert (await reader.read()).endswith(b"ok")
    writer.close()
    await writer.wait_closed()
    with pytest.raises(OSError):
        await asyncio.open_connection(*address)
    await server.stop()


def test_a_taken_port_is_told_with_its_holder():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: the port is taken") as refused:
            listen("127.0.0.1", port)
        if Path("/proc/net/tcp").exists():
            assert f"(process {os.getpid()})" in str(refused.value)
    assert "--port" in refused.value.hint


def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(CannotListen, match="on 192"):
        listen("192.0.2.1", 0)


def test_a_holder_that_cannot_be_read_is_not_guessed(tmp_path: Path):
    assert port_holder(4566, tmp_path) is None
    (tmp_path / "net").mkdir()
    header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    row = "   0: 0100007F:11D6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1\n"
    (tmp_path / "net" / "tcp").write_text(header + row)
    assert port_holder(4566, tmp_path) is None
    (tmp_path / "7" / "fd").mkdir(parents=True)
    (tmp_path / "7" / "fd" / "3").symlink_to("socket:[4242]")
    (tmp_path / "7" / "cmdline").write_bytes(b"localstack\0start\0")
    assert port_holder(4566, tmp_path) == "localstack start (process 7)"
    assert port_holder(4567, tmp_path) is None


def test_run_uses_uvloop_and_gives_the_result():
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run(main()) == "uvloop"


def test_a_listener_can_be_handed_in():
    async def main() -> str:
        handed = socket.create_server(("127.0.0.1", 0))
        server = HttpServer(app, ManualClock(), listener=handed)
        await server.start()
        try:
            assert server.url == f"http://127.0.0.1:{handed.getsockname()[1]}"
            return (await talk(server, b"GET / HTTP/1.0\r\n\r\n")).decode()
        finally:
            await server.stop()

    assert run(main()).startswith("HTTP/1.1 200 OK")
