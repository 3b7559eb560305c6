"""Clients that mean harm: what they may send, and for how long, before anything of it is verified."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from busway.aws.gate import AccessKey, Keys
from busway.aws.server_http import REQUEST_READ_S, HttpServer, close_slow
from busway.clock import ManualClock


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answers without reading the body."""
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


async def read(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, then answers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    started: list[HttpServer] = []

    async def start(app: Any) -> HttpServer:
        server = HttpServer(app, ManualClock())
        await server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        await server.stop()


async def test_a_chunked_body_has_no_trailers(serve: Callable[..., Any]):
    reader, writer = await asyncio.open_connection(*(await serve(read)).address)
    writer.write(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Amz-Date: a\r\n\r\n"
    )
    found = await reader.read()
    assert found.startswith(b"HTTP/1.1 400 ") and b"200 OK" not in found
    writer.close()


async def test_a_body_that_drips_on_after_its_refusal_ends_its_connection_and_no_other(serve: Callable[..., Any]):
    server = await serve(refuse)
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
    assert (await reader.readuntil(b"no")).startswith(b"HTTP/1.1 403 ")
    whole_reader, whole = await asyncio.open_connection(*server.address)
    whole.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    await whole_reader.readuntil(b"no")
    now = asyncio.get_running_loop().time()
    connections = server._server.server_state.connections
    close_slow(connections, now + REQUEST_READ_S - 1)
    assert len(connections) == 2
    close_slow(connections, now + REQUEST_READ_S + 1)
    assert await reader.read() == b""
    whole.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    await whole_reader.readuntil(b"no")
    writer.close()
    whole.close()


async def test_no_body_is_read_for_a_key_that_is_unknown(make_door: Callable[..., Any]):
    door = make_door(Keys({"ANOTHER": AccessKey("secret")}))

    async def body_is_asked_for() -> Any:
        raise AssertionError("the body of a request with an unknown key was read")

    credential = f"Credential=NOBODY/{'20261123'}/eu-west-1/lambda/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature={'0' * 64}"
    headers = [(b"host", b"localhost"), (b"authorization", authorization.encode()), (b"content-length", b"70000000")]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/2015-03-31/functions/f/invocations"
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await door.gateway({**scope, "scheme": "http", "headers": headers}, body_is_asked_for, send)
    assert sent[0]["status"] == 403
    assert (b"x-amzn-errortype", b"UnrecognizedClientException") in sent[0]["headers"]


async def test_an_answer_without_content_has_none(make_door: Callable[..., Any]):
    """Bytes behind a 204 would be read as the answer to the next request of the connection."""
    path = "/2015-03-31/functions/f/invocations"
    door = make_door(None)
    answer = await door.ask(path=path, body=b'{"a":1}', headers={"X-Amz-Invocation-Type": "DryRun"}, service="lambda")
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


def test_there_are_more_open_files_than_connections():
    """In a process of its own: the limit is for good."""
    code = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)); "
        "from busway.aws.server_http import allow_open_files; print(allow_open_files(600), allow_open_files(500))"
    )
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout == "600 600\n"
