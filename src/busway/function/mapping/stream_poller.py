"""A stream's shards for one mapping: each polled by itself, and no child before its parents are finished."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Iterable

from busway.clock import any_of
from busway.errors import CorruptRecord, EngineStopped, FunctionNotFound
from busway.function.mapping.ledger import Ledger
from busway.function.mapping.record import MappingRecord
from busway.function.mapping.runner import LOOK_S, Desk, Status
from busway.function.mapping.shard_poller import ShardPoller
from busway.stream.record import Shard

log = logging.getLogger(__name__)


def ready(shards: Iterable[Shard], finished: Container[str]) -> list[Shard]:
    """The shards whose turn it is: every parent that is still listed is finished. `finished` are journals."""
    listed = list(shards)
    by_id = {shard.id: shard for shard in listed}
    return [
        shard
        for shard in listed
        if shard.journal not in finished
        and all(by_id[parent].journal in finished for parent in shard.parents if parent in by_id)
    ]


class StreamPoller:
    """Polls one stream for one mapping, as long as `run` runs."""

    def __init__(
        self,
        record: MappingRecord,
        desk: Desk,
        status: Status,
        ledger: Ledger,
        ahead: dict[str, frozenset[int]],
    ) -> None:
        """`ahead` is what an earlier poller of this mapping finished above its checkpoints, by journal."""
        self.ahead = ahead
        self._record, self._desk, self._status, self._ledger = record, desk, status, ledger
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._finished: set[str] = set()
        self._pollers: dict[str, tuple[ShardPoller, asyncio.Task[None]]] = {}

    def stop(self) -> None:
        """Take no further work. `run` returns when what is under way has ended."""
        self._stopping.set()
        for poller, _ in self._pollers.values():
            poller.stop()

    async def run(self) -> None:
        """Until told to stop, or the engine stops."""
        desk = self._desk
        while not self._stopping.is_set():
            try:
                self._follow()
            except FunctionNotFound as error:
                self._status.result = f"PROBLEM: {error}"
            self._changed.clear()
            await any_of(desk.clock, desk.look_s, self._changed.wait(), self._stopping.wait())
        for poller, _ in self._pollers.values():
            poller.stop()
        await asyncio.gather(*(task for _, task in self._pollers.values()), return_exceptions=True)

    async def idle(self) -> bool:
        """Whether only time, or news, gives it something to do."""
        for shard in ready(self._desk.streams.shards(self._record.source_arn), self._finished):
            polled = self._pollers.get(shard.journal)
            if polled is None or not await polled[0].idle():
                return False
        return True

    async def abandon(self) -> None:
        """Let go of what is under way: it comes again, from the checkpoints on."""
        pollers = list(self._pollers.values())
        for poller, task in pollers:
            await poller.abandon()
            task.cancel()
        await asyncio.gather(*(task for _, task in pollers), return_exceptions=True)

    def _follow(self) -> None:
        """Begin with the shards whose turn it is; end with those that are gone."""
        shards = self._desk.streams.shards(self._record.source_arn)
        if not shards:
            self._status.result = f"PROBLEM: Stream not found: {self._record.source_arn}"
        kept = {shard.journal for shard in shards}
        self._finished &= kept
        for journal, (poller, _) in self._pollers.items():
            if journal not in kept:
                poller.stop()
        for shard in ready(shards, self._finished):
            if shard.journal not in self._pollers:
                self._start(shard)

    def _start(self, shard: Shard) -> None:
        ahead = self.ahead.get(shard.journal, frozenset())
        poller = ShardPoller(self._record, shard, self._desk, self._status, self._ledger, ahead)
        task = asyncio.get_running_loop().create_task(self._poll(shard, poller))
        self._pollers[shard.journal] = (poller, task)

    async def _poll(self, shard: Shard, poller: ShardPoller) -> None:
        try:
            if await poller.run():
                self._finished.add(shard.journal)
        except EngineStopped:
            return
        except CorruptRecord as error:
            # Never skipped: the shard stands still, and says so.
            log.critical("mapping %s: %s stands still: %s", self._record.uuid, shard.id, error)
            self._desk.trail.note("halted", function=self._record.function, error_message=str(error))
            self._status.result = f"PROBLEM: {error}"
            await self._stopping.wait()
        except Exception:
            log.exception("mapping %s: a fault of ours with %s; it goes on", self._record.uuid, shard.id)
            await poller.abandon()
            await any_of(self._desk.clock, LOOK_S, self._stopping.wait())
        finally:
            self.ahead[shard.journal] = poller.ahead
            del self._pollers[shard.journal]
            self._changed.set()
