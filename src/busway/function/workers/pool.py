"""The worker pool: admits invocations, finds each a worker, and runs it.

Each function's version has a crew (`crew.py`): its workers, and a line of invocations that wait for one. An
invocation takes a free worker, or stands in line; `staff` starts and ends workers. Reserved concurrency and rate
bound all versions of a function together; reserved 0 throttles everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from busway.clock import Clock, first_of
from busway.errors import FunctionNotFound, FunctionThrottled, WorkersStopped
from busway.function.record import split
from busway.function.workers.crew import Bounds, Crew, Run
from busway.function.workers.placement import prefetch
from busway.function.workers.process import Spawn
from busway.function.workers.rate import Rate
from busway.function.workers.runtime_api import Invocation
from busway.function.workers.staff import PlanMaker, Staff, Tasks
from busway.function.workers.watch import Watch
from busway.function.workers.worker import TIMED_OUT, LineSink, Plan, Worker

# Ours: how long a caller waits for a worker when all are taken, and how many may wait, before it is throttled.
PATIENCE_S = 30.0
LINE_MAX = 1_000

_RECENT = 0.2


class Pool:
    """Runs invocations. `clock` is the machine's own: processes live by it, whatever the server's clock says."""

    def __init__(
        self, spawn: Spawn, clock: Clock, sink: LineSink, plan_of: PlanMaker, *, workers_max: int, idle_s: float
    ) -> None:
        self._clock = clock
        self._staff = Staff(spawn, clock, sink, plan_of, workers_max=workers_max, idle_s=idle_s)
        self._bounds: dict[str, Bounds] = {}
        self._tasks = Tasks()
        self._watch = Watch(clock, self._staff.busy)

    def listen(self, on_room: Callable[[str], None], on_end: Callable[[Plan], None]) -> None:
        """`on_room`: this function can take more than before. `on_end`: nothing is left of this plan's worker."""
        self._staff.on_room, self._staff.on_end = on_room, on_end

    def open(self) -> None:
        """Begin to look after the workers."""
        self._tasks.keep(self._watch.run())
        self._staff.open()

    async def close(self) -> None:
        """End every worker; invocations under way fail as their process does."""
        self._staff.closing = True
        for crew in self._staff.crews():
            crew.send_away(WorkersStopped("the server is stopping"))
        await self._tasks.cancel()
        await self._staff.close()

    # --- what a function may use ---

    def assign(self, arn: str, revision: str, reserved: int | None, rate: Rate | None = None) -> None:
        """Run this revision of a version from now on. Workers of another one end as soon as they are idle.

        `reserved` and `rate` are the function's, whichever of its versions is named.
        """
        function, _ = split(arn)
        bounds = self._bounds.setdefault(function, Bounds())
        bounds.assign(reserved, rate)
        crew = self._staff.crew(arn)
        if crew is None:
            self._staff.enlist(Crew(arn, function, revision, bounds))
        else:
            self._staff.renew(crew, revision)

    def dismiss(self, arn: str) -> None:
        """End the workers of a version that is gone (the unqualified ARN: of the whole function).

        Those that run finish first.
        """
        self._bounds.pop(arn, None)
        for crew in [crew for crew in self._staff.crews() if arn in (crew.arn, crew.function)]:
            crew.send_away(FunctionNotFound(crew.arn))
            self._staff.dismiss(crew)

    def capacity(self, function_arn: str) -> int:
        """How many invocations are worth having under way: for each worker one to run, and some to wait."""
        bounds = self._bounds.get(function_arn)
        if bounds is None or self._staff.closing:
            return 0
        capacity = (1 + prefetch(bounds.typical_s)) * max(1, bounds.workers)
        if bounds.reserved is not None:
            capacity = min(capacity, bounds.reserved)
        if bounds.window is not None:
            room = bounds.window.room(self._clock.monotonic())
            capacity = min(capacity, bounds.running + room)
            if not room and not bounds.awaited:
                bounds.awaited = True
                self._tasks.keep(self._tell_of_room(function_arn, bounds))
        return capacity

    def running(self, function_arn: str) -> int:
        """Invocations under way, those in line included."""
        bounds = self._bounds.get(function_arn)
        return 0 if bounds is None else bounds.running

    def workers(self) -> int:
        """Worker processes, those that start included."""
        return self._staff.total

    async def _tell_of_room(self, function_arn: str, bounds: Bounds) -> None:
        try:
            while bounds.window and (wait_s := bounds.window.wait_s(self._clock.monotonic())) > 0:
                await self._clock.sleep(wait_s)
        finally:
            bounds.awaited = False
        self._staff.on_room(function_arn)

    # --- run ---

    async def run(
        self, arn: str, invocation: Callable[[Plan], Invocation], patience_s: float | None, *, trial: bool = False
    ) -> Run:
        """Run one invocation of a version, made for the worker's plan when it is there.

        Waits up to `patience_s` for a worker, and not at all for the function's rate; None: for ever for both.
        A `trial` is outside of what the function is bound by, and takes nothing of it. Raises
        `FunctionThrottled`, `WorkersStopped`, `FunctionNotFound`.
        """
        crew = self._admitted(arn, trial=trial)
        bounds = Bounds() if trial else crew.bounds
        bounds.running += 1
        worker: Worker | Run | None = None
        try:
            made: Invocation | None = None
            while True:
                worker = await self._worker_for(crew, bounds, patience_s)
                if isinstance(worker, Run):
                    return worker
                made = made or invocation(worker.plan)
                run = await self._run_on(crew, worker, made)
                if run is not None:
                    return run
                self._staff.give_back(crew, worker)
                worker = None
        except asyncio.CancelledError:
            if isinstance(worker, Worker) and worker.busy:
                # The caller is gone. As on AWS its invocation goes on, and the worker is not free until it ends.
                self._tasks.keep(self._let_finish(crew, worker))
                worker = None
            raise
        finally:
            bounds.running -= 1
            if isinstance(worker, Worker):
                self._staff.give_back(crew, worker)

    def _admitted(self, arn: str, *, trial: bool) -> Crew:
        if self._staff.closing:
            raise WorkersStopped("the server is stopping")
        crew = self._staff.crew(arn)
        if crew is None:
            raise FunctionNotFound(arn)
        if not trial and crew.bounds.reserved is not None and crew.bounds.running >= crew.bounds.reserved:
            raise FunctionThrottled("ReservedFunctionConcurrentInvocationLimitExceeded")
        return crew

    async def _worker_for(self, crew: Crew, bounds: Bounds, patience_s: float | None) -> Worker | Run:
        """A worker, and with it the right to start now."""
        clock = self._clock
        while True:
            while bounds.window is not None and (wait_s := bounds.window.wait_s(clock.monotonic())) > 0:
                if patience_s is not None:
                    raise FunctionThrottled("ReservedFunctionInvocationRateLimitExceeded")
                await clock.sleep(wait_s)
            worker = crew.free_worker()
            if worker is None:
                worker = await self._stand_in_line(crew, patience_s)
            if bounds.window is None or isinstance(worker, Run) or bounds.window.take(clock.monotonic()):
                return worker
            self._staff.give_back(crew, worker)

    async def _stand_in_line(self, crew: Crew, patience_s: float | None) -> Worker | Run:
        if len(crew.line) >= LINE_MAX:
            raise FunctionThrottled("ConcurrentInvocationLimitExceeded")
        ticket = crew.stand(self._clock.monotonic())
        self._staff.ask(crew)
        served: Worker | Run | None = None
        try:
            served = await first_of(self._clock, ticket.served, patience_s)
        finally:
            left = None if served is not None else crew.leave(ticket)
            if left is not None:
                self._staff.give_back(crew, left)
        if served is None:
            raise FunctionThrottled("ConcurrentInvocationLimitExceeded")
        return served

    async def _run_on(self, crew: Crew, worker: Worker, invocation: Invocation) -> Run | None:
        """What came of it; None when the worker was on its way out and never got to see the event."""
        self._watch.wake()
        worker.runs += 1
        began = self._clock.monotonic()
        answer = await worker.run(invocation)
        duration_s = self._clock.monotonic() - began
        tail = worker.finish()
        if self._staff.closing and answer.kind is not None and not worker.alive:
            # Its process was ended by us: no error of the function.
            raise WorkersStopped("the server is stopping")
        if not worker.took and worker.runs > 1 and answer.kind != TIMED_OUT:
            return None
        crew.typical_s += _RECENT * (duration_s - crew.typical_s)
        crew.bounds.typical_s = crew.typical_s
        init_s = worker.init_s if worker.runs == 1 else None
        memory_mb, remarks = worker.plan.memory_mb, worker.remarks(answer)
        mark = worker.plan.mark
        return Run(answer, duration_s, init_s, worker.memory_peak, memory_mb, tail, remarks, worker=mark)

    async def _let_finish(self, crew: Crew, worker: Worker) -> None:
        crew.bounds.running += 1
        try:
            await worker.answer()
            worker.finish()
        finally:
            crew.bounds.running -= 1
            self._staff.give_back(crew, worker)
