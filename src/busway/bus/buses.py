"""Buses: what there is, by name and by ARN, and everything about them but their rules and events.

All of it is kept in memory, written through to the records, and looked up without waiting. The default bus of an
account and Region exists from its first use on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS, Scope
from busway.bus.record import (
    BusRecord,
    RuleRecord,
    bus_arn,
    bus_key,
    decode_bus,
    decode_rule,
    encode,
    rule_key,
)
from busway.clock import Clock, Entropy
from busway.config import Settings
from busway.engine import Engine
from busway.errors import (
    BusExists,
    BusLimitExceeded,
    BusNotFound,
    BusPolicyTooLong,
    InvalidBusRequest,
    StatementNotFound,
)
from busway.metrics import Metrics
from busway.trail import Trail

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
BUSES_MAX = 100
# Ours: over all accounts and Regions. Any Region that a client invents has a default bus, and each has a task.
ALL_BUSES_MAX = 10_000
POLICY_CHARS_MAX = 10_240
TAGS_MAX = 50
LIMIT_TEXT = "The requested resource exceeds the maximum number allowed."


@dataclass(slots=True)
class Bus:
    """A bus in memory. `lock` is held over every change of its rules, `rules` are by ARN, deleted ones too."""

    record: BusRecord
    rules: dict[str, RuleRecord] = field(default_factory=dict[str, RuleRecord])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def arn(self) -> str:
        return self.record.arn

    @property
    def name(self) -> str:
        return self.record.name


@dataclass(frozen=True, slots=True)
class Kit:
    """What every part of this room works with."""

    engine: Engine
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    trail: Trail
    settings: Settings


class Buses:
    """All buses. `on_new` are called with each bus that comes to be, and by `open` with each that was there;
    `on_rule` with a bus and the ARN of a rule of it whose record changed."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.on_new: list[Callable[[Bus], None]] = []
        self.on_rule: list[Callable[[Bus, str], None]] = []
        self._by_arn: dict[str, Bus] = {}
        self._creating = asyncio.Lock()

    async def open(self) -> None:
        """Load what there is."""
        records = self.kit.engine.records
        for value in await records.list("bus/"):
            record = decode_bus(value.data)
            self._by_arn[record.arn] = Bus(record)
        for value in await records.list("rule/"):
            rule = decode_rule(value.data)
            self._by_arn[rule.bus_arn].rules[rule.arn] = rule
        for bus in self._by_arn.values():
            self._announce(bus)

    def all(self) -> list[Bus]:
        """Every bus, deleted ones whose events are still under way too."""
        return list(self._by_arn.values())

    def by_arn(self, arn: str) -> Bus | None:
        """The bus of this ARN unless it was deleted; a default bus that was never used is None."""
        bus = self._by_arn.get(arn)
        return None if bus is None or bus.record.deleted else bus

    def get(self, name: str | None, scope: Scope) -> Bus | None:
        """The bus of a name (in `scope`) or an ARN; the default one for None."""
        return self.by_arn(arn_of(name, scope))

    async def find(self, name: str | None, scope: Scope) -> Bus:
        """As `get`, but makes the default bus of `scope` at its first use; nobody makes that of another scope.

        Raises `BusNotFound`, `BusLimitExceeded`.
        """
        arn = arn_of(name, scope)
        found = self.by_arn(arn)
        if found is not None:
            return found
        if arn != bus_arn(scope, DEFAULT_BUS):
            raise BusNotFound((name or DEFAULT_BUS).rsplit("/", 1)[-1])
        async with self._creating:
            return self.by_arn(arn) or await self._add(scope, DEFAULT_BUS, {})

    async def create(self, name: str, scope: Scope, about: Mapping[str, Any], tags: Mapping[str, str]) -> BusRecord:
        """A new bus; `about` are AWS's members of CreateEventBus that are kept as they are."""
        if "/" in name:
            raise InvalidBusRequest(f"Event bus name {name} contains a /, which only partner event buses may have.")
        check_tags(tags)
        await self.find(None, scope)
        async with self._creating:
            if self.get(name, scope) is not None:
                raise BusExists(name)
            if len(self.list(scope)) >= BUSES_MAX:
                raise BusLimitExceeded(LIMIT_TEXT)
            return (await self._add(scope, name, about, tags)).record

    async def update(self, name: str | None, scope: Scope, about: Mapping[str, Any]) -> BusRecord:
        bus = await self.find(name, scope)
        description, settings = _split(about)
        settings = {**bus.record.settings, **settings}
        return await self._save(bus, description=description or bus.record.description, settings=settings)

    async def delete(self, name: str, scope: Scope) -> None:
        """Take no more events; those it has are still delivered."""
        bus = await self.find(name, scope)
        if bus.name == DEFAULT_BUS:
            raise InvalidBusRequest(f"Cannot delete event bus {DEFAULT_BUS}.")
        async with bus.lock:
            if any(rule.current is not None for rule in bus.rules.values()):
                raise InvalidBusRequest(f"Event bus {bus.name} can't be deleted since it has rules.")
            await self._save(bus, deleted=True)

    async def forget(self, bus: Bus) -> bool:
        """Drop a deleted bus that has nothing left to deliver; False when it stays, or was made again meanwhile."""
        async with self._creating:
            if not bus.record.deleted or bus.rules:
                return False
            await self.kit.engine.records.delete(bus_key(bus.arn))
            self._by_arn.pop(bus.arn, None)
            return True

    def list(self, scope: Scope, prefix: str = "") -> list[BusRecord]:
        """The buses of an account and Region, sorted by name."""
        head = bus_arn(scope, prefix)
        found = (bus.record for bus in self._by_arn.values() if bus.arn.startswith(head))
        return sorted((record for record in found if not record.deleted), key=lambda record: record.name)

    async def permit(self, name: str | None, scope: Scope, statement: dict[str, Any]) -> None:
        """Add a statement to the policy, or replace the one with its Sid. Stored, not enforced."""
        bus = await self.find(name, scope)
        old = (bus.record.policy or {}).get("Statement", [])
        kept = [one for one in old if one.get("Sid") != statement["Sid"]]
        policy = {"Version": "2012-10-17", "Statement": [*kept, {**statement, "Resource": bus.arn}]}
        await self.set_policy(bus, policy)

    async def forbid(self, name: str | None, scope: Scope, sid: str | None) -> None:
        """Take one statement out of the policy, or (None) all; no policy is left when none is left."""
        bus = await self.find(name, scope)
        old = (bus.record.policy or {}).get("Statement", [])
        kept = [one for one in old if sid is not None and one.get("Sid") != sid]
        if sid is not None and len(kept) == len(old):
            raise StatementNotFound("Statement with the provided id does not exist.")
        await self.set_policy(bus, {**(bus.record.policy or {}), "Statement": kept} if kept else None)

    async def set_policy(self, bus: Bus, policy: dict[str, Any] | None) -> None:
        if policy is not None and len(msgspec.json.encode(policy)) > POLICY_CHARS_MAX:
            raise BusPolicyTooLong(f"The policy length exceeds the limit of {POLICY_CHARS_MAX} characters.")
        await self._save(bus, policy=policy)

    async def set_tags(self, bus: Bus, tags: dict[str, str]) -> None:
        check_tags(tags)
        await self._save(bus, tags=tags)

    async def _add(
        self, scope: Scope, name: str, about: Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> Bus:
        now = self.kit.clock.now()
        description, settings = _split(about)
        arn = bus_arn(scope, name)
        if arn not in self._by_arn and len(self._by_arn) >= ALL_BUSES_MAX:
            raise BusLimitExceeded(LIMIT_TEXT)
        record = BusRecord(
            arn=arn,
            name=name,
            created_at=now,
            modified_at=now,
            description=description,
            tags=dict(tags or {}),
            settings=settings,
        )
        await self.kit.engine.records.put(bus_key(arn), encode(record))
        bus = self._by_arn.get(arn)
        if bus is None:
            bus = self._by_arn[arn] = Bus(record)
            self._announce(bus)
        bus.record = record
        return bus

    async def _save(self, bus: Bus, **changes: Any) -> BusRecord:
        record = msgspec.structs.replace(bus.record, modified_at=self.kit.clock.now(), **changes)
        await self.kit.engine.records.put(bus_key(bus.arn), encode(record))
        bus.record = record
        return record

    async def save_rule(self, bus: Bus, arn: str, rule: RuleRecord | None) -> None:
        """Write a rule's record (None removes it), then know it. The caller holds the bus's lock."""
        if rule is None:
            await self.kit.engine.records.delete(rule_key(arn))
            bus.rules.pop(arn, None)
        else:
            await self.kit.engine.records.put(rule_key(arn), encode(rule))
            bus.rules[arn] = rule
        for listener in self.on_rule:
            listener(bus, arn)

    def _announce(self, bus: Bus) -> None:
        for listener in self.on_new:
            listener(bus)


def arn_of(name: str | None, scope: Scope) -> str:
    """The ARN that a name in `scope`, an ARN, or None (the default bus) stands for."""
    if name is None:
        return bus_arn(scope, DEFAULT_BUS)
    return name if name.startswith("arn:") else bus_arn(scope, name)


def check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise BusLimitExceeded(LIMIT_TEXT)


def _split(about: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The description, and what is only kept and given back."""
    rest = {key: value for key, value in about.items() if key != "Description" and value is not None}
    return about.get("Description"), rest
