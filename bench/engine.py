"""What the embedded engine does by itself: durable appends, router puts, lease and done. Rates and CPU for each.

    .venv/bin/python bench/engine.py [seconds per row]

CPU is the whole process's (event loop and committer thread). fsync time swings with whatever else uses the disk:
compare CPU, and rates only within one run.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from busway.clock import SystemClock
from busway.engine import Engine, Origin, Put
from busway.engine.embedded import open_embedded

EVENT = b'{"version":"0","detail-type":"Order Placed","source":"shop"}'.ljust(600, b"x")
ENTRIES = 10
PUT_ROWS = 300
SUBSCRIBERS = 10
LEASE_ROWS = 32


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(name: str, seconds: float, in_flight: int, step: Callable[[], Awaitable[int]]) -> None:
    """Run `step` in `in_flight` tasks and print pieces a second and CPU us a piece."""
    pieces = 0
    until = time.perf_counter() + seconds

    async def run() -> None:
        nonlocal pieces
        while time.perf_counter() < until:
            done = await step()
            if not done:
                return
            pieces += done

    started, cpu = time.perf_counter(), cpu_s()
    await asyncio.gather(*(run() for _ in range(in_flight)))
    elapsed, used = time.perf_counter() - started, cpu_s() - cpu
    print(f"{name:<48} {in_flight:>3} in flight {pieces / elapsed:>10,.0f}/s {1e6 * used / pieces:>7.1f} us CPU each")


async def bench(engine: Engine, seconds: float) -> None:
    entries = [EVENT] * ENTRIES
    offset = 0

    async def append() -> int:
        await engine.journal.append("bus", entries)
        return 1

    async def put() -> int:
        nonlocal offset
        now, first = time.time(), offset
        offset += PUT_ROWS // SUBSCRIBERS
        puts = [
            Put(f"queue{i}", EVENT, now, b"", Origin(f"subscriber{i}", at))
            for at in range(first + 1, offset + 1)
            for i in range(SUBSCRIBERS)
        ]
        await engine.queues.put(puts, accepted=True)
        return PUT_ROWS

    queues = iter(range(1 << 60))

    async def lease_and_done() -> int:
        items = await engine.queues.lease(f"queue{next(queues) % SUBSCRIBERS}", LEASE_ROWS, 30)
        await engine.queues.done(items)
        return len(items)

    async def read() -> int:
        nonlocal position
        found = await engine.journal.read("bus", position, 256)
        position = found[-1].offset if found else position
        return len(found)

    for in_flight in (1, 8, 64):
        await measure(f"append of {ENTRIES} entries", seconds, in_flight, append)
    position = 0
    await measure("entry read from disk, then from the tail", seconds, 1, read)
    for in_flight in (1, 4):
        await measure(f"put, {PUT_ROWS} to a call", seconds, in_flight, put)
    for in_flight in (1, 8):
        for _ in range(int(300 * seconds)):
            await put()
        await measure(f"lease and done, {LEASE_ROWS} to a call", seconds, in_flight, lease_and_done)


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        engine = await open_embedded(Path(folder), SystemClock(), on_fatal=lambda exc: sys.exit(repr(exc)))
        await bench(engine, seconds)
        await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
