"""The worker pool: who runs what, when another worker is worth starting, and when one is ended.

Each function has a crew: its workers, and a line of invocations that wait for one. An invocation takes a free worker,
or stands in line. Rules (ours where AWS has no limit of machines):

- a function's first worker may always start, so that no function can keep another one from running at all;
- further ones while there are fewer than `workers_max` in total; an idle worker of another function makes room;
- starting costs tens of milliseconds of CPU, so quick handlers get no more workers than there are cores
  (`wants_worker`), and handlers that wait get as many as there is work for;
- reserved concurrency is a bound for the crew; at 0 everything is throttled.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from busway.clock import Clock, first_of
from busway.errors import FunctionNotFound, FunctionThrottled, WorkersStopped
from busway.function.process import Spawn
from busway.function.runtime_api import Invocation
from busway.function.watch import Watch
from busway.function.worker import Answer, LineSink, Plan, Worker, WorkerFailed

# Ours: what starting a worker costs; a handler that is quicker is served sooner by waiting for a busy one.
START_COST_S = 0.025
# Ours: how many events wait beside each one that runs, so that a worker need not wait for the store. Every one of
# them is in flight, and may be repeated after `kill -9`.
PREFETCH = 1
# Ours: how long a caller waits for a worker when all are taken, and how many may wait, before it is throttled.
PATIENCE_S = 30.0
LINE_MAX = 1_000

_SWEEP_S = 1.0
_RECENT = 0.2


PlanMaker = Callable[[str, int], Plan]
"""(function's ARN, number of the worker, used once) → what the worker is made from."""


@dataclass(frozen=True, slots=True)
class Run:
    """An invocation that ended. `init_s` is set for the first one of a worker."""

    answer: Answer
    duration_s: float
    init_s: float | None
    memory_bytes: int
    memory_mb: int
    tail: bytes


@dataclass(eq=False, slots=True)
class _Ticket:
    """A place in line: gets a worker, or the answer of a worker that failed to start."""

    since: float
    served: asyncio.Future[Worker | Run]


@dataclass(eq=False, slots=True)
class _Crew:
    """The workers of one function. Workers of another revision than the present one only finish what they do."""

    function_arn: str
    revision: str
    reserved: int | None
    workers: set[Worker] = field(default_factory=set[Worker])
    free: list[Worker] = field(default_factory=list[Worker])
    line: deque[_Ticket] = field(default_factory=deque[_Ticket])
    starting: int = 0
    running: int = 0
    typical_s: float = 0.0
    ready_at: float = 0.0
    looked_after: bool = False

    @property
    def size(self) -> int:
        return len(self.workers)


def wants_worker(*, waiting: int, starting: int, workers: int, cores: int, typical_s: float, waited_s: float) -> bool:
    """Whether another worker is worth its start.

    `workers` includes those `starting`. `typical_s` is what an invocation takes of late, `waited_s` how long the
    first in line has waited since the last worker became ready.
    """
    if waiting <= starting or starting >= cores:
        return False
    if workers < cores:
        return True
    return typical_s > START_COST_S or waited_s > START_COST_S


class Pool:
    """Runs invocations. `clock` is the machine's own: processes live by it, whatever the server's clock says."""

    def __init__(
        self, spawn: Spawn, clock: Clock, sink: LineSink, plan_of: PlanMaker, *, workers_max: int, idle_s: float
    ) -> None:
        self._spawn, self._clock, self._sink, self._plan_of = spawn, clock, sink, plan_of
        self._workers_max, self._idle_s = workers_max, idle_s
        self._cores = os.cpu_count() or 1
        self._crews: dict[str, _Crew] = {}
        # Crews of deleted functions whose workers still finish what they do.
        self._leaving: set[_Crew] = set()
        self._total = 0
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        # Apart from the others: these are waited for, never cancelled, or a process could stay.
        self._endings: set[asyncio.Task[None]] = set()
        self._closing = False
        self._watch = Watch(clock, self._busy)
        # Called with a function's ARN when it can take more than before.
        self.on_room: Callable[[str], None] = lambda arn: None
        # Called with the plan of a worker of which nothing is left.
        self.on_end: Callable[[Plan], None] = lambda plan: None

    def open(self) -> None:
        """Begin to look after the workers."""
        self._keep(self._watch.run())
        self._keep(self._end_idle())

    async def close(self) -> None:
        """End every worker; invocations under way fail as their process does."""
        self._closing = True
        for crew in self._crews.values():
            self._send_away(crew, WorkersStopped("the server is stopping"))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for crew in (*self._crews.values(), *self._leaving):
            for worker in crew.workers:
                self._retire(crew, worker)
        while self._endings:
            await asyncio.gather(*self._endings)

    # --- what a function may use ---

    def assign(self, function_arn: str, revision: str, reserved: int | None) -> None:
        """Run this revision from now on. Workers of another one end as soon as they are idle."""
        crew = self._crews.get(function_arn)
        if crew is None:
            self._crews[function_arn] = _Crew(function_arn, revision, reserved)
            return
        crew.revision, crew.reserved = revision, reserved
        for worker in [worker for worker in crew.free if worker.plan.revision != revision]:
            crew.free.remove(worker)
            self._retire(crew, worker)

    def dismiss(self, function_arn: str) -> None:
        """End the workers of a function that is gone; those that run finish first."""
        crew = self._crews.pop(function_arn, None)
        if crew is None:
            return
        self._send_away(crew, FunctionNotFound(function_arn))
        self._leaving.add(crew)
        while crew.free:
            self._retire(crew, crew.free.pop())

    def _send_away(self, crew: _Crew, error: Exception) -> None:
        while crew.line:
            ticket = crew.line.popleft()
            if not ticket.served.done():
                ticket.served.set_exception(error)

    def capacity(self, function_arn: str) -> int:
        """How many invocations are worth having under way: one to run and one to wait for each worker."""
        crew = self._crews.get(function_arn)
        if crew is None or self._closing:
            return 0
        capacity = (1 + PREFETCH) * max(1, crew.size)
        return capacity if crew.reserved is None else min(capacity, crew.reserved)

    def running(self, function_arn: str) -> int:
        """Invocations under way, those in line included."""
        crew = self._crews.get(function_arn)
        return 0 if crew is None else crew.running

    # --- run ---

    async def run(self, function_arn: str, invocation: Callable[[Plan], Invocation], patience_s: float | None) -> Run:
        """Run one invocation, made for the worker's plan when it is there.

        Waits up to `patience_s` for a worker (None: for ever). Raises `FunctionThrottled`, `WorkersStopped`.
        """
        crew = self._admitted(function_arn)
        crew.running += 1
        worker: Worker | Run | None = None
        try:
            worker = self._free_worker(crew)
            if worker is None:
                worker = await self._stand_in_line(crew, patience_s)
            if isinstance(worker, Run):
                return worker
            return await self._run_on(crew, worker, invocation(worker.plan))
        except asyncio.CancelledError:
            if isinstance(worker, Worker) and worker.busy:
                # The caller is gone. As on AWS its invocation goes on, and the worker is not free until it ends.
                self._keep(self._let_finish(crew, worker))
                worker = None
            raise
        finally:
            crew.running -= 1
            if isinstance(worker, Worker):
                self._give_back(crew, worker)

    def _admitted(self, function_arn: str) -> _Crew:
        if self._closing:
            raise WorkersStopped("the server is stopping")
        crew = self._crews.get(function_arn)
        if crew is None:
            raise FunctionNotFound(function_arn)
        if crew.reserved is not None and crew.running >= crew.reserved:
            raise FunctionThrottled("ReservedFunctionConcurrentInvocationLimitExceeded")
        return crew

    async def _run_on(self, crew: _Crew, worker: Worker, invocation: Invocation) -> Run:
        self._watch.wake()
        worker.runs += 1
        began = self._clock.monotonic()
        answer = await worker.run(invocation)
        duration_s = self._clock.monotonic() - began
        tail = worker.finish()
        if self._closing and answer.kind is not None and not worker.alive:
            # Its process was ended by us: no error of the function.
            raise WorkersStopped("the server is stopping")
        crew.typical_s += _RECENT * (duration_s - crew.typical_s)
        return Run(
            answer,
            duration_s,
            worker.init_s if worker.runs == 1 else None,
            worker.memory_peak,
            worker.plan.memory_mb,
            tail,
        )

    async def _let_finish(self, crew: _Crew, worker: Worker) -> None:
        crew.running += 1
        try:
            await worker.answer()
            worker.finish()
        finally:
            crew.running -= 1
            self._give_back(crew, worker)

    def _free_worker(self, crew: _Crew) -> Worker | None:
        # Last in, first out: the workers that are not needed stay idle, and are ended.
        return crew.free.pop() if crew.free and not crew.line else None

    async def _stand_in_line(self, crew: _Crew, patience_s: float | None) -> Worker | Run:
        if len(crew.line) >= LINE_MAX:
            raise FunctionThrottled("ConcurrentInvocationLimitExceeded")
        ticket = _Ticket(self._clock.monotonic(), asyncio.get_running_loop().create_future())
        crew.line.append(ticket)
        self._consider(crew)
        if not crew.looked_after:
            crew.looked_after = True
            self._keep(self._look_after(crew))
        try:
            served = await first_of(self._clock, ticket.served, patience_s)
        except asyncio.CancelledError:
            self._leave_line(crew, ticket)
            raise
        if served is None:
            self._leave_line(crew, ticket)
            raise FunctionThrottled("ConcurrentInvocationLimitExceeded")
        return served

    def _leave_line(self, crew: _Crew, ticket: _Ticket) -> None:
        with contextlib.suppress(ValueError):
            crew.line.remove(ticket)
        # It was served in the moment in which its caller went away.
        served = ticket.served
        if served.done() and not served.cancelled() and served.exception() is None:
            worker = served.result()
            if isinstance(worker, Worker):
                self._give_back(crew, worker)

    def _serve(self, crew: _Crew, served: Worker | Run) -> bool:
        """Give it to the first in line; False when nobody waits."""
        while crew.line:
            ticket = crew.line.popleft()
            if not ticket.served.done():
                ticket.served.set_result(served)
                return True
        return False

    def _give_back(self, crew: _Crew, worker: Worker) -> None:
        worker.idle_since = self._clock.monotonic()
        if worker not in crew.workers:
            return
        gone = self._crews.get(crew.function_arn) is not crew
        if not worker.alive or gone or worker.plan.revision != crew.revision or self._closing:
            self._retire(crew, worker)
        elif not self._serve(crew, worker):
            crew.free.append(worker)
        self.on_room(crew.function_arn)

    # --- start and end workers ---

    async def _look_after(self, crew: _Crew) -> None:
        """While somebody waits, ask again and again whether another worker is worth it."""
        while crew.line:
            await self._clock.sleep(START_COST_S)
            self._consider(crew)
        crew.looked_after = False

    def _consider(self, crew: _Crew) -> None:
        while crew.line and not self._closing:
            wanted = wants_worker(
                waiting=len(crew.line),
                starting=crew.starting,
                workers=crew.size,
                cores=self._cores,
                typical_s=crew.typical_s,
                waited_s=self._clock.monotonic() - max(crew.line[0].since, crew.ready_at),
            )
            if not wanted or not self._has_place(crew):
                return
            self._start(crew)

    def _has_place(self, crew: _Crew) -> bool:
        if crew.reserved is not None and crew.size >= max(1, crew.reserved):
            return False
        if crew.size == 0 or self._total < self._workers_max:
            return True
        idle = [(worker.idle_since, other, worker) for other in self._crews.values() for worker in other.free]
        if not idle:
            return False
        _, other, worker = min(idle, key=lambda found: found[0])
        other.free.remove(worker)
        self._retire(other, worker)
        return True

    def _start(self, crew: _Crew) -> None:
        plan = self._plan_of(crew.function_arn, next(self._numbers))
        worker = Worker(plan, self._spawn, self._clock, self._sink, self._gone)
        crew.workers.add(worker)
        crew.starting += 1
        self._total += 1
        self._keep(self._bring_up(crew, worker))

    async def _bring_up(self, crew: _Crew, worker: Worker) -> None:
        began = self._clock.monotonic()
        try:
            await worker.start()
        except WorkerFailed as failure:
            crew.starting -= 1
            self._retire(crew, worker)
            took_s = self._clock.monotonic() - began
            self._serve(crew, Run(failure.answer, took_s, took_s, worker.memory_peak, worker.plan.memory_mb, b""))
            self._consider(crew)
            return
        crew.starting -= 1
        crew.ready_at = self._clock.monotonic()
        self._give_back(crew, worker)

    def _gone(self, worker: Worker) -> None:
        """A worker's process ended. While it runs or starts, whoever uses it gives it back."""
        crew = self._crews.get(worker.plan.function_arn)
        if crew is not None and worker in crew.free:
            crew.free.remove(worker)
            self._retire(crew, worker)

    def _retire(self, crew: _Crew, worker: Worker) -> None:
        ending = asyncio.get_running_loop().create_task(self._end(crew, worker))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _end(self, crew: _Crew, worker: Worker) -> None:
        if worker not in crew.workers:
            return
        crew.workers.discard(worker)
        self._total -= 1
        self._consider(crew)
        await worker.end()
        self.on_end(worker.plan)
        if not crew.workers:
            self._leaving.discard(crew)
        self.on_room(crew.function_arn)

    async def _end_idle(self) -> None:
        while True:
            await self._clock.sleep(min(_SWEEP_S, self._idle_s))
            now = self._clock.monotonic()
            for crew in self._crews.values():
                for worker in [w for w in crew.free if now - w.idle_since > self._idle_s]:
                    crew.free.remove(worker)
                    self._retire(crew, worker)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it as a task that is not lost before it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _busy(self) -> list[Worker]:
        crews = (*self._crews.values(), *self._leaving)
        return [worker for crew in crews for worker in crew.workers if worker not in crew.free]
