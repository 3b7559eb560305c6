"""A task for each queue of a kind: those that a start finds, and each from the first put on.

A lane whose queue is empty in two rounds ends. Who wants to put says so first and may put later, so a round ends none
that was started since the round before; and it begins one for whatever is found without a lane, so that nothing waits
for good, whoever put it when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from busway.clock import Clock
from busway.engine import Engine
from busway.errors import CorruptRecord, EngineStopped, StorageFull

# Ours: how long to wait after the engine refused something.
ENGINE_RETRY_S = 1.0
# Ours: how often lanes are looked through.
ROUND_S = 300.0

log = logging.getLogger(__name__)


class Lanes:
    """`run` is the work on one queue, whose name begins with `prefix`."""

    def __init__(
        self, engine: Engine, clock: Clock, prefix: str, run: Callable[[str], Coroutine[Any, Any, None]]
    ) -> None:
        self._engine, self._clock, self._prefix, self._run = engine, clock, prefix, run
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started: set[str] = set()
        self._rounds: asyncio.Task[None] | None = None
        self._open = False

    async def open(self) -> None:
        """Take up the work that an earlier process left."""
        self._open = True
        for queue in await self._engine.queues.names(self._prefix):
            self.start(queue)
        turn = keep_turning(f"the lanes of {self._prefix}", self._round, self._clock)
        self._rounds = asyncio.create_task(turn, name=self._prefix)

    async def close(self) -> None:
        """Break off the work; what waits is kept."""
        self._open = False
        tasks = [*self._tasks.values(), *([self._rounds] if self._rounds else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def start(self, queue: str) -> None:
        """Something is put there. Nothing happens while they are not open: `open` finds it."""
        task = self._tasks.get(queue)
        if self._open:
            self._started.add(queue)
        if self._open and (task is None or task.done()):
            self._tasks[queue] = asyncio.create_task(self._run(queue), name=queue)

    async def _round(self) -> None:
        await self._clock.sleep(ROUND_S)
        filled = frozenset(await self._engine.queues.names(self._prefix))
        # What has work now may still be at the end of it in the next round.
        busy, self._started = filled | self._started, set(filled)
        for queue in filled - self._tasks.keys():
            self.start(queue)
        ending = {queue: task for queue, task in self._tasks.items() if queue not in busy}
        for task in ending.values():
            task.cancel()
        await asyncio.gather(*ending.values(), return_exceptions=True)
        for queue in ending:
            del self._tasks[queue]
            if queue in self._started:
                self.start(queue)


async def keep_turning(
    queue: str,
    turn: Callable[[], Awaitable[object]],
    clock: Clock,
    halted: Callable[[CorruptRecord], object] | None = None,
) -> None:
    """Do turns until the engine stops or has a record that cannot be read; no fault of a turn's ends it.

    `halted` is told of such a record.
    """
    try:
        while True:
            try:
                await turn()
            except StorageFull as error:
                log.warning("%s waits: %s", queue, error)
                await clock.sleep(ENGINE_RETRY_S)
            except (EngineStopped, CorruptRecord):
                raise
            except Exception:
                log.exception("%s: a fault of ours in a turn; it goes on", queue)
                await clock.sleep(ENGINE_RETRY_S)
    except EngineStopped as error:
        log.info("%s ends: %s", queue, error)
    except CorruptRecord as error:
        log.critical("%s stands still: %s", queue, error)
        if halted is not None:
            halted(error)
