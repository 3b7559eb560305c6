"""For each sentence of the contract an engine that breaks it: the conformance suite must turn red."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from busway.clock import ManualClock
from busway.engine import Counts, Ended, Entry, Item, Put, Value
from busway.engine.conformance import CHECKS
from busway.engine.memory import MemoryEngine, MemoryJournal, MemoryQueues, MemoryRecords
from busway.engine.ordering import Groups
from busway.errors import EngineStopped, VersionConflict


class AppendDropsTheLast(MemoryJournal):
    async def append(self, journal: str, entries: Sequence[bytes]) -> int:
        return await super().append(journal, entries[:-1] if len(entries) > 1 else entries)


class AppendReturnsTheLastOffset(MemoryJournal):
    async def append(self, journal: str, entries: Sequence[bytes]) -> int:
        return await super().append(journal, entries) + len(entries) - 1


class AppendIsInPieces(MemoryJournal):
    async def append(self, journal: str, entries: Sequence[bytes]) -> int:
        first = await super().append(journal, entries[:1])
        for entry in entries[1:]:
            await asyncio.sleep(0)
            await super().append(journal, [entry])
        return first


class ReadIncludesAfter(MemoryJournal):
    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        return await super().read(journal, after - 1, limit)


class ReadIgnoresTheLimit(MemoryJournal):
    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        return await super().read(journal, after, 1 << 30)


class ReadIsBackwards(MemoryJournal):
    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        return (await super().read(journal, after, limit))[::-1]


class ReadGivesAWrongPayload(MemoryJournal):
    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        return [replace(e, data=e.data.replace(b"\x00", b"\x01")) for e in await super().read(journal, after, limit)]


class HeadForgetsTrimmed(MemoryJournal):
    async def head(self, journal: str) -> int:
        entries = await self.read(journal, 0, 1 << 30)
        return entries[-1].offset if entries else 0


class WaitReturnsAtOnce(MemoryJournal):
    async def wait(self, journal: str, after: int) -> None:
        return


class WaitCountsTheTrimmed(MemoryJournal):
    async def wait(self, journal: str, after: int) -> None:
        if await self.head(journal) <= after:
            await super().wait(journal, after)


class WaitNeverReturns(MemoryJournal):
    async def wait(self, journal: str, after: int) -> None:
        await asyncio.Event().wait()


class AdvanceMovesBackwards(MemoryJournal):
    async def advance(self, journal: str, reader: str, offset: int) -> None:
        self._logs[journal].positions[reader] = offset


class ReadersShareAPosition(MemoryJournal):
    async def advance(self, journal: str, reader: str, offset: int) -> None:
        await super().advance(journal, "", offset)

    async def position(self, journal: str, reader: str) -> int:
        return await super().position(journal, "")


class TrimGoesAboveUpTo(MemoryJournal):
    async def trim(self, journal: str, before: float, up_to: int) -> int:
        return await super().trim(journal, before, up_to + 1)


class TrimIgnoresAge(MemoryJournal):
    async def trim(self, journal: str, before: float, up_to: int) -> int:
        return await super().trim(journal, before + 1e9, up_to)


class TrimDoesNothing(MemoryJournal):
    async def trim(self, journal: str, before: float, up_to: int) -> int:
        return 0


class TrimKeepsOutcomes(MemoryJournal):
    def floor(self, journal: str | None) -> int:
        return 0


class TrimForgetsOthersOutcomes(MemoryJournal):
    def floor(self, journal: str | None) -> int:
        return max(log.floor for log in self._logs.values()) if self._logs else 0


class OffsetAtIsInclusive(MemoryJournal):
    async def offset_at(self, journal: str, at: float) -> int:
        return await super().offset_at(journal, at + 1e-3)


class PutForgetsTheMark(MemoryQueues):
    def _moves_mark(self, origin: Any) -> bool:
        super()._moves_mark(origin)
        return True


class MarkIsOnlyWhatIsPending(MemoryQueues):
    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        for item in items:
            if item.origin is not None:
                self._subscribers[item.origin.subscriber].mark = 0
        return await super().done(items, outcome)


class MarkIsSharedByAll(MemoryQueues):
    def _moves_mark(self, origin: Any) -> bool:
        highest = max((s.mark for s in self._subscribers.values()), default=0)
        return super()._moves_mark(origin) and origin.offset > highest


class PutLosesTheMeta(MemoryQueues):
    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        return await super().put([replace(put, meta=b"") for put in puts], accepted=accepted)


class PutIgnoresTheDueTime(MemoryQueues):
    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        return await super().put([replace(put, due_at=0.0) for put in puts], accepted=accepted)


class LeaseIsLastInFirstOut(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        return (await super().lease(queue, limit, lease_s))[::-1]


class LeaseIgnoresTheLimit(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        return await super().lease(queue, 1000, lease_s)


class LeaseNeverRunsOut(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        return await super().lease(queue, limit, 1e9)


class LeaseForgetsAttempts(MemoryQueues):
    def _leased(self, item: Item, now: float, due_at: float) -> Item:
        return replace(super()._leased(item, now, due_at), attempts=1)


class LeaseDoesNotExclude(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        return await super().lease(queue, limit, 0)


class LeaseForgetsWhenItWasFirst(MemoryQueues):
    def _leased(self, item: Item, now: float, due_at: float) -> Item:
        return replace(super()._leased(item, now, due_at), first_leased_at=now)


class TokensAreIgnored(MemoryQueues):
    def _held(self, item: Item) -> Item | None:
        return self._queues[item.queue].items.get(item.id) if item.queue in self._queues else None


class DoneDoesNotEnd(MemoryQueues):
    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        return len(items)


class DoneNeedsALiveLease(MemoryQueues):
    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        return await super().done([i for i in items if i.due_at > self._clock.now()], outcome)


class DoneForgetsTheOutcome(MemoryQueues):
    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        return await super().done(items)


class ReleaseForgetsTheAttempt(MemoryQueues):
    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        return await super().refund(item, due_at)


class ReleaseIsAtOnce(MemoryQueues):
    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        return await super().release(item, self._clock.now(), meta)


class ReleaseDropsTheMeta(MemoryQueues):
    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        return await super().release(item, due_at, meta or b"")


class ReleaseSpoilsTheToken(MemoryQueues):
    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        held = await super().release(item, due_at, meta)
        if held:
            stored = self._queues[item.queue].items[item.id]
            self._store(replace(stored, token=stored.token + 1))
        return held


class ReleaseRingsNoBell(MemoryQueues):
    def _store(self, item: Item) -> None:
        self._queues[item.queue].store(item)


class RefundCountsTheAttempt(MemoryQueues):
    async def refund(self, item: Item, due_at: float) -> bool:
        return await super().release(item, due_at)


class WaitForgetsDueTimes(MemoryQueues):
    async def wait(self, queue: str) -> None:
        while not any(i.due_at <= self._clock.now() for i in await self.browse(queue, 1000)):
            await self.bells.heard(queue)


class BrowseLeases(MemoryQueues):
    async def browse(self, queue: str, limit: int, after_id: int = 0) -> list[Item]:
        return await super().lease(queue, limit, 30)


class BrowseHidesTheLeased(MemoryQueues):
    async def browse(self, queue: str, limit: int, after_id: int = 0) -> list[Item]:
        return [i for i in await super().browse(queue, limit, after_id) if i.token == 0]


class FindLooksEverywhere(MemoryQueues):
    async def find(self, queue: str, item_id: int) -> Item | None:
        return next((q.items[item_id] for q in self._queues.values() if item_id in q.items), None)


class CountsTakeLeasedForReady(MemoryQueues):
    async def counts(self, queue: str) -> Counts:
        found = await super().counts(queue)
        return Counts(found.ready + found.leased, 0, found.delayed)


class NamesKeepTheEmpty(MemoryQueues):
    async def names(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._queues if name.startswith(prefix))


class PurgeSparesTheLeased(MemoryQueues):
    async def purge(self, queue: str) -> int:
        items = [i for i in await self.browse(queue, 1000) if i.due_at <= self._clock.now() or i.token == 0]
        self._end(items, "purged")
        return len(items)


class PurgeLeavesNoTrace(MemoryQueues):
    async def purge(self, queue: str) -> int:
        found = self._queues.pop(queue)
        return len(found.items)


class PendingForgetsTheLeased(MemoryQueues):
    async def pending(self, subscriber: str) -> list[int]:
        return (await super().pending(subscriber))[:-1]


class OutcomesAreInNoOrder(MemoryQueues):
    async def outcomes(self, subscriber: str, after: int = 0, limit: int = 10_000) -> list[Ended]:
        return (await super().outcomes(subscriber, after, limit))[::-1]


class OutcomesIgnoreAfter(MemoryQueues):
    async def outcomes(self, subscriber: str, after: int = 0, limit: int = 10_000) -> list[Ended]:
        return await super().outcomes(subscriber, 0, limit)


class GroupsAreIgnored(MemoryQueues):
    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        return await super().put([replace(put, group="") for put in puts], accepted=accepted)


class EachItemIsItsOwnGroup(MemoryQueues):
    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        alone = [replace(put, group=put.group and f"{put.group}{n}") for n, put in enumerate(puts)]
        return await super().put(alone, accepted=accepted)


class AllItemsAreOneGroup(MemoryQueues):
    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        return await super().put([replace(put, group=put.group and "g") for put in puts], accepted=accepted)


class LeasedItemsDoNotHoldTheirGroup(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        items = self._queues[queue].items if queue in self._queues else {}
        later = {i: item for i, item in items.items() if item.token and item.due_at > self._clock.now()}
        for item_id in later:
            del items[item_id]
        groups = self._queues[queue].groups if queue in self._queues else None
        hidden = [(groups._name_of.get(i), i) for i in later] if groups else []
        for name, item_id in hidden:
            if groups and name:
                groups.remove(item_id)
        leased = await super().lease(queue, limit, lease_s)
        items |= later
        for name, item_id in hidden:
            if groups and name:
                groups.add(name, item_id)
        return leased


class DelayedItemsArePassedOver(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        if queue in self._queues and self._queues[queue].groups:
            now, kept = self._clock.now(), dict(self._queues[queue].items)
            groups = self._queues[queue].groups
            for item in [item for item in kept.values() if not item.token and item.due_at > now]:
                name = groups._name_of[item.id]
                groups.remove(item.id)
                groups.add(name, item.id)
        return await super().lease(queue, limit, lease_s)


class GroupsTakeTurnsByItem(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        return sorted(await super().lease(queue, limit, lease_s), key=lambda item: item.id)


class GroupsComeByTheirFirstItem(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        items = await super().lease(queue, limit, lease_s)
        groups = self._queues[queue].groups if queue in self._queues else Groups()
        return sorted(items, key=lambda item: groups._name_of.get(item.id, "")) if groups else items


class GroupsAreSharedByQueues(MemoryQueues):
    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        now = self._clock.now()
        held = {
            other.groups._name_of[item.id]
            for name, other in self._queues.items()
            for item in other.items.values()
            if other.groups and name != queue and item.token and item.due_at > now
        }
        own = self._queues[queue].groups._ids if queue in self._queues else {}
        hidden = {name: own.pop(name) for name in list(own) if name in held}
        leased = [] if hidden else await super().lease(queue, limit, lease_s)
        own |= hidden
        return leased


class KindsMayMix(MemoryQueues):
    def _kind(self, name: str) -> bool | None:
        return None


class KindsAreForEver(MemoryQueues):
    def _kind(self, name: str) -> bool | None:
        self._known = getattr(self, "_known", dict[str, bool]())
        found = super()._kind(name)
        if found is not None:
            self._known[name] = found
        return self._known.get(name)


class DoneRingsNoBell(MemoryQueues):
    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        ring, self.bells.ring = self.bells.ring, lambda name: None  # type: ignore[method-assign]
        try:
            return await super().done(items, outcome)
        finally:
            self.bells.ring = ring  # type: ignore[method-assign]


class KeysAreIgnored(MemoryQueues):
    def _original(self, queue: Any, put: Put) -> int | None:
        return None


class KeysAreForgottenWithTheItem(MemoryQueues):
    def _original(self, queue: Any, put: Put) -> int | None:
        queue.once = {key: kept for key, kept in queue.once.items() if kept[0] in queue.items}
        return super()._original(queue, put)


class KeysAreForEver(MemoryQueues):
    def _original(self, queue: Any, put: Put) -> int | None:
        queue.once = {key: (item, 1e12) for key, (item, _) in queue.once.items()}
        return super()._original(queue, put)


class RepeatsPutOffForgetting(MemoryQueues):
    def _original(self, queue: Any, put: Put) -> int | None:
        original = super()._original(queue, put)
        if original is not None and put.once is not None:
            queue.once[put.once.key] = original, put.once.until
        return original


class KeysAreSharedByQueues(MemoryQueues):
    def _original(self, queue: Any, put: Put) -> int | None:
        for other in self._queues.values():
            queue.once |= other.once
        return super()._original(queue, put)


class RepeatsAreNotTold(MemoryQueues):
    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        return [max(0, number) for number in await super().put(puts, accepted=accepted)]


class RepeatsAreNotAccountedFor(MemoryQueues):
    def _original(self, queue: Any, put: Put) -> int | None:
        return super()._original(queue, replace(put, origin=None))


class PurgeKeepsTheKeys(MemoryQueues):
    async def purge(self, queue: str) -> int:
        held = self._queues.get(queue)
        once = dict(held.once) if held else {}
        ended = await super().purge(queue)
        if held:
            held.once = once
        return ended


class RecordsIgnoreExpect(MemoryRecords):
    async def put(self, key: str, data: bytes, expect: int | None = None) -> int:
        return await super().put(key, data)


class RecordsDeleteWhateverIsExpected(MemoryRecords):
    async def delete(self, key: str, expect: int | None = None) -> bool:
        return await super().delete(key)


class RecordsForgetTheVersion(MemoryRecords):
    async def put(self, key: str, data: bytes, expect: int | None = None) -> int:
        await super().put(key, data, expect)
        self._values[key] = Value(key, 1, data)
        return 1


class DeleteDoesNothing(MemoryRecords):
    async def delete(self, key: str, expect: int | None = None) -> bool:
        return await self.get(key) is not None


class ListIgnoresThePrefix(MemoryRecords):
    async def list(self, prefix: str) -> list[Value]:
        return await super().list(prefix.partition("/")[0])


class WatchMissesDeletes(MemoryRecords):
    async def delete(self, key: str, expect: int | None = None) -> bool:
        return self._values.pop(key, None) is not None


class WatchBeginsLate(MemoryRecords):
    async def _follow(self, prefix: str) -> AsyncIterator[str]:
        async for key in super().watch(prefix):
            yield key

    def watch(self, prefix: str) -> AsyncIterator[str]:
        return self._follow(prefix)


class WatchTellsEverything(MemoryRecords):
    def watch(self, prefix: str) -> AsyncIterator[str]:
        return super().watch("")


DEFECTS = [
    defect
    for seam in (MemoryJournal, MemoryQueues, MemoryRecords)
    for defect in seam.__subclasses__()
    if defect.__module__ == __name__
]


@dataclass
class Planted:
    """A sound memory engine in which one seam is replaced by a broken one."""

    seam: type[Any]

    def __call__(self, clock: ManualClock) -> MemoryEngine:
        engine = MemoryEngine(clock)
        if issubclass(self.seam, MemoryRecords):
            engine.records = self.seam(engine)
            return engine
        if issubclass(self.seam, MemoryJournal):
            engine.journal = self.seam(engine, clock)
        queues = self.seam if issubclass(self.seam, MemoryQueues) else MemoryQueues
        engine.queues = queues(engine, clock, engine.journal)
        return engine


async def broken_claims(seam: type[Any]) -> list[str]:
    broken: list[str] = []
    for check in CHECKS:
        clock = ManualClock()
        engine = Planted(seam)(clock)
        try:
            async with asyncio.timeout(0.2):
                await check(engine, clock)
        except (AssertionError, TimeoutError, VersionConflict, EngineStopped, LookupError, ValueError):
            broken.append(check.__name__)
        await engine.close()
    return broken


@pytest.mark.filterwarnings("ignore:Task was destroyed", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
async def test_a_planted_defect_turns_the_suite_red(defect: type[Any]):
    assert await broken_claims(defect)


async def test_a_sound_engine_leaves_it_green():
    assert await broken_claims(MemoryQueues) == []
