"""The router: one task a bus that turns what was accepted into work.

    read after the position  →  match, transform, hand over (`routing`)  →  one put  →  advance the position

Put first, advance after: a crash between the two repeats the put, and its origins make it count once. While one
batch is being written the next is read and matched; never more than that, so puts arrive in the order of offsets.
The position that `trim` may go up to is one whose work is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

from busway.bus.buses import Bus, Buses
from busway.bus.routing import BATCH_BYTES, DEAD, QUEUED, Batch, Ports, Routing, Share
from busway.bus.rules import Rules, rules_at
from busway.delivery.outbox import NAMESPACE, count_end, dimensions_of, facts_of, note_dead_letter
from busway.engine import Put
from busway.errors import CorruptRecord, EngineStopped, StorageFull

READER = "router"
# Ours. How often retention is looked at; the pause after a full disk or a fault of ours; entries read at once at most
# and at first, when nobody knows how long they are.
TRIM_EVERY_S = 60.0
PAUSE_S = 1.0
BATCH = 500
FIRST_BATCH = 16

log = logging.getLogger(__name__)


class Router:
    """The tasks of all buses, those to come too.

    `halted` says which buses stand still and why: a corrupt entry is never skipped.
    """

    def __init__(self, buses: Buses, rules: Rules, ports: Ports) -> None:
        self._buses, self._rules, self._ports = buses, rules, ports
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._trimming: asyncio.Task[None] | None = None
        self.halted: dict[str, str] = {}

    async def open(self) -> None:
        """Start on every bus; returns at once."""
        for bus in self._buses.all():
            self._start(bus)
        self._buses.on_new.append(self._start)
        self._trimming = asyncio.create_task(self._trim_for_ever(), name="trim")

    async def close(self) -> None:
        """Stop; what was accepted and not routed is routed after the next start."""
        if self._start in self._buses.on_new:
            self._buses.on_new.remove(self._start)
        tasks = [*self._tasks.values(), *([self._trimming] if self._trimming else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _start(self, bus: Bus) -> None:
        task = self._tasks.get(bus.arn)
        if task is None or task.done():
            self._tasks[bus.arn] = asyncio.create_task(self._run(bus), name=f"router {bus.arn}")

    async def _run(self, bus: Bus) -> None:
        """Route for ever; after a fault of ours, again from the last position whose work is durable."""
        while True:
            try:
                await self._route(bus)
            except EngineStopped as error:
                log.info("%s: routing ends: %s", bus.arn, error)
                return
            except CorruptRecord as error:
                self.halted[bus.arn] = str(error)
                self._buses.kit.trail.note("halted", bus=bus.name, error_message=str(error))
                log.critical("%s stands still: %s", bus.arn, error)
                return
            except Exception:
                log.exception("%s: a fault of ours in the router; it goes on from its last position", bus.arn)
                await self._buses.kit.clock.sleep(PAUSE_S)

    async def _route(self, bus: Bus) -> None:
        kit = self._buses.kit
        journal = kit.engine.journal
        position = await journal.position(bus.arn, READER)
        routing = Routing(bus, rules_at(bus, position), self._ports)
        writing: asyncio.Task[None] | None = None
        limit = FIRST_BATCH
        try:
            while True:
                entries = await journal.read(bus.arn, position, limit)
                if not entries:
                    if writing is not None:
                        # A fault in it must show, also when no further event comes.
                        await writing
                        writing = None
                    await journal.wait(bus.arn, position)
                    continue
                batch = await routing.batch(entries, kit.clock.now(), kit.trail.listening)
                position = batch.upto
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(bus, batch))
                if len(entries) < limit:
                    # Nothing to overlap with; a small batch should not wait for the next to show its fault.
                    await writing
                    writing = None
                limit = _next_limit(limit, len(entries), batch.entries)
        finally:
            if writing is not None:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, bus: Bus, batch: Batch) -> None:
        """Make a batch's work durable, then move the position, then tell."""
        kit = self._buses.kit
        while True:
            try:
                for offset, change in batch.changes:
                    await self._rules.repair(bus, offset, change)
                for puts in [batch.puts] if batch.puts and batch.size <= BATCH_BYTES else slices(batch.puts):
                    await kit.engine.queues.put(puts, accepted=True)
                break
            except StorageFull as error:
                # Even the reserve is gone. What was accepted waits in the journal.
                log.warning("%s: routing waits: %s", bus.arn, error)
                await kit.clock.sleep(PAUSE_S)
        await kit.engine.journal.advance(bus.arn, READER, batch.upto)
        self._count(bus, batch)

    def _count(self, bus: Bus, batch: Batch) -> None:
        kit = self._buses.kit
        for arn, count in batch.matched.items():
            dimensions = dimensions_of(bus.arn, arn)
            kit.metrics.count(NAMESPACE, "MatchedEvents", count, of=arn, **dimensions)
            kit.metrics.count(NAMESPACE, "TriggeredRules", count, of=arn, **dimensions)
        for arn, count in batch.invoked.items():
            kit.metrics.count(NAMESPACE, "Invocations", count, of=arn, **dimensions_of(bus.arn, arn))
        for facts in batch.matches:
            kit.trail.note("matched", **facts)
        for share in batch.shares:
            self._tell(share)

    def _tell(self, share: Share) -> None:
        kit = self._buses.kit
        if share.became == DEAD and share.verdict is not None:
            count_end(kit.metrics, share.delivery, share.verdict)
            note_dead_letter(kit.trail, share.delivery, share.verdict, share.put.queue)
        elif share.became == QUEUED:
            kit.trail.note("queued", **facts_of(share.delivery), queue=share.put.queue)

    async def _trim_for_ever(self) -> None:
        kit = self._buses.kit
        while True:
            await kit.clock.sleep(TRIM_EVERY_S)
            for bus in self._buses.all():
                try:
                    await self.trim(bus)
                except EngineStopped:
                    return
                except Exception:
                    log.exception("%s: retention could not be kept; it is tried again", bus.arn)

    async def trim(self, bus: Bus) -> int:
        """Forget what is older than the retention and routed; return how many entries."""
        kit = self._buses.kit
        journal = kit.engine.journal
        position = await journal.position(bus.arn, READER)
        trimmed = await journal.trim(bus.arn, kit.clock.now() - kit.settings.retention_s, position)
        oldest = await journal.read(bus.arn, 0, 1)
        await self._rules.prune(bus, oldest[0].offset if oldest else position)
        if bus.record.deleted and not oldest and await self._buses.forget(bus):
            # Only now: a bus that was made again meanwhile keeps its router.
            task = self._tasks.pop(bus.arn, None)
            if task is not None:
                task.cancel()
        return trimmed


def _next_limit(limit: int, read: int, routed: int) -> int:
    """How many entries to read next: twice as many as fit into a batch, as far as that is known."""
    if routed < read:
        return 2 * routed
    return min(BATCH, 2 * limit) if read == limit else limit


def slices(puts: Sequence[Put]) -> Iterator[list[Put]]:
    """The puts in their order, in runs that fit into memory once more. Their origins make each run idempotent."""
    run: list[Put] = []
    size = 0
    for put in puts:
        run.append(put)
        size += len(put.body) + len(put.meta)
        if size > BATCH_BYTES:
            yield run
            run, size = [], 0
    if run:
        yield run
