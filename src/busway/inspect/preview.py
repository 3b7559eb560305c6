"""What a change of a rule would do, by the events that the bus retains: POST /_busway/preview. Changes nothing."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from busway.bus.buses import Bus
from busway.engine import Entry
from busway.inspect.change import Change
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.pattern import parse

# Ours. A question is answered while its asker waits; what it costs is bounded by events and by time.
EVENTS_DEFAULT, EVENTS_MAX = 100_000, 1_000_000
LOOKING_S_MAX = 20.0
# Ours: entries that are read, and then matched in a thread, at once. Each may be 1 MB.
PAGE = 100
SPAN_S_MAX = 100 * 366 * 86_400
PATTERNS_MAX = 300
SAMPLES_MAX = 100

_Patterns = Annotated[list[str], Meta(max_length=PATTERNS_MAX)]


class PreviewOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`old` and `new` are event patterns, none for a rule that is not there. `bus` is a name or an ARN.

    Events of the last `since_s` seconds, the newest first, at most `events_max` of them.
    """

    bus: str
    old: _Patterns
    new: _Patterns
    since_s: Annotated[float, Meta(gt=0, le=SPAN_S_MAX)]
    samples: Annotated[int, Meta(ge=0, le=SAMPLES_MAX)] = 3
    events_max: Annotated[int, Meta(ge=1, le=EVENTS_MAX)] = EVENTS_DEFAULT


async def preview(server: Inspection, request: Request) -> Answer:
    """How many events `old` and `new` match, and on which they differ. Raises `BusNotFound`, `InvalidPattern`.

    `stopped` says why older events of the span were not looked at: "events" or "time" when a limit was reached,
    "retention" when the bus has forgotten some of the span, "" when all of it was looked at.
    """
    order = request.read(PreviewOrder)
    bus = await server.buses.find(order.bus, request.scope)
    change = Change([parse(text) for text in order.old], [parse(text) for text in order.new], order.samples)
    since = server.clock.now() - order.since_s
    stopped = await _look(server, bus, change, since, order.events_max)
    return Answer({"bus": bus.name, "since": since, **change.told(), "stopped": stopped})


async def _look(server: Inspection, bus: Bus, change: Change, since: float, events_max: int) -> str:
    """Go back through the journal, page by page; says why it stopped before `since`."""
    journal, clock = server.engine.journal, server.clock
    give_up_at = clock.monotonic() + LOOKING_S_MAX
    floor, end = await journal.offset_at(bus.arn, since), await journal.head(bus.arn)
    while end > floor:
        if change.events >= events_max:
            return "events"
        if clock.monotonic() > give_up_at:
            return "time"
        start = max(floor, end - min(PAGE, events_max - change.events))
        read = await journal.read(bus.arn, start, end - start)
        page = [entry for entry in read if _within(entry, end, since)]
        # Long events are slow to match: everything else goes on meanwhile.
        await asyncio.to_thread(change.look, reversed(page))
        end = start
    return "retention" if await _forgotten(server, bus, since) else ""


async def _forgotten(server: Inspection, bus: Bus, since: float) -> bool:
    """Whether the span goes back beyond the retention, and something was there. A journal begins with offset 1."""
    if since >= server.clock.now() - server.buses.kit.settings.retention_s:
        return False
    oldest = await server.engine.journal.read(bus.arn, 0, 1)
    return oldest[0].offset > 1 if oldest else await server.engine.journal.head(bus.arn) > 0


def _within(entry: Entry, end: int, since: float) -> bool:
    """Trimming may have moved the page on; a clock that stepped back leaves older entries after newer ones."""
    return entry.offset <= end and entry.at >= since
