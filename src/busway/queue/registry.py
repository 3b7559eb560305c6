"""Which queues there are: their records, in memory and in the engine."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from busway.arn import Arn, Scope, parse_arn
from busway.clock import Clock
from busway.engine import Counts, Engine
from busway.errors import (
    InvalidQueueRequest,
    PurgeInProgress,
    QueueDeletedRecently,
    QueueNameTaken,
    QueueNotFound,
    UnknownQueueAttribute,
)
from busway.queue.attributes import EVERY_NAME, check_attributes, check_throughput, parse_redrive
from busway.queue.permissions import with_permission, without_permission
from busway.queue.record import (
    FIFO_SUFFIX,
    UNDELIVERABLE_PREFIX,
    UNDELIVERABLE_TAG,
    QueueRecord,
    check_name,
    merged,
)

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_PurgeQueue.html
PURGE_EVERY_S = 60.0
_NAME_MAX = 80
Texts = dict[str, str]


class QueueRegistry:
    """Queues by ARN. Lookups are answered from memory; every change is durable before it returns.

    AWS refuses to create a queue within a minute of deleting one of the same name. Here a delete is complete when it
    returns, so a test suite may recreate its queues at once, unless `recreate_s` says after how many seconds.
    """

    def __init__(self, engine: Engine, clock: Clock, recreate_s: float = 0.0) -> None:
        self._engine = engine
        self._clock = clock
        self._recreate_s = recreate_s
        self._deleted_at: dict[str, float] = {}
        self._queues: dict[str, QueueRecord] = {}
        self._purged_at: dict[str, float] = {}
        self._unsaved: set[str] = set()
        # One change at a time: each is built on what the one before it left.
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Load every record; give undeliverable queues that hold something but have no record theirs back.

        Items without a record that are in no such queue are what a delete that was cut short left behind: they end.
        """
        for value in await self._engine.records.list("queue/"):
            record = msgspec.json.decode(value.data, type=QueueRecord)
            self._queues[record.arn] = record
        for name in await self._engine.queues.names("arn:aws:sqs:"):
            arn = parse_arn(name)
            if name in self._queues or arn is None:
                continue
            if arn.resource.startswith(UNDELIVERABLE_PREFIX):
                self._add_undeliverable(arn, arn.resource.removeprefix(UNDELIVERABLE_PREFIX))
            else:
                await self._engine.queues.purge(name)
        await self.save_new()

    def get(self, arn: str) -> QueueRecord | None:
        return self._queues.get(arn)

    def exists(self, arn: str) -> bool:
        return arn in self._queues

    def need(self, arn: str) -> QueueRecord:
        """Raises `QueueNotFound`."""
        record = self._queues.get(arn)
        if record is None:
            raise QueueNotFound(arn)
        return record

    def find(self, scope: Scope, prefix: str = "") -> list[QueueRecord]:
        """The queues of an account and Region whose name begins with `prefix`, by name."""
        return sorted(
            (q for q in self._queues.values() if q.scope == scope and q.name.startswith(prefix)),
            key=lambda queue: queue.name,
        )

    async def create(
        self,
        scope: Scope,
        name: str,
        attributes: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> QueueRecord:
        """A new queue, or the one that is there if every attribute given has the same value there.

        Raises `QueueNameTaken`, `InvalidQueueRequest`, `UnknownQueueAttribute`, `InvalidQueueAttribute`,
        `QueueDeletedRecently`.
        """
        given = attributes or {}
        fifo = given.get("FifoQueue", "").lower() == "true"
        check_name(name, fifo=fifo)
        checked = check_attributes(given, fifo=fifo)
        check_throughput(checked)
        arn = scope.arn("sqs", name)
        async with self._writing:
            present = self._queues.get(arn)
            if present is not None:
                return self._same(present, checked)
            self._check_redrive(arn, checked)
            now = self._clock.now()
            self._check_recreate(arn, name, now)
            record = QueueRecord(
                arn, name, scope.account, scope.region, now, now, merged({}, checked), dict(tags or {})
            )
            await self._save(record)
            return record

    def _same(self, present: QueueRecord, wanted: Mapping[str, str]) -> QueueRecord:
        shown = present.shown(Counts(0, 0, 0))
        for name, value in wanted.items():
            if not _equal(name, shown.get(name, ""), value):
                raise QueueNameTaken(present.name, name)
        return present

    def _check_recreate(self, arn: str, name: str, now: float) -> None:
        for deleted in [deleted for deleted, at in self._deleted_at.items() if now - at >= self._recreate_s]:
            del self._deleted_at[deleted]
        if arn in self._deleted_at:
            raise QueueDeletedRecently(name, self._recreate_s)

    def _check_redrive(self, arn: str, attributes: Mapping[str, str]) -> None:
        text = attributes.get("RedrivePolicy")
        if not text:
            return
        where = f"Value {text} for parameter RedrivePolicy is invalid. Reason: "
        dead_letter = self._queues.get(parse_redrive(text).dead_letter_arn)
        if dead_letter is None:
            raise InvalidQueueRequest(f"{where}Dead letter target does not exist.")
        if dead_letter.fifo != arn.endswith(FIFO_SUFFIX):
            raise InvalidQueueRequest(f"{where}Dead letter target must be same type of queue as the source.")
        if not dead_letter.redrive_allow.allows(arn):
            raise InvalidQueueRequest(
                f"{where}Dead letter target does not allow this queue in its RedriveAllowPolicy."
            )

    async def delete(self, arn: str) -> None:
        """Forget the queue and everything in it. Raises `QueueNotFound`."""
        async with self._writing:
            self.need(arn)
            # The record first: from here on nothing is put, and what a crash leaves behind `open` clears away.
            await self._engine.records.delete(f"queue/{arn}")
            del self._queues[arn]
            self._unsaved.discard(arn)
            self._purged_at.pop(arn, None)
            if self._recreate_s > 0:
                self._deleted_at[arn] = self._clock.now()
            await self._engine.queues.purge(arn)

    async def purge(self, arn: str) -> int:
        """End every message; return how many. Raises `QueueNotFound`, `PurgeInProgress`."""
        record, now = self.need(arn), self._clock.now()
        if now - self._purged_at.get(arn, float("-inf")) < PURGE_EVERY_S:
            raise PurgeInProgress(record.name)
        self._purged_at[arn] = now
        return await self._engine.queues.purge(arn)

    async def attributes(self, arn: str, names: Sequence[str]) -> dict[str, str]:
        """The attributes asked for that the queue has, `All` for every one.

        Raises `QueueNotFound`, `UnknownQueueAttribute`.
        """
        record = self.need(arn)
        for name in names:
            if name != "All" and name not in EVERY_NAME:
                raise UnknownQueueAttribute(name)
        if not names:
            return {}
        shown = record.shown(await self._engine.queues.counts(arn))
        return shown if "All" in names else {name: shown[name] for name in names if name in shown}

    async def set_attributes(self, arn: str, changes: Mapping[str, str]) -> None:
        """Change the attributes given, all or none. Raises as `create` does, and `QueueNotFound`."""
        checked = check_attributes(changes, fifo=self.need(arn).fifo)
        self._check_redrive(arn, checked)

        def change(queue: QueueRecord) -> tuple[Texts, Texts]:
            attributes = merged(queue.attributes, checked)
            check_throughput(attributes)
            return attributes, queue.tags

        await self._change(arn, change)

    async def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        await self._change(arn, lambda queue: (queue.attributes, {**queue.tags, **tags}))

    async def untag(self, arn: str, keys: Sequence[str]) -> None:
        await self._change(
            arn, lambda queue: (queue.attributes, {k: v for k, v in queue.tags.items() if k not in keys})
        )

    async def add_permission(self, arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]) -> None:
        def add(queue: QueueRecord) -> tuple[Texts, Texts]:
            policy = with_permission(queue.attributes.get("Policy", ""), arn, label, accounts, actions)
            return merged(queue.attributes, {"Policy": policy}), queue.tags

        await self._change(arn, add)

    async def remove_permission(self, arn: str, label: str) -> None:
        def remove(queue: QueueRecord) -> tuple[Texts, Texts]:
            policy = without_permission(queue.attributes.get("Policy", ""), arn, label)
            return merged(queue.attributes, {"Policy": policy}), queue.tags

        await self._change(arn, remove)

    def dead_letter_sources(self, arn: str) -> list[QueueRecord]:
        """The queues whose redrive policy names this one, by name. Raises `QueueNotFound`."""
        self.need(arn)
        named = [q for q in self._queues.values() if q.redrive and q.redrive.dead_letter_arn == arn]
        return sorted(named, key=lambda queue: queue.name)

    async def counts(self, arn: str) -> Counts:
        """How much the queue holds now; nothing for a queue that does not exist."""
        return await self._engine.queues.counts(arn)

    def undeliverable(self, bus_name: str, scope: Scope) -> QueueRecord:
        """The undeliverable queue of a bus, made if it is not there.

        Synchronous, so that the router can build a dead letter's put: the record is in memory at once and saved by
        `save_new`, with the next send or sweep. A crash in between loses nothing: a queue that holds a message gets
        its record back in `open`, and one that holds none need not be.
        """
        arn = Arn("sqs", scope.region, scope.account, f"{UNDELIVERABLE_PREFIX}{queue_part(bus_name)}")
        return self._queues.get(str(arn)) or self._add_undeliverable(arn, bus_name)

    def _add_undeliverable(self, arn: Arn, bus_name: str) -> QueueRecord:
        now = self._clock.now()
        record = QueueRecord(
            str(arn), arn.resource, arn.account, arn.region, now, now,
            attributes={"MessageRetentionPeriod": "1209600"},
            tags={UNDELIVERABLE_TAG: bus_name},
        )  # fmt: skip
        self._queues[record.arn] = record
        self._unsaved.add(record.arn)
        return record

    async def save_new(self) -> None:
        """Save the undeliverable queues that `undeliverable` made."""
        if not self._unsaved:
            return
        async with self._writing:
            for arn in list(self._unsaved):
                await self._save(self._queues[arn])
                self._unsaved.discard(arn)

    async def _change(self, arn: str, change: Callable[[QueueRecord], tuple[Texts, Texts]]) -> None:
        """Replace attributes and tags by what `change` makes of the record as it stands then."""
        async with self._writing:
            record = self.need(arn)
            attributes, tags = change(record)
            await self._save(
                msgspec.structs.replace(record, attributes=attributes, tags=tags, modified_at=self._clock.now())
            )
            self._unsaved.discard(arn)

    async def _save(self, record: QueueRecord) -> None:
        await self._engine.records.put(f"queue/{record.arn}", msgspec.json.encode(record))
        self._queues[record.arn] = record


def _equal(name: str, present: str, wanted: str) -> bool:
    if name == "RedrivePolicy" and present and wanted:
        return parse_redrive(present) == parse_redrive(wanted)
    return present == wanted


def queue_part(bus_name: str) -> str:
    """A bus's name as part of a queue's: what a queue name cannot hold becomes `-`, told apart by a checksum."""
    room = _NAME_MAX - len(UNDELIVERABLE_PREFIX)
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", bus_name)
    if plain == bus_name and len(plain) <= room:
        return plain
    digest = hashlib.sha256(bus_name.encode()).hexdigest()[:8]
    return f"{plain[: room - 9]}-{digest}"
