"""What the embedded engine does with its rows: checks on read, the tail in memory, trimming in small pieces."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from busway.clock import ManualClock
from busway.engine import Ended, Origin, Put
from busway.engine.embedded import EmbeddedEngine, open_embedded
from busway.engine.embedded.journal import TRIM_ROWS
from busway.engine.embedded.queues import PURGE_ROWS
from busway.engine.embedded.sealing import pack_ended, pack_entries, unpack_ended, unpack_entries
from busway.engine.embedded.tail import Tail
from busway.errors import BuswayError, CorruptRecord, DataUnusable, EngineStopped


class Store:
    """A data folder that is opened again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock()
        self.fatal: list[BaseException] = []
        self.engine: EmbeddedEngine | None = None

    async def open(self) -> EmbeddedEngine:
        await self.close()
        self.engine = await open_embedded(self.folder, self.clock, on_fatal=self.fatal.append, reserve_mb=0)
        return self.engine

    async def close(self) -> None:
        if self.engine is not None:
            await self.engine.close()
        self.engine = None

    async def change(self, sql: str, *values: object) -> EmbeddedEngine:
        """Do something behind the engine's back and open it again."""
        await self.close()
        db = sqlite3.connect(self.folder / "busway.db")
        with db:
            assert db.execute(sql, values).rowcount > 0
        db.close()
        return await self.open()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    await store.close()


async def test_entries_are_the_same_from_disk_and_from_memory(store: Store):
    engine = await store.open()
    for number in range(5):
        await engine.journal.append("bus", [b"%d.%d" % (number, part) for part in range(3)])
        await engine.journal.append("beside", [b"x"])
    cases = [(after, limit) for after in range(-1, 22) for limit in (1, 2, 4, 100)]
    warm = [await engine.journal.read("bus", after, limit) for after, limit in cases]
    engine = await store.open()
    assert [await engine.journal.read("bus", after, limit) for after, limit in cases] == warm
    assert await engine.journal.head("bus") == 19


async def test_the_tail_holds_a_bounded_number_of_bytes():
    tail = Tail(bytes_max=3_000)
    for last in range(1, 100):
        tail.add(last % 2, last, last - 2, 0.0, [bytes(300)])
    assert tail.read(1, 0, 10) is None
    assert [e.offset for e in tail.read(1, 95, 10) or []] == [97, 99]
    assert tail.read(1, 99, 10) == []
    tail.forget(1, 97)
    assert tail.read(1, 95, 10) is None
    assert tail.read(2, 0, 10) is None


async def test_a_long_trim_and_a_long_purge_go_in_pieces_and_to_the_end(store: Store):
    engine = await store.open()
    count = TRIM_ROWS * 2 + 7
    await asyncio.gather(*(engine.journal.append("bus", [b"x"]) for _ in range(count)))
    await store.clock.advance(1)
    assert await engine.journal.trim("bus", store.clock.now(), 1 << 40) == count
    assert await engine.journal.read("bus", 0, 10) == []
    puts = [Put("q", b"", 0.0, b"", Origin("s", offset)) for offset in range(1, PURGE_ROWS * 2 + 4)]
    await engine.queues.put(puts)
    assert await engine.queues.purge("q") == len(puts)
    assert len(await engine.queues.outcomes("s")) == len(puts)


async def test_offsets_and_ids_are_not_used_again_after_everything_is_gone(store: Store):
    engine = await store.open()
    last = await engine.journal.append("bus", [b"x"] * 7) + 6
    (item,) = await engine.queues.put([Put("q", b"", 0.0)])
    await store.clock.advance(1)
    await engine.journal.trim("bus", store.clock.now(), last)
    await engine.queues.purge("q")
    engine = await store.open()
    assert await engine.journal.head("bus") == last
    assert await engine.journal.append("bus", [b"y"]) > last
    assert (await engine.queues.put([Put("q", b"", 0.0)]))[0] > item


async def test_marks_positions_and_attempts_survive_a_restart(store: Store):
    engine = await store.open()
    first = await engine.journal.append("bus", [b"x"])
    put = Put("q", b"", 0.0, b"", Origin("s", first))
    await engine.queues.put([put])
    await engine.journal.advance("bus", "router", first)
    await engine.queues.lease("q", 1, 10)
    await store.clock.advance(10)
    engine = await store.open()
    assert await engine.queues.put([put]) == [0]
    assert await engine.journal.position("bus", "router") == first
    assert [i.attempts for i in await engine.queues.lease("q", 1, 10)] == [2]


DAMAGE = {
    "an entry": "UPDATE appends SET data = x'01000000ff'",
    "an append's place": "UPDATE appends SET prev = prev - 1 WHERE last = (SELECT max(last) FROM appends)",
    "an append that is missing": "DELETE FROM appends WHERE last = 2",
    "the first append missing": "DELETE FROM appends WHERE last = 1",
    "a journal's floor": "UPDATE journals SET floor = 2",
    "a body": "UPDATE items SET body = x'00'",
    "an item's queue": "UPDATE items SET offset = 9",
    "a record": "UPDATE records SET data = x'00'",
    "a record's version": "UPDATE records SET version = 9",
    "a position": "UPDATE positions SET offset = 9",
    "a mark": "UPDATE subscribers SET mark = 1",
    "an outcome": "UPDATE outcomes SET data = zeroblob(length(data))",
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_does_not_fit_its_checksum_is_never_given_out(store: Store, damage: str):
    engine = await store.open()
    for _ in range(3):
        offset = await engine.journal.append("bus", [b"x"])
        await engine.queues.put([Put("q", b"x", 0.0, b"", Origin("s", offset))])
    await engine.journal.advance("bus", "router", 1)
    await engine.queues.done(await engine.queues.lease("q", 1, 10))
    await engine.records.put("r", b"x")
    engine = await store.change(DAMAGE[damage])
    with pytest.raises(CorruptRecord, match=r"bus|queue 'q'|'r'|'s'"):
        await read_everything(engine)
    assert store.fatal == []


async def read_everything(engine: EmbeddedEngine) -> dict[str, object]:
    return {
        "entries": [(e.offset, e.data) for e in await engine.journal.read("bus", 0, 1000)],
        "position": await engine.journal.position("bus", "router"),
        "again": await engine.queues.put([Put("q", b"", 0.0, b"", Origin("s", 1))]),
        "browsed": {i.id: (i.body, i.meta, i.origin) for i in await engine.queues.browse("q", 1000)},
        "leased": {i.id: (i.body, i.meta, i.origin) for i in await engine.queues.lease("q", 1000, 10)},
        "outcomes": {(e.offset, e.outcome) for e in await engine.queues.outcomes("s")},
        "records": {v.key: v.data for v in await engine.records.list("")},
    }


async def test_a_flipped_bit_gives_an_error_or_does_no_harm(store: Store, tmp_path: Path):
    seed = 20261123
    chance = random.Random(seed)
    engine = await store.open()
    for number in range(20):
        body = chance.randbytes(chance.choice((20, 600, 9_000)))
        offset = await engine.journal.append("bus", [body, b"%d" % number])
        await engine.queues.put([Put("q", body, 0.0, b"meta", Origin("s", offset))])
    await engine.queues.done(await engine.queues.lease("q", 3, 10))
    await engine.records.put("r", chance.randbytes(3_000))
    await store.close()
    sound = (store.folder / "busway.db").read_bytes()
    engine = await store.open()
    wanted = await read_everything(engine)
    await store.close()
    detected = 0
    for _ in range(60):
        shutil.rmtree(store.folder)
        store.folder.mkdir()
        flipped = bytearray(sound)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        (store.folder / "busway.db").write_bytes(flipped)
        detected += not await harmless(store, wanted)
    assert detected > 20, f"seed {seed}"


async def harmless(store: Store, wanted: dict[str, object]) -> bool:
    """False when the damage was reported; fails when something wrong was given out."""
    try:
        found = await read_everything(await store.open())
    except (BuswayError, sqlite3.DatabaseError, UnicodeDecodeError):
        return False
    # Damaged names and due times hide whole items (accounting finds those); they never change a payload, and a
    # journal is read whole or not at all.
    assert found["entries"] in (wanted["entries"], [])
    for part in ("browsed", "leased", "records"):
        whole, seen = wanted[part], found[part]
        assert isinstance(whole, dict) and isinstance(seen, dict)
        assert {key: whole.get(key) for key in seen} == seen
    return True


async def test_a_damaged_page_under_a_write_stops_the_engine(store: Store):
    engine = await store.open()
    await engine.queues.put([Put("q", b"x", 0.0)])
    await store.close()
    raw = bytearray((store.folder / "busway.db").read_bytes())
    for page in range(4096, len(raw), 4096):
        raw[page : page + 8] = b"\xff" * 8
    (store.folder / "busway.db").write_bytes(raw)
    with pytest.raises((EngineStopped, DataUnusable, sqlite3.DatabaseError)):
        await (await store.open()).queues.lease("q", 1, 1)


def test_packed_entries_come_back():
    for entries in ([b""], [b"a", b"", b"c" * 70_000]):
        assert unpack_entries(pack_entries(entries), len(entries)) == entries
    ended = [
        Ended(4096 * 7 + low, word, 185, 1e9 + low) for low, word in ((0, "delivered"), (4095, "dropped: alter"))
    ]
    assert list(unpack_ended(7, b"".join(map(pack_ended, ended)))) == ended
