"""The process may die between any two engine calls: nothing is lost, and what is repeated was in flight."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from busway.clock import ManualClock
from busway.engine import Engine, Item, Origin, Put
from busway.engine.embedded import open_embedded

LEASE_S = 30.0
EVENTS = (b"one", b"two")


class Died(Exception):
    """The process ended here."""


class Seam:
    """Counts the calls of a seam and dies at the chosen one, before or after its effect."""

    def __init__(self, seam: Any, tick: Callable[[], bool], dies_after: bool) -> None:
        self._seam, self._tick, self._dies_after = seam, tick, dies_after

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            dies = self._tick()
            if dies and not self._dies_after:
                raise Died
            result = await getattr(self._seam, name)(*arguments, **options)
            if dies:
                raise Died
            return result

        return call


class Mortal:
    def __init__(self, engine: Engine, dies_at: int, dies_after: bool) -> None:
        self.calls, self._dies_at = 0, dies_at
        self.journal = Seam(engine.journal, self._tick, dies_after)
        self.queues = Seam(engine.queues, self._tick, dies_after)

    def _tick(self) -> bool:
        self.calls += 1
        return self.calls == self._dies_at


class World:
    """What the outside knows: which events were acknowledged, what was delivered to it."""

    def __init__(self) -> None:
        self.accepted: list[bytes] = []
        self.delivered: Counter[bytes] = Counter()


async def publish(engine: Any, world: World) -> None:
    for event in EVENTS[len(world.accepted) :]:
        await engine.journal.append("bus", [event])
        world.accepted.append(event)


async def route(engine: Any, clock: ManualClock) -> None:
    while entries := await engine.journal.read("bus", await engine.journal.position("bus", "router"), 1):
        entry = entries[0]
        for subscriber in ("mail", "poison"):
            origin = Origin(subscriber, entry.offset)
            await engine.queues.put([Put(subscriber, entry.data, clock.now(), b"", origin)], accepted=True)
        await engine.journal.advance("bus", "router", entry.offset)


async def deliver(engine: Any, clock: ManualClock, world: World) -> None:
    while items := [i for queue in ("mail", "poison") for i in await engine.queues.lease(queue, 1, LEASE_S)]:
        for item in items:
            await attempt(engine, clock, world, item)


async def attempt(engine: Any, clock: ManualClock, world: World, item: Item) -> None:
    if item.queue == "mail":
        world.delivered[item.body] += 1
        await engine.queues.done([item])
    elif item.attempts < 2:
        await engine.queues.release(item, clock.now())
    else:
        # Downstream first, then done.
        await engine.queues.put([Put("dead", item.body, clock.now())], accepted=True)
        await engine.queues.done([item], "dead-lettered")


async def live(engine: Any, clock: ManualClock, world: World) -> None:
    await publish(engine, world)
    await route(engine, clock)
    await deliver(engine, clock, world)


def as_the_disk_has_it(folder: Path, copy: Path) -> Path:
    """What a new process would find after kill -9 now: SQLite's files, without what is in memory."""
    copy.mkdir()
    for name in ("busway.db", "busway.db-wal"):
        shutil.copy(folder / name, copy / name)
    return copy


def fail(exc: BaseException) -> None:
    raise exc


async def life_and_afterlife(tmp_path: Path, dies_at: int, dies_after: bool) -> bool:
    """True when the script died at all."""
    clock, world = ManualClock(), World()
    first = await open_embedded(tmp_path / f"first{dies_at}", clock, on_fatal=fail, reserve_mb=0)
    died = False
    try:
        await live(Mortal(first, dies_at, dies_after), clock, world)
    except Died:
        died = True
    folder = as_the_disk_has_it(tmp_path / f"first{dies_at}", tmp_path / f"second{dies_at}")
    await first.close()
    await clock.advance(LEASE_S)
    second = await open_embedded(folder, clock, on_fatal=fail, reserve_mb=0)
    await live(second, clock, world)
    await check_conservation(second, world)
    await second.close()
    return died


async def check_conservation(engine: Engine, world: World) -> None:
    entries = await engine.journal.read("bus", 0, 100)
    stored = Counter(e.data for e in entries)
    dead = Counter(i.body for i in await engine.queues.browse("dead", 100))
    assert set(stored) == set(world.delivered) == set(dead) == set(EVENTS)
    # The call that died may have been appended, or been at work, without an answer: one at most.
    assert stored.total() <= len(EVENTS) + 1
    assert world.delivered.total() <= stored.total() + 1
    assert dead.total() <= stored.total() + 1
    offsets = [e.offset for e in entries]
    for subscriber, outcome in (("mail", "delivered"), ("poison", "dead-lettered")):
        assert await engine.queues.pending(subscriber) == []
        ended = await engine.queues.outcomes(subscriber)
        assert [(e.offset, e.outcome) for e in ended] == [(offset, outcome) for offset in offsets]


@pytest.mark.parametrize("dies_after", [False, True], ids=["before the effect", "after the effect"])
async def test_nothing_is_lost_whichever_call_is_the_last(tmp_path: Path, dies_after: bool):
    dies_at = 1
    while await life_and_afterlife(tmp_path, dies_at, dies_after):
        dies_at += 1
    assert dies_at > 30
