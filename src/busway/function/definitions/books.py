"""Everything that is kept of functions, and how it is looked up.

Who changes it holds `changing`, and tells `on_change` the function's ARN afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from busway.clock import Clock, Entropy, uuids
from busway.engine import Engine
from busway.errors import FunctionAliasNotFound, FunctionConflict, FunctionNotFound, RevisionMismatch
from busway.function.definitions.shelf import Shelf
from busway.function.definitions.url import FunctionUrl
from busway.function.record import LATEST, PENDING, Alias, EventInvoke, FunctionRecord, Policy, qualified


class Books:
    """The shelves of the function room."""

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy) -> None:
        self.clock, self.entropy = clock, entropy
        self.functions = Shelf(engine.records, "function", FunctionRecord)
        self.versions = Shelf(engine.records, "function-version", FunctionRecord)
        self.aliases = Shelf(engine.records, "function-alias", Alias)
        self.event_invokes = Shelf(engine.records, "function-event-invoke", EventInvoke)
        self.policies = Shelf(engine.records, "function-policy", Policy)
        self.urls = Shelf(engine.records, "function-url", FunctionUrl)
        self.changing = asyncio.Lock()
        self.on_change: Callable[[str], None] = lambda arn: None

    @property
    def _beside(self) -> tuple[Shelf[Any], ...]:
        """What goes with its function."""
        return (self.versions, self.aliases, self.event_invokes, self.policies, self.urls)

    async def open(self) -> None:
        await self.functions.open()
        for shelf in self._beside:
            await shelf.open()
            for arn in shelf.functions():
                if self.functions.get(arn) is None:
                    # The server ended while the function was deleted.
                    await shelf.clear(arn)

    # --- look up ---

    def need(self, arn: str) -> FunctionRecord:
        """Raises `FunctionNotFound`."""
        record = self.functions.get(arn)
        if record is None:
            raise FunctionNotFound(arn)
        return record

    def resolve(self, arn: str, qualifier: str = "") -> FunctionRecord:
        """The record that runs: of the function, or of the version that the qualifier is or names.

        Raises `FunctionNotFound`.
        """
        record = self.functions.get(arn)
        if record is None:
            raise FunctionNotFound(qualified(arn, qualifier))
        if not qualifier or qualifier == LATEST:
            return record
        alias = self.aliases.get(arn, qualifier)
        number = qualifier if alias is None else alias.version
        found = record if number == LATEST else self.versions.get(arn, number)
        if found is None:
            raise FunctionNotFound(qualified(arn, qualifier))
        return found

    def need_alias(self, arn: str, name: str) -> Alias:
        """Raises `FunctionNotFound`, `FunctionAliasNotFound`."""
        self.need(arn)
        alias = self.aliases.get(arn, name)
        if alias is None:
            raise FunctionAliasNotFound(qualified(arn, name))
        return alias

    def crews(self, arn: str) -> list[FunctionRecord]:
        """What runs of a function: itself and its versions; nothing of one that is not there."""
        record = self.functions.get(arn)
        return [] if record is None else [record, *self.versions.of(arn).values()]

    def records(self) -> list[FunctionRecord]:
        """Every function, function to be, and version: whatever has code."""
        kept = [*self.functions.all(), *self.versions.all()]
        return [*kept, *(record.update for record in kept if record.update is not None)]

    # --- change; `changing` is held ---

    async def put(self, record: FunctionRecord) -> None:
        await self.functions.put(record.arn, "", record)
        self.on_change(record.arn)

    async def put_version(self, record: FunctionRecord) -> None:
        await self.versions.put(record.arn, record.version, record)
        self.on_change(record.arn)

    async def forget(self, arn: str) -> None:
        """The function first: what is left of it after a crash is then nobody's, and goes when the server starts."""
        self.need(arn)
        await self.functions.remove(arn)
        for shelf in self._beside:
            await shelf.clear(arn)
        self.on_change(arn)

    async def set(self, arn: str, **fields: Any) -> FunctionRecord:
        """A change that leaves the workers, and so the revision, as they are. Takes the lock itself."""
        async with self.changing:
            changed = replace(self.need(arn), **fields)
            await self.put(changed)
        return changed

    async def renew(self, version: FunctionRecord) -> None:
        """New workers for a function or a version whose record says what it said before. Takes the lock itself."""
        async with self.changing:
            same = [one for one in self.crews(version.arn) if one.version == version.version]
            for found in same:
                put = self.put if found.version == LATEST else self.put_version
                await put(replace(found, revision=self.revision()))

    def revision(self) -> str:
        return uuids(self.entropy, 1)[0]


def check_revision(found: str, wanted: str | None) -> None:
    """Raises `RevisionMismatch` when the caller knows another revision."""
    if wanted is not None and wanted != found:
        raise RevisionMismatch(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


def check_at_rest(record: FunctionRecord) -> None:
    """Raises `FunctionConflict` while something of the function is being built."""
    if record.state == PENDING:
        raise FunctionConflict(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {record.state}"
        )
    if record.update is not None:
        raise FunctionConflict(
            f"The operation cannot be performed at this time. An update is in progress for resource: {record.arn}"
        )
