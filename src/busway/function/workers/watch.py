"""The watch over busy workers: an end to those whose time is over, and to those that use too much memory.

A worker in a control group is bounded by the kernel and only measured here. For the others this is the bound: the
process itself every few milliseconds, its whole session (what it started, too) once a second, or at once when the
number of tasks on the machine jumps, as it does under a fork bomb.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from busway.clock import Clock
from busway.function.workers.cage import PROCESSES_MAX
from busway.function.workers.usage import Usage, proportional_bytes, tasks_on_machine, usage_by_session
from busway.function.workers.worker import Worker

# Ours: by so much an invocation may outlast its time limit.
TICK_S = 0.025
SESSIONS_EVERY_S = 1.0
# More new tasks than this between two looks, and the sessions are looked at at once.
JUMP = 200

log = logging.getLogger(__name__)


class Watch:
    """Watches `busy()`; runs until cancelled."""

    def __init__(self, clock: Clock, busy: Callable[[], Iterable[Worker]]) -> None:
        self._clock, self._busy = clock, busy
        self._wanted = asyncio.Event()
        self._sessions_at = 0.0
        self._tasks = 0

    def wake(self) -> None:
        """Somebody is busy now."""
        self._wanted.set()

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            await self._clock.sleep(TICK_S)
            try:
                await self._look_round()
            except Exception:
                # Nobody's time would ever be over any more.
                log.exception("a fault of ours in watching the workers; it goes on")

    async def _look_round(self) -> None:
        workers, now = [worker for worker in self._busy() if worker.alive], self._clock.monotonic()
        if not workers:
            self._wanted.clear()
            return
        for worker in workers:
            worker.expire(now)
        free = [worker for worker in workers if not self._look(worker)]
        if free and self._sessions_wanted():
            usage = await asyncio.to_thread(usage_by_session)
            for worker in free:
                assert worker.child is not None
                await _judge(worker, usage.get(worker.child.pid, Usage()))

    def _look(self, worker: Worker) -> bool:
        """Measure one worker; whether the kernel bounds it."""
        assert worker.child is not None
        used = worker.sample_memory()
        if not worker.child.caged and used > worker.plan.memory_mb * 1_048_576:
            worker.over_memory = True
            worker.kill()
        return worker.child.caged

    def _sessions_wanted(self) -> bool:
        now, tasks = self._clock.monotonic(), tasks_on_machine()
        jumped, self._tasks = tasks > self._tasks + JUMP, tasks
        if not jumped and now - self._sessions_at < SESSIONS_EVERY_S:
            return False
        self._sessions_at = now
        return True


async def _judge(worker: Worker, used: Usage) -> None:
    """End a worker whose session has more tasks, or uses more memory, than a function may."""
    bytes_max = worker.plan.memory_mb * 1_048_576
    if used.tasks > PROCESSES_MAX:
        worker.ended_for = f"it had more than {PROCESSES_MAX} processes and threads"
        worker.kill()
    elif used.resident_bytes > bytes_max and await asyncio.to_thread(proportional_bytes, used.pids) > bytes_max:
        worker.over_memory = True
        worker.kill()
