"""Every error that Busway raises on purpose, one class per thing the caller can do about it.

    BuswayError
     +-- StorageFull, CorruptRecord, VersionConflict, EngineStopped, DataInUse, DataTooNew   (engine)
     +-- InvalidPattern, InvalidEvent                                                         (pattern)
     +-- and one group a room below

The message says where, what was found, what was wanted; what it names is also an attribute. AWS codes and
HTTP statuses are given in `aws/errors.py`, by class: no room below `aws` knows them.
"""

from __future__ import annotations


class BuswayError(Exception):
    """Base of all. `hint` is one line that says what to run or change, shown by the command line."""

    hint: str = ""


# --- engine -------------------------------------------------------------------------------------------------


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


class DataTooNew(BuswayError):
    """The data folder was written by a newer Busway."""


# --- pattern ------------------------------------------------------------------------------------------------


class InvalidPattern(BuswayError):
    """An event pattern that does not compile. `reason` is AWS's text, `location` its second line or ""."""

    def __init__(self, reason: str, location: str = "") -> None:
        super().__init__(f"Event pattern is not valid. Reason: {reason}{location}")
        self.reason, self.location = reason, location


class InvalidEvent(BuswayError):
    """A text that should be an event but is not a JSON object."""
