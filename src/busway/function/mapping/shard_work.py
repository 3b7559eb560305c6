"""What of a shard goes next, and how far it is finished. Pure: told of records, results and the time.

Records of one partition key go down one lane, in order, one batch at a time; `ParallelizationFactor` lanes run
beside each other. The checkpoint is the offset up to which everything is finished, so with several lanes it stands
still while one of them fails, and what the others did above it is repeated after a crash. How far they may run ahead
is bounded.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from busway.function.mapping.retry import Segment, Step, wait_s
from busway.stream.record import StreamEntry

# Ours: how many batches beyond the one that runs are read ahead for each lane, and bytes of data in all.
AHEAD = 1
AHEAD_BYTES_MAX = 16 * 1_048_576


@dataclass(frozen=True, slots=True)
class Limits:
    """How batches are cut. `bytes_max` is what a function takes at once."""

    batch_size: int
    window_s: float = 0.0
    lanes: int = 1
    bytes_max: int = 6_000_000


@dataclass(slots=True)
class _Lane:
    """`pending` are records that were never tried, each with when it came; `again` comes before them."""

    pending: deque[tuple[float, StreamEntry]] = field(default_factory=deque[tuple[float, StreamEntry]])
    bytes: int = 0
    again: deque[Segment] = field(default_factory=deque[Segment])
    busy: bool = False
    failures: int = 0
    not_before: float = 0.0


class ShardWork:
    """The unfinished part of a shard. `size_of` says how many bytes a record takes in a payload."""

    def __init__(
        self, limits: Limits, start: int, size_of: Callable[[StreamEntry], int], ahead: frozenset[int] = frozenset()
    ) -> None:
        """`start` is the offset up to which everything is finished, `ahead` what is above it."""
        self._limits, self._size_of = limits, size_of
        self._lanes = [_Lane() for _ in range(limits.lanes)]
        self._done_before = set(ahead)
        self._order: deque[int] = deque()
        self._finished: set[int] = set()
        self._read = start
        self._bytes = 0
        self._ending = False

    @property
    def read_to(self) -> int:
        """The offset of the newest record that it was told of."""
        return self._read

    @property
    def checkpoint(self) -> int:
        """The offset up to which everything is finished."""
        return self._order[0] - 1 if self._order else self._read

    @property
    def ahead(self) -> frozenset[int]:
        """The offsets above the checkpoint that are finished."""
        return frozenset(self._finished | self._done_before)

    @property
    def unfinished(self) -> int:
        return len(self._order)

    @property
    def room(self) -> int:
        """How many more records are worth reading now."""
        if self._bytes >= AHEAD_BYTES_MAX:
            return 0
        return max(0, self._limits.batch_size * self._limits.lanes * (1 + AHEAD) - len(self._order))

    def offer(
        self, entries: Sequence[StreamEntry], wanted: Callable[[StreamEntry], bool], now: float
    ) -> list[StreamEntry]:
        """Take in what was read next; return those of it that are not wanted, which are finished with."""
        left_out: list[StreamEntry] = []
        lanes, size_of = self._lanes, self._size_of
        for entry in entries:
            self._order.append(entry.offset)
            if entry.offset in self._done_before:
                self._done_before.remove(entry.offset)
                self._finished.add(entry.offset)
                continue
            if not wanted(entry):
                left_out.append(entry)
                self._finished.add(entry.offset)
                continue
            lane = lanes[0] if len(lanes) == 1 else lanes[_lane_of(entry.partition_key, len(lanes))]
            size = size_of(entry)
            lane.pending.append((now, entry))
            lane.bytes += size
            self._bytes += size
        if entries:
            self._read = entries[-1].offset
        self._move()
        return left_out

    def end(self) -> None:
        """No record will follow: nobody needs to wait for a batch to fill."""
        self._ending = True

    def due_at(self) -> float:
        """When the next batch can go, as things stand; infinity when only news can change that."""
        return min((self._due(lane) for lane in self._lanes), default=float("inf"))

    def _due(self, lane: _Lane) -> float:
        if lane.busy or not (lane.again or lane.pending):
            return float("inf")
        if lane.again or self._ending or self._full(lane):
            return lane.not_before
        return max(lane.not_before, lane.pending[0][0] + self._limits.window_s)

    def _full(self, lane: _Lane) -> bool:
        return len(lane.pending) >= self._limits.batch_size or lane.bytes >= self._limits.bytes_max

    def take(self, now: float) -> list[tuple[int, Segment]]:
        """The batches that go now, each with its lane; `settle` is to be called for every one."""
        taken: list[tuple[int, Segment]] = []
        for number, lane in enumerate(self._lanes):
            if self._due(lane) <= now:
                lane.busy = True
                taken.append((number, lane.again.popleft() if lane.again else self._cut(lane)))
        return taken

    def _cut(self, lane: _Lane) -> Segment:
        """The next batch of records that were never tried."""
        entries: list[StreamEntry] = []
        total = 0
        while lane.pending and len(entries) < self._limits.batch_size:
            size = self._size_of(lane.pending[0][1])
            if entries and total + size > self._limits.bytes_max:
                break
            total += size
            entries.append(lane.pending.popleft()[1])
        lane.bytes -= total
        return Segment(tuple(entries))

    def settle(self, number: int, step: Step, now: float) -> None:
        """What became of the batch of this lane."""
        lane = self._lanes[number]
        lane.busy = False
        lane.again.extendleft(reversed(step.again))
        self._finish(step.done)
        if step.lost is not None:
            self._finish(step.lost.entries)
        if step.done or step.lost is not None:
            lane.failures = 0
        if step.wait:
            lane.failures += 1
            lane.not_before = now + wait_s(lane.failures)
        self._move()

    def _finish(self, entries: Iterable[StreamEntry]) -> None:
        for entry in entries:
            self._finished.add(entry.offset)
            self._bytes -= self._size_of(entry)

    def _move(self) -> None:
        order, finished = self._order, self._finished
        while order and order[0] in finished:
            finished.remove(order.popleft())


def _lane_of(key: str, lanes: int) -> int:
    return zlib.crc32(key.encode("utf-8", "surrogatepass")) % lanes
