"""Looking back: which event, where in which journal. For people's questions, not for the hot path."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from busway.arn import Scope
from busway.bus.buses import Buses
from busway.bus.envelope import ID_AT, Notes, event_id, is_event, unframe
from busway.bus.put_events import Publisher
from busway.bus.record import ALARM_SOURCE
from busway.engine import Entry, Journal

# Ours: offsets looked at in one step, newest first.
PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Found:
    """An event and where it lies."""

    bus_arn: str
    entry: Entry

    @property
    def event(self) -> bytes:
        return unframe(self.entry.data)[0]

    @property
    def notes(self) -> Notes:
        return unframe(self.entry.data)[1]


async def find_event(buses: Buses, publisher: Publisher, event: str) -> Found | None:
    """The newest entry with this event id on any bus, None when no journal has it (any more)."""
    journal = buses.kit.engine.journal
    for batch in reversed(publisher.remembered):
        if event in batch.ids:
            offset = batch.first + batch.ids.index(event)
            for entry in await journal.read(batch.bus_arn, offset - 1, 1):
                if entry.offset == offset:
                    return Found(batch.bus_arn, entry)
    for bus in buses.all():
        entry = await _scan(journal, bus.arn, event)
        if entry is not None:
            return Found(bus.arn, entry)
    return None


async def newest_event(buses: Buses, scope: Scope) -> Found | None:
    """The event accepted last on the buses of an account and Region, None when they retain none.

    But for those in which the server tells of itself: who asks for the newest means one of the team's.
    """
    newest: Found | None = None
    for record in buses.list(scope):
        entry = await _scan(buses.kit.engine.journal, record.arn, None)
        if entry is not None and (newest is None or entry.at > newest.entry.at):
            newest = Found(record.arn, entry)
    return newest


async def _scan(journal: Journal, bus_arn: str, event: str | None) -> Entry | None:
    """The newest entry with this id, of a team's when None: backwards page by page."""
    end = await journal.head(bus_arn)
    oldest = await journal.read(bus_arn, 0, 1)
    while oldest and end >= oldest[0].offset:
        start = max(0, end - PAGE)
        for entry in reversed(await journal.read(bus_arn, start, PAGE)):
            if (
                entry.offset <= end
                and is_event(entry.data)
                and (_is(entry, event) if event else not _of_itself(entry))
            ):
                return entry
        end = start
    return None


class _Source(msgspec.Struct):
    source: str


def _of_itself(entry: Entry) -> bool:
    return msgspec.json.decode(unframe(entry.data)[0], type=_Source).source == ALARM_SOURCE


def _is(entry: Entry, event: str) -> bool:
    # Cheap first: the id stands at a fixed place unless notes stand before it.
    return entry.data[ID_AT] == event.encode() or event_id(unframe(entry.data)[0]) == event
