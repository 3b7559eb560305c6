"""What the engine refuses or finds broken."""

from __future__ import annotations

from busway.errors.root import BuswayError


class StorageFull(BuswayError):
    """The disk is full: nothing was stored. What was accepted before is still being delivered."""


class CorruptRecord(BuswayError):
    """A stored record does not fit its checksum; it is never delivered and never skipped in silence."""


class VersionConflict(BuswayError):
    """A record changed since it was read."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        super().__init__(f"record {key!r}: expected version {expected}, found {found}")
        self.key, self.expected, self.found = key, expected, found


class EngineStopped(BuswayError):
    """The engine was closed, or stopped itself after an I/O error; nothing more is stored."""


class DataInUse(BuswayError):
    """Another process holds the data folder."""

    hint = "ask that server (--endpoint), end it, or name another folder with --data"


class DataTooNew(BuswayError):
    """The data folder was written by a newer Busway."""


class DataUnusable(BuswayError):
    """What is in the data folder can't be opened as a store: damaged, something else, or on a disk that is full."""

    hint = "look at the disk and the file; put a backup in its place, or name another folder with --data"
