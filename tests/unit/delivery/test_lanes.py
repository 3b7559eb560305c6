"""A lane for each queue that has work: it ends without work, and nothing that is put waits for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from busway.clock import ManualClock, settle
from busway.delivery.lanes import ROUND_S, Lanes, keep_turning
from busway.engine import Put
from busway.engine.memory import MemoryEngine


class Yard:
    """Lanes that take what is put, one at a time; while `gate` is closed they hold it."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.engine = clock, MemoryEngine(clock)
        self.running, self.taken = set[str](), list[bytes]()
        self.ended: Callable[[str], None] | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.lanes = Lanes(self.engine, clock, "work/", self._run)

    async def _run(self, queue: str) -> None:
        async def turn() -> None:
            for item in await self.engine.queues.lease(queue, 1, 3_600):
                await self.gate.wait()
                self.taken.append(item.body)
                await self.engine.queues.done([item])
                return
            await self.engine.queues.wait(queue)

        self.running.add(queue)
        try:
            await keep_turning(queue, turn, self.clock)
        finally:
            self.running.remove(queue)
            if self.ended is not None:
                self.ended(queue)

    async def put(self, queue: str, body: bytes) -> None:
        await self.engine.queues.put([Put(queue, body, self.clock.now())])
        await settle(10)

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            await self.clock.advance(ROUND_S)
            await settle(10)


@pytest.fixture
async def yard(clock: ManualClock) -> AsyncIterator[Yard]:
    made = Yard(clock)
    await made.lanes.open()
    await settle(10)
    yield made
    await made.lanes.close()
    assert made.running == set()


async def test_a_lane_without_work_ends_and_the_next_start_begins_it_anew(yard: Yard):
    for number in range(50):
        yard.lanes.start(f"work/{number}")
        await yard.put(f"work/{number}", b"first")
    assert len(yard.running) == 50
    await yard.rounds(2)
    assert yard.running == set()
    yard.lanes.start("work/7")
    await yard.put("work/7", b"second")
    assert yard.running == {"work/7"} and yard.taken[50:] == [b"second"]


async def test_a_lane_with_something_under_way_or_due_later_goes_on(yard: Yard):
    yard.gate.clear()
    yard.lanes.start("work/a")
    await yard.put("work/a", b"slow")
    await yard.engine.queues.put([Put("work/b", b"later", yard.clock.now() + 5 * ROUND_S)])
    yard.lanes.start("work/b")
    await yard.rounds(4)
    assert yard.running == {"work/a", "work/b"}
    yard.gate.set()
    await yard.rounds(2)
    assert yard.taken == [b"slow", b"later"]


async def test_what_is_put_right_after_a_round_has_a_lane_when_its_start_was_right_before(yard: Yard):
    yard.lanes.start("work/a")
    await settle(10)
    await yard.rounds(1)
    await yard.clock.advance(ROUND_S - 1)
    yard.lanes.start("work/a")
    await yard.clock.advance(1)
    await settle(10)
    await yard.put("work/a", b"came after the round")
    assert yard.taken == [b"came after the round"]


async def test_a_start_while_a_round_looks_keeps_its_lane(yard: Yard, monkeypatch: pytest.MonkeyPatch):
    yard.lanes.start("work/a")
    await yard.rounds(1)
    names = yard.engine.queues.names

    async def slow(prefix: str = "") -> list[str]:
        found = await names(prefix)
        # From here on what was found is old.
        yard.lanes.start("work/a")
        await yard.put("work/a", b"meanwhile")
        return found

    monkeypatch.setattr(yard.engine.queues, "names", slow)
    await yard.rounds(1)
    assert yard.taken == [b"meanwhile"] and yard.running == {"work/a"}


async def test_a_start_while_its_lane_ends_begins_it_anew(yard: Yard):
    yard.lanes.start("work/a")
    await yard.rounds(1)
    yard.ended = lambda queue: yard.lanes.start(queue)
    await yard.rounds(1)
    yard.ended = None
    await yard.put("work/a", b"came meanwhile")
    assert yard.taken == [b"came meanwhile"]


async def test_what_is_put_long_after_its_start_waits_for_one_round_at_most(yard: Yard):
    yard.lanes.start("work/a")
    await yard.rounds(2)
    assert yard.running == set()
    await yard.put("work/a", b"late")
    await yard.rounds(1)
    assert yard.taken == [b"late"]
