"""A process that works an embedded engine as fast as it can and says on stdout what was acknowledged.

    python engine_writer.py DATA_FOLDER [reserve_mb]

A line `accepted N` is printed after the append of event N returned. Two more tasks route and deliver, so that puts,
leases, outcomes and positions ride in the same commits. Exits with 70 when the engine stops itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from busway.clock import SystemClock
from busway.engine import Engine, Origin, Put
from busway.engine.embedded import open_embedded
from busway.errors import EngineStopped, StorageFull

PADDING = b"." * 500


def say(*words: object) -> None:
    # One write a line, past any buffer: what was said before a kill was said.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def publish(engine: Engine, start: int) -> None:
    number = start
    while True:
        names = [b"%d:%d" % (number, part) + PADDING for part in range(3)]
        try:
            await engine.journal.append("bus", names)
        except StorageFull as exc:
            say("full", exc)
            await asyncio.sleep(0.05)
            continue
        say("accepted", number)
        number += 1


async def route(engine: Engine) -> None:
    position = await engine.journal.position("bus", "router")
    while True:
        await engine.journal.wait("bus", position)
        entries = await engine.journal.read("bus", position, 100)
        puts = [Put("q", e.data, 0.0, b"", Origin("mail", e.offset)) for e in entries]
        await engine.queues.put(puts, accepted=True)
        position = entries[-1].offset
        await engine.journal.advance("bus", "router", position)


async def deliver(engine: Engine) -> None:
    while True:
        await engine.queues.wait("q")
        items = await engine.queues.lease("q", 20, 30)
        await asyncio.sleep(0)
        await engine.queues.done(items)
        say("delivered", len(items))


async def main() -> int:
    fatal: list[BaseException] = []
    reserve_mb = float(sys.argv[2]) if len(sys.argv) > 2 else 0
    engine = await open_embedded(Path(sys.argv[1]), SystemClock(), on_fatal=fatal.append, reserve_mb=reserve_mb)
    start = 1 + len(await engine.journal.read("bus", 0, 1 << 30)) // 3
    say("open")
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in (publish(engine, start), route(engine), deliver(engine)):
                tasks.create_task(work)
    except* EngineStopped as stopped:
        say("stopped", stopped.exceptions[0])
    return 70 if fatal else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
