"""The newest appends of all journals in memory, so that a reader at the tail needs no SQL."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from busway.engine import Entry

# Over all journals together. Ours: half a second of a busy bus.
TAIL_BYTES_MAX = 32 << 20
# What an append occupies beyond its payload.
OVERHEAD_BYTES = 200


@dataclass(slots=True)
class _Run:
    """One append. Its entries become `Entry` objects when the first reader comes."""

    journal: int
    last: int
    prev: int
    at: float
    data: Sequence[bytes]
    size: int
    entries: list[Entry] | None = None

    def read(self) -> list[Entry]:
        if self.entries is None:
            first = self.last - len(self.data) + 1
            self.entries = [Entry(offset, self.at, data) for offset, data in enumerate(self.data, first)]
        return self.entries


@dataclass(slots=True)
class Tail:
    """Runs of all journals in the order of offsets, the oldest dropped when there are too many bytes."""

    bytes_max: int = TAIL_BYTES_MAX
    _bytes: int = 0
    _all: deque[_Run] = field(default_factory=deque[_Run])
    _journals: dict[int, deque[_Run]] = field(default_factory=dict[int, deque[_Run]])

    def add(self, journal: int, last: int, prev: int, at: float, data: Sequence[bytes]) -> None:
        run = _Run(journal, last, prev, at, data, sum(map(len, data)) + OVERHEAD_BYTES)
        self._all.append(run)
        self._journals.setdefault(journal, deque()).append(run)
        self._bytes += run.size
        while self._bytes > self.bytes_max:
            self._drop(self._all.popleft())

    def read(self, journal: int, after: int, limit: int) -> list[Entry] | None:
        """Entries above `after`; None when the tail doesn't reach back that far."""
        runs = self._journals.get(journal)
        if not runs or after < runs[0].prev:
            return None
        start = bisect_right(runs, after, key=lambda run: run.last)
        if start == len(runs):
            return []
        entries = runs[start].read()
        found = entries[bisect_right(entries, after, key=lambda entry: entry.offset) :]
        for index in range(start + 1, len(runs)):
            if len(found) >= limit:
                break
            found += runs[index].read()
        return found[:limit]

    def forget(self, journal: int, up_to: int) -> None:
        """Drop the runs that were trimmed."""
        runs = self._journals.get(journal)
        while runs and runs[0].last <= up_to:
            self._drop(runs[0])

    def _drop(self, run: _Run) -> None:
        """Runs leave their journal from the front, so one that is still there is at the front."""
        runs = self._journals.get(run.journal)
        if not runs or runs[0] is not run:
            return
        runs.popleft()
        self._bytes -= run.size
        # It may stay in the order of all for a while: keep nothing alive there.
        run.data, run.entries = (), None
        if not runs:
            del self._journals[run.journal]
