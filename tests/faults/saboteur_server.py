"""`busway serve` with a planted fault: the router's put of one event for one queue is left out.

Run as `python saboteur_server.py … busway serve …`; the environment's SKIPPED says what the event contains.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from busway import server
from busway.cli import main
from busway.engine import Engine, Put

SKIPPED = os.environ["SKIPPED"].encode()
open_engine = server.open_engine


async def open_sabotaged(*ground: Any) -> Engine:
    engine = await open_engine(*ground)
    honest = engine.queues.put

    async def put(puts: Sequence[Put], **how: Any) -> list[int]:
        kept = [put for put in puts if put.origin is None or SKIPPED not in put.body or ":sqs:" not in put.queue]
        return await honest(kept, **how) if kept else []

    engine.queues.put = put  # type: ignore[method-assign]
    return engine


server.open_engine = open_sabotaged
main(sys.argv[sys.argv.index("busway") + 1 :])
