"""The committer: one fsync for many calls, answers in their order, and what happens when a commit fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from sqlite3 import IntegrityError
from typing import Any

import pytest

from busway.clock import ManualClock, settle
from busway.engine import Once, Origin, Put
from busway.engine.embedded import EmbeddedEngine, open_embedded
from busway.errors import EngineStopped, StorageFull, VersionConflict

from .embedded_faults import FULL, IO_ERROR_FSYNC, FaultyConnection, SmallDisk


class Room:
    """An engine with its clock, its disk and what it told about its end."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.disk = ManualClock(), SmallDisk(folder)
        self.fatal: list[BaseException] = []
        self.engine: EmbeddedEngine

    async def open(self) -> EmbeddedEngine:
        self.engine = await open_embedded(
            self.disk.folder, self.clock, on_fatal=self.fatal.append, reserve_mb=1, disk=self.disk,
            connection=FaultyConnection,
        )  # fmt: skip
        return self.engine

    def put(self, queue: str, body: bytes = b"x", origin: Origin | None = None) -> Put:
        return Put(queue, body, self.clock.now(), b"", origin)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    FaultyConnection.reset()
    room = Room(tmp_path / "data")
    await room.open()
    yield room
    FaultyConnection.reset()
    await room.engine.close()


async def until(condition: asyncio.Task[object]) -> None:
    async with asyncio.timeout(5):
        await asyncio.wait({condition})


async def test_calls_of_one_turn_share_one_commit(room: Room):
    before = FaultyConnection.commits
    await asyncio.gather(
        *(room.engine.journal.append(f"bus{i}", [b"x"]) for i in range(50)),
        room.engine.queues.put([room.put("q")]),
        room.engine.records.put("r", b""),
    )
    assert FaultyConnection.commits == before + 1


async def test_an_append_returns_only_after_the_commit(room: Room):
    FaultyConnection.gate.clear()
    append = asyncio.create_task(room.engine.journal.append("bus", [b"x"]))
    await settle()
    assert not append.done()
    FaultyConnection.gate.set()
    await until(append)
    assert [e.data for e in await room.engine.journal.read("bus", 0, 9)] == [b"x"]


async def test_a_fresh_lease_and_its_done_do_not_wait_for_the_commit(room: Room):
    await room.engine.queues.put([room.put("q")])
    FaultyConnection.gate.clear()
    lease = asyncio.create_task(room.engine.queues.lease("q", 1, 30))
    await asyncio.sleep(0)
    assert lease.done()
    FaultyConnection.gate.set()
    assert await room.engine.queues.done(lease.result()) == 1


async def test_who_ended_work_gets_more_when_that_is_durable(room: Room):
    await room.engine.queues.put([room.put("q"), room.put("q")])
    items = await room.engine.queues.lease("q", 1, 30)
    await room.engine.queues.counts("q")
    FaultyConnection.gate.clear()
    assert await room.engine.queues.done(items) == 1
    more = asyncio.create_task(room.engine.queues.lease("q", 1, 30))
    await settle()
    assert not more.done()
    FaultyConnection.gate.set()
    await until(more)
    assert len(more.result()) == 1


async def test_the_lease_of_what_was_tried_before_waits_for_the_commit(room: Room):
    await room.engine.queues.put([room.put("q")])
    await room.engine.queues.lease("q", 1, 30)
    await room.engine.queues.counts("q")
    await room.clock.advance(30)
    FaultyConnection.gate.clear()
    lease = asyncio.create_task(room.engine.queues.lease("q", 1, 30))
    await settle()
    assert not lease.done()
    FaultyConnection.gate.set()
    await until(lease)
    assert lease.result()[0].attempts == 2


async def test_reads_see_what_was_answered_before_its_commit(room: Room):
    await room.engine.queues.put([room.put("q", origin=Origin("s", 1)), room.put("q", b"y")])
    await room.engine.queues.done(await room.engine.queues.lease("q", 1, 30))
    counts, outcomes, names, browsed = await asyncio.gather(
        room.engine.queues.counts("q"),
        room.engine.queues.outcomes("s"),
        room.engine.queues.names(),
        room.engine.queues.browse("q", 9),
    )
    assert (counts.ready, len(outcomes), names, [i.body for i in browsed]) == (1, 1, ["q"], [b"y"])


async def test_work_that_is_not_durable_yet_is_not_handed_out(room: Room):
    FaultyConnection.gate.clear()
    put = asyncio.create_task(room.engine.queues.put([room.put("q")]))
    lease = asyncio.create_task(room.engine.queues.lease("q", 1, 30))
    waiting = asyncio.create_task(room.engine.queues.wait("q"))
    await settle()
    assert lease.done() and lease.result() == []
    FaultyConnection.gate.set()
    await until(put)
    await until(waiting)
    assert len(await room.engine.queues.lease("q", 1, 30)) == 1


async def test_a_cancelled_call_that_had_not_begun_takes_nothing(room: Room):
    await room.engine.queues.put([room.put("q")])
    FaultyConnection.gate.clear()
    append = asyncio.create_task(room.engine.journal.append("bus", [b"x"]))
    await settle()
    lease = asyncio.create_task(room.engine.queues.lease("q", 1, 30))
    await settle()
    lease.cancel()
    FaultyConnection.gate.set()
    await until(append)
    assert len(await room.engine.queues.lease("q", 1, 30)) == 1


async def test_a_call_with_a_bad_argument_fails_alone(room: Room):
    bad = Put("new queue", "text", room.clock.now(), b"", Origin("s", 5))  # type: ignore[arg-type]
    results = await asyncio.gather(
        room.engine.queues.put([room.put("q", b"before")]),
        room.engine.queues.put([room.put("q", b"beside"), bad], accepted=True),
        room.engine.queues.put([room.put("q", b"beside"), Put("q", b"x", None, b"")]),  # type: ignore[arg-type]
        room.engine.queues.put([Put("\ud800", b"x", 0.0)]),
        room.engine.records.put("r", b"", expect=7),
        room.engine.queues.put([room.put("new queue", b"after")]),
        return_exceptions=True,
    )
    assert [type(r) for r in results[1:5]] == [TypeError, IntegrityError, UnicodeEncodeError, VersionConflict]
    assert isinstance(results[0], list) and isinstance(results[5], list)
    assert [i.body for i in await room.engine.queues.browse("q", 9)] == [b"before"]
    assert 0 not in await room.engine.queues.put([room.put("q", b"x", Origin("s", 5))])
    assert room.fatal == []


# --- a full disk ---


async def test_below_the_reserve_new_work_is_refused_and_accepted_work_goes_on(room: Room):
    await room.engine.queues.put([room.put("q")])
    room.disk.free = 999_999
    await room.clock.advance(1)
    with pytest.raises(StorageFull, match=r"found 1\.0 MB free, wanted more than 1\.0 MB"):
        await room.engine.journal.append("bus", [b"x"])
    with pytest.raises(StorageFull):
        await room.engine.queues.put([room.put("q")])
    assert not (await room.engine.health()).accepting
    items = await room.engine.queues.lease("q", 9, 30)
    await room.engine.queues.put([room.put("dead")], accepted=True)
    await room.engine.queues.put([room.put("q", b"routed", Origin("s", 1))])
    assert await room.engine.queues.done(items) == 1
    assert await room.engine.records.put("alarm", b"ringing") == 1
    room.disk.free = 3_000_000
    await room.engine.journal.append("bus", [b"x"])
    assert (await room.engine.health()).accepting


async def test_what_is_done_to_an_item_of_a_group_waits_for_the_commit(room: Room):
    def grouped(body: bytes) -> Put:
        return Put("f", body, room.clock.now(), group="g")

    async def waits_for_the_commit(call: Coroutine[Any, Any, Any]) -> Any:
        await room.engine.queues.counts("f")
        FaultyConnection.gate.clear()
        task = asyncio.create_task(call)
        await settle()
        assert not task.done()
        FaultyConnection.gate.set()
        await until(task)
        return task.result()

    queues = room.engine.queues
    await queues.put([grouped(b"1"), grouped(b"2")])
    first, second = await waits_for_the_commit(queues.lease("f", 9, 30))
    assert await waits_for_the_commit(queues.done([first])) == 1
    assert await waits_for_the_commit(queues.release(second, room.clock.now()))
    (second,) = await queues.lease("f", 9, 30)
    assert await waits_for_the_commit(queues.refund(second, room.clock.now()))
    assert await waits_for_the_commit(queues.purge("f")) == 1


async def test_what_a_full_disk_refuses_takes_nothing_of_its_group_along(room: Room):
    def grouped(body: bytes, group: str, key: str | None = None) -> Put:
        once = None if key is None else Once(key, room.clock.now() + 300)
        return Put("f", body, room.clock.now(), group=group, once=once)

    queues = room.engine.queues
    await queues.put([grouped(b"before", "g")])
    taken = await queues.lease("f", 1, 30)
    FaultyConnection.faults.append(FULL)
    results = await asyncio.gather(
        queues.put([grouped(b"refused", "g"), grouped(b"refused", "h", "k")]),
        queues.done(taken),
        queues.put([grouped(b"kept", "g"), grouped(b"stands in", "h", "k")], accepted=True),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StorageFull, int, list]
    kept = results[2]
    assert isinstance(kept, list) and kept[0] > 0 > kept[1]
    room.disk.free = 1 << 30
    assert await queues.put([grouped(b"repeat", "h", "k")]) == [kept[1]]
    await room.engine.close()
    queues = (await room.open()).queues
    assert {i.body for i in await queues.lease("f", 9, 30)} == {b"stands in", b"kept"}
    assert room.fatal == []


async def test_a_commit_that_finds_no_space_gives_up_the_ballast_and_keeps_accepted_work(room: Room):
    await room.engine.journal.append("bus", [b"first"])
    await room.engine.queues.put([room.put("q", b"to be done")])
    items = await room.engine.queues.lease("q", 1, 30)
    await room.engine.queues.counts("q")
    FaultyConnection.faults.append(FULL)
    results = await asyncio.gather(
        room.engine.journal.append("bus", [b"refused"]),
        room.engine.queues.put([room.put("new", b"refused")]),
        room.engine.queues.put([room.put("new", b"dead letter")], accepted=True),
        room.engine.queues.done(items),
        room.engine.records.put("r", b"kept"),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [StorageFull, StorageFull, list, int, int]
    assert room.disk.dropped == 1
    room.disk.free = 1_500_000
    with pytest.raises(StorageFull):
        await room.engine.journal.append("bus", [b"refused too"])
    room.disk.free = 1 << 30
    await room.engine.journal.append("bus", [b"second"])
    assert room.disk.ballast
    await room.engine.close()
    await room.open()
    assert [e.data for e in await room.engine.journal.read("bus", 0, 9)] == [b"first", b"second"]
    assert [i.body for i in await room.engine.queues.browse("new", 9)] == [b"dead letter"]
    assert await room.engine.queues.browse("q", 9) == []
    assert room.fatal == []


async def test_accepted_work_waits_while_even_the_reserve_is_used_up(room: Room):
    FaultyConnection.faults.extend([FULL, FULL, FULL])
    assert await room.engine.queues.put([room.put("q")], accepted=True) != [0]
    assert FaultyConnection.faults == []
    assert len(await room.engine.queues.browse("q", 9)) == 1


async def test_without_a_reserve_each_new_call_tries_again(tmp_path: Path):
    FaultyConnection.reset()
    engine = await open_embedded(
        tmp_path, ManualClock(), on_fatal=lambda exc: None, reserve_mb=0, connection=FaultyConnection
    )
    FaultyConnection.faults.append(FULL)
    with pytest.raises(StorageFull):
        await engine.journal.append("bus", [b"refused"])
    first = await engine.journal.append("bus", [b"taken"])
    assert [e.offset for e in await engine.journal.read("bus", 0, 9)] == [first]
    await engine.close()


# --- a broken disk ---


async def test_after_a_failed_fsync_no_answer_is_a_success(room: Room):
    waiting = asyncio.create_task(room.engine.queues.wait("q"))
    FaultyConnection.faults.append(IO_ERROR_FSYNC)
    append = asyncio.create_task(room.engine.journal.append("bus", [b"x"]))
    await asyncio.sleep(0)
    behind = asyncio.create_task(room.engine.queues.put([room.put("q")], accepted=True))
    for task in (append, behind, waiting):
        await until(task)
        assert isinstance(task.exception(), EngineStopped)
    commits = FaultyConnection.commits
    for call in (
        room.engine.journal.append("bus", [b"x"]),
        room.engine.journal.read("bus", 0, 9),
        room.engine.queues.lease("q", 1, 1),
        room.engine.records.get("r"),
        room.engine.health(),
    ):
        with pytest.raises(EngineStopped):
            await call
    assert [getattr(exc, "sqlite_errorcode", 0) for exc in room.fatal] == [IO_ERROR_FSYNC]
    assert FaultyConnection.commits == commits
