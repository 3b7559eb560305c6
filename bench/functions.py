"""Functions alone, without HTTP: invocations per second and latency for each client, and the limit.

    .venv/bin/python bench/functions.py [--engine memory|embedded] [--events 5000] [--only python,limit] [--memory]
    .venv/bin/python bench/functions.py --unmeasured --events 1000

The handler does nothing. For each client: cold start; synchronous invocations by one caller and by four; asynchronous
ones, durable, counted from the first put until their rows are gone; server CPU for each, its threads too; the time
from before the put, its fsync included, to the handler's first line. The limit is two processes that exchange the
same bytes over a Unix socket and do nothing else. `--memory` starts a whole server and says what it and its workers
hold after 200 concurrent events. `measure` gives all of it to `bench/run.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from unmeasured import PAIRS, cost_of_metrics

from busway.arn import Scope
from busway.clock import SystemClock, SystemEntropy
from busway.config import Settings
from busway.engine import Engine
from busway.engine.embedded import open_embedded
from busway.engine.memory import MemoryEngine
from busway.function.definitions.code_store import Zip
from busway.function.definitions.registry import Configuration
from busway.function.functions import Functions
from busway.function.runtimes import RUNTIMES, Runtime
from busway.function.workers.process import SystemSpawn
from busway.function.workers.runtime_api import API, Invocation
from busway.function.workers.usage import proportional_bytes
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.trail import Trail

NOTHING, STAMP = (Scope().arn("lambda", f"function:{name}") for name in ("nothing", "stamp"))
EVENT = json.dumps({"detail": {"order": "4711", "note": "x" * 300}}).encode()
PYTHON = {
    NOTHING: "def handler(event, context): return 1",
    STAMP: "import time\ndef handler(event, context): print('lag', time.time() - event)",
}
NODE = {
    NOTHING: "exports.handler = async () => 1;",
    STAMP: "exports.handler = async (event) => {"
    " console.log('lag', (performance.timeOrigin + performance.now()) / 1000 - event); };",
}
AWS_CLIENT = Runtime(("exec", sys.executable, "-m", "awslambdaric", "app.handler"), tcp=True)
# Name → (runtime, the file of the code, its handlers, the table of runtimes).
CLIENTS: dict[str, tuple[str, str, dict[str, str], dict[str, Runtime]]] = {
    "python": ("python3.11", "app.py", PYTHON, dict(RUNTIMES)),
    "awslambdaric": ("python3.11", "app.py", PYTHON, {**RUNTIMES, "python3": AWS_CLIENT}),
    "node": ("nodejs22.x", "app.js", NODE, dict(RUNTIMES)),
}
LAG_SAMPLES = 300
CALM_S = 0.005
BURST = 200
WAITS = "import time\ndef handler(event, context): time.sleep(0.1)"

Note = Callable[[str, float], None]


def zipped(name: str, source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


async def opened(engine: Engine, folder: Path, client: str = "python", kind: type[Metrics] = Metrics) -> Functions:
    clock, entropy = SystemClock(), SystemEntropy()
    metrics = kind(clock)
    queues = SqsQueues(engine, clock, entropy, metrics)
    await queues.open()
    runtime, file, handlers, runtimes = CLIENTS[client]
    functions = Functions(
        engine, clock, entropy, metrics, Trail(clock), SystemSpawn(), Settings(data=str(folder)),
        QueueDeadLetters(queues, metrics), runtimes=runtimes,
    )  # fmt: skip
    await functions.open()
    wanted = Configuration(runtime=runtime, handler="app.handler", memory_mb=512)
    for arn, source in handlers.items():
        await functions.registry.create(arn, Zip(zipped(file, source)), wanted)
    while any(functions.resolve(arn).state == "Pending" for arn in handlers):  # noqa: ASYNC110 (seen from outside)
        await asyncio.sleep(0.01)
    return functions


async def synchronous(functions: Functions, callers: int, events: int, note: Note) -> None:
    times: list[float] = []

    async def caller() -> None:
        for _ in range(events // callers):
            began = time.perf_counter()
            await functions.invoke(NOTHING, EVENT)
            times.append((time.perf_counter() - began) * 1000)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    what = f"synchronous, {callers} at a time"
    note(f"{what}: invocations/s", events / (time.perf_counter() - began))
    note(f"{what}: server CPU us each", (time.process_time() - cpu) / events * 1e6)
    note(f"{what}: p50 ms", statistics.median(times))
    note(f"{what}: p99 ms", sorted(times)[int(len(times) * 0.99) - 1])


async def asynchronous(functions: Functions, engine: Engine, events: int, note: Note) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, events, 100):
        now = time.time()
        puts = [functions.invocation_put(NOTHING, EVENT, request_id=f"r-{start + n}", now=now) for n in range(100)]
        await engine.queues.put(puts)
    await emptied(engine, NOTHING)
    note("asynchronous: invocations/s", events / (time.perf_counter() - began))
    note("asynchronous: server CPU us each", (time.process_time() - cpu) / events * 1e6)


async def emptied(engine: Engine, queue: str) -> None:
    while await engine.queues.names(queue):  # noqa: ASYNC110 (seen from outside)
        await asyncio.sleep(0.002)


async def lag(functions: Functions, engine: Engine, note: Note) -> None:
    for number in range(LAG_SAMPLES):
        now = time.time()
        put = functions.invocation_put(STAMP, repr(now).encode(), request_id=f"lag-{number}", now=now)
        await engine.queues.put([put])
        await emptied(engine, STAMP)
        await asyncio.sleep(CALM_S)
    lines = [line.line.split() for line in functions.logs.recent(STAMP)]
    lags = sorted(float(words[-1]) * 1000 for words in lines if "lag" in words)
    note("put to start: p50 ms", statistics.median(lags))
    note("put to start: p99 ms", lags[int(len(lags) * 0.99) - 1])


async def client_rows(client: str, engine_name: str, events: int, note: Note) -> None:
    # Not below /tmp, which the sandbox replaces.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        clock = SystemClock()
        engine: Engine = MemoryEngine(clock)
        if engine_name == "embedded":
            engine = await open_embedded(Path(folder), clock, on_fatal=print)
        functions = await opened(engine, Path(folder), client)
        began = time.perf_counter()
        await functions.invoke(NOTHING, EVENT)
        note("cold start ms", (time.perf_counter() - began) * 1000)
        await synchronous(functions, 1, events, note)
        await synchronous(functions, 4, events, note)
        await asynchronous(functions, engine, events, note)
        await lag(functions, engine, note)
        await functions.close()
        await engine.close()


async def cost(engine_name: str, events: int, pairs: int = PAIRS) -> dict[str, Any]:
    """What metrics cost from the put of an invocation to the end of its row.

    Each run opens its own: of two that stay open side by side the first one is faster, whichever it is.
    """

    async def run(kind: type[Metrics]) -> tuple[float, float]:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            engine: Engine = MemoryEngine(SystemClock())
            if engine_name == "embedded":
                engine = await open_embedded(Path(folder), SystemClock(), on_fatal=print)
            functions = await opened(engine, Path(folder), kind=kind)
            found: dict[str, float] = {}
            try:
                # The first ones start workers.
                await asynchronous(functions, engine, events // 5, found.__setitem__)
                await asynchronous(functions, engine, events, found.__setitem__)
            finally:
                await functions.close()
                await engine.close()
            return found["asynchronous: server CPU us each"], found["asynchronous: invocations/s"]

    return await cost_of_metrics(run, pairs)


# --- the limit ---

# What our Python client writes for one event: its answer, and the request for the next.
ANSWER = (
    b"POST " + API + b"invocation/00000000-0000-4000-8000-000000000000/response HTTP/1.1\r\nHost: runtime\r\n"
    b"Content-Length: 1\r\n\r\n1GET " + API + b"invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"
)
OTHER_END = """
import socket, sys
end, size, answer = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
while True:
    left = size
    while left:
        data = end.recv(left)
        if not data:
            sys.exit()
        left -= len(data)
    end.sendall(answer)
"""


def limit_rows(events: int, note: Note) -> None:
    """Two processes, blocking sockets, the bytes of one invocation each way, and nothing else."""
    sent: list[bytes] = []

    class Wire:
        def write(self, data: bytes) -> None:
            sent.append(data)

    from busway.function.workers.runtime_api import RuntimeConnection

    connection: Any = RuntimeConnection(runtime=None)  # pyright: ignore[reportArgumentType]
    connection._transport = Wire()
    connection.send(Invocation("00000000-0000-4000-8000-000000000000", EVENT, NOTHING, 1_800_000_000_000))
    (request,) = sent
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", OTHER_END, str(theirs.fileno()), str(len(request)), ANSWER.hex()]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]), ours:
        theirs.close()
        times: list[float] = []
        began = time.perf_counter()
        for _ in range(events):
            at = time.perf_counter()
            ours.sendall(request)
            left = len(ANSWER)
            while left:
                left -= len(ours.recv(left))
            times.append((time.perf_counter() - at) * 1000)
        took = time.perf_counter() - began
        ours.shutdown(socket.SHUT_RDWR)
    note("exchanges/s", events / took)
    note("p50 ms", statistics.median(times))
    note("p99 ms", sorted(times)[int(events * 0.99) - 1])


# --- memory ---


def memory_rows(note: Note) -> None:
    """A whole server: what it and its workers hold, shared pages counted once, at and after a burst."""
    import boto3

    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        command = [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", f"{folder}/data", "--json"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            url = json.loads(server.stdout.readline())["url"]
            functions = boto3.client(
                "lambda", endpoint_url=url, region_name="us-east-1", aws_access_key_id="b", aws_secret_access_key="b"
            )
            functions.create_function(
                FunctionName="waits", Runtime="python3.11", Handler="app.handler",
                Role="arn:aws:iam::000000000000:role/bench", Code={"ZipFile": zipped("app.py", WAITS)},
            )  # fmt: skip
            functions.get_waiter("function_active_v2").wait(FunctionName="waits")
            functions.invoke(FunctionName="waits")
            note("before: MB", tree_bytes(server.pid) / 1e6)
            for _ in range(BURST):
                functions.invoke(FunctionName="waits", InvocationType="Event", Payload=EVENT)
            most, ends = 0, time.perf_counter() + 3.0
            while time.perf_counter() < ends:
                most = max(most, tree_bytes(server.pid))
                time.sleep(0.1)
            note(f"at {BURST} concurrent events: MB", most / 1e6)
            time.sleep(8.0)
            note(f"after {BURST} concurrent events: MB", tree_bytes(server.pid) / 1e6)
        finally:
            server.terminate()
            server.communicate()


def tree_bytes(pid: int) -> int:
    """The memory of a process and all below it, each page counted once."""
    return proportional_bytes(tree(pid))


def tree(pid: int) -> list[int]:
    found = [pid]
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [below for child in file.read_text().split() for below in tree(int(child))]
        except OSError:
            continue
    return found


def measure(events: int = 5_000, engine: str = "embedded", only: str = "", memory: bool = True) -> dict[str, float]:
    """Every row, by name; printed as it comes. For `bench/run.py`."""
    rows: dict[str, float] = {}
    for name in (*CLIENTS, "limit", *(["memory"] if memory else [])):
        if only and name not in only.split(","):
            continue

        def note(what: str, value: float, name: str = name) -> None:
            rows[f"{name}: {what}"] = round(value, 3)
            print(f"{name:13} {what:44} {value:12.3f}", flush=True)

        if name == "limit":
            limit_rows(events, note)
        elif name == "memory":
            memory_rows(note)
        else:
            uvloop.run(client_rows(name, engine, events, note))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("memory", "embedded"), default="embedded")
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--only", default="", help="python, awslambdaric, node, limit, memory")
    parser.add_argument("--memory", action="store_true", help="measure a whole server's memory, too")
    parser.add_argument("--unmeasured", action="store_true", help="say what metrics cost, and no more")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="with --unmeasured")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if given.unmeasured:
        print(json.dumps(uvloop.run(cost(given.engine, given.events, given.pairs)), indent=2))
        sys.exit()
    measure(given.events, given.engine, given.only, given.memory or "memory" in given.only)
