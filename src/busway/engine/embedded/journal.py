"""Journals: one row an append, checked and chained, with the newest ones in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from busway.clock import Clock
from busway.engine import Entry
from busway.engine.embedded.committer import Call, Committer
from busway.engine.embedded.reader import Reader
from busway.engine.embedded.sealing import BUCKET, pack_entries, seal_append, seal_name, unpack_entries
from busway.engine.embedded.space import Space
from busway.engine.embedded.tail import Tail
from busway.engine.waiting import Bells
from busway.errors import CorruptRecord

# Rows that one transaction of a trim removes: other calls get their turn in between.
TRIM_ROWS = 500

_INSERT = "INSERT INTO appends (last, journal, prev, count, at, crc, data) VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADVANCE = (
    "INSERT INTO positions (journal, reader, offset, crc) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (journal, reader) DO UPDATE SET offset = excluded.offset, crc = excluded.crc"
)


@dataclass(slots=True)
class _Log:
    """What is known of one journal. `last` counts what was called, `head` what is durable."""

    id: int
    name: str
    last: int
    head: int
    floor: int


class EmbeddedJournal:
    def __init__(self, committer: Committer, reader: Reader, space: Space, clock: Clock) -> None:
        self._committer, self._reader, self._space, self._clock = committer, reader, space, clock
        self._logs: dict[str, _Log] = {}
        self._positions: dict[tuple[str, str], int] = {}
        # Moved since the last commit, by journal id and reader. They join the next commit and cause none: nobody
        # waits for a position to be durable, and so the disk is free for those who wait for other things.
        self._moved: dict[tuple[int, str], int] = {}
        self._tail = Tail()
        self.bells = Bells()
        committer.on_stop.append(self.bells.stop)
        committer.before_commit.append(self._write_positions)
        newest = committer.query("SELECT max(last) FROM appends")[0][0] or 0
        trimmed = committer.query("SELECT value FROM counters WHERE name = 'offset'")[0][0]
        self._offset = max(newest, trimmed)
        self._next_id = (committer.query("SELECT max(id) FROM journals")[0][0] or 0) + 1

    async def append(self, journal: str, entries: Sequence[bytes]) -> int:
        if not entries:
            raise ValueError(f"append to journal {journal!r}: found no entries, wanted at least one")
        self._committer.check_open()
        self._space.check()
        entries = tuple(entries)
        count, packed = len(entries), pack_entries(entries)

        def work(call: Call[int]) -> int:
            log = self._log(journal) or self._create(journal)
            at, prev, last = self._clock.now(), log.last, self._offset + count
            crc = seal_append(log.id, last, prev, count, at, packed)
            call.write(_INSERT, (last, log.id, prev, count, at, crc, packed))
            self._offset = log.last = last
            call.on_commit(lambda: self._appended(log, last, prev, at, entries))
            call.on_refused(lambda: self._forget_refused(log))
            return last - count + 1

        return await self._committer.call(work, durable=True, refusable=True)

    def _appended(self, log: _Log, last: int, prev: int, at: float, entries: Sequence[bytes]) -> None:
        log.head = last
        self._tail.add(log.id, last, prev, at, entries)
        self.bells.ring(log.name)

    def _forget_refused(self, log: _Log) -> None:
        # The next append must be chained to what is stored, or readers would report a hole.
        log.last = log.head

    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        log = self._logs.get(journal) or await self._load(journal)
        self._committer.check_open()
        if log is None or limit <= 0 or max(after, log.floor) >= log.head:
            return []
        found = self._tail.read(log.id, after, limit)
        if found is not None:
            return found
        head = log.head
        return await self._reader.read(lambda db: _read(db, log, head, after, limit))

    async def wait(self, journal: str, after: int) -> None:
        while True:
            log = self._logs.get(journal) or await self._load(journal)
            self._committer.check_open()
            # What was trimmed does not count, or a reader that starts below it would spin.
            if log is not None and log.head > max(after, log.floor):
                return
            await self.bells.heard(journal)

    async def head(self, journal: str) -> int:
        log = self._logs.get(journal) or await self._load(journal)
        self._committer.check_open()
        return log.head if log is not None else 0

    async def position(self, journal: str, reader: str) -> int:
        return await self._committer.call(lambda _: self._position(journal, reader))

    async def advance(self, journal: str, reader: str, offset: int) -> None:
        def work(_: Call[None]) -> None:
            if offset > self._position(journal, reader):
                log = self._log(journal) or self._create(journal)
                self._positions[journal, reader] = self._moved[log.id, reader] = offset

        await self._committer.call(work)

    def _write_positions(self, write_many: Callable[[str, list[tuple[Any, ...]]], None]) -> None:
        moved, self._moved = self._moved, {}
        if moved:
            rows = [(log, name, offset, seal_name(name, log, offset)) for (log, name), offset in moved.items()]
            write_many(_ADVANCE, rows)

    async def trim(self, journal: str, before: float, up_to: int) -> int:
        cut = min(up_to, await self.offset_at(journal, before))
        trimmed = 0
        while True:
            rows, entries = await self._committer.call(lambda call: self._trim(call, journal, cut))
            trimmed += entries
            if rows < TRIM_ROWS:
                return trimmed

    def _trim(self, call: Call[tuple[int, int]], journal: str, cut: int) -> tuple[int, int]:
        """Remove up to `TRIM_ROWS` rows of either kind; return how many, and the entries in them."""
        log = self._log(journal)
        if log is None:
            return 0, 0
        rows = self._committer.query(
            "SELECT last, count FROM appends WHERE journal = ? AND last <= ? ORDER BY last LIMIT ?",
            (log.id, min(cut, log.head), TRIM_ROWS),
        )
        if rows:
            floor = rows[-1][0]
            call.write("DELETE FROM appends WHERE journal = ? AND last <= ?", (log.id, floor))
            sealed = seal_name(journal, log.id, floor)
            call.write("UPDATE journals SET floor = ?, crc = ? WHERE id = ?", (floor, sealed, log.id))
            call.write("UPDATE counters SET value = max(value, ?) WHERE name = 'offset'", (floor,))
            log.floor = floor
            self._tail.forget(log.id, floor)
        return max(len(rows), self._trim_outcomes(call, log)), sum(count for _, count in rows)

    def _trim_outcomes(self, call: Call[tuple[int, int]], log: _Log) -> int:
        """Whole buckets only; `outcomes` leaves out what is below the floor in the bucket that remains."""
        return call.write(
            "DELETE FROM outcomes WHERE (subscriber, bucket, seq) IN ("
            " SELECT o.subscriber, o.bucket, o.seq FROM subscribers s JOIN outcomes o ON o.subscriber = s.id"
            " WHERE s.journal = ? AND o.bucket < ? LIMIT ?)",
            (log.id, (log.floor + 1) // BUCKET, TRIM_ROWS),
        )

    async def offset_at(self, journal: str, at: float) -> int:
        log = self._logs.get(journal) or await self._load(journal)
        if log is None:
            self._committer.check_open()
            return 0
        return await self._reader.read(lambda db: _offset_at(db, log, at))

    # --- inside the committer's calls ---

    def journal_of(self, offset: int) -> int:
        """The id of the journal that holds `offset`, 0 when none does."""
        rows = self._committer.query(
            "SELECT journal, last - count FROM appends WHERE last >= ? ORDER BY last LIMIT 1", (offset,)
        )
        return rows[0][0] if rows and rows[0][1] < offset else 0

    def _position(self, journal: str, reader: str) -> int:
        known = self._positions.get((journal, reader))
        if known is not None:
            return known
        log = self._log(journal)
        rows = self._committer.query(
            "SELECT offset, crc FROM positions WHERE journal = ? AND reader = ?", (log.id if log else 0, reader)
        )
        found, crc = rows[0] if rows else (0, 0)
        if log is not None and rows and crc != seal_name(reader, log.id, found):
            raise CorruptRecord(f"positions of journal {journal!r}, reader {reader!r}: found a wrong checksum")
        self._positions[journal, reader] = found
        return found

    async def _load(self, journal: str) -> _Log | None:
        return await self._committer.call(lambda _: self._log(journal))

    def _log(self, journal: str) -> _Log | None:
        log = self._logs.get(journal)
        if log is None:
            rows = self._committer.query("SELECT id, floor, crc FROM journals WHERE name = ?", (journal,))
            if rows:
                number, floor, crc = rows[0]
                if crc != seal_name(journal, number, floor):
                    raise CorruptRecord(f"journals, {journal!r}: found a wrong checksum")
                newest = self._committer.query("SELECT max(last) FROM appends WHERE journal = ?", (number,))
                head = max(newest[0][0] or 0, floor)
                log = self._logs[journal] = _Log(number, journal, head, head, floor)
        return log

    def _create(self, journal: str) -> _Log:
        # Not part of the call that may be refused: others of the same batch may use the id.
        row = (self._next_id, journal, seal_name(journal, self._next_id))
        self._committer.write_always("INSERT INTO journals (id, name, floor, crc) VALUES (?, ?, 0, ?)", row)
        log = self._logs[journal] = _Log(self._next_id, journal, 0, 0, 0)
        self._next_id += 1
        return log


def _read(db: sqlite3.Connection, log: _Log, head: int, after: int, limit: int) -> list[Entry]:
    """Entries above `after`, each row checked by itself and against the one before it."""
    found: list[Entry] = []
    floor: int = db.execute("SELECT floor FROM journals WHERE id = ?", (log.id,)).fetchone()[0]
    known = after = max(after, floor)
    rows = db.execute(
        "SELECT last, prev, count, at, crc, data FROM appends WHERE journal = ? AND last > ? ORDER BY last",
        (log.id, after),
    )
    for last, prev, count, at, crc, data in rows:
        first = last - count + 1
        if crc != seal_append(log.id, last, prev, count, at, data):
            raise CorruptRecord(f"appends, journal {log.name!r}, offset {first}: found a wrong checksum")
        if prev > known:
            raise CorruptRecord(
                f"appends, journal {log.name!r}, offset {first}: found {known} before it, wanted {prev}: a hole"
            )
        entries = enumerate(unpack_entries(data, count), first)
        found += [Entry(offset, at, entry) for offset, entry in entries if offset > after]
        known = last
        if len(found) >= limit:
            return found[:limit]
    if known < head:
        raise CorruptRecord(f"appends, journal {log.name!r}: found its end at {known}, wanted {head}")
    return found


def _offset_at(db: sqlite3.Connection, log: _Log, at: float) -> int:
    """A search by halves: offsets and times grow together, and there is no index by time to maintain."""
    low, high, found = log.floor + 1, log.head, log.floor
    while low <= high:
        middle = (low + high) // 2
        row = db.execute(
            "SELECT last, count, at FROM appends WHERE journal = ? AND last >= ? ORDER BY last LIMIT 1",
            (log.id, middle),
        ).fetchone()
        if row is not None and row[2] < at:
            found, low = row[0], row[0] + 1
        else:
            high = middle - 1
    return found
