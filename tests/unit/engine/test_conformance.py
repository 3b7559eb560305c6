"""One suite over every engine: the contract in `busway.engine` holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from busway.clock import ManualClock
from busway.engine import Engine, Put
from busway.engine.conformance import CHECKS, check_journal, check_queues, check_records
from busway.engine.conformance.expectation import Check
from busway.engine.embedded import open_embedded
from busway.engine.memory import MemoryEngine
from busway.errors import EngineStopped


def fail(exc: BaseException) -> None:
    raise exc


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "embedded"])
async def engine(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Engine]:
    made: Engine
    if request.param == "memory":
        made = MemoryEngine(clock)
    else:
        made = await open_embedded(tmp_path / "data", clock, on_fatal=fail, reserve_mb=1)
    yield made
    await made.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_the_contract_holds(engine: Engine, clock: ManualClock, check: Check):
    async with asyncio.timeout(10):
        await check(engine, clock)


async def test_the_whole_contract_holds_on_one_engine(engine: Engine, clock: ManualClock):
    await check_journal(engine, clock)
    await check_queues(engine, clock)
    await check_records(engine, clock)


async def test_what_was_stored_is_there_after_a_restart(clock: ManualClock, tmp_path: Path):
    for check in CHECKS:
        engine = await open_embedded(tmp_path / "data", clock, on_fatal=fail, reserve_mb=0)
        await check(engine, clock)
        await engine.close()
    engine = await open_embedded(tmp_path / "data", clock, on_fatal=fail, reserve_mb=0)
    assert len(await engine.journal.read("writers", 0, 1000)) == 120
    assert await engine.journal.position("place", "router") == 5
    assert [i.body for i in await engine.queues.browse("once", 9)] == [b"3"]
    assert [v.key for v in await engine.records.list("list/a")] == ["list/a", "list/a/1"]
    await engine.close()


async def test_a_closed_engine_stops_everyone(engine: Engine, clock: ManualClock):
    waiting = [
        asyncio.create_task(engine.journal.wait("x", 0)),
        asyncio.create_task(engine.queues.wait("x")),
        asyncio.ensure_future(anext(engine.records.watch("x"))),
    ]
    await asyncio.sleep(0)
    await engine.queues.put([Put("later", b"x", clock.now() + 1)])
    await engine.close()
    for task in waiting:
        with pytest.raises(EngineStopped):
            await task
    for call in (
        engine.journal.append("x", [b""]),
        engine.journal.read("x", 0, 1),
        engine.journal.position("x", "r"),
        engine.queues.put([]),
        engine.queues.lease("x", 1, 1),
        engine.queues.counts("x"),
        engine.records.get("x"),
        engine.records.put("x", b""),
    ):
        with pytest.raises(EngineStopped):
            await call


async def test_health_says_that_work_is_taken(engine: Engine):
    assert (await engine.health()).accepting
