"""The functions that there are: created, changed and deleted here, kept as records, answered from memory.

What a change means for workers is told to `on_change`; everything else about running is `pool`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from busway.arn import Scope
from busway.clock import Clock, Entropy, uuids
from busway.engine import Engine
from busway.errors import (
    FunctionConflict,
    FunctionNotFound,
    FunctionResourceNotFound,
    InvalidFunction,
    RevisionMismatch,
    VersionConflict,
)
from busway.function import record as rules
from busway.function.code_store import Code, CodeStore
from busway.function.record import LATEST, EventInvoke, FunctionRecord

_PREFIX = "function/"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sets; None leaves it as it is."""

    runtime: str | None = None
    handler: str | None = None
    role: str | None = None
    description: str | None = None
    timeout_s: int | None = None
    memory_mb: int | None = None
    environment: Mapping[str, str] | None = None
    dead_letter_arn: str | None = None
    tracing: str | None = None

    def checked(self) -> dict[str, Any]:
        """The fields that are set, checked. Raises `InvalidFunction`, `FunctionFeatureNotBuilt`."""
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if self.timeout_s is not None:
            rules.check_range("timeout", self.timeout_s, rules.TIMEOUT_S)
        if self.memory_mb is not None:
            rules.check_range("memorySize", self.memory_mb, rules.MEMORY_MB)
        if self.environment is not None:
            fields["environment"] = rules.check_environment(self.environment)
        if self.dead_letter_arn is not None:
            fields["dead_letter_arn"] = rules.check_dead_letter(self.dead_letter_arn)
        return fields


class EventInvokeChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sets of the event invoke config; None leaves it out, an empty destination removes it."""

    retries_max: int | None = None
    age_s_max: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class Registry:
    """All functions. `on_change` gets a function's ARN after each change, and after its deletion."""

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy, store: CodeStore) -> None:
        self._engine, self._clock, self._entropy, self._store = engine, clock, entropy, store
        self._records: dict[str, FunctionRecord] = {}
        self._versions: dict[str, int] = {}
        self._changing = asyncio.Lock()
        self.on_change: Callable[[str], None] = lambda arn: None

    async def open(self) -> None:
        for value in await self._engine.records.list(_PREFIX):
            record = msgspec.json.decode(value.data, type=FunctionRecord)
            self._records[record.arn], self._versions[record.arn] = record, value.version
        await self._store.sweep(self._records.values())

    # --- look up ---

    def get(self, arn: str) -> FunctionRecord | None:
        return self._records.get(arn)

    def need(self, arn: str) -> FunctionRecord:
        """Raises `FunctionNotFound`."""
        record = self._records.get(arn)
        if record is None:
            raise FunctionNotFound(arn)
        return record

    def all(self) -> list[FunctionRecord]:
        return list(self._records.values())

    def of_scope(self, scope: Scope) -> list[FunctionRecord]:
        """The functions of one account and Region, by name."""
        start = rules.function_arn(scope, "")
        return sorted((r for r in self._records.values() if r.arn.startswith(start)), key=lambda r: r.name)

    # --- create, change, delete ---

    async def create(
        self, arn: str, code: Code, configuration: Configuration, tags: Mapping[str, str] | None = None
    ) -> FunctionRecord:
        """Raises `FunctionConflict`, `InvalidFunction`, `InvalidPackage`, `FunctionFeatureNotBuilt`."""
        name = arn.rsplit(":", 1)[1]
        if len(name) > rules.NAME_CHARS_MAX:
            raise InvalidFunction(
                f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
                f"Member must have length less than or equal to {rules.NAME_CHARS_MAX}"
            )
        rules.check_runtime(configuration.runtime or "", configuration.handler or "")
        fields = {"role": "", **configuration.checked()}
        if arn in self._records:
            raise FunctionConflict(f"Function already exist: {name}")
        kept = await self._store.keep(arn, code)
        record = FunctionRecord(
            arn=arn, **fields, **_about(kept), tags=dict(tags or {}), revision=self._revision(),
            modified_at=self._clock.now(),
        )  # fmt: skip
        async with self._changing:
            if arn in self._records:
                raise FunctionConflict(f"Function already exist: {name}")
            await self._write(record)
        return record

    async def update_code(
        self, arn: str, code: Code, *, revision: str | None = None, dry_run: bool = False
    ) -> FunctionRecord:
        """The function with its new code. Workers of the old code finish what they do."""
        _check_revision(self.need(arn), revision)
        kept = await self._store.keep(arn, code)
        if dry_run:
            return replace(self.need(arn), **_about(kept))
        return await self._change(arn, revision, **_about(kept))

    async def update_configuration(
        self, arn: str, configuration: Configuration, *, revision: str | None = None
    ) -> FunctionRecord:
        record, fields = self.need(arn), configuration.checked()
        rules.check_runtime(configuration.runtime or record.runtime, configuration.handler or record.handler)
        return await self._change(arn, revision, **fields)

    async def delete(self, arn: str) -> None:
        """What is queued for it goes to the undeliverable queue; what runs, finishes."""
        async with self._changing:
            self.need(arn)
            await self._engine.records.delete(_PREFIX + arn)
            del self._records[arn], self._versions[arn]
        self.on_change(arn)

    # --- what hangs on a function ---

    async def put_concurrency(self, arn: str, reserved: int | None) -> FunctionRecord:
        """Reserve concurrency; None takes the reservation away."""
        record = self.need(arn)
        if reserved is not None:
            others = sum(r.reserved or 0 for r in self.of_scope(record.scope) if r.arn != arn)
            if others + reserved > rules.ACCOUNT_CONCURRENCY - rules.UNRESERVED_MIN:
                raise InvalidFunction(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{rules.UNRESERVED_MIN}]."
                )
        return await self._set(arn, reserved=reserved)

    async def put_event_invoke(self, arn: str, change: EventInvokeChange, *, merge: bool) -> EventInvoke:
        """Replace the event invoke config, or merge into it. Raises `InvalidFunction`, `FunctionResourceNotFound`."""
        if all(value is None for value in msgspec.structs.astuple(change)):
            raise InvalidFunction("You must specify at least one of error handling or destination setting.")
        before = self.event_invoke(arn) if merge else EventInvoke(0.0)
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        for side in ("on_success", "on_failure"):
            if side in given:
                given[side] = rules.check_destination(given[side], arn)
        config = replace(before, **given, modified_at=self._clock.now())
        await self._set(arn, event_invoke=config)
        return config

    def event_invoke(self, arn: str) -> EventInvoke:
        """Raises `FunctionResourceNotFound` when there is none."""
        config = self.need(arn).event_invoke
        if config is None:
            raise FunctionResourceNotFound(f"The function {arn}:{LATEST} doesn't have an EventInvokeConfig")
        return config

    async def delete_event_invoke(self, arn: str) -> None:
        self.event_invoke(arn)
        await self._set(arn, event_invoke=None)

    async def add_statement(self, arn: str, statement: dict[str, Any]) -> FunctionRecord:
        """Add to the function's policy. It is kept and shown; Busway does not judge callers by it yet."""
        record, sid = self.need(arn), statement["Sid"]
        if any(known["Sid"] == sid for known in record.policy):
            raise FunctionConflict(
                f"The statement id ({sid}) provided already exists. Please provide a new statement id, "
                "or remove the existing statement."
            )
        policy = [*record.policy, statement]
        return await self._set(arn, policy=policy, policy_revision=self._revision())

    async def remove_statement(self, arn: str, sid: str) -> None:
        record = self.need(arn)
        policy = [known for known in record.policy if known["Sid"] != sid]
        if len(policy) == len(record.policy):
            raise FunctionResourceNotFound(f"Statement {sid} is not found in resource policy.")
        await self._set(arn, policy=policy, policy_revision=self._revision())

    async def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        await self._set(arn, tags={**self.need(arn).tags, **tags})

    async def untag(self, arn: str, keys: Iterable[str]) -> None:
        gone = set(keys)
        await self._set(arn, tags={key: value for key, value in self.need(arn).tags.items() if key not in gone})

    # --- write ---

    async def _change(self, arn: str, revision: str | None, **fields: Any) -> FunctionRecord:
        """A change that makes another version of the function: its revision and time of change are new."""
        async with self._changing:
            record = self.need(arn)
            _check_revision(record, revision)
            changed = replace(record, **fields, revision=self._revision(), modified_at=self._clock.now())
            await self._write(changed)
        return changed

    async def _set(self, arn: str, **fields: Any) -> FunctionRecord:
        """A change that leaves the workers as they are."""
        async with self._changing:
            changed = replace(self.need(arn), **fields)
            await self._write(changed)
        return changed

    async def _write(self, record: FunctionRecord) -> None:
        key, before = _PREFIX + record.arn, self._versions.get(record.arn, 0)
        try:
            version = await self._engine.records.put(key, msgspec.json.encode(record), expect=before)
        except VersionConflict as error:
            raise FunctionConflict(f"The function {record.arn} changed meanwhile; try again") from error
        self._records[record.arn], self._versions[record.arn] = record, version
        self.on_change(record.arn)

    def _revision(self) -> str:
        return uuids(self._entropy, 1)[0]


def _about(kept: Any) -> dict[str, Any]:
    return {name: getattr(kept, name) for name in ("code", "code_sha256", "code_size", "live")}


def _check_revision(record: FunctionRecord, revision: str | None) -> None:
    if revision is not None and revision != record.revision:
        raise RevisionMismatch(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )
