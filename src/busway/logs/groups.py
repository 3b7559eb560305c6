"""The events of log groups: put, read, retain.

A batch is one entry of its group's journal, and durable when `put` returns. Readers walk over what came from two
hours before the moment that they ask for, since no event is further ahead of its coming than that; in memory they
hold one page and a few entries. Work on many events is done in a thread, step by step, for few readers at once, and
searches have a turn of their own, since a pattern may be slow: a plain read never waits for one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from busway.arn import Scope
from busway.clock import Clock
from busway.engine import Engine, Entry
from busway.errors import LogGroupNotFound, LogStreamNotFound, StorageFull
from busway.function.log_streams import function_of
from busway.logs.batch import AHEAD_MS, DAY_MS, EVENT_BYTES, Event, Sorted, size_of, sort_out
from busway.logs.filter import Filter
from busway.logs.functions import FunctionLines
from busway.logs.page import LogEvent, Page, Place, Stretch
from busway.logs.record import Batch, milliseconds
from busway.logs.registry import Group, GroupRegistry

# The second part of the place of an event that a user put; a function's line has another.
SOURCE = 1
# Ours: entries of a journal that are read at once, at first and later: as many as are expected to have so many bytes.
READ_FIRST, READ_MOST, READ_BYTES = 4, 1_000, 2 * 1_048_576
# Ours: how many readers, and searches, are in a step at once; and after how many events a search tells what it has.
READERS_MAX, SEARCHES_MAX = 2, 1
SEARCHED_EVENTS = 100_000
TEND_EVERY_S = 60.0
# An event's number: the entry's offset, and its place in it (of 10,000 at most).
_IN_ENTRY = 16_384
_EVENTS = msgspec.msgpack.Decoder(list[Event])
_BATCH = msgspec.msgpack.Decoder(Batch)
log = logging.getLogger(__name__)


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: from `start_ms` up to before `end_ms`, of these streams or of all, and what they must say.

    Of several prefixes a stream's name has one. `live`: somebody asks again and again.
    """

    start_ms: int = 0
    end_ms: int = 2**63
    streams: frozenset[str] | None = None
    prefix: str | tuple[str, ...] = ""
    wanted: Filter | None = None
    live: bool = False

    def asks_for(self, stream: str) -> bool:
        return stream.startswith(self.prefix) and (self.streams is None or stream in self.streams)

    def finds(self, at_ms: int, message: str) -> bool:
        return self.start_ms <= at_ms < self.end_ms and (self.wanted is None or self.wanted(message))


class Taker(Protocol):
    """Who is shown events: a `Page`, or a reader of what is new."""

    def wants(self, place: Place) -> bool: ...

    @property
    def offer(self) -> Callable[[LogEvent], object]: ...


class Mark(msgspec.Struct, frozen=True):
    """How far a reader of what is new has come: in the group's journal, and in what its function printed.

    `printed` is how many lines of it there were, `place` the last one that was looked at, or before all that come.
    """

    offset: int
    place: Place
    printed: int


class _All:
    """Hands on everything."""

    def __init__(self, take: Callable[[LogEvent], object]) -> None:
        self.offer = take

    def wants(self, place: Place) -> bool:
        return True


class _After:
    """Of lines in their order, hands on those after a place, and remembers the last."""

    def __init__(self, place: Place, take: Callable[[LogEvent], object]) -> None:
        self.last, self.offer = place, take

    def wants(self, place: Place) -> bool:
        if place <= self.last:
            return False
        self.last = place
        return True


class LogGroups(GroupRegistry):
    """Groups, streams, and their events."""

    def __init__(self, engine: Engine, clock: Clock, lines: FunctionLines, group_bytes: int) -> None:
        super().__init__(engine, clock, lines, group_bytes)
        self._reading, self._searching = asyncio.Semaphore(READERS_MAX), asyncio.Semaphore(SEARCHES_MAX)
        # Tails that search wait for each other, and nobody for them.
        self._tailing = asyncio.Semaphore(SEARCHES_MAX)

    async def put(self, scope: Scope, group_name: str, stream: str, events: Sequence[Event]) -> Sorted:
        """Keep a batch, durably before return; the answer says what was rejected.

        Raises `LogGroupNotFound`, `LogStreamNotFound`, `InvalidLogRequest`, `StorageFull`.
        """
        group = self.find(scope, group_name)
        if group is None and await self._lines.of_group(scope, group_name) is None:
            raise LogGroupNotFound(group_name)
        if group is None or stream not in group.streams:
            raise LogStreamNotFound(stream)
        checked = sort_out(events, milliseconds(self._clock.now()), group.record.retention_days)
        if checked.taken:
            await self._append(group, stream, checked.taken)
        return checked

    async def _append(self, group: Group, stream: str, events: Sequence[Event]) -> None:
        span, size = (events[0][0], events[-1][0]), sum(size_of(message) for _, message in events)
        packed = msgspec.msgpack.encode(list(events))
        batch = Batch(stream, *span, size, msgspec.Raw(packed))
        journal = group.record.journal
        offset = await self._journal.append(journal, [msgspec.msgpack.encode(batch)])
        present = self._groups.get(group.record.arn)
        if present is not group or group.record.ending:
            # It was deleted meanwhile; where nobody made it anew, nothing may stay.
            if present in (None, group):
                await self._journal.trim(journal, float("inf"), offset)
            raise LogGroupNotFound(group.record.name)
        for entry in await self._journal.read(journal, offset - 1, 1):
            self._count(group, entry)
        while group.size > self._group_bytes and len(group.segments) > 1:
            oldest = group.segments.pop(0)
            await self._journal.trim(journal, float("inf"), oldest.last)

    # --- read ---

    async def read(
        self, scope: Scope, group_name: str, query: Query, page: Page, stretch: Stretch | None = None
    ) -> int:
        """Offer the page what the query finds, in all of the group or in a stretch of it.

        A stretch without an end ends after some `SEARCHED_EVENTS`. The answer is the offset where it ended, 0 for the
        end of the group. A function's lines belong to the first stretch. Raises `LogGroupNotFound`,
        `LogStreamNotFound`.
        """
        group = self.find(scope, group_name)
        kept = await self._lines.of_group(scope, group_name)
        if group is None and kept is None:
            raise LogGroupNotFound(group_name)
        named = frozenset(query.streams or ()) - (frozenset() if group is None else group.streams.keys())
        if named and kept is None:
            raise LogStreamNotFound(min(named))
        if group is not None and group.record.retention_days is not None:
            oldest_ms = milliseconds(self._clock.now()) - group.record.retention_days * DAY_MS
            query = msgspec.structs.replace(query, start_ms=max(query.start_ms, oldest_ms))
        ended = 0 if group is None else await self._walk(group, query, page, stretch)
        if kept is not None and (stretch is None or stretch.after == 0):
            async with self._turn(query):
                unseen = named - await self._walk_lines(kept.function, query, page)
            # It may have older lines only.
            if missing := unseen and unseen - (await self._lines.streams(kept)).keys():
                raise LogStreamNotFound(min(missing))
        return ended

    async def mark(self, scope: Scope, group_name: str) -> Mark:
        """Where the group ends now. Raises `LogGroupNotFound`."""
        group = self.find(scope, group_name)
        if group is None and await self._lines.of_group(scope, group_name) is None:
            raise LogGroupNotFound(group_name)
        offset = 0 if group is None else group.counted
        mark = Mark(offset, (milliseconds(self._clock.now()), 0, 0), 0)
        # Lines of this very millisecond may be there already.
        return await self._new_lines(function_of(scope, group_name), Query(), mark, lambda _: None)

    async def read_new(
        self, scope: Scope, group_name: str, query: Query, mark: Mark, take: Callable[[LogEvent], object]
    ) -> Mark:
        """Hand over, in a thread, what the query finds of all that came since the mark; give the mark to go on from.

        Where nothing came it reads nothing. A group that is gone has nothing new.
        """
        query = msgspec.structs.replace(query, live=True)
        group = self.find(scope, group_name)
        if group is not None and group.counted > mark.offset:
            upto = group.counted
            await self._walk(group, query, _All(take), Stretch(mark.offset, upto))
            mark = msgspec.structs.replace(mark, offset=upto)
        return await self._new_lines(function_of(scope, group_name), query, mark, take)

    async def _new_lines(
        self, function: str | None, query: Query, mark: Mark, take: Callable[[LogEvent], object]
    ) -> Mark:
        # Before the lines are read: those that come meanwhile are for the next time.
        printed, now_ms = self._lines.printed(function or ""), milliseconds(self._clock.now())
        if function is None or printed == mark.printed:
            return mark
        after = _After(mark.place, take)
        async with self._turn(query):
            await self._walk_lines(function, msgspec.structs.replace(query, start_ms=mark.place[0]), after)
        # Lines of other streams than those asked for moved nothing, and need not be looked at again either.
        return msgspec.structs.replace(mark, place=max(after.last, (now_ms, 0, 0)), printed=printed)

    def _turn(self, query: Query) -> asyncio.Semaphore:
        if query.wanted is None:
            return self._reading
        return self._tailing if query.live else self._searching

    async def _walk_lines(self, function: str, query: Query, page: Taker) -> set[str]:
        """Gives the streams that had lines, of those asked for."""
        seen = set[str]()

        def take(event: LogEvent) -> None:
            if not query.asks_for(event.stream):
                return
            seen.add(event.stream)
            if page.wants(event.place) and query.finds(event.at_ms, event.message):
                page.offer(event)

        await self._lines.walk(function, query.start_ms, take)
        return seen

    async def _walk(self, group: Group, query: Query, page: Taker, stretch: Stretch | None) -> int:
        journal = group.record.journal
        # Names as they are now: the walk goes on in a thread.
        begins = {name: record.begins for name, record in group.streams.items() if query.asks_for(name)}
        soonest = max(0.0, (query.start_ms - AHEAD_MS) / 1000)
        first, upto = (0, 0) if stretch is None else (stretch.after, stretch.upto)
        after = max(first, await self._journal.offset_at(journal, soonest))
        limit, looked_at = READ_FIRST, 0
        while begins:
            async with self._turn(query):
                entries = await self._journal.read(journal, after, limit)
                if upto:
                    entries = [entry for entry in entries if entry.offset <= upto]
                if not entries:
                    break
                looked_at += await asyncio.to_thread(_take, entries, begins, query, page)
            after = entries[-1].offset
            if stretch is not None and not upto and looked_at >= SEARCHED_EVENTS:
                return after
            mean = sum(len(entry.data) for entry in entries) // len(entries)
            limit = max(1, min(READ_MOST, READ_BYTES // max(EVENT_BYTES, mean)))
        return upto

    async def run(self) -> None:
        """Keep retention and counts, until cancelled."""
        while True:
            await self._clock.sleep(TEND_EVERY_S)
            try:
                await self.tend()
            except StorageFull as error:
                log.warning("what log groups hold is written down later: %s", error)


def _take(entries: Sequence[Entry], begins: dict[str, int], query: Query, page: Taker) -> int:
    """Offer what is found in these entries, and count what was looked at. `begins` has the streams asked for."""
    looked_at = 0
    for entry in entries:
        batch = _BATCH.decode(entry.data)
        begun = begins.get(batch.stream)
        if begun is None or entry.offset <= begun:
            continue
        if batch.last_ms < query.start_ms or batch.first_ms >= query.end_ms:
            continue
        ingested_ms = milliseconds(entry.at)
        events = _EVENTS.decode(batch.events)
        looked_at += len(events)
        for number, (at_ms, message) in enumerate(events, entry.offset * _IN_ENTRY):
            place = (at_ms, SOURCE, number)
            if page.wants(place) and query.finds(at_ms, message):
                page.offer(LogEvent(place, batch.stream, message, ingested_ms))
    return looked_at
