"""The three seams on SQLite: one file in the data folder, nothing to install. See `engine/DESIGN.md`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from busway.clock import Clock
from busway.engine import Health
from busway.engine.embedded.committer import Committer
from busway.engine.embedded.disk import Disk, LogIndex
from busway.engine.embedded.journal import EmbeddedJournal
from busway.engine.embedded.numbers import Numbers
from busway.engine.embedded.queues import EmbeddedQueues
from busway.engine.embedded.reader import Reader
from busway.engine.embedded.records import EmbeddedRecords
from busway.engine.embedded.schema import DATABASE_NAME, connect, migrate
from busway.engine.embedded.space import Space
from busway.engine.embedded.subscribers import Subscribers
from busway.errors import DataUnusable


class EmbeddedEngine:
    """One store with all three seams, made by `open_embedded`."""

    def __init__(
        self,
        db: sqlite3.Connection,
        disk: Disk,
        space: Space,
        clock: Clock,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._disk, self._space = disk, space
        self._log = LogIndex(disk.folder / f"{DATABASE_NAME}-shm")
        self._committer = Committer(db, self._log, space, on_fatal)
        self._reader = Reader(disk.folder / DATABASE_NAME, self._committer)
        numbers = Numbers(self._committer)
        self.journal = EmbeddedJournal(self._committer, self._reader, space, clock)
        subscribers = Subscribers(self._committer, numbers, self.journal)
        self.queues = EmbeddedQueues(self._committer, self._reader, space, clock, numbers, subscribers)
        self.records = EmbeddedRecords(self._committer, self._reader)

    async def health(self) -> Health:
        self._committer.check_open()
        return Health(self._space.accepting(), self._space.detail())

    async def close(self) -> None:
        await self._committer.close()
        self._reader.close()
        # Last: closing one handle of a file drops the locks that SQLite holds on it through another.
        self._log.close()
        self._disk.unlock()


async def open_embedded(
    folder: Path,
    clock: Clock,
    *,
    on_fatal: Callable[[BaseException], None],
    reserve_mb: float = 64,
    disk: Disk | None = None,
    connection: type[sqlite3.Connection] = sqlite3.Connection,
) -> EmbeddedEngine:
    """Open or make the store in `folder`, which this process then holds alone.

    `on_fatal` is called once, on the event loop, when an I/O error stopped the engine: end the process with it, and
    not with exit code 0. Raises `DataInUse`, `DataTooNew`, `DataUnusable`, OSError. `disk` and `connection` are for
    tests that inject faults.
    """
    disk = disk or Disk(folder)
    disk.make_folder()
    disk.lock()
    try:
        space = Space(disk, clock, int(reserve_mb * 1_000_000))
        db = connect(folder / DATABASE_NAME, connection)
        try:
            migrate(db, folder / DATABASE_NAME)
            # A first write makes the log file, so that syncing the folder covers its name too.
            db.execute("UPDATE counters SET value = value WHERE name = 'id'")
            disk.sync_folder()
            space.open()
            return EmbeddedEngine(db, disk, space, clock, on_fatal)
        except BaseException:
            db.close()
            raise
    except BaseException as exc:
        disk.unlock()
        if isinstance(exc, sqlite3.Error):
            raise DataUnusable(f"{folder / DATABASE_NAME}: found {str(exc)!r}, wanted a database to open") from exc
        raise
