"""Code that runs from a folder in development (`hot-reload`): what was saved is what the next invocation runs.

A change of the folder is an update of the function's code as a deployer makes one: a new revision, built where it
must be, while what runs goes on. Functions of `busway dev` are left to it: their rules come from the same files.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path

from busway.clock import Clock, first_of
from busway.errors import BuswayError
from busway.function.definitions.books import Books
from busway.function.definitions.building import Building
from busway.function.definitions.code_store import Folder
from busway.function.definitions.package import folder_sha256
from busway.function.definitions.registry import Registry
from busway.function.record import LATEST, FunctionRecord
from busway.handling import FOLDER_TAG

# Ours: how often a folder is looked at, and how long an invocation waits for the build of what was saved.
EVERY_S = 0.5
BUILD_S = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Look:
    """When a folder was looked at, on the monotonic clock, and what of it was acted upon last."""

    at: float
    digest: str


class LiveCode:
    """Notices saves when functions are invoked. `clock` is the machine's own."""

    def __init__(self, books: Books, registry: Registry, building: Building, clock: Clock) -> None:
        self._books, self._registry, self._building, self._clock = books, registry, building, clock
        self._looks: dict[str, _Look] = {}

    async def fresh(self, record: FunctionRecord) -> FunctionRecord:
        """The function as its folder is now. Where that can't be had, as it was; the build's failure is on it."""
        if not record.live or record.version != LATEST or FOLDER_TAG in record.tags:
            return record
        now, last = self._clock.monotonic(), self._looks.get(record.arn)
        if last is not None and now - last.at < EVERY_S:
            return record
        known = record.code_sha256 if last is None else last.digest
        self._looks[record.arn] = _Look(now, known)
        try:
            found = await asyncio.to_thread(folder_sha256, Path(record.code))
            if found in (known, record.code_sha256):
                return record
            # Tried once: what does not build is not built again before the next save.
            self._looks[record.arn] = _Look(now, found)
            await self._registry.update_code(record.arn, Folder(record.code))
            await first_of(self._clock, self._building.settled(record.arn), BUILD_S)
            return self._books.need(record.arn)
        except (BuswayError, OSError) as error:
            # An editor in the middle of a save, a deployer that was faster, a folder that is gone.
            self._looks[record.arn] = _Look(now, known)
            log.warning("%s runs as it was: the change of %s was not taken up: %s", record.arn, record.code, error)
            return record
