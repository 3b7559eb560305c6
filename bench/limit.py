"""The limit: the same front with only the journal append. What PutEvents takes in is durable, and nobody routes it.

    .venv/bin/python bench/limit.py PORT DATA_FOLDER

The door, the bus and the engine are Busway's own; the router is not started. Runs until it is killed.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from busway.aws.gate import Gate
from busway.aws.gateway import Gateway
from busway.aws.server_http import HttpServer, run
from busway.aws.services.events import Events
from busway.bus.room import BusRoom
from busway.cli.serve import COLLECT_EVERY
from busway.clock import SystemClock, SystemEntropy
from busway.config import Settings
from busway.engine.embedded import open_embedded
from busway.metrics import Metrics
from busway.trail import Trail


async def serve(port: int, folder: Path) -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    folder.mkdir(parents=True, exist_ok=True)
    engine = await open_embedded(folder, clock, on_fatal=lambda error: sys.exit(repr(error)))
    room = BusRoom(engine, clock, entropy, Metrics(clock), Trail(clock), Settings(data=str(folder)))
    await room.open()
    server = HttpServer(Gateway([Events(room)], Gate(clock), clock, entropy), clock, port=port)
    await server.start()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), Path(sys.argv[2])))
