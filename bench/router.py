"""Events per second from PutEvents to the queue in one process, without HTTP: what the heart costs by itself.

    .venv/bin/python bench/router.py [--engine memory|embedded] [--rules 1,1000] [--events 20000] [--unmeasured]

Every event matches one rule with one queue as target; the other rules look for other values of the same field. Counts
what is queued, not what was accepted. `alone` are the two halves one after the other, on one core. `--unmeasured`
does all of it also without metrics, in turns, and says what they cost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from unmeasured import PAIRS, cost_of_metrics

from busway.arn import Scope
from busway.bus.put_events import EventEntry
from busway.bus.record import TargetSpec
from busway.bus.room import BusRoom
from busway.bus.router import READER
from busway.bus.routing import Ports
from busway.clock import SystemClock, SystemEntropy
from busway.config import Settings
from busway.delivery import Target
from busway.delivery.outbox import Outbox, Parts
from busway.engine import Engine
from busway.engine.embedded import open_embedded
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.targets.queue import QueueTarget
from busway.trail import Trail

SCOPE = Scope()
CLIENTS = 32
DETAIL = json.dumps({"order": {"id": "4711", "lines": [{"sku": "a" * 8, "n": i} for i in range(9)]}, "kind": "k0"})


async def measure(engine: Engine, rules: int, events: int, kind: type[Metrics] = Metrics) -> dict[str, float]:
    clock, entropy = SystemClock(), SystemEntropy()
    metrics, trail = kind(clock), Trail(clock)
    room = BusRoom(engine, clock, entropy, metrics, trail, Settings(rules_per_bus=rules))
    queues = SqsQueues(engine, clock, entropy, metrics)
    await room.open()
    await queues.open()
    queue = (await queues.create(SCOPE, "q")).arn
    letters = QueueDeadLetters(queues, metrics)
    targets: dict[str, Target] = {"sqs": QueueTarget(queues)}
    outbox = Outbox(Parts(engine, clock, entropy, metrics, trail, targets, letters))
    for number in range(rules):
        name = f"r{number}"
        await room.rules.put(name, None, SCOPE, {"EventPattern": json.dumps({"detail": {"kind": [f"k{number}"]}})})
        await room.rules.put_targets(name, None, SCOPE, [TargetSpec(id="t", arn=queue)])
    entries = [EventEntry(source="shop", detail_type="Order", detail=DETAIL)] * 10

    async def client(requests: int) -> None:
        for _ in range(requests):
            await room.publisher.put_events(entries, SCOPE, None)

    async def publish(count: int) -> None:
        await asyncio.gather(*(client(count // 10 // CLIENTS) for _ in range(CLIENTS)))

    async def arrived(count: int) -> None:
        while (await engine.queues.counts(queue)).ready < count:  # noqa: ASYNC110
            # The engine tells nobody how much a queue holds.
            await asyncio.sleep(0.002)

    # The changes of rules are routed first: they are no events.
    router = room.router(Ports(targets, outbox, letters))
    await router.open()
    bus = SCOPE.arn("events", "event-bus/default")
    while await engine.journal.position(bus, READER) < await engine.journal.head(bus):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await router.close()
    count = events // 10 // CLIENTS * 10 * CLIENTS
    start, cpu = time.perf_counter(), time.process_time()
    await publish(count)
    accepted = time.perf_counter() - start
    accepted_cpu = time.process_time() - cpu
    router = room.router(Ports(targets, outbox, letters))
    start, cpu = time.perf_counter(), time.process_time()
    await router.open()
    await arrived(count)
    routed = time.perf_counter() - start
    routed_cpu = time.process_time() - cpu
    start = time.perf_counter()
    await publish(count)
    await arrived(2 * count)
    both = time.perf_counter() - start
    await router.close()
    return {
        "accept": count / accepted,
        "accept_cpu_us": accepted_cpu / count * 1e6,
        "route": count / routed,
        "route_cpu_us": routed_cpu / count * 1e6,
        "both": count / both,
    }


async def one(engine_name: str, rules: int, events: int, kind: type[Metrics]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        clock = SystemClock()
        memory = engine_name == "memory"
        engine: Engine = MemoryEngine(clock) if memory else await open_embedded(Path(folder), clock, on_fatal=print)
        try:
            return await measure(engine, rules, events, kind)
        finally:
            await engine.close()


async def cost(engine_name: str, events: int, pairs: int = PAIRS) -> dict[str, Any]:
    """What metrics cost from PutEvents to the queue."""

    async def run(kind: type[Metrics]) -> tuple[float, float]:
        found = await one(engine_name, 1, events, kind)
        return found["accept_cpu_us"] + found["route_cpu_us"], found["both"]

    return await cost_of_metrics(run, pairs)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="memory", choices=["memory", "embedded"])
    parser.add_argument("--rules", default="1,1000")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--unmeasured", action="store_true", help="say what metrics cost")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="with --unmeasured")
    options = parser.parse_args()
    if options.unmeasured:
        print(json.dumps(await cost(options.engine, options.events, options.pairs), indent=2))
        return
    for rules in map(int, options.rules.split(",")):
        found = await one(options.engine, rules, options.events, Metrics)
        shown = "  ".join(f"{name} {value:,.1f}" for name, value in found.items())
        print(f"{options.engine:9} rules {rules:5}  {shown}")


if __name__ == "__main__":
    asyncio.run(main())
