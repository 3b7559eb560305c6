"""What became of a mapping's batches, kept beside its checkpoints: `why` finds an event's batch in it, and `verify`
proves with it that no checkpoint is above a record that nobody handled.

A journal of the mapping's own. A page is appended at most every `KEEP_EVERY_S`, with a note for each batch since, and
checkpoints move after the page that accounts for them is durable. So what a checkpoint says is proved by a page.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import msgspec

from busway.clock import Clock, any_of
from busway.engine import Engine, Item
from busway.errors import StorageFull
from busway.stream.record import StreamEntry

# Ours: what a mapping finished becomes durable at the latest after this, so that little is repeated after a crash.
KEEP_EVERY_S = 0.2
# Ours: how long to wait while the disk is full, how often old pages are looked for, and how much longer they are kept
# than what they tell of.
FULL_AGAIN_S = 1.0
TRIM_EVERY_S = 60.0
KEPT_LONGER_S = 300.0
# Ours: what is kept of an error's text.
MESSAGE_CHARS_MAX = 300

DELIVERED, FAILED, BISECTED, GIVEN_UP, FILTERED = "delivered", "failed", "bisected", "given up", "filtered out"
# What a record is finished with, the strongest first: one that was handled once is handled.
FINAL = (DELIVERED, GIVEN_UP, FILTERED)

_PROGRESS = "mapping-progress/"

log = logging.getLogger(__name__)


class Note(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One batch, or a part of it, and what became of it. `at` is Unix seconds.

    `offsets` are ranges of a shard's records: first, last, first, last, … `marks` are a queue's messages (`mark_of`).
    `queue` has the letter of what was given up, "" when nobody was told.
    """

    outcome: str
    at: float
    offsets: Sequence[int] = ()
    marks: Sequence[str] = ()
    request_id: str = ""
    attempt: int = 0
    code: str = ""
    message: str = ""
    queue: str = ""

    def has(self, offset: int) -> bool:
        return any(first <= offset <= last for first, last in self.ranges())

    def ranges(self) -> Iterable[tuple[int, int]]:
        return zip(self.offsets[::2], self.offsets[1::2], strict=True)


Page = dict[str, list[Note]]
"""Notes by the journal of their shard, or by the ARN of their queue."""

_pages = msgspec.json.Decoder(Page)


def journal_of(uuid: str) -> str:
    return f"mapping/{uuid}"


def offsets_of(entries: Iterable[StreamEntry]) -> list[int]:
    """As ranges. Of records in order only neighbours share one."""
    ranges: list[int] = []
    for entry in entries:
        if ranges and entry.offset == ranges[-1] + 1:
            ranges[-1] = entry.offset
        else:
            ranges += (entry.offset, entry.offset)
    return ranges


def mark_of(item: Item, message_id: str) -> str:
    """What a message goes by in a note: the delivery that it is, else its id."""
    return message_id if item.origin is None else delivery_mark(item.origin.subscriber, item.origin.offset)


def delivery_mark(subscriber: str, offset: int) -> str:
    return hashlib.blake2b(f"{subscriber} {offset}".encode(), digest_size=8).hexdigest()


class Ledger:
    """The notes and checkpoints of one mapping. `keep_s` says how long what it reads is kept, in seconds."""

    def __init__(self, engine: Engine, clock: Clock, uuid: str, keep_s: Callable[[], float]) -> None:
        self._engine, self._clock, self._uuid, self._keep_s = engine, clock, uuid, keep_s
        self._notes: Page = {}
        self._moved: dict[str, int] = {}
        self._wanted, self._stopping = asyncio.Event(), asyncio.Event()
        self._writing = asyncio.Lock()
        self._trimmed_at = clock.now()

    def note(self, part: str, note: Note) -> None:
        """`part` is the journal of a shard, or the ARN of a queue."""
        self._notes.setdefault(part, []).append(note)
        self._wanted.set()

    def moved(self, journal: str, checkpoint: int) -> None:
        """Everything up to `checkpoint` is finished, and was noted."""
        self._moved[journal] = checkpoint
        self._wanted.set()

    def stop(self) -> None:
        """`run` returns when everything is kept."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep what is noted, until told to stop. Raises `EngineStopped`."""
        while not self._stopping.is_set():
            await any_of(self._clock, float("inf"), self._wanted.wait(), self._stopping.wait())
            self._wanted.clear()
            kept = await self.flush()
            if not kept:
                self._wanted.set()
            await any_of(self._clock, KEEP_EVERY_S if kept else FULL_AGAIN_S, self._stopping.wait())
            await self._trim()
        await self.flush()

    async def flush(self) -> bool:
        """Append the page, then move the checkpoints; False while the disk is full. Raises `EngineStopped`."""
        async with self._writing:
            notes, self._notes = self._notes, {}
            moved, self._moved = self._moved, {}
            try:
                return await self._keep(notes, moved)
            except StorageFull as error:
                log.warning("mapping %s: its checkpoints wait: %s", self._uuid, error)
                self._put_back(notes, moved)
                return False
            except BaseException:
                # Cut short: told again, or the checkpoints that follow would not be accounted for.
                self._put_back(notes, moved)
                raise

    async def _keep(self, notes: Page, moved: dict[str, int]) -> bool:
        journal = self._engine.journal
        if notes:
            await journal.append(journal_of(self._uuid), [msgspec.json.encode(notes)])
        for shard, checkpoint in moved.items():
            await journal.advance(shard, self._uuid, checkpoint)
        if moved:
            # Checkpoints join the next commit and cause none. Where nothing else is written, this causes one.
            await self._engine.records.put(f"{_PROGRESS}{self._uuid}", str(self._clock.now()).encode())
        return True

    def _put_back(self, notes: Page, moved: dict[str, int]) -> None:
        for part, later in self._notes.items():
            notes.setdefault(part, []).extend(later)
        self._notes, self._moved = notes, moved | self._moved

    async def _trim(self) -> None:
        now = self._clock.now()
        if now - self._trimmed_at < TRIM_EVERY_S:
            return
        self._trimmed_at = now
        journal, name = self._engine.journal, journal_of(self._uuid)
        if head := await journal.head(name):
            await journal.trim(name, now - self._keep_s() - KEPT_LONGER_S, head)


async def forget(engine: Engine, uuid: str) -> None:
    """The pages of a mapping that is deleted."""
    name = journal_of(uuid)
    if head := await engine.journal.head(name):
        await engine.journal.trim(name, float("inf"), head)
    await engine.records.delete(f"{_PROGRESS}{uuid}")


PAGE = 200


async def pages(engine: Engine, uuid: str, since: float = 0.0) -> AsyncIterator[Page]:
    """Those appended from `since` (Unix seconds) on, oldest first."""
    name = journal_of(uuid)
    after = await engine.journal.offset_at(name, since) if since else 0
    while entries := await engine.journal.read(name, after, PAGE):
        for entry in entries:
            yield _pages.decode(entry.data)
        after = entries[-1].offset
