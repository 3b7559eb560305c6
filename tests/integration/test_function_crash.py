"""The server dies between any two calls to the store: no event is lost, and what was in flight may be repeated."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from busway.clock import ManualClock, SystemEntropy
from busway.config import Settings
from busway.engine import Engine
from busway.engine.memory import MemoryEngine
from busway.errors import EngineStopped
from busway.function.definitions.code_store import Zip
from busway.function.definitions.registry import Configuration
from busway.function.functions import Functions
from busway.function.workers.placement import PREFETCH
from busway.function.workers.process import SystemSpawn
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.message import decode_meta
from busway.queue.queues import SqsQueues
from busway.trail import Trail

from .function_workshop import SCOPE, UNDELIVERABLE, until, zipped

ARN = SCOPE.arn("lambda", "function:f")
EVENTS = 3
# A lease and an end for what succeeds; two retries, each put back and leased; a dead letter and its end. Leases that
# find nothing, and ends that come one by one, add to it: that is chance.
CALLS_MIN = 8
# Good events are done, bad ones dead-lettered after three attempts.
SOURCE = "def handler(event, context):\n print('attempt', event)\n if event % 2: raise ValueError(event)"


class Dying:
    """Queues that die at the call with this number: that one, and every one after it, finds the engine stopped."""

    def __init__(self, queues: Any, calls: int) -> None:
        self._queues, self.left = queues, calls
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._queues, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            if name not in ("wait", "names"):
                self.left -= 1
            if self.left < 0:
                self.dead = True
                raise EngineStopped("played by a test")
            return await method(*arguments, **options)

        return call


class Slow:
    """Queues that take long to record an end: until `recording` is set."""

    def __init__(self, queues: Any) -> None:
        self._queues, self.recording = queues, asyncio.Event()
        self.waiting = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queues, name)

    async def done(self, *arguments: Any) -> None:
        self.waiting = not self.recording.is_set()
        await self.recording.wait()
        self.waiting = False
        await self._queues.done(*arguments)


class WithQueues:
    """An engine with other queues."""

    def __init__(self, engine: MemoryEngine, queues: Any) -> None:
        self.journal, self.records, self.queues = engine.journal, engine.records, queues


async def opened(engine: Any, clock: ManualClock, folder: Path, workers_max: int = 32) -> Functions:
    store: Engine = engine
    metrics = Metrics(clock)
    queues = SqsQueues(store, clock, SystemEntropy(), metrics)
    await queues.open()
    settings = Settings(data=str(folder), workers_max=workers_max)
    functions = Functions(
        store,
        clock,
        SystemEntropy(),
        metrics,
        Trail(clock),
        SystemSpawn(),
        settings,
        QueueDeadLetters(queues, metrics),
    )
    await functions.open()
    return functions


async def all_ended(engine: MemoryEngine, functions: Functions, clock: ManualClock) -> None:
    """Move the clock until nothing is queued any more."""
    while await engine.queues.names(ARN):
        counts = await engine.queues.counts(ARN)
        if counts.ready == 0 and functions.running(ARN) == 0:
            await clock.advance(30)
        else:
            await clock.advance(0.001)


@pytest.mark.parametrize("calls", range(16))
async def test_no_event_is_lost_whichever_call_is_the_last(tmp_path: Path, clock: ManualClock, calls: int):
    engine = MemoryEngine(clock)
    first = await opened(engine, clock, tmp_path)
    await first.registry.create(ARN, Zip(zipped(SOURCE)), Configuration(runtime="python3.11", handler="app.handler"))
    await first.close()
    puts = [first.invocation_put(ARN, b"%d" % n, request_id=f"r-{n}", now=clock.now()) for n in range(EVENTS)]
    await engine.queues.put(puts)

    dying = WithQueues(engine, Dying(engine.queues, calls))
    victim = await opened(dying, clock, tmp_path)
    for _ in itertools.count():
        if dying.queues.dead or not await engine.queues.names(ARN):
            break
        waiting = (await engine.queues.counts(ARN)).ready == 0 and victim.running(ARN) == 0
        await clock.advance(30 if waiting else 0.001)
    await victim.close()
    assert dying.queues.dead or calls >= CALLS_MIN

    heir = await opened(engine, clock, tmp_path)
    await all_ended(engine, heir, clock)
    await until(lambda: heir.running(ARN) == 0)
    lines = [line.line for line in await heir.logs.tail(ARN, 1_000)]
    await heir.close()
    letters = await engine.queues.browse(UNDELIVERABLE, 100)
    bad = [decode_meta(letter.meta).source for letter in letters]
    assert {source.payload for source in bad if source} == {b"1"}
    assert len(bad) <= 2
    attempts = {n: lines.count(f"attempt {n}") for n in range(EVENTS)}
    assert attempts[1] >= 3
    assert min(attempts.values()) >= 1
    # One death repeats what was in flight, each once at most.
    assert attempts[0] <= 2 and attempts[2] <= 2 and attempts[1] <= 4


async def test_what_a_crash_would_repeat_is_bounded_while_the_store_is_slow(tmp_path: Path, clock: ManualClock):
    """An event that ended is in flight until its end is recorded: no more are started than the pool has room for."""
    engine = MemoryEngine(clock)
    slow = Slow(engine.queues)
    functions = await opened(WithQueues(engine, slow), clock, tmp_path, workers_max=2)
    source = "def handler(event, context):\n print('attempt', event)"
    await functions.registry.create(
        ARN, Zip(zipped(source)), Configuration(runtime="python3.11", handler="app.handler")
    )
    events = 500
    puts = [functions.invocation_put(ARN, b"%d" % n, request_id=f"r-{n}", now=clock.now()) for n in range(events)]
    await engine.queues.put(puts)

    async def started() -> int:
        return sum("attempt" in line.line for line in await functions.logs.tail(ARN, 10 * events))

    await until(lambda: slow.waiting)
    await until(lambda: functions.running(ARN) == 0)
    in_flight = (1 + PREFETCH[1]) * 2
    assert 0 < await started() <= in_flight < events
    slow.recording.set()
    await until(lambda: not slow.waiting)
    await all_ended(engine, functions, clock)
    assert await started() == events
    await functions.close()
