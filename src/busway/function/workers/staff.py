"""Who has which workers: starts and ends them as `placement` decides, within `workers_max`."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from busway.clock import Clock
from busway.function.workers.crew import Crew, Run
from busway.function.workers.placement import START_COST_S, first_served, gives_up, places, surplus, wants_worker
from busway.function.workers.process import Spawn
from busway.function.workers.worker import LineSink, Plan, Worker, WorkerFailed

_SWEEP_S = 1.0


PlanMaker = Callable[[str, int], Plan]
"""(ARN of a function's version, number of the worker, used once) → what the worker is made from."""


class Tasks:
    """Tasks that are not lost before they end."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def cancel(self) -> None:
        for task in list(self._running):
            task.cancel()
        await self.finish()

    async def finish(self) -> None:
        """Return when there is none, those included that begin meanwhile."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)


class Staff:
    """All crews. `clock` is the machine's own."""

    def __init__(
        self, spawn: Spawn, clock: Clock, sink: LineSink, plan_of: PlanMaker, *, workers_max: int, idle_s: float
    ) -> None:
        self._spawn, self._clock, self._sink, self._plan_of = spawn, clock, sink, plan_of
        self._workers_max, self._idle_s = workers_max, idle_s
        self._cores = os.cpu_count() or 1
        self._crews: dict[str, Crew] = {}
        # Crews that want a worker, and found no place.
        self._hungry: set[Crew] = set()
        # Crews of deleted functions whose workers still finish what they do.
        self._leaving: set[Crew] = set()
        self._numbers = itertools.count(1)
        self._tasks = Tasks()
        # Apart from the others: these are waited for, never cancelled, or a process could stay.
        self._endings = Tasks()
        self.total = 0
        self.closing = False
        # Called with a function's ARN when it can take more than before.
        self.on_room: Callable[[str], None] = lambda arn: None
        # Called with the plan of a worker of which nothing is left.
        self.on_end: Callable[[Plan], None] = lambda plan: None

    def open(self) -> None:
        """Begin to look after the workers."""
        self._tasks.keep(self._end_idle())

    async def close(self) -> None:
        """End every worker."""
        self.closing = True
        await self._tasks.cancel()
        for crew in (*self._crews.values(), *self._leaving):
            for worker in list(crew.workers):
                self._retire(crew, worker)
        await self._endings.finish()

    # --- crews ---

    def crew(self, arn: str) -> Crew | None:
        return self._crews.get(arn)

    def crews(self) -> Iterator[Crew]:
        return iter(self._crews.values())

    def enlist(self, crew: Crew) -> None:
        self._crews[crew.arn] = crew

    def renew(self, crew: Crew, revision: str) -> None:
        """Workers of another revision end as soon as they are idle."""
        crew.revision = revision
        for worker in [worker for worker in crew.free if worker.plan.revision != revision]:
            crew.free.remove(worker)
            self._retire(crew, worker)

    def dismiss(self, crew: Crew) -> None:
        """End its workers; those that run finish first."""
        del self._crews[crew.arn]
        self._hungry.discard(crew)
        if crew.workers:
            self._leaving.add(crew)
        while crew.free:
            self._retire(crew, crew.free.pop())

    def busy(self) -> list[Worker]:
        crews = (*self._crews.values(), *self._leaving)
        return [worker for crew in crews for worker in crew.workers if worker not in crew.free]

    # --- a worker that finished ---

    def give_back(self, crew: Crew, worker: Worker) -> None:
        """It is free: for the next in line, for later, or it is ended."""
        worker.idle_since = self._clock.monotonic()
        if worker not in crew.workers:
            return
        gone = self._crews.get(crew.arn) is not crew
        unfit = not worker.alive or gone or worker.plan.revision != crew.revision or self.closing
        if unfit or self._is_needed_elsewhere(crew, worker):
            self._retire(crew, worker)
        elif not crew.serve(worker, worker.idle_since):
            crew.free.append(worker)
        self.on_room(crew.function)

    def _is_needed_elsewhere(self, crew: Crew, worker: Worker) -> bool:
        beyond = self.total > self._workers_max
        if not beyond and not self._hungry:
            return False
        now = self._clock.monotonic()
        neediest = first_served(other.claim(now) for other in self._hungry if other is not crew and other.line)
        held_s = now - worker.ready_at
        return gives_up(workers=crew.size, line=len(crew.line), held_s=held_s, neediest=neediest, beyond=beyond)

    # --- start workers ---

    def ask(self, crew: Crew) -> None:
        """Somebody stands in line: start what is worth it, now or as soon as it is."""
        self._consider(crew)
        if not crew.looked_after:
            crew.looked_after = True
            self._tasks.keep(self._look_after(crew))

    async def _look_after(self, crew: Crew) -> None:
        while crew.line:
            await self._clock.sleep(START_COST_S)
            self._consider(crew)
        crew.looked_after = False

    def _consider(self, crew: Crew) -> None:
        """Start what is worth its start, as far as there are places."""
        while not self.closing and self._wants(crew):
            if not self._has_place(crew):
                self._hungry.add(crew)
                return
            self._start(crew)
        self._hungry.discard(crew)

    def _wants(self, crew: Crew) -> bool:
        if not crew.line or crew.full or self._crews.get(crew.arn) is not crew:
            return False
        waited_s = self._clock.monotonic() - max(crew.line[0].since, crew.ready_at)
        return wants_worker(
            waiting=len(crew.line), starting=crew.starting, workers=crew.size, cores=self._cores,
            typical_s=crew.typical_s, waited_s=waited_s,
        )  # fmt: skip

    def _has_place(self, crew: Crew) -> bool:
        if self.total < places(crew.claim(self._clock.monotonic()), self._workers_max):
            return True
        idle = [(worker.idle_since, other, worker) for other in self._crews.values() for worker in other.free]
        if not idle:
            return False
        _, other, worker = min(idle, key=lambda found: found[0])
        other.free.remove(worker)
        self._part_with(other, worker)
        return True

    def _start(self, crew: Crew) -> None:
        plan = self._plan_of(crew.arn, next(self._numbers))
        worker = Worker(plan, self._spawn, self._clock, self._sink, partial(self._gone, crew))
        crew.workers.add(worker)
        crew.starting += 1
        crew.bounds.workers += 1
        self.total += 1
        self._tasks.keep(self._bring_up(crew, worker))

    async def _bring_up(self, crew: Crew, worker: Worker) -> None:
        began = self._clock.monotonic()
        try:
            await worker.start()
        except WorkerFailed as failure:
            crew.starting -= 1
            took_s, memory_mb = self._clock.monotonic() - began, worker.plan.memory_mb
            run = Run(
                failure.answer, took_s, took_s, worker.memory_peak, memory_mb, worker.init_tail,
                worker.remarks(failure.answer), in_init=True, worker=worker.plan.mark,
            )  # fmt: skip
            self._retire(crew, worker)
            crew.serve(run, self._clock.monotonic())
            self._consider(crew)
            return
        crew.starting -= 1
        crew.ready_at = worker.ready_at = self._clock.monotonic()
        self.give_back(crew, worker)

    # --- end workers ---

    def _gone(self, crew: Crew, worker: Worker) -> None:
        """A worker's process ended. While it runs or starts, whoever uses it gives it back."""
        if worker in crew.free:
            crew.free.remove(worker)
            self._retire(crew, worker)

    def _retire(self, crew: Crew, worker: Worker) -> None:
        """End a worker. Its place is free at once: those who found none are asked again, the neediest first."""
        if worker not in crew.workers:
            return
        self._part_with(crew, worker)
        now = self._clock.monotonic()
        claims = {other.arn: other.claim(now) for other in (*self._hungry, crew)}
        while first := first_served(claims.values()):
            del claims[first.function]
            if first.function in self._crews:
                self._consider(self._crews[first.function])

    def _part_with(self, crew: Crew, worker: Worker) -> None:
        crew.workers.discard(worker)
        crew.bounds.workers -= 1
        self.total -= 1
        self._endings.keep(self._end(crew, worker))

    async def _end(self, crew: Crew, worker: Worker) -> None:
        await worker.end()
        self.on_end(worker.plan)
        if not crew.workers:
            self._leaving.discard(crew)
        self.on_room(crew.function)

    async def _end_idle(self) -> None:
        while True:
            await self._clock.sleep(min(_SWEEP_S, self._idle_s))
            now = self._clock.monotonic()
            for crew in list(self._crews.values()):
                # Free workers are taken from the end, so the first is idle longest.
                idle_s = [now - worker.idle_since for worker in crew.free]
                ends = surplus(idle_s, workers=crew.size, cores=self._cores, idle_s_max=self._idle_s)
                for worker in crew.free[:ends]:
                    crew.free.remove(worker)
                    self._retire(crew, worker)
