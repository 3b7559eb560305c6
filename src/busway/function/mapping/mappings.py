"""Which mappings there are, what changes them, and the pollers that serve them.

A mapping's record says what it should be; its state what it is. A change is durable before it is answered, and takes
effect after that: the pollers finish the batches that are under way, end, and begin anew as the record says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from busway.arn import Scope
from busway.clock import Clock, first_of, uuids
from busway.errors import EngineStopped, FunctionConflict, FunctionResourceNotFound, InvalidFunction, MappingInUse
from busway.function.mapping import record as rules
from busway.function.mapping.ledger import Ledger, forget
from busway.function.mapping.queue_poller import QueuePoller
from busway.function.mapping.record import BATCH_SIZE_DEFAULT, MappingChange, MappingRecord, NewMapping
from busway.function.mapping.runner import NOTHING_YET, Desk, Status
from busway.function.mapping.stream_poller import StreamPoller

PREFIX = "mapping/"

CREATING, ENABLING, ENABLED = "Creating", "Enabling", "Enabled"
DISABLING, DISABLED, UPDATING, DELETING = "Disabling", "Disabled", "Updating", "Deleting"

log = logging.getLogger(__name__)


class Poller(Protocol):
    """Serves one mapping until told to stop."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...

    async def idle(self) -> bool: ...

    async def abandon(self) -> None: ...


class Mappings:
    """All mappings of this server."""

    def __init__(self, desk: Desk, machine_clock: Clock) -> None:
        """`machine_clock` is what a close is measured by, also when the desk's clock is moved by hand."""
        self._desk, self._machine_clock = desk, machine_clock
        self._records: dict[str, MappingRecord] = {}
        self._statuses: dict[str, Status] = {}
        self._pollers: dict[str, tuple[Poller, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # One change at a time: each is judged by what the one before it left.
        self._changing = asyncio.Lock()
        self._ledgers: dict[str, tuple[Ledger, asyncio.Task[None]]] = {}

    async def open(self) -> None:
        """Load the mappings, finish the deletes that were cut short, and take up the work."""
        for value in await self._desk.engine.records.list(PREFIX):
            record = msgspec.json.decode(value.data, type=MappingRecord)
            if record.deleting:
                await self._forget(record.uuid)
                continue
            self._records[record.uuid] = record
            self._statuses[record.uuid] = Status(ENABLED if record.enabled else DISABLED)
            self._start(record, {})

    async def close(self, drain_s: float = 0.0) -> None:
        """Take no further work, let what is under way go on for `drain_s` seconds, let go of the rest."""
        for poller, _ in self._pollers.values():
            poller.stop()
        if drain_s > 0:
            await first_of(self._machine_clock, self._ended(), drain_s)
        for poller, _ in list(self._pollers.values()):
            await poller.abandon()
        for uuid in list(self._ledgers):
            await self._end_ledger(uuid)
        for task in [*self._tasks, *(task for _, task in self._pollers.values())]:
            task.cancel()
        await asyncio.gather(*self._tasks, *(task for _, task in self._pollers.values()), return_exceptions=True)

    async def _ended(self) -> None:
        await asyncio.gather(*(asyncio.shield(task) for _, task in self._pollers.values()), return_exceptions=True)

    async def idle(self) -> bool:
        """Whether every change has taken effect, and only time, or news, gives the pollers something to do."""
        if any(status.state not in (ENABLED, DISABLED) for status in self._statuses.values()):
            return False
        return all([await poller.idle() for poller, _ in list(self._pollers.values())])

    # --- look up ---

    def need(self, uuid: str) -> MappingRecord:
        """Raises `FunctionResourceNotFound`."""
        record = self._records.get(uuid)
        if record is None:
            raise FunctionResourceNotFound("The resource you requested does not exist.")
        return record

    def all(self) -> list[MappingRecord]:
        """By uuid."""
        return sorted(self._records.values(), key=lambda record: record.uuid)

    def find(
        self, scope: Scope, function_arn: str | None = None, source_arn: str | None = None
    ) -> list[MappingRecord]:
        """Those of one account and Region, by uuid; only those of the function and source named, if one is."""
        return sorted(
            (
                record
                for record in self._records.values()
                if record.scope == scope
                and function_arn in (None, record.function_arn)
                and source_arn in (None, record.source_arn)
            ),
            key=lambda record: record.uuid,
        )

    def state(self, uuid: str) -> str:
        return self._statuses[uuid].state

    def last_result(self, uuid: str) -> str:
        """AWS's LastProcessingResult: how the newest batch went."""
        return self._statuses[uuid].result or NOTHING_YET

    # --- create, change, delete ---

    async def create(self, new: NewMapping) -> MappingRecord:
        """Raises `InvalidFunction`, `FunctionFeatureNotBuilt`, `FunctionConflict`."""
        function_arn, now = new.change.function_arn, self._desk.clock.now()
        assert function_arn is not None
        kind = rules.check_source(new.source_arn)
        rules.check_position(kind, new.source_arn, new.position, new.position_at)
        async with self._changing:
            bare = MappingRecord(
                uuid=uuids(self._desk.entropy, 1)[0], function_arn=function_arn, source_arn=new.source_arn,
                modified_at=now, batch_size=BATCH_SIZE_DEFAULT[kind], position=new.position or "",
                position_at=new.position_at, tags=dict(new.tags), starts=await self._starts(new),
            )  # fmt: skip
            record = rules.changed(bare, new.change, now)
            self._check_surroundings(record)
            self._check_unique(record)
            await self._write(record)
            self._statuses[record.uuid] = Status(CREATING)
        self._keep(self._settle(record.uuid))
        return record

    async def update(self, uuid: str, change: MappingChange) -> MappingRecord:
        """Raises as `create`, and `FunctionResourceNotFound`, `MappingInUse` while another change takes effect."""
        async with self._changing:
            record = self.need(uuid)
            self._check_settled(uuid, "update")
            updated = rules.changed(record, change, self._desk.clock.now())
            self._check_surroundings(updated)
            self._check_unique(updated)
            await self._write(updated)
            state = UPDATING
            if updated.enabled != record.enabled:
                state = ENABLING if updated.enabled else DISABLING
            self._statuses[uuid].state = state
        self._keep(self._settle(uuid))
        return updated

    async def delete(self, uuid: str) -> MappingRecord:
        """Raises `FunctionResourceNotFound`, `MappingInUse`."""
        async with self._changing:
            record = self.need(uuid)
            self._check_settled(uuid, "delete")
            await self._write(replace(record, deleting=True))
            self._statuses[uuid].state = DELETING
        self._keep(self._settle(uuid))
        return record

    async def tag(self, uuid: str, tags: Mapping[str, str]) -> None:
        async with self._changing:
            record = self.need(uuid)
            await self._write(replace(record, tags={**record.tags, **tags}))

    async def untag(self, uuid: str, keys: set[str]) -> None:
        async with self._changing:
            record = self.need(uuid)
            left = {name: value for name, value in record.tags.items() if name not in keys}
            await self._write(replace(record, tags=left))

    async def _starts(self, new: NewMapping) -> dict[str, int]:
        """Where the LATEST of each shard is now; a shard that opens later is read from its beginning."""
        if new.position != rules.LATEST:
            return {}
        streams = self._desk.streams
        return {shard.id: await streams.head(shard) for shard in streams.shards(new.source_arn)}

    # --- checks against what else there is ---

    def _check_surroundings(self, record: MappingRecord) -> None:
        """The function, the source and the destination must be there, in AWS's words."""
        desk = self._desk
        function = desk.runner.find(record.function, record.qualifier)
        if function is None:
            raise InvalidFunction("Function does not exist")
        if record.kind == "kinesis":
            if desk.streams.get(record.source_arn) is None:
                raise InvalidFunction(f"Stream not found: {record.source_arn}")
            destination = record.on_failure
            rules.check_destination(destination, destination is not None and desk.queues.exists(destination))
            return
        queue = desk.queues.get(record.source_arn)
        if queue is None:
            raise InvalidFunction(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
                "SQS Error Message: The specified queue does not exist."
            )
        rules.check_visibility(queue.visibility_s, function.timeout_s)

    def _check_unique(self, record: MappingRecord) -> None:
        for other in self._records.values():
            same = (other.function_arn, other.source_arn) == (record.function_arn, record.source_arn)
            if same and other.uuid != record.uuid:
                raise FunctionConflict(
                    f'The event source arn (" {record.source_arn} ") and function (" {record.function_name} ") '
                    "provided mapping already exists. Please update or delete the existing mapping with UUID "
                    f"{other.uuid}"
                )

    def _check_settled(self, uuid: str, verb: str) -> None:
        if self._statuses[uuid].state not in (ENABLED, DISABLED):
            raise MappingInUse(verb)

    # --- make it so ---

    async def _settle(self, uuid: str) -> None:
        """End the pollers of the mapping as it was, begin those of the mapping as it is."""
        running = self._pollers.get(uuid)
        ahead: dict[str, frozenset[int]] = {}
        if running is not None:
            poller, task = running
            poller.stop()
            await asyncio.gather(asyncio.shield(task), return_exceptions=True)
            self._pollers.pop(uuid, None)
            await self._end_ledger(uuid)
            ahead = poller.ahead if isinstance(poller, StreamPoller) else {}
        record = self._records[uuid]
        if record.deleting:
            await self._forget(uuid)
            return
        self._start(record, ahead)
        self._statuses[uuid].state = ENABLED if record.enabled else DISABLED

    async def _forget(self, uuid: str) -> None:
        """The record last, so that a delete that is cut short can be finished."""
        await forget(self._desk.engine, uuid)
        await self._desk.engine.records.delete(f"{PREFIX}{uuid}")
        self._records.pop(uuid, None)
        self._statuses.pop(uuid, None)

    def _start(self, record: MappingRecord, ahead: dict[str, frozenset[int]]) -> None:
        if not record.enabled:
            return
        status = self._statuses[record.uuid]
        poller: Poller
        if record.kind == "kinesis":
            poller = StreamPoller(record, self._desk, status, self._ledger(record), ahead)
        else:
            poller = QueuePoller(record, self._desk, status, self._ledger(record))
        task = asyncio.get_running_loop().create_task(poller.run())
        self._pollers[record.uuid] = (poller, task)

    def _ledger(self, record: MappingRecord) -> Ledger:
        """Where the mapping's pollers note what they do; it keeps it from now on."""
        desk, kind, arn = self._desk, record.kind, record.source_arn

        def keep_s() -> float:
            source = desk.streams.get(arn) if kind == "kinesis" else desk.queues.get(arn)
            return float(source.retention_s) if source is not None else 0.0

        ledger = Ledger(desk.engine, desk.clock, record.uuid, keep_s)
        self._ledgers[record.uuid] = (ledger, self._keep(ledger.run()))
        return ledger

    async def _end_ledger(self, uuid: str) -> None:
        ended = self._ledgers.pop(uuid, None)
        if ended is not None:
            ledger, task = ended
            ledger.stop()
            await asyncio.gather(task, return_exceptions=True)

    async def _write(self, record: MappingRecord) -> None:
        await self._desk.engine.records.put(f"{PREFIX}{record.uuid}", msgspec.json.encode(record))
        self._records[record.uuid] = record

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it as a task that is not lost before it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), EngineStopped):
            log.error("a change of a mapping ended by a fault of ours", exc_info=task.exception())
