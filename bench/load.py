"""A lean load client: raw HTTP/1.1 over loopback, prebuilt requests, so that the server is what is measured."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from dataclasses import dataclass, field

# Any server in development takes any signature; all of them want its shape.
AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/{service}/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64
)
DETAIL = {
    "order": 12345678,
    "customer": "c-0001",
    "state": "shipped",
    "items": [{"sku": f"sku-{n}", "quantity": n, "price": 9.99} for n in range(4)],
    "note": "about three hundred bytes of detail, as an order service would send",
}


def request(service: str, target: str, version: str, body: dict[str, object], port: int) -> bytes:
    """One AWS JSON request, ready to be written to a socket as often as wanted."""
    content = json.dumps(body).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-amz-json-{version}\r\n"
        f"X-Amz-Target: {target}\r\nX-Amz-Date: 20260101T000000Z\r\n"
        f"Authorization: {AUTHORIZATION.format(service=service)}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def put_events(port: int, details: list[dict[str, object]], source: str = "bench.orders") -> bytes:
    """One PutEvents with an entry for each of `details`, which are added to the usual one."""
    entries = [
        {"Source": source, "DetailType": "Order Shipped", "Detail": json.dumps({**DETAIL, **more})}
        for more in details
    ]
    return request("events", "AWSEvents.PutEvents", "1.1", {"Entries": entries}, port)


@dataclass
class Run:
    """What a load run saw: answers by status, the seconds it took, the latency of each request in ms."""

    requests: int = 0
    failed: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


# What an answer says when everything in its request was taken.
NONE_FAILED = (b'"FailedEntryCount":0', b'"FailedRecordCount":0')
# How long an answer may take before it counts as failed.
ANSWER_S_MAX = 20.0


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status and body of one answer, and whether another may follow; status 0 for none within `ANSWER_S_MAX`."""
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await _read_answer(reader)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        return 0, b"", False


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lower = head.lower()
    keeps_alive = b"connection: close" not in lower
    if b"transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return status, body, keeps_alive
    mark = lower.find(b"content-length:")
    length = int(lower[mark + 15 : lower.index(b"\r\n", mark)]) if mark >= 0 else 0
    return status, await reader.readexactly(length), keeps_alive


async def _connection(port: int, payload: bytes, stop_at: float, left: list[int], run: Run) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while left[0] > 0 and time.perf_counter() < stop_at:
        left[0] -= 1
        began = time.perf_counter()
        writer.write(payload)
        status, body, keeps_alive = await _answer(reader)
        if status == 0:
            # Some servers close after so many requests, which HTTP allows between two of them: once more.
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(payload)
            status, body, keeps_alive = await _answer(reader)
        run.latencies_ms.append((time.perf_counter() - began) * 1000)
        run.requests += 1
        run.failed += status != 200 or not any(word in body.replace(b" ", b"") for word in NONE_FAILED)
        if not keeps_alive:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


async def _load(port: int, payload: bytes, connections: int, requests: int, limit_s: float) -> Run:
    run, left = Run(), [requests]
    began = time.perf_counter()
    await asyncio.gather(
        *(_connection(port, payload, began + limit_s, left, run) for _ in range(connections)),
    )
    run.seconds = time.perf_counter() - began
    return run


def load(port: int, payload: bytes, *, connections: int, requests: int, limit_s: float) -> Run:
    """Send `payload` `requests` times over `connections` keep-alive connections, for at most `limit_s`."""
    return asyncio.run(_load(port, payload, connections, requests, limit_s))


class Line:
    """One connection for one request after the other, for latencies without a client's own work."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)

    def call(self, payload: bytes) -> bytes:
        """Send and read the whole answer, return its body; raises unless it is a 200."""
        if self._http.sock is None:
            self._http.connect()
            self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http.sock.sendall(payload)
        answer = http.client.HTTPResponse(self._http.sock, method="POST")
        answer.begin()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(body.decode())
        if answer.will_close:
            self._http.close()
        return body

    def close(self) -> None:
        self._http.close()


async def _call(port: int, payload: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(payload)
    status, body, _ = await _answer(reader)
    writer.close()
    return status, body


def call(port: int, payload: bytes) -> tuple[int, bytes]:
    """Send one request; (status, body)."""
    return asyncio.run(_call(port, payload))
