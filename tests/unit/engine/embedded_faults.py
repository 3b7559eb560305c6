"""Fault injection for the embedded engine: a disk with a chosen amount of space, commits that fail or stand still."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from busway.engine.embedded.disk import Disk

FULL = sqlite3.SQLITE_FULL
IO_ERROR_FSYNC = sqlite3.SQLITE_IOERR_FSYNC


class SmallDisk(Disk):
    """A disk of which the test says how much is free."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.free = 1 << 40
        self.ballast = False
        self.dropped = 0

    def free_bytes(self) -> int:
        return self.free

    def has_ballast(self, size: int) -> bool:
        return self.ballast

    def make_ballast(self, size: int) -> bool:
        self.ballast = self.free >= size
        return self.ballast

    def drop_ballast(self) -> None:
        self.ballast, self.dropped = False, self.dropped + 1


class FaultyConnection(sqlite3.Connection):
    """The next commits fail with the codes in `faults`; while `gate` is shut, commits stand still."""

    faults: ClassVar[list[int]] = []
    gate: ClassVar[threading.Event] = threading.Event()
    commits: ClassVar[int] = 0

    @classmethod
    def reset(cls) -> None:
        cls.faults.clear()
        cls.gate.set()
        cls.commits = 0

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:  # type: ignore[override]
        if sql == "COMMIT":
            type(self).commits += 1
            assert self.gate.wait(10)
            if self.faults:
                # As SQLite does: a failed commit is rolled back.
                super().execute("ROLLBACK")
                exc = sqlite3.OperationalError("injected")
                exc.sqlite_errorcode = self.faults.pop(0)
                raise exc
        return super().execute(sql, parameters)
