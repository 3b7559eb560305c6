"""The contract of the seams as checks that any engine can be put through.

    clock = ManualClock()
    await check_journal(MyEngine(clock), clock)

Each check holds sentences of `busway.engine` against an engine and raises AssertionError that says what was found
and what was wanted. A check uses names of its own, so all may run on one engine. A check of waiting hangs on an
engine that never wakes: run it under a timeout.
"""

from __future__ import annotations

from busway.clock import ManualClock
from busway.engine import Engine
from busway.engine.conformance.expectation import Check
from busway.engine.conformance.groups import GROUP_CHECKS
from busway.engine.conformance.journal import JOURNAL_CHECKS
from busway.engine.conformance.queues import QUEUE_CHECKS
from busway.engine.conformance.records import RECORD_CHECKS
from busway.engine.conformance.waiting import WAITING_CHECKS

CHECKS: tuple[Check, ...] = (
    *JOURNAL_CHECKS,
    *QUEUE_CHECKS,
    *GROUP_CHECKS,
    *WAITING_CHECKS,
    *RECORD_CHECKS,
)


async def check_journal(engine: Engine, clock: ManualClock) -> None:
    for check in JOURNAL_CHECKS:
        await check(engine, clock)


async def check_queues(engine: Engine, clock: ManualClock) -> None:
    for check in (*QUEUE_CHECKS, *GROUP_CHECKS, *WAITING_CHECKS):
        await check(engine, clock)


async def check_records(engine: Engine, clock: ManualClock) -> None:
    for check in RECORD_CHECKS:
        await check(engine, clock)
