"""Reads that may take long, in a thread and on a connection of their own.

Each read is one function that runs to its end, so no read transaction is ever held across an `await` (it would keep
the write-ahead log from being reused).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from busway.engine.embedded.committer import Committer
from busway.engine.embedded.schema import connect_reader, error_code
from busway.errors import CorruptRecord, EngineStopped

T = TypeVar("T")


class Reader:
    """Reads see what was committed; `read` first waits for what was called before."""

    def __init__(self, path: Path, committer: Committer) -> None:
        self._db = connect_reader(path)
        # A first read joins the write-ahead log: from here on the writing connection is not the last one to close,
        # so closing it moves nothing into the database.
        self._db.execute("PRAGMA user_version").fetchall()
        self._path, self._committer = path, committer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="busway-reader")

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of one snapshot. Raises `CorruptRecord`; any other I/O error stops the engine."""
        await self._committer.settled()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._snapshot, work)
        except sqlite3.DatabaseError as exc:
            if error_code(exc) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise CorruptRecord(f"{self._path}: found a damaged page, wanted to read it: {exc}") from exc
            if error_code(exc) == 0:
                raise
            self._committer.stop(exc)
            raise EngineStopped(f"the engine stopped itself: {exc}") from exc

    def close(self) -> None:
        self._thread.shutdown()
        self._db.close()

    def _snapshot(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._db.execute("BEGIN")
        try:
            return work(self._db)
        finally:
            self._db.execute("ROLLBACK")
