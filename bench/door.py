"""CPU that the door costs one request: a PutEvents-sized body to an operation that does nothing.

    python bench/door.py                 the gateway alone, then behind uvicorn on uvloop over a loopback socket
    python bench/door.py --requests N    how many each time (20,000)

CPU time of this process only: the client of the second run is another process. Figures are printed as JSON lines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import socket
import time
from typing import Any

from busway.arn import Scope
from busway.aws.gate import AccessKey, Gate, Keys
from busway.aws.gateway import Gateway
from busway.aws.server_http import HttpServer, run
from busway.aws.service import Caller
from busway.aws.signature import sign
from busway.clock import SystemClock, SystemEntropy

ENTRY = {
    "Source": "shop.orders",
    "DetailType": "Order Placed",
    "Detail": json.dumps({"order": "o" * 280}),
    "EventBusName": "orders",
}
BODY = json.dumps({"Entries": [ENTRY] * 10}).encode()
ANSWER = json.dumps({"FailedEntryCount": 0, "Entries": [{"EventId": "0" * 36}] * 10}).encode()
KEY, SECRET = "AKIDEXAMPLE", "secret"


class Nothing:
    """An events service that answers and does nothing."""

    name = "events"

    def __init__(self, *, raw: bool) -> None:
        self.operations = {"PutEvents": self.put_events}
        self.raw = {"PutEvents": self.put_events_raw} if raw else {}

    async def put_events(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "0" * 36} for _ in request["Entries"]]}

    async def put_events_raw(self, body: bytes, caller: Caller) -> bytes:
        return ANSWER


def gateway(*, raw: bool = True, strict: bool = False) -> Gateway:
    clock = SystemClock()
    keys = Keys({KEY: AccessKey(SECRET, Scope().account)}) if strict else None
    return Gateway([Nothing(raw=raw)], Gate(clock, keys), clock, SystemEntropy())


def signed_headers(port: int) -> dict[str, str]:
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "AWSEvents.PutEvents",
        "User-Agent": "bench",
    }
    url = f"http://127.0.0.1:{port}/"
    return sign("POST", url, headers, BODY, KEY, SECRET, "us-east-1", "events", time.time())


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def alone(count: int, *, raw: bool, strict: bool) -> float:
    """CPU seconds for `count` requests through the ASGI app, without a server."""
    app = gateway(raw=raw, strict=strict)
    headers = [(name.lower().encode(), value.encode()) for name, value in signed_headers(4566).items()]
    message = {"type": "http.request", "body": BODY, "more_body": False}
    statuses: set[int] = set()

    async def receive() -> dict[str, Any]:
        return message

    async def send(message: Any) -> None:
        if "status" in message:
            statuses.add(message["status"])

    began = cpu_s()
    for _ in range(count):
        scope = {
            "type": "http", "method": "POST", "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"",
            "headers": headers,
        }  # fmt: skip
        await app(scope, receive, send)
    assert statuses == {200}, statuses
    return cpu_s() - began


def fire(port: int, count: int, depth: int) -> None:
    """Send the same request `count` times over `depth` connections, one at a time on each."""
    head = "".join(f"{n}: {v}\r\n" for n, v in signed_headers(port).items())
    request = f"POST / HTTP/1.1\r\n{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(depth)]
    for _ in range(count // depth):
        for connection in connections:
            connection.sendall(request)
        for connection in connections:
            found = connection.recv(65_536)
            assert found.startswith(b"HTTP/1.1 200"), found
            while not found.endswith(ANSWER):
                found += connection.recv(65_536)


async def served(count: int, *, strict: bool) -> float:
    """CPU seconds of this process for `count` requests from another one."""
    server = HttpServer(gateway(strict=strict), SystemClock())
    await server.start()
    loop = asyncio.get_running_loop()
    for warm in (True, False):
        client = multiprocessing.get_context("spawn").Process(
            target=fire, args=(server.address[1], 1000 if warm else count, 8)
        )
        began = cpu_s()
        client.start()
        await loop.run_in_executor(None, client.join)
        assert client.exitcode == 0
    used = cpu_s() - began
    await server.stop()
    return used


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=20_000)
    count = arguments.parse_args().requests
    for raw in (True, False):
        for strict in (False, True):
            used = asyncio.run(alone(count, raw=raw, strict=strict))
            row = {"what": "gateway alone", "path": "raw" if raw else "generic", "verified": strict}
            print(json.dumps(row | {"cpu_us": round(used / count * 1e6, 1)}))
    for strict in (False, True):
        used = run(served(count, strict=strict))
        row = {"what": "uvicorn, uvloop, httptools", "path": "raw", "verified": strict}
        print(json.dumps(row | {"cpu_us": round(used / count * 1e6, 1)}))


if __name__ == "__main__":
    main()
