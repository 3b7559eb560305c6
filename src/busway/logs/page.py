"""One page of log events, in the order of their times, out of any number that come in any order. Pure.

A place in a log is (when, where from, number), and every event has one of its own. A token is a place and the way to
go from there: `f/` to later events, `b/` to earlier ones. At an end a reader gets the token that it came with. Where
a search went through a part of the group alone, the token says which one.
"""

from __future__ import annotations

import heapq
import re

import msgspec

from busway.errors import InvalidLogRequest
from busway.logs.batch import size_of

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
PAGE_EVENTS_MAX, PAGE_BYTES_MAX = 10_000, 1_048_576

Place = tuple[int, int, int]
FIRST: Place = (0, 0, 0)
_TOKEN = re.compile(r"([fb])/([0-9]{1,19})\.([0-9])\.([0-9]{1,19})(?:/([0-9]{1,19})-([0-9]{1,19}))?", re.ASCII)


class LogEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it is read. Times are Unix milliseconds."""

    place: Place
    stream: str
    message: str
    ingested_ms: int

    @property
    def at_ms(self) -> int:
        return self.place[0]

    @property
    def id(self) -> str:
        """56 digits, as AWS's ids have."""
        at_ms, source, number = self.place
        return f"{at_ms:016}{source}{number:039}"


class Stretch(msgspec.Struct, frozen=True):
    """Of a group's journal, what is after an offset, up to and with another one; 0: as far as one search goes."""

    after: int = 0
    upto: int = 0


START = Stretch()


class Token(msgspec.Struct, frozen=True):
    """Where to go on, in which direction, and in which stretch of a search."""

    forward: bool
    place: Place
    stretch: Stretch = START

    def __str__(self) -> str:
        at_ms, source, number = self.place
        stretch = "" if self.stretch == START else f"/{self.stretch.after}-{self.stretch.upto}"
        return f"{'f' if self.forward else 'b'}/{at_ms:014}.{source}.{number}{stretch}"


def read_token(text: str) -> Token:
    """Raises `InvalidLogRequest`."""
    found = _TOKEN.fullmatch(text)
    if found is None:
        raise InvalidLogRequest("The specified nextToken is invalid.")
    stretch = Stretch(int(found[5]), int(found[6])) if found[5] else START
    return Token(found[1] == "f", (int(found[2]), int(found[3]), int(found[4])), stretch)


class Page:
    """The events nearest to where a reader stands, at most `limit` and `bytes_max` of them, and one at least.

    `forward` takes the earliest after `start` (the beginning without one), else the latest before it.
    """

    def __init__(
        self, *, forward: bool, start: Place | None = None, limit: int = PAGE_EVENTS_MAX,
        bytes_max: int = PAGE_BYTES_MAX,
    ) -> None:  # fmt: skip
        self._forward, self._start, self._limit, self._bytes_max = forward, start, limit, bytes_max
        # The farthest first, so that it goes when a nearer one comes.
        self._heap: list[tuple[Place, LogEvent]] = []
        self._bytes = 0
        self._end: Place | None = None

    def wants(self, place: Place) -> bool:
        """Whether an event there could be on the page."""
        start, end = self._start, self._end
        if self._forward:
            return (start is None or place > start) and (end is None or place < end)
        return (start is None or place < start) and (end is None or place > end)

    def offer(self, event: LogEvent) -> None:
        """Take it if it is on the page, as far as is known until now."""
        if not self.wants(event.place):
            return
        heapq.heappush(self._heap, (self._far(event.place), event))
        self._bytes += size_of(event.message)
        while len(self._heap) > self._limit or (self._bytes > self._bytes_max and len(self._heap) > 1):
            _, gone = heapq.heappop(self._heap)
            self._bytes -= size_of(gone.message)
            self._end = gone.place

    def _far(self, place: Place) -> Place:
        return (-place[0], -place[1], -place[2]) if self._forward else place

    @property
    def more(self) -> bool:
        """Whether there are events beyond the page, in its direction."""
        return self._end is not None

    def events(self) -> list[LogEvent]:
        """The earliest first."""
        return sorted((event for _, event in self._heap), key=lambda event: event.place)


def tokens(events: list[LogEvent], came_with: Token | None, otherwise: Place) -> tuple[Token, Token]:
    """The tokens (forward, backward) of a page. `otherwise`: where a reader stands who found nothing, without one."""
    if events:
        return Token(True, events[-1].place), Token(False, events[0].place)
    place = otherwise if came_with is None else came_with.place
    return Token(True, place), Token(False, place)
