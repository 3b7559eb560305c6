"""What a function needs beside its code, made in the background: Pending until then, or the update waits.

A function runs as it was while an update is built. A build that the server's end interrupted begins anew.
"""

from __future__ import annotations

import asyncio
import logging

from msgspec.structs import replace

from busway.errors import BuildFailed, EngineStopped, StorageFull
from busway.function.build import Builder, Built
from busway.function.definitions.books import Books
from busway.function.definitions.code_store import CodeStore
from busway.function.record import ACTIVE, FAILED, PENDING, FunctionRecord

# Ours: what was built for code before this stays as long as a worker of it may run (15 minutes), and some.
UNUSED_S = 1_000.0

log = logging.getLogger(__name__)


class Building:
    """One build a function at a time."""

    def __init__(self, books: Books, store: CodeStore, builder: Builder) -> None:
        self._books, self._store, self._builder = books, store, builder
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Take up what was not built when the server ended."""
        await self._builder.sweep(self._used(), 0.0)
        for record in self._books.functions.all():
            self.begin(record.arn)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def wanted(self, record: FunctionRecord) -> bool:
        """Whether there is something to build for it."""
        path = self._store.path(record)
        return await asyncio.to_thread(self._builder.key, path, record.runtime, record.handler) is not None

    def begin(self, arn: str) -> None:
        """Build what the function waits for, if it waits."""
        present = self._tasks.get(arn)
        # One that has ended looks no more, though it may be listed for another turn of the loop.
        if (present is None or present.done()) and self._waiting(arn) is not None:
            task = asyncio.get_running_loop().create_task(self._run(arn))
            self._tasks[arn] = task
            task.add_done_callback(lambda ended: self._ended(arn, ended))

    def _ended(self, arn: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(arn) is task:
            del self._tasks[arn]

    async def settled(self, arn: str) -> None:
        """Return when nothing of the function is being built."""
        if (task := self._tasks.get(arn)) is not None:
            await asyncio.wait({task})

    def _waiting(self, arn: str) -> FunctionRecord | None:
        record = self._books.functions.get(arn)
        if record is None:
            return None
        return record.update or (record if record.state == PENDING else None)

    async def _run(self, arn: str) -> None:
        while (wanted := self._waiting(arn)) is not None:
            built, failure = await self._build(wanted)
            try:
                async with self._books.changing:
                    # It may have been deleted meanwhile, and another one made under its name.
                    if (now := self._waiting(arn)) is not None and now.revision == wanted.revision:
                        await self._settle(arn, built, failure)
                await self._builder.sweep(self._used(), UNUSED_S)
            except (EngineStopped, StorageFull):
                log.warning("what came of building %s could not be kept; it is built again later", arn)
                return

    async def _build(self, record: FunctionRecord) -> tuple[Built | None, str]:
        try:
            return await self._builder.build(self._store.path(record), record.runtime, record.handler), ""
        except (BuildFailed, StorageFull) as error:
            return None, str(error)
        except Exception as error:
            log.exception("building what %s needs failed in the server itself", record.arn)
            return None, f"fault of the server: {type(error).__name__}"

    async def _settle(self, arn: str, built: Built | None, failure: str) -> None:
        state = FAILED if failure else ACTIVE
        for version in self._books.versions.of(arn).values():
            if version.state == PENDING:
                await self._books.put_version(replace(version, state=state, built=built, failure=failure))
        record = self._books.need(arn)
        if record.update is None:
            await self._books.put(replace(record, state=state, built=built, failure=failure))
        elif failure:
            await self._books.put(replace(record, update=None, failure=failure))
        else:
            await self._books.put(
                replace(
                    record.update, built=built, published=record.published, tags=record.tags,
                    reserved=record.reserved, recursive_loop=record.recursive_loop,
                )
            )  # fmt: skip

    def _used(self) -> list[Built]:
        return [record.built for record in self._books.records() if record.built is not None]
