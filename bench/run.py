"""`make bench`: Busway beside its peers, in one run on one machine, counting events that arrived.

Prints each row as it comes and writes bench/results.json; bench/README.md says what the numbers mean.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import platform
import socket
import statistics
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import alarms
import boto3
import functions
import road
import router
import streams
from botocore.config import Config
from load import Line, load, put_events, request
from peers import Server

ENTRIES = 10
CONNECTIONS = (1, 8, 32)
RULES = (1, 100, 1000)
RESULTS = Path(__file__).parent / "results.json"
HANDLER = """
import socket, time
def handler(event, context):
    now = time.time()
    detail = event.get("detail", event)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(f"{detail['n']} {now}".encode(), ("127.0.0.1", detail["port"]))
"""


def client(server: Server, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(retries={"max_attempts": 0}, read_timeout=60),
    )


class Bench:
    """One server's rows."""

    def __init__(self, server: Server, seconds: float) -> None:
        self.server, self.seconds = server, seconds
        self.rows: dict[str, Any] = {"durable": server.durable}

    def run(self) -> dict[str, Any]:
        self.note("start-up s", self.server.start())
        self.note("idle memory MB", self.server.memory_mb())
        if self.server.name == "limit":
            for connections in CONNECTIONS:
                self.accepted(connections)
            return self.rows
        self.events, self.sqs = client(self.server, "events"), client(self.server, "sqs")
        self.queue, self.queue_arn = self.make_queue("bench")
        rules = 0
        for wanted in RULES:
            for n in range(rules, wanted):
                # As on a team's bus: one service, and a rule for each of the things that it tells.
                self.add_rule(f"rule-{n}", "bench.orders", "Order Shipped" if n == 0 else f"Order {n}")
            rules = wanted
            for connections in CONNECTIONS:
                # Every row fills a queue of its own, so that none pays for what the row before it left.
                before = self.queue
                self.queue, arn = self.make_queue(f"bench-{wanted}-{connections}")
                self.events.put_targets(Rule="rule-0", Targets=[{"Id": "queue", "Arn": arn}])
                self.sqs.delete_queue(QueueUrl=before)
                self.throughput(wanted, connections)
        self.latency_to_queue()
        if self.server.functions:
            self.functions()
            streams.measure(self.server, self.note, self.seconds)
        self.note("memory after MB", self.server.memory_mb())
        return self.rows

    def note(self, name: str, value: float, unit: str = "") -> None:
        self.rows[name] = round(value, 3)
        print(f"{self.server.name:10} {name:52} {value:12.3f} {unit}", flush=True)

    def make_queue(self, name: str) -> tuple[str, str]:
        """A new queue: its URL and its ARN."""
        url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, found["Attributes"]["QueueArn"]

    def add_rule(self, name: str, source: str, detail_type: str) -> None:
        self.events.put_rule(Name=name, EventPattern=json.dumps({"source": [source], "detail-type": [detail_type]}))
        self.events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": self.queue_arn}])

    def waiting(self) -> int:
        names = ["ApproximateNumberOfMessages"]
        return int(self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"][names[0]])

    def throughput(self, rules: int, connections: int) -> None:
        """Events per second from the first request to the last arrival in the queue."""
        before, cpu, began = self.waiting(), self.server.cpu_s(), time.perf_counter()
        sent = load(
            self.server.port,
            put_events(self.server.port, [{}] * ENTRIES),
            connections=connections,
            requests=1_000_000,
            limit_s=self.seconds,
        )
        wanted = before + (sent.requests - sent.failed) * ENTRIES
        arrived_at = time.perf_counter()
        arrived = self.waiting()
        while arrived < wanted and time.perf_counter() < arrived_at + 30:
            time.sleep(0.02)
            arrived = self.waiting()
        took = time.perf_counter() - began
        events = arrived - before
        what = f"{rules} rules, {connections} connections"
        self.note(f"{what}: arrived events/s", events / took)
        self.note(f"{what}: server CPU us/event", (self.server.cpu_s() - cpu) * 1e6 / max(1, events))
        self.note(f"{what}: p50 request ms", statistics.median(sent.latencies_ms))
        if arrived < wanted or sent.failed:
            self.note(f"{what}: missing events", wanted - arrived + sent.failed * ENTRIES)
        if not events:
            raise RuntimeError(f"{self.server.name}: nothing arrived")

    def accepted(self, connections: int) -> None:
        """Events per second that were answered: for a server behind which nothing arrives anywhere."""
        cpu = self.server.cpu_s()
        sent = load(
            self.server.port,
            put_events(self.server.port, [{}] * ENTRIES),
            connections=connections,
            requests=1_000_000,
            limit_s=self.seconds,
        )
        events = (sent.requests - sent.failed) * ENTRIES
        what = f"{connections} connections"
        self.note(f"{what}: accepted events/s", events / sent.seconds)
        self.note(f"{what}: server CPU us/event", (self.server.cpu_s() - cpu) * 1e6 / max(1, events))
        self.note(f"{what}: p50 request ms", statistics.median(sent.latencies_ms))

    def latency_to_queue(self, rounds: int = 100) -> None:
        """PutEvents to ReceiveMessage, which long-polls before the event is put."""
        url, arn = self.make_queue("latency")
        self.events.put_rule(Name="latency", EventPattern=json.dumps({"source": ["bench.latency"]}))
        self.events.put_targets(Rule="latency", Targets=[{"Id": "queue", "Arn": arn}])
        port, times = self.server.port, list[float]()
        asked = request("sqs", "AmazonSQS.ReceiveMessage", "1.0", {"QueueUrl": url, "WaitTimeSeconds": 5}, port)
        sender, receiver = Line(port), Line(port)
        with contextlib.closing(sender), contextlib.closing(receiver), ThreadPoolExecutor(1) as pool:
            for _ in range(rounds):
                received = pool.submit(lambda: (receiver.call(asked), time.perf_counter())[1])
                time.sleep(0.005)
                began = time.perf_counter()
                sender.call(put_events(port, [{}], "bench.latency"))
                times.append((received.result() - began) * 1000)
        self.note("PutEvents to ReceiveMessage p50 ms", statistics.median(times))
        self.note("PutEvents to ReceiveMessage p99 ms", sorted(times)[int(rounds * 0.99) - 1])

    def functions(self, rounds: int = 200, burst: int = 500) -> None:
        """PutEvents to the first line of a Python handler, and how fast a burst is worked off."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", HANDLER)
        made = client(self.server, "lambda").create_function(
            FunctionName="bench",
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/bench",
            Handler="app.handler",
            Code={"ZipFile": packed.getvalue()},
            Timeout=30,
        )
        self.events.put_rule(Name="function", EventPattern=json.dumps({"source": ["bench.function"]}))
        self.events.put_targets(Rule="function", Targets=[{"Id": "function", "Arn": made["FunctionArn"]}])
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as inbox:
            inbox.bind(("127.0.0.1", 0))
            inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            inbox.settimeout(60)
            reply = inbox.getsockname()[1]
            self.function_start(inbox, reply, rounds)
            self.burst(inbox, reply, burst)

    def function_start(self, inbox: socket.socket, reply: int, rounds: int) -> None:
        times: list[float] = []
        with contextlib.closing(Line(self.server.port)) as line:
            for n in range(rounds):
                payload = put_events(self.server.port, [{"n": n, "port": reply}], "bench.function")
                began = time.time()
                line.call(payload)
                times.append((float(inbox.recv(100).split()[1]) - began) * 1000)
                time.sleep(0.002)
        self.note("first PutEvents to function start ms", times[0])
        self.note("PutEvents to function start p50 ms", statistics.median(times[1:]))
        self.note("PutEvents to function start p99 ms", sorted(times)[int(rounds * 0.99) - 1])

    def burst(self, inbox: socket.socket, reply: int, burst: int) -> None:
        numbers = [range(first, first + ENTRIES) for first in range(10_000, 10_000 + burst, ENTRIES)]
        began = time.perf_counter()
        with contextlib.closing(Line(self.server.port)) as line:
            for some in numbers:
                line.call(put_events(self.server.port, [{"n": n, "port": reply} for n in some], "bench.function"))
        seen: set[bytes] = set()
        while len(seen) < burst:
            seen.add(inbox.recv(100).split()[0])
        self.note("asynchronous invocations/s", burst / (time.perf_counter() - began))


def sync_ms(writes: int = 200) -> float:
    """The median time of a small write with fdatasync on this disk: what any durable answer waits for."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=tempfile.gettempdir()) as file:
        for _ in range(writes):
            began = time.perf_counter()
            os.write(file.fileno(), b"x" * 600)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        default="busway,limit,ministack,moto,clients,alarms,road",
        help="what to measure, separated by commas",
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of load per row")
    chosen = parser.parse_args()
    servers = {
        "busway": Server("busway", functions=True, durable=True),
        "limit": Server("limit", functions=False, durable=True),
        "ministack": Server("ministack", functions=True, durable=False),
        "moto": Server("moto", functions=False, durable=False),
    }
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "load": os.getloadavg(),
        "fdatasync p50 ms": round(sync_ms(), 3),
    }
    print(results, flush=True)
    for name in chosen.only.split(","):
        if name not in servers:
            continue
        bench = Bench(servers[name], chosen.seconds)
        try:
            bench.run()
        except Exception as fault:  # noqa: BLE001 (a peer may fail in any way; the row says so)
            bench.rows["stopped by"] = repr(fault)
            print(f"{name:10} stopped: {fault!r}", flush=True)
        finally:
            servers[name].stop()
        results[name] = bench.rows
    if "clients" in chosen.only.split(","):
        # The same function with each client of the Runtime API, without HTTP, and the limit: a raw socket.
        results["clients"] = functions.measure()
    if "alarms" in chosen.only.split(","):
        cost = {
            "metrics, from PutEvents to the queue": asyncio.run(router.cost("embedded", 6_400)),
            "metrics, from the queue to the function": asyncio.run(functions.cost("embedded", 1_000)),
        }
        results["alarms"] = {**alarms.measure(), **cost}
        print(f"alarms     {json.dumps(results['alarms'])}", flush=True)
    if "road" in chosen.only.split(","):
        results["road"] = road.road()
        print(f"road       {json.dumps(results['road'])}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
