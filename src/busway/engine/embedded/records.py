"""Records: one row a key."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from itertools import takewhile
from typing import Any

from busway.engine import Value
from busway.engine.embedded.committer import Call, Committer
from busway.engine.embedded.reader import Reader
from busway.engine.embedded.sealing import seal_record
from busway.engine.waiting import Watches
from busway.errors import CorruptRecord, VersionConflict

_PUT = (
    "INSERT INTO records (key, version, crc, data) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET version = excluded.version, crc = excluded.crc, data = excluded.data"
)


class EmbeddedRecords:
    """Writes may use the reserve of a full disk: they are small, and an alarm's state is among them."""

    def __init__(self, committer: Committer, reader: Reader) -> None:
        self._committer, self._reader = committer, reader
        self.watches = Watches()
        committer.on_stop.append(self.watches.stop)

    async def get(self, key: str) -> Value | None:
        sql = "SELECT key, version, crc, data FROM records WHERE key = ?"
        found = await self._reader.read(lambda db: [_value(row) for row in db.execute(sql, (key,))])
        return found[0] if found else None

    async def put(self, key: str, data: bytes, expect: int | None = None) -> int:
        def work(call: Call[int]) -> int:
            version = self._checked(key, expect) + 1
            call.write(_PUT, (key, version, seal_record(key, version, data), data))
            call.on_commit(lambda: self.watches.changed(key))
            return version

        return await self._committer.call(work, durable=True)

    async def delete(self, key: str, expect: int | None = None) -> bool:
        def work(call: Call[bool]) -> bool:
            if not self._checked(key, expect):
                return False
            call.write("DELETE FROM records WHERE key = ?", (key,))
            call.on_commit(lambda: self.watches.changed(key))
            return True

        return await self._committer.call(work, durable=True)

    async def list(self, prefix: str) -> list[Value]:
        return await self._reader.read(lambda db: _list(db, prefix))

    def watch(self, prefix: str) -> AsyncIterator[str]:
        self._committer.check_open()
        return self.watches.open(prefix)

    def _checked(self, key: str, expect: int | None) -> int:
        """The version that stands, 0 for none. Raises `VersionConflict`."""
        rows = self._committer.query("SELECT version FROM records WHERE key = ?", (key,))
        found: int = rows[0][0] if rows else 0
        if expect is not None and expect != found:
            raise VersionConflict(key, expect, found)
        return found


def _list(db: sqlite3.Connection, prefix: str) -> list[Value]:
    rows = db.execute("SELECT key, version, crc, data FROM records WHERE key >= ? ORDER BY key", (prefix,))
    return [_value(row) for row in takewhile(lambda row: row[0].startswith(prefix), rows)]


def _value(row: tuple[Any, ...]) -> Value:
    key, version, crc, data = row
    if crc != seal_record(key, version, data):
        raise CorruptRecord(f"records, key {key!r}: found a wrong checksum")
    return Value(key, version, data)
