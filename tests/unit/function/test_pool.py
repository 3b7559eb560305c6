"""The pool with workers that are tasks, and a clock that is moved: no process, no waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from busway.clock import ManualClock
from busway.errors import FunctionNotFound, FunctionThrottled
from busway.function.workers.placement import BEYOND
from busway.function.workers.pool import Pool, Run
from busway.function.workers.rate import Rate

from .guests import Guests, invocation, plan

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


class Stage:
    """A pool, its clock and its guests."""

    def __init__(self, folder: Path, workers_max: int, idle_s: float) -> None:
        self.clock = ManualClock()
        self.guests = Guests(self.clock)
        self.takes_s: dict[str, float] = {}
        self.room: Counter[str] = Counter()
        self.pool = Pool(
            self.guests, self.clock, lambda arn, invocation, text: None,
            lambda arn, number: plan(folder, arn, "1", number, self.takes_s[arn]),
            workers_max=workers_max, idle_s=idle_s,
        )  # fmt: skip
        self.pool.listen(lambda arn: self.room.update([arn]), lambda plan: None)
        self.tasks: list[asyncio.Task[Run]] = []

    def function(self, name: str, takes_s: float, reserved: int | None = None, rate: Rate | None = None) -> str:
        arn = f"{ARN}{name}"
        self.takes_s[arn] = takes_s
        self.pool.assign(arn, "1", reserved, rate)
        return arn

    def run(self, arn: str, times: int = 1, patience_s: float | None = None) -> None:
        for _ in range(times):
            work: Coroutine[Any, Any, Run] = self.pool.run(arn, invocation(len(self.tasks)), patience_s)
            self.tasks.append(asyncio.get_running_loop().create_task(work))

    async def pass_s(self, seconds: float, step_s: float = 0.05) -> None:
        """Time passes, and sockets get their turn."""
        for _ in range(round(seconds / step_s)):
            await self.clock.advance(step_s)
            await self.breathe()

    async def breathe(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def begun(self, arn: str) -> list[float]:
        return [at for at, name in self.guests.started if name == arn]


@asynccontextmanager
async def stage(folder: Path, *, workers_max: int = 4, idle_s: float = 600.0) -> AsyncIterator[Stage]:
    made = Stage(folder, workers_max, idle_s)
    made.pool.open()
    try:
        yield made
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        await made.pool.close()


async def test_a_thousand_events_of_one_function_keep_one_event_of_another_waiting_for_its_turn_only(tmp_path: Path):
    async with stage(tmp_path, workers_max=4) as on:
        greedy, modest = on.function("greedy", 0.5), on.function("modest", 0.5)
        on.run(greedy, 900)
        await on.pass_s(5.0)
        assert on.guests.alive() == 4
        asked_at = on.clock.now()
        on.run(modest)
        await on.pass_s(2.0)
        (begun,) = on.begun(modest)
        assert begun - asked_at <= 1.0
        assert on.pool.workers() <= 4


async def test_places_are_shared_evenly_once_two_functions_have_more_work_than_places(tmp_path: Path):
    async with stage(tmp_path, workers_max=6) as on:
        first, second = on.function("first", 0.3), on.function("second", 0.3)
        on.run(first, 400)
        await on.pass_s(6.0)
        on.run(second, 400)
        await on.pass_s(6.0)
        before = len(on.begun(first)), len(on.begun(second))
        await on.pass_s(6.0)
        ran = len(on.begun(first)) - before[0], len(on.begun(second)) - before[1]
        assert abs(ran[0] - ran[1]) <= 12
        assert on.pool.workers() <= 6


async def test_more_functions_than_places_take_turns(tmp_path: Path):
    async with stage(tmp_path, workers_max=2) as on:
        arns = [on.function(f"f{n}", 0.2) for n in range(6)]
        for arn in arns:
            on.run(arn, 200)
        await on.pass_s(20.0)
        assert all(on.begun(arn) for arn in arns)
        assert on.pool.workers() <= 2 * BEYOND


async def test_handlers_that_run_on_keep_nobody_out_for_longer_than_a_turn(tmp_path: Path):
    async with stage(tmp_path, workers_max=2) as on:
        slow, quick = on.function("slow", 600.0), on.function("quick", 0.1)
        on.run(slow, 2)
        await on.pass_s(2.0)
        on.run(quick)
        await on.pass_s(2.0)
        assert len(on.begun(quick)) == 1
        # What is beyond the places ends with its work.
        await on.pass_s(1.0)
        assert on.pool.workers() == 2


async def test_idle_workers_are_ended(tmp_path: Path):
    async with stage(tmp_path, idle_s=60.0) as on:
        arn = on.function("f", 0.1)
        on.run(arn, 3)
        await on.pass_s(5.0)
        assert on.guests.alive() > 0
        await on.pass_s(62.0, step_s=1.0)
        assert on.guests.alive() == 0
        assert on.pool.workers() == 0


async def test_a_rate_bounds_the_starts_of_work_that_waits_and_refuses_callers_that_do_not(tmp_path: Path):
    async with stage(tmp_path) as on:
        arn = on.function("f", 0.01, rate=Rate(3, 1.0))
        on.run(arn, 9)
        await on.pass_s(0.5)
        assert len(on.begun(arn)) == 3
        with pytest.raises(FunctionThrottled) as refused:
            await on.pool.run(arn, invocation(0), 30.0)
        assert "RateLimit" in refused.value.reason
        await on.pass_s(2.5)
        begun = on.begun(arn)
        assert len(begun) == 9
        assert all(later - earlier >= 1.0 for earlier, later in zip(begun, begun[3:], strict=False))


async def test_no_more_is_leased_than_the_rate_has_room_for_and_its_room_is_told(tmp_path: Path):
    async with stage(tmp_path) as on:
        arn = on.function("f", 0.01, rate=Rate(2, 1.0))
        assert on.pool.capacity(arn) == 2
        on.run(arn, 2)
        await on.pass_s(0.5)
        assert on.pool.capacity(arn) == 0
        on.room.clear()
        await on.pass_s(1.0)
        assert on.room[arn] > 0
        assert on.pool.capacity(arn) == 2


async def test_reserved_concurrency_and_rate_bound_all_versions_together(tmp_path: Path):
    async with stage(tmp_path) as on:
        latest = on.function("f", 5.0, reserved=1)
        on.takes_s[f"{latest}:1"] = 5.0
        on.pool.assign(f"{latest}:1", "1", 1, None)
        on.run(latest)
        await on.pass_s(0.5)
        with pytest.raises(FunctionThrottled):
            await on.pool.run(f"{latest}:1", invocation(0), 30.0)
        on.pool.dismiss(latest)
        with pytest.raises(FunctionNotFound):
            await on.pool.run(f"{latest}:1", invocation(0), 30.0)


async def test_an_invocation_that_outlasts_its_time_is_ended_and_the_next_one_gets_another_worker(tmp_path: Path):
    async with stage(tmp_path, workers_max=1) as on:
        arn = on.function("endless", 1_000.0)
        on.run(arn)
        await on.pass_s(899.0, step_s=1.0)
        assert not on.tasks[0].done()
        await on.pass_s(3.0, step_s=1.0)
        assert on.tasks[0].result().answer.kind == "Sandbox.Timedout"
        assert on.guests.alive() == 0
        on.takes_s[arn] = 1.0
        on.run(arn)
        await on.pass_s(5.0)
        assert on.tasks[1].result().answer.body == b"1"
