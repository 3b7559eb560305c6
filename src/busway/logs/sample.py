"""A sample of log events: at most so many out of any number, spread evenly over all that came. Pure.

No chance is in it: of what comes every second one is kept, then every fourth, and so on, whenever there is too much
of it. So what is held stays bounded, and the same events give the same sample.
"""

from __future__ import annotations

from busway.logs.batch import size_of
from busway.logs.page import LogEvent


class Sample:
    """See the module. `events_max` and `bytes_max` bound what it gives, with one event at least."""

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self._events_max, self._bytes_max = events_max, bytes_max
        # Each with the group that it is of.
        self._held: list[tuple[str, LogEvent]] = []
        self._bytes = self._seen = 0
        self._stride = 1

    def offer(self, group: str, event: LogEvent) -> None:
        self._seen += 1
        if (self._seen - 1) % self._stride:
            return
        self._held.append((group, event))
        self._bytes += size_of(event.message)
        # Twice as many are held as are given, or the sample could have half of what it may have.
        while len(self._held) > 2 * self._events_max or (self._bytes > self._bytes_max and len(self._held) > 1):
            self._held = self._held[::2]
            self._bytes = sum(size_of(event.message) for _, event in self._held)
            self._stride *= 2

    def events(self) -> list[tuple[str, LogEvent]]:
        """(group, event), in the order of their times."""
        given, held = min(self._events_max, len(self._held)), self._held
        chosen = [held[number * len(held) // given] for number in range(given)]
        return sorted(chosen, key=lambda one: one[1].place)

    @property
    def left_out(self) -> bool:
        """Whether more events came than are given."""
        return self._seen > min(self._events_max, len(self._held))
