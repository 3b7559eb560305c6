"""The functions that there are: created, changed and deleted here, kept in the books.

What a change means for workers is told to the books' `on_change`; everything else about running is `pool`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from busway.arn import Scope
from busway.errors import FunctionConflict, InvalidFunction
from busway.function import record as rules
from busway.function.definitions.books import Books, check_at_rest, check_revision
from busway.function.definitions.building import Building
from busway.function.definitions.code_store import Code, CodeStore, Kept
from busway.function.definitions.versions import Versions
from busway.function.invocation.retry import check_retries
from busway.function.record import FunctionRecord
from busway.function.workers.rate import check_rate


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
    architectures: tuple[str, ...] | None = None

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


class Registry:
    """All functions, by ARN. Published versions come from `versions`."""

    def __init__(self, books: Books, store: CodeStore, building: Building, versions: Versions) -> None:
        self._books, self._store, self._building, self._versions = books, store, building, versions

    # --- look up ---

    def get(self, arn: str) -> FunctionRecord | None:
        return self._books.functions.get(arn)

    def need(self, arn: str) -> FunctionRecord:
        """Raises `FunctionNotFound`."""
        return self._books.need(arn)

    def all(self) -> list[FunctionRecord]:
        return self._books.functions.all()

    def of_scope(self, scope: Scope) -> list[FunctionRecord]:
        """The functions of one account and Region, by name."""
        start = rules.function_arn(scope, "")
        return sorted((r for r in self.all() if r.arn.startswith(start)), key=lambda r: r.name)

    # --- create, change, delete ---

    async def create(
        self, arn: str, code: Code, configuration: Configuration, tags: Mapping[str, str] | None = None,
        *, publish: bool = False,
    ) -> FunctionRecord:  # fmt: skip
        """The function, or with `publish` its first version.

        Raises `FunctionConflict`, `InvalidFunction`, `InvalidPackage`, `FunctionFeatureNotBuilt`.
        """
        name = arn.rsplit(":", 1)[1]
        if len(name) > rules.NAME_CHARS_MAX:
            raise InvalidFunction(
                f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
                f"Member must have length less than or equal to {rules.NAME_CHARS_MAX}"
            )
        check_rate(tags or {})
        check_retries(tags or {})
        rules.check_runtime(configuration.runtime or "", configuration.handler or "")
        fields = {"role": "", **configuration.checked()}
        self._check_free(arn, name)
        kept = await self._store.keep(arn, code)
        record = FunctionRecord(
            arn=arn, **fields, **_about(kept), tags=dict(tags or {}), revision=self._books.revision(),
            modified_at=self._books.clock.now(),
        )  # fmt: skip
        if await self._building.wanted(record):
            record = replace(record, state=rules.PENDING)
        async with self._books.changing:
            self._check_free(arn, name)
            await self._books.put(record)
        self._building.begin(arn)
        return await self._versions.publish(arn, building=True) if publish else record

    def _check_free(self, arn: str, name: str) -> None:
        if self.get(arn) is not None:
            raise FunctionConflict(f"Function already exist: {name}")

    async def update_code(
        self, arn: str, code: Code, *, architectures: tuple[str, ...] | None = None, revision: str | None = None,
        dry_run: bool = False, publish: bool = False,
    ) -> FunctionRecord:  # fmt: skip
        """The function with its new code, or with `publish` the version of it. Workers of the old code finish."""
        self._check_changeable(arn, revision)
        fields = _about(await self._store.keep(arn, code))
        if architectures is not None:
            fields["architectures"] = architectures
        if dry_run:
            return replace(self.need(arn), **fields)
        record = await self._change(arn, revision, fields, code=True)
        return await self._versions.publish(arn, building=True) if publish else record

    async def update_configuration(
        self, arn: str, configuration: Configuration, *, revision: str | None = None
    ) -> FunctionRecord:
        record, fields = self._check_changeable(arn, revision), configuration.checked()
        rules.check_runtime(configuration.runtime or record.runtime, configuration.handler or record.handler)
        return await self._change(arn, revision, fields)

    async def delete(self, arn: str) -> None:
        """With its versions. What is queued for it goes to the undeliverable queue; what runs, finishes."""
        async with self._books.changing:
            await self._books.forget(arn)

    def _check_changeable(self, arn: str, revision: str | None) -> FunctionRecord:
        record = self.need(arn)
        check_revision(record.shown.revision, revision)
        check_at_rest(record)
        return record

    async def _change(
        self, arn: str, revision: str | None, fields: dict[str, Any], *, code: bool = False
    ) -> FunctionRecord:
        """Another revision of the function: at once, or as the update that is built first."""
        before = self.need(arn)
        fields |= {"failure": "", "revision": self._books.revision(), "modified_at": self._books.clock.now()}
        changed = replace(before, **fields)
        # A function that failed is tried again by any change: what it lacked may be there now.
        if code or before.state == rules.FAILED or before.failure or _runs(before) != _runs(changed):
            fields["built"] = None
        changed = replace(changed, **fields)
        building = changed.built is None and await self._building.wanted(changed)
        async with self._books.changing:
            now = self._check_changeable(arn, revision)
            if now.revision != before.revision:
                raise FunctionConflict(f"The function {arn} changed meanwhile; try again")
            changed = replace(now, **fields)
            if not building:
                changed = replace(changed, state=rules.ACTIVE)
            elif now.state == rules.FAILED:
                changed = replace(changed, state=rules.PENDING)
            else:
                changed = replace(now, failure="", update=changed)
            await self._books.put(changed)
        self._building.begin(arn)
        return self.need(arn)


def _runs(record: FunctionRecord) -> tuple[str, str, str]:
    """What decides what is built."""
    return (record.code, record.runtime, record.handler)


def _about(kept: Kept) -> dict[str, Any]:
    return {name: getattr(kept, name) for name in ("code", "code_sha256", "code_size", "live")}
