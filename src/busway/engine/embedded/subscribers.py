"""What each subscriber put (one mark) and what became of it (outcomes, packed by neighbouring offsets)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from busway.engine import Ended, Origin
from busway.engine.embedded.committer import Committer
from busway.engine.embedded.journal import EmbeddedJournal
from busway.engine.embedded.numbers import Numbers
from busway.engine.embedded.sealing import BUCKET, pack_ended, seal_name, seal_outcomes, unpack_ended
from busway.errors import CorruptRecord


@dataclass(slots=True)
class Subscriber:
    id: int
    name: str
    journal: int
    mark: int


class Subscribers:
    """Marks and outcomes are gathered in memory and written once a batch, in the commit of what they stand for."""

    def __init__(self, committer: Committer, numbers: Numbers, journal: EmbeddedJournal) -> None:
        self._committer, self._numbers, self._journal = committer, numbers, journal
        self._by_name: dict[str, Subscriber] = {}
        self._by_id: dict[int, Subscriber] = {}
        self._moved: dict[int, Subscriber] = {}
        self._ended: dict[tuple[int, int], bytearray] = {}
        self._next_id = (committer.query("SELECT max(id) FROM subscribers")[0][0] or 0) + 1
        committer.before_commit.append(self._write)

    # --- inside the committer's calls ---

    def get(self, origin: Origin) -> Subscriber:
        """The subscriber of `origin`, made at its first put."""
        known = self._by_name.get(origin.subscriber) or self._load("name", origin.subscriber)
        known = known or self._create(origin)
        if not known.journal:
            # Its outcomes are trimmed with this journal.
            known.journal = self._journal.journal_of(origin.offset)
        return known

    def name(self, number: int) -> str:
        known = self._by_id.get(number) or self._load("id", number)
        if known is None:
            raise CorruptRecord(f"subscribers: found none with id {number}, wanted the origin of an item")
        return known.name

    def move(self, marks: dict[int, int]) -> None:
        """Set the marks of these subscribers, by id, in the commit under way."""
        for number, mark in marks.items():
            self._by_id[number].mark = mark
            self._moved[number] = self._by_id[number]

    def ended(self, number: int, ended: Ended) -> None:
        self._ended.setdefault((number, ended.offset // BUCKET), bytearray()).extend(pack_ended(ended))

    def _load(self, column: str, value: str | int) -> Subscriber | None:
        rows = self._committer.query(
            f"SELECT id, name, journal, mark, crc FROM subscribers WHERE {column} = ?", (value,)
        )
        if not rows:
            return None
        number, name, journal, mark, crc = rows[0]
        if crc != seal_name(name, number, journal, mark):
            raise CorruptRecord(f"subscribers, {name!r}: found a wrong checksum")
        return self._know(Subscriber(number, name, journal, mark))

    def _create(self, origin: Origin) -> Subscriber:
        made = Subscriber(self._next_id, origin.subscriber, 0, 0)
        self._committer.write_always(
            "INSERT INTO subscribers (id, name, journal, mark, crc) VALUES (?, ?, 0, 0, ?)",
            (made.id, made.name, seal_name(made.name, made.id)),
        )
        self._next_id += 1
        return self._know(made)

    def _know(self, subscriber: Subscriber) -> Subscriber:
        self._by_name[subscriber.name] = self._by_id[subscriber.id] = subscriber
        return subscriber

    def _write(self, write_many: Callable[[str, list[tuple[Any, ...]]], None]) -> None:
        moved, self._moved = self._moved, {}
        ended, self._ended = self._ended, {}
        if moved:
            rows = [(s.journal, s.mark, seal_name(s.name, s.id, s.journal, s.mark), s.id) for s in moved.values()]
            write_many("UPDATE subscribers SET journal = ?, mark = ?, crc = ? WHERE id = ?", rows)
        if ended:
            seq = self._numbers.take(len(ended))
            rows = [
                (number, bucket, at, seal_outcomes(number, bucket, at, bytes(data)), bytes(data))
                for at, ((number, bucket), data) in enumerate(ended.items(), seq)
            ]
            write_many("INSERT INTO outcomes (subscriber, bucket, seq, crc, data) VALUES (?, ?, ?, ?, ?)", rows)


def read_pending(db: sqlite3.Connection, subscriber: str) -> list[int]:
    rows = db.execute(
        "SELECT i.offset FROM items i JOIN subscribers s ON i.subscriber = s.id WHERE s.name = ? ORDER BY i.offset",
        (subscriber,),
    )
    return [offset for (offset,) in rows]


def read_outcomes(db: sqlite3.Connection, subscriber: str, after: int, limit: int) -> list[Ended]:
    """Bucket by bucket, since a row holds what was ended together, which is in no order of offsets."""
    row = db.execute(
        "SELECT s.id, coalesce(j.floor, 0) FROM subscribers s LEFT JOIN journals j ON j.id = s.journal"
        " WHERE s.name = ?",
        (subscriber,),
    ).fetchone()
    if row is None:
        return []
    number, floor = row
    after = max(after, floor)
    rows = db.execute(
        "SELECT bucket, seq, crc, data FROM outcomes WHERE subscriber = ? AND bucket >= ? ORDER BY bucket",
        (number, (after + 1) // BUCKET),
    )
    found: list[Ended] = []
    for bucket, same in groupby(rows, key=itemgetter(0)):
        inside: list[Ended] = []
        for _, seq, crc, data in same:
            if crc != seal_outcomes(number, bucket, seq, data):
                raise CorruptRecord(f"outcomes of {subscriber!r}, bucket {bucket}: found a wrong checksum")
            inside += unpack_ended(bucket, data)
        found += sorted((e for e in inside if e.offset > after), key=lambda e: e.offset)
        if len(found) >= limit:
            break
    return found[: max(0, limit)]
