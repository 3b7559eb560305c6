"""A function room with real worker processes, on the memory engine, with real queues for dead letters."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from busway.arn import Scope
from busway.clock import Clock, SystemClock, SystemEntropy
from busway.config import Settings
from busway.delivery.dead_letter import Source
from busway.engine import Item
from busway.engine.memory import MemoryEngine
from busway.errors import QueueNotFound
from busway.function.build import Builder
from busway.function.definitions.code_store import Zip
from busway.function.definitions.registry import Configuration
from busway.function.functions import Functions, InvokeResult
from busway.function.mapping.function_runner import FunctionRunner
from busway.function.mapping.mappings import Mappings
from busway.function.mapping.runner import Desk
from busway.function.runtimes import Runtime
from busway.function.workers.cage import Cages
from busway.function.workers.process import SystemSpawn
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.stream.streams import Streams
from busway.trail import Trail

SCOPE = Scope()
UNDELIVERABLE = SCOPE.arn("sqs", "busway-undeliverable-default")
# Generous: the machine may be busy. Nothing waits this long unless it is broken.
PATIENCE_S = 30.0


def zipped(source: str, name: str = "app.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, dedent(source))
    return buffer.getvalue()


async def until(condition: Callable[[], Any]) -> Any:
    """Return what `condition` gives as soon as it is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not (found := condition()):
            await asyncio.sleep(0.005)
    return found


class RecordingDestinations:
    """Keeps what is sent to destinations, or refuses it."""

    def __init__(self) -> None:
        self.refuse = False
        self.sent: list[tuple[str, dict[str, Any], bool]] = []

    async def send(
        self, destination_arn: str, record: bytes, *, function_arn: str, success: bool, trace_header: str, now: float,
        source: Source | None = None,
    ) -> None:  # fmt: skip
        if self.refuse:
            raise QueueNotFound(destination_arn)
        self.sent.append((destination_arn, json.loads(record), success))


@dataclass
class Workshop:
    engine: MemoryEngine
    clock: Clock
    metrics: Metrics
    trail: Trail
    queues: SqsQueues
    destinations: RecordingDestinations
    functions: Functions

    def mappings(self) -> Mappings:
        """Mappings of this workshop's queues; there are no streams here."""
        streams = Streams(self.engine, self.clock, SystemEntropy(), self.metrics)
        runner = FunctionRunner(self.functions)
        return Mappings(
            Desk(
                self.engine, self.clock, SystemEntropy(), self.metrics, self.trail, self.queues, streams, runner,
                self.destinations,
            ),
            self.clock,
        )  # fmt: skip

    def arn(self, name: str) -> str:
        return SCOPE.arn("lambda", f"function:{name}")

    async def create(self, name: str, source: str, tags: dict[str, str] | None = None, **configuration: Any) -> str:
        wanted = {"runtime": "python3.12", "handler": "app.handler", "timeout_s": 20, **configuration}
        record = await self.functions.registry.create(
            self.arn(name), Zip(zipped(source)), Configuration(**wanted), tags
        )
        return record.arn

    async def invoke(self, name: str, event: Any = None, **options: Any) -> InvokeResult:
        async with asyncio.timeout(PATIENCE_S):
            return await self.functions.invoke(self.arn(name), json.dumps(event).encode(), **options)

    async def ask(self, name: str, event: Any = None) -> Any:
        """The result of an invocation that must not fail."""
        result = await self.invoke(name, event)
        assert result.function_error is None, result.payload
        return json.loads(result.payload)

    async def fail(self, name: str, event: Any = None) -> dict[str, Any]:
        """The error of an invocation that must fail."""
        result = await self.invoke(name, event)
        assert result.function_error == "Unhandled", result.payload
        return json.loads(result.payload)

    async def put(self, name: str, event: Any, request_id: str = "r-1", **facts: Any) -> None:
        put = self.functions.invocation_put(
            self.arn(name), json.dumps(event).encode(), request_id=request_id, now=self.clock.now(), **facts
        )
        await self.engine.queues.put([put])

    async def items(self, queue: str) -> list[Item]:
        return await self.engine.queues.browse(queue, 1_000)

    async def until_gone(self, name: str) -> None:
        """Return when nothing is queued for the function any more."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.items(self.arn(name)):
                await asyncio.sleep(0.005)

    async def lines(self, name: str) -> list[str]:
        return [line.line for line in await self.functions.logs.tail(self.arn(name), 10_000)]


@asynccontextmanager
async def workshop(
    folder: Path,
    *,
    clock: Clock | None = None,
    cages: bool = True,
    runtimes: dict[str, Runtime] | None = None,
    builder: Builder | None = None,
    **settings: Any,
) -> AsyncIterator[Workshop]:
    clock = clock or SystemClock()
    # Handlers leave signs of what they did beside the data.
    seen = folder.parent if folder.name == "data" else folder
    engine, metrics, trail = MemoryEngine(clock), Metrics(clock), Trail(clock)
    queues = SqsQueues(engine, clock, SystemEntropy(), metrics)
    await queues.open()
    destinations = RecordingDestinations()
    spawn = SystemSpawn() if cages else SystemSpawn(cages=Cages.none())
    functions = Functions(
        engine,
        clock,
        SystemEntropy(),
        metrics,
        trail,
        spawn,
        Settings(data=str(folder), **{"function_folders": str(seen), **settings}),
        QueueDeadLetters(queues, metrics),
        destinations=destinations,
        runtimes=runtimes,
        builder=builder,
    )
    await functions.open()
    try:
        yield Workshop(engine, clock, metrics, trail, queues, destinations, functions)
    finally:
        await functions.close()
        await engine.close()
