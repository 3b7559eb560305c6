"""Invocations per second in one process, without HTTP: what the function room costs by itself.

    .venv/bin/python bench/functions.py [--engine memory|embedded] [--events 5000]

The handler does nothing. Printed: cold start; synchronous invocations by one caller and by four; asynchronous ones,
counted when their rows are gone; server CPU for each; and the time from before the put, its fsync included, to the
handler's first line.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import uvloop

from busway.arn import Scope
from busway.clock import SystemClock, SystemEntropy
from busway.config import Settings
from busway.engine import Engine
from busway.engine.embedded import open_embedded
from busway.engine.memory import MemoryEngine
from busway.function.code_store import Zip
from busway.function.functions import Functions
from busway.function.process import SystemSpawn
from busway.function.registry import Configuration
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.trail import Trail

ARN = Scope().arn("lambda", "function:nothing")
STAMP = Scope().arn("lambda", "function:stamp")
NOTHING = "def handler(event, context): return 1"
STAMPS = "import time\ndef handler(event, context): print('lag', time.time() - event)"
EVENT = json.dumps({"detail": {"order": "4711", "note": "x" * 300}}).encode()
LAG_SAMPLES = 200


def zipped(source: str) -> Zip:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    return Zip(buffer.getvalue())


async def opened(engine: Engine, folder: Path) -> Functions:
    clock, entropy = SystemClock(), SystemEntropy()
    metrics = Metrics(clock)
    queues = SqsQueues(engine, clock, entropy, metrics)
    await queues.open()
    functions = Functions(
        engine, clock, entropy, metrics, Trail(clock), SystemSpawn(), Settings(data=str(folder)),
        QueueDeadLetters(queues, metrics),
    )  # fmt: skip
    await functions.open()
    wanted = Configuration(runtime="python3.11", handler="app.handler")
    await functions.registry.create(ARN, zipped(NOTHING), wanted)
    await functions.registry.create(STAMP, zipped(STAMPS), wanted)
    return functions


def show(what: str, events: int, began: float, cpu: float) -> None:
    took = time.perf_counter() - began
    print(
        f"{what:<28} {events / took:>8.0f}/s  {(time.process_time() - cpu) / events * 1e6:>6.0f} us server CPU each"
    )


async def synchronous(functions: Functions, callers: int, events: int) -> None:
    async def caller() -> None:
        for _ in range(events // callers):
            await functions.invoke(ARN, EVENT)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    show(f"synchronous, {callers} at a time", events, began, cpu)


async def asynchronous(functions: Functions, engine: Engine, events: int) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, events, 100):
        now = time.time()
        puts = [functions.invocation_put(ARN, EVENT, request_id=f"r-{start + n}", now=now) for n in range(100)]
        await engine.queues.put(puts)
    await emptied(engine, ARN)
    show("asynchronous, 100 a put", events, began, cpu)


async def emptied(engine: Engine, queue: str) -> None:
    while True:
        if not await engine.queues.names(queue):
            return
        await asyncio.sleep(0.001)


async def lag(functions: Functions, engine: Engine) -> None:
    for number in range(LAG_SAMPLES):
        now = time.time()
        put = functions.invocation_put(STAMP, repr(now).encode(), request_id=f"lag-{number}", now=now)
        await engine.queues.put([put])
        await emptied(engine, STAMP)
    lines = [line.line.split() for line in functions.logs.recent(STAMP)]
    lags = sorted(float(words[1]) * 1000 for words in lines if words[0] == "lag")
    print(
        f"put to handler               p50 {statistics.median(lags):.2f} ms, p99 {lags[-len(lags) // 100 - 1]:.2f} ms"
    )


async def main(engine_name: str, events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        engine: Engine = MemoryEngine(clock)
        if engine_name == "embedded":
            engine = await open_embedded(Path(folder), clock, on_fatal=lambda error: print(error))
        functions = await opened(engine, Path(folder))
        began = time.perf_counter()
        await functions.invoke(ARN, EVENT)
        print(f"cold start                   {(time.perf_counter() - began) * 1000:.0f} ms")
        await synchronous(functions, 1, events)
        await synchronous(functions, 4, events)
        await asynchronous(functions, engine, events)
        await lag(functions, engine)
        await functions.close()
        await engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("memory", "embedded"), default="embedded")
    parser.add_argument("--events", type=int, default=5_000)
    given = parser.parse_args()
    uvloop.run(main(given.engine, given.events))
