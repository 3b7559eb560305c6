"""The queue's contract: waiting for work."""

from __future__ import annotations

import asyncio

from busway.clock import ManualClock
from busway.engine import Engine, Put
from busway.engine.conformance.expectation import Check, expect_still_waiting
from busway.engine.conformance.queues import LEASE_S, fill, lease_one


async def check_wait_returns_when_something_is_put(engine: Engine, clock: ManualClock) -> None:
    waiting = asyncio.create_task(engine.queues.wait("wait put"))
    await expect_still_waiting("wait on an empty queue", waiting)
    await fill(engine, clock, "wait elsewhere", b"x")
    await expect_still_waiting("wait while another queue is filled", waiting)
    await fill(engine, clock, "wait put", b"x")
    await waiting
    await engine.queues.wait("wait put")


async def check_wait_returns_when_an_item_is_due(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "wait due", b"x", in_s=10)
    waiting = asyncio.create_task(engine.queues.wait("wait due"))
    await expect_still_waiting("wait before it is due", waiting)
    await clock.advance(9)
    await expect_still_waiting("wait a second before it is due", waiting)
    # Something that is due sooner moves the alarm.
    await engine.queues.put([Put("wait due", b"y", clock.now() + 0.5)])
    await clock.advance(0.5)
    await waiting


async def check_wait_returns_when_a_lease_runs_out(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "wait lease", b"x")
    await lease_one(engine, "wait lease")
    waiting = asyncio.create_task(engine.queues.wait("wait lease"))
    await expect_still_waiting("wait while it is leased", waiting)
    await clock.advance(LEASE_S)
    await waiting


async def check_wait_returns_when_an_item_is_released(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "wait release", b"x")
    for give_back in (engine.queues.release, engine.queues.refund):
        item = await lease_one(engine, "wait release")
        waiting = asyncio.create_task(engine.queues.wait("wait release"))
        await expect_still_waiting("wait while it is leased", waiting)
        await give_back(item, clock.now())
        await waiting


WAITING_CHECKS: tuple[Check, ...] = (
    check_wait_returns_when_something_is_put,
    check_wait_returns_when_an_item_is_due,
    check_wait_returns_when_a_lease_runs_out,
    check_wait_returns_when_an_item_is_released,
)
