"""Which events are of one trace: a bounded look into the journals. For people's questions, not for the hot path.

    before   entries before an event: for what it came of
    ahead    entries from it on: for what came of it

No index knows traces: none is written, so none is paid for by every event. What is looked through is counted, and a
`Window` says what it covers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec

from busway.arn import Scope
from busway.bus.buses import Buses
from busway.bus.envelope import event_id, is_event, unframe
from busway.bus.history import Found
from busway.clock import Clock
from busway.engine import Entry, Journal
from busway.tracing import of_event, parent, trace_id

# Ours: how many entries are looked at on all buses of the caller together, and how many bytes of each bus.
AHEAD_MAX, BEFORE_MAX = 50_000, 10_000
BYTES_MAX = 64 << 20
PAGE = 250

Pages = AsyncGenerator[list[Entry]]


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An event in a journal, as far as its trace goes. `parent` is "" for one that nothing here sent."""

    bus_arn: str
    offset: int
    at: float
    event_id: str
    trace_id: str
    parent: str
    passed_on: bool


@dataclass(slots=True)
class Window:
    """What was seen. `of_trace` are the trace's events, the oldest first; `by_parent` all that something sent.

    Between `since` and `until`, Unix seconds, every entry was looked at; None: there is nothing beyond.
    """

    trace_id: str
    of_trace: list[Seen] = field(default_factory=list[Seen])
    by_parent: dict[str, list[Seen]] = field(default_factory=dict[str, list[Seen]])
    looked_at: int = 0
    since: float | None = None
    until: float | None = None

    def add(self, seen: Seen) -> None:
        self.looked_at += 1
        if seen.trace_id == self.trace_id:
            self.of_trace.append(seen)
        if seen.parent:
            self.by_parent.setdefault(seen.parent, []).append(seen)

    def passed_on(self, bus_arn: str, event: str) -> Seen | None:
        """The event as it came to a bus from another one."""
        found = (seen for seen in self.of_trace if seen.passed_on and seen.event_id == event)
        return next((seen for seen in found if seen.bus_arn == bus_arn), None)


def seen_of(bus_arn: str, entry: Entry) -> Seen:
    """Raises `CorruptRecord`."""
    event, notes = unframe(entry.data)
    identity = event_id(event)
    header = of_event(identity, notes.trace_header)
    return Seen(bus_arn, entry.offset, entry.at, identity, trace_id(header), parent(header), bool(notes.hops))


async def around(buses: Buses, scope: Scope, found: Found) -> Window:
    """What is of the same trace as an event, on all buses of an account and Region."""
    journal, asked = buses.kit.engine.journal, seen_of(found.bus_arn, found.entry)
    window, clock = Window(asked.trace_id), buses.kit.clock
    arns = {asked.bus_arn, *(record.arn for record in buses.list(scope))}
    begun = asked.trace_id == asked.event_id.replace("-", "") and not asked.passed_on
    for arn in arns:
        here = asked.offset - 1 if arn == asked.bus_arn else await journal.offset_at(arn, asked.at)
        if not begun:
            # It came of something, which lies before it.
            since = await _look(clock, window, arn, _back(journal, arn, here), BEFORE_MAX // len(arns))
            window.since = max((at for at in (window.since, since) if at is not None), default=None)
        until = await _look(clock, window, arn, _forth(journal, arn, here), AHEAD_MAX // len(arns))
        window.until = min((at for at in (window.until, until) if at is not None), default=None)
    for events in (window.of_trace, *window.by_parent.values()):
        events.sort(key=lambda seen: (seen.at, seen.offset))
    return window


async def newest(buses: Buses, scope: Scope, identity: str) -> tuple[Seen | None, int]:
    """The first event of a trace among the newest entries, and how many were looked at."""
    journal, window = buses.kit.engine.journal, Window(identity)
    arns = [record.arn for record in buses.list(scope)]
    for arn in arns:
        end = await journal.head(arn)
        await _look(buses.kit.clock, window, arn, _back(journal, arn, end), AHEAD_MAX // len(arns))
    return min(window.of_trace, key=lambda seen: seen.at, default=None), window.looked_at


async def _look(clock: Clock, window: Window, bus_arn: str, pages: Pages, entries_max: int) -> float | None:
    """Look at up to so many entries; the time of the last one, None when there was no more."""
    left, bytes_left, at = entries_max, BYTES_MAX, None
    async with aclosing(pages):
        async for page in pages:
            # What an engine has at hand it gives without waiting: others have their turn here.
            await clock.sleep(0)
            for entry in page:
                if left <= 0 or bytes_left <= 0:
                    return at
                left, bytes_left, at = left - 1, bytes_left - len(entry.data), entry.at
                if is_event(entry.data):
                    window.add(seen_of(bus_arn, entry))
    return None


async def _forth(journal: Journal, bus_arn: str, after: int) -> Pages:
    while page := await journal.read(bus_arn, after, PAGE):
        yield page
        after = page[-1].offset


async def _back(journal: Journal, bus_arn: str, end: int) -> Pages:
    """The newest first, from the offset `end` on."""
    oldest = await journal.read(bus_arn, 0, 1)
    while oldest and end >= oldest[0].offset:
        start = max(0, end - PAGE)
        page = await journal.read(bus_arn, start, PAGE)
        yield [entry for entry in reversed(page) if entry.offset <= end]
        end = start
