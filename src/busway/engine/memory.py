"""The three seams in memory: for tests and for `--engine memory`. Nothing survives the process.

Every method runs to its end without giving up the event loop, so each is atomic by itself.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from msgspec.structs import replace

from busway.clock import Clock
from busway.engine import Counts, Ended, Entry, Health, Item, Origin, Put, Value
from busway.engine.ordering import Groups, check_kinds
from busway.engine.waiting import Bells, Watches, until_due
from busway.errors import EngineStopped, StorageFull, VersionConflict


class MemoryEngine:
    """One store with all three seams. Set `full` to play a full disk."""

    def __init__(self, clock: Clock) -> None:
        self.full = False
        self._stopped = False
        self.journal = MemoryJournal(self, clock)
        self.queues = MemoryQueues(self, clock, self.journal)
        self.records = MemoryRecords(self)

    async def health(self) -> Health:
        return Health(not self.full, "in memory: nothing survives the process")

    async def close(self) -> None:
        self._stopped = True
        for part in (self.journal.bells, self.queues.bells, self.records.watches):
            part.stop("the engine was closed")

    def check_open(self) -> None:
        if self._stopped:
            raise EngineStopped("the engine was closed")

    def check_space(self) -> None:
        if self.full:
            raise StorageFull("the disk is full (played by a test): wanted space for new work")


@dataclass(slots=True)
class _Log:
    """One journal. `entries` is sorted by offset; `floor` is the last offset that was trimmed."""

    entries: list[Entry] = field(default_factory=list[Entry])
    floor: int = 0
    head: int = 0
    positions: dict[str, int] = field(default_factory=dict[str, int])


class MemoryJournal:
    def __init__(self, engine: MemoryEngine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._logs: dict[str, _Log] = {}
        self._offset = 0
        self._journal_of: dict[int, str] = {}
        self.bells = Bells()

    async def append(self, journal: str, entries: Sequence[bytes]) -> int:
        self._engine.check_open()
        if not entries:
            raise ValueError(f"append to journal {journal!r}: found no entries, wanted at least one")
        self._engine.check_space()
        log = self._logs.setdefault(journal, _Log())
        first, at = self._offset + 1, self._clock.now()
        for offset, data in enumerate(entries, first):
            log.entries.append(Entry(offset, at, bytes(data)))
            self._journal_of[offset] = journal
        self._offset = log.head = first + len(entries) - 1
        self.bells.ring(journal)
        return first

    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        self._engine.check_open()
        entries = self._log(journal).entries
        start = bisect_right(entries, after, key=lambda e: e.offset)
        return entries[start : start + max(0, limit)]

    async def wait(self, journal: str, after: int) -> None:
        self._engine.check_open()
        # What was trimmed does not count, or a reader that starts below it would spin.
        while not (entries := self._log(journal).entries) or entries[-1].offset <= after:
            await self.bells.heard(journal)

    async def head(self, journal: str) -> int:
        self._engine.check_open()
        return self._log(journal).head

    async def position(self, journal: str, reader: str) -> int:
        self._engine.check_open()
        return self._log(journal).positions.get(reader, 0)

    async def advance(self, journal: str, reader: str, offset: int) -> None:
        self._engine.check_open()
        positions = self._logs.setdefault(journal, _Log()).positions
        positions[reader] = max(positions.get(reader, 0), offset)

    async def trim(self, journal: str, before: float, up_to: int) -> int:
        self._engine.check_open()
        log = self._log(journal)
        keep = bisect_right(log.entries, min(up_to, self._offset_at(log, before)), key=lambda e: e.offset)
        gone, log.entries = log.entries[:keep], log.entries[keep:]
        for entry in gone:
            del self._journal_of[entry.offset]
        if gone:
            log.floor = gone[-1].offset
        return len(gone)

    async def offset_at(self, journal: str, at: float) -> int:
        self._engine.check_open()
        return self._offset_at(self._log(journal), at)

    def journal_of(self, offset: int) -> str | None:
        return self._journal_of.get(offset)

    def floor(self, journal: str | None) -> int:
        """The last offset that was trimmed from `journal`; 0 when there is none."""
        return 0 if journal is None else self._log(journal).floor

    def _offset_at(self, log: _Log, at: float) -> int:
        return next((e.offset for e in reversed(log.entries) if e.at < at), log.floor)

    def _log(self, journal: str) -> _Log:
        return self._logs.get(journal) or _Log()


@dataclass(slots=True)
class _Queue:
    """Items by id, and a heap of (due_at, token, id) in which entries that no longer fit are passed over.

    `once` has what was put by key: the item and until when it is remembered.
    """

    items: dict[int, Item] = field(default_factory=dict[int, Item])
    due: list[tuple[float, int, int]] = field(default_factory=list[tuple[float, int, int]])
    groups: Groups = field(default_factory=Groups)
    once: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])

    def store(self, item: Item) -> None:
        self.items[item.id] = item
        if not self.groups:
            heapq.heappush(self.due, (item.due_at, item.token, item.id))

    def first(self) -> Item | None:
        """The item that is due first."""
        while self.due:
            due_at, token, item_id = self.due[0]
            item = self.items.get(item_id)
            if item is not None and (item.due_at, item.token) == (due_at, token):
                return item
            heapq.heappop(self.due)
        return None

    def take(self, limit: int, now: float) -> list[Item]:
        """The items that may be leased now."""
        if self.groups:
            return self.groups.due(self.items, now, limit)
        due: list[Item] = []
        while len(due) < limit and (item := self.first()) is not None and item.due_at <= now:
            heapq.heappop(self.due)
            due.append(item)
        return due

    def next_due_at(self) -> float | None:
        if self.groups:
            return self.groups.next_due_at(self.items)
        first = self.first()
        return None if first is None else first.due_at


@dataclass(slots=True)
class _Subscriber:
    """`mark` is the highest offset that was put; `ended` is by offset."""

    mark: int = 0
    journal: str | None = None
    ended: dict[int, Ended] = field(default_factory=dict[int, Ended])


class MemoryQueues:
    def __init__(self, engine: MemoryEngine, clock: Clock, journal: MemoryJournal) -> None:
        self._engine, self._clock, self._journal = engine, clock, journal
        self._queues: dict[str, _Queue] = {}
        self._subscribers: dict[str, _Subscriber] = {}
        self._last_id = 0
        self.bells = Bells()

    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        self._engine.check_open()
        if not accepted and any(put.origin is None for put in puts):
            self._engine.check_space()
        check_kinds(puts, self._kind)
        ids = [self._put(put) for put in puts]
        for queue in {put.queue for put in puts}:
            self.bells.ring(queue)
        return ids

    def _put(self, put: Put) -> int:
        if put.origin is not None and not self._moves_mark(put.origin):
            return 0
        queue = self._queues.setdefault(put.queue, _Queue())
        if put.once is not None and (original := self._original(queue, put)) is not None:
            return -original
        self._last_id += 1
        item = Item(
            queue=put.queue, id=self._last_id, token=0, attempts=0, put_at=self._clock.now(), due_at=put.due_at,
            body=put.body, meta=put.meta, origin=put.origin,
        )  # fmt: skip
        if put.group:
            queue.groups.add(put.group, item.id)
        queue.store(item)
        return item.id

    def _kind(self, name: str) -> bool | None:
        """Whether the queue holds items with a group; None when it holds nothing."""
        queue = self._queues.get(name)
        return bool(queue.groups) if queue is not None and queue.items else None

    def _original(self, queue: _Queue, put: Put) -> int | None:
        """The item that this put repeats; None, and remembered from now on, when it is the first."""
        if put.once is None:
            return None
        now = self._clock.now()
        item_id, until = queue.once.get(put.once.key, (0, now))
        if until > now:
            if put.origin is not None:
                ended = self._subscribers[put.origin.subscriber].ended
                ended[put.origin.offset] = Ended(put.origin.offset, "duplicate", 0, now)
            return item_id
        queue.once = {key: kept for key, kept in queue.once.items() if kept[1] > now}
        queue.once[put.once.key] = self._last_id + 1, put.once.until
        return None

    def _moves_mark(self, origin: Origin) -> bool:
        subscriber = self._subscribers.setdefault(origin.subscriber, _Subscriber())
        if origin.offset <= subscriber.mark:
            return False
        subscriber.mark = origin.offset
        subscriber.journal = subscriber.journal or self._journal.journal_of(origin.offset)
        return True

    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        self._engine.check_open()
        held, now = self._queues.get(queue, _Queue()), self._clock.now()
        leased = [self._leased(item, now, now + lease_s) for item in held.take(limit, now)]
        for item in leased:
            held.store(item)
        return leased

    def _leased(self, item: Item, now: float, due_at: float) -> Item:
        first = now if item.first_leased_at is None else item.first_leased_at
        return replace(item, token=item.token + 1, attempts=item.attempts + 1, due_at=due_at, first_leased_at=first)

    async def wait(self, queue: str) -> None:
        self._engine.check_open()

        async def next_due_at() -> float | None:
            return self._queues[queue].next_due_at() if queue in self._queues else None

        await until_due(self._clock, self.bells, queue, next_due_at)

    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        self._engine.check_open()
        held = [item for item in map(self._held, items) if item is not None]
        unique = {item.id: item for item in held}
        self._end(unique.values(), outcome)
        return len(unique)

    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        self._engine.check_open()
        held = self._held(item)
        if held is not None:
            self._store(replace(held, due_at=due_at, meta=held.meta if meta is None else meta))
        return held is not None

    async def refund(self, item: Item, due_at: float) -> bool:
        self._engine.check_open()
        held = self._held(item)
        if held is not None:
            self._store(replace(held, due_at=due_at, attempts=held.attempts - 1, token=held.token + 1))
        return held is not None

    async def browse(self, queue: str, limit: int, after_id: int = 0) -> list[Item]:
        self._engine.check_open()
        items = self._queues.get(queue, _Queue()).items
        return [items[i] for i in islice((i for i in sorted(items) if i > after_id), max(0, limit))]

    async def find(self, queue: str, item_id: int) -> Item | None:
        self._engine.check_open()
        return self._queues.get(queue, _Queue()).items.get(item_id)

    async def counts(self, queue: str) -> Counts:
        self._engine.check_open()
        items, now = self._queues.get(queue, _Queue()).items.values(), self._clock.now()
        later = [item for item in items if item.due_at > now]
        leased = sum(item.token > 0 for item in later)
        return Counts(ready=len(items) - len(later), leased=leased, delayed=len(later) - leased)

    async def names(self, prefix: str = "") -> list[str]:
        self._engine.check_open()
        return sorted(name for name, queue in self._queues.items() if queue.items and name.startswith(prefix))

    async def purge(self, queue: str) -> int:
        self._engine.check_open()
        held = self._queues.get(queue, _Queue())
        items = list(held.items.values())
        held.once.clear()
        self._end(items, "purged")
        return len(items)

    async def pending(self, subscriber: str) -> list[int]:
        self._engine.check_open()
        origins = (item.origin for queue in self._queues.values() for item in queue.items.values())
        return sorted(o.offset for o in origins if o is not None and o.subscriber == subscriber)

    async def outcomes(self, subscriber: str, after: int = 0, limit: int = 10_000) -> list[Ended]:
        self._engine.check_open()
        known = self._subscribers.get(subscriber, _Subscriber())
        floor = self._journal.floor(known.journal)
        for offset in [offset for offset in known.ended if offset <= floor]:
            del known.ended[offset]
        wanted = (ended for offset, ended in sorted(known.ended.items()) if offset > after)
        return list(islice(wanted, max(0, limit)))

    def _held(self, item: Item) -> Item | None:
        """The item as it is stored, if `item`'s token is still the one of its last lease."""
        queue = self._queues.get(item.queue)
        held = queue.items.get(item.id) if queue is not None else None
        return held if held is not None and held.token == item.token else None

    def _store(self, item: Item) -> None:
        self._queues[item.queue].store(item)
        self.bells.ring(item.queue)

    def _end(self, items: Iterable[Item], outcome: str) -> None:
        now = self._clock.now()
        for item in items:
            queue = self._queues[item.queue]
            del queue.items[item.id]
            if queue.groups:
                queue.groups.remove(item.id)
                self.bells.ring(item.queue)
            if item.origin is not None:
                ended = self._subscribers[item.origin.subscriber].ended
                ended[item.origin.offset] = Ended(item.origin.offset, outcome, item.attempts, now)


class MemoryRecords:
    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine
        self._values: dict[str, Value] = {}
        self.watches = Watches()

    async def get(self, key: str) -> Value | None:
        self._engine.check_open()
        return self._values.get(key)

    async def put(self, key: str, data: bytes, expect: int | None = None) -> int:
        self._engine.check_open()
        version = self._checked(key, expect) + 1
        self._values[key] = Value(key, version, bytes(data))
        self.watches.changed(key)
        return version

    async def delete(self, key: str, expect: int | None = None) -> bool:
        self._engine.check_open()
        found = self._checked(key, expect)
        if found:
            del self._values[key]
            self.watches.changed(key)
        return found > 0

    async def list(self, prefix: str) -> list[Value]:
        self._engine.check_open()
        return [value for key, value in sorted(self._values.items()) if key.startswith(prefix)]

    def watch(self, prefix: str) -> AsyncIterator[str]:
        self._engine.check_open()
        return self.watches.open(prefix)

    def _checked(self, key: str, expect: int | None) -> int:
        found = self._values[key].version if key in self._values else 0
        if expect is not None and expect != found:
            raise VersionConflict(key, expect, found)
        return found
