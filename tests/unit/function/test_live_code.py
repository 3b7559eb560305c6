"""A folder that is code in development: what was saved is run by the next invocation."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from busway.clock import ManualClock, settle
from busway.engine.memory import MemoryEngine
from busway.function.build import Builder
from busway.function.definitions.code_store import Folder
from busway.function.definitions.live_code import EVERY_S, LiveCode
from busway.function.record import FunctionRecord
from busway.handling import FOLDER_TAG

from .shelf_room import ARN, PYTHON, ShelfRoom, SlowBuilder


class LiveRoom:
    """A function whose code is the folder `code`."""

    def __init__(self, folder: Path, builder: Builder | None = None) -> None:
        self.clock = ManualClock()
        self.room = ShelfRoom(MemoryEngine(self.clock), self.clock, folder / "kept", builder)
        self.live = LiveCode(self.room.books, self.room.registry, self.room.building, self.clock)
        self.file = folder / "code" / "app.py"
        self.saves = 0

    async def open(self, tags: dict[str, str] | None = None) -> FunctionRecord:
        await self.room.open()
        self.file.parent.mkdir()
        self.save()
        return await self.room.registry.create(ARN, Folder(str(self.file.parent)), PYTHON, tags)

    def save(self) -> None:
        self.saves += 1
        self.file.write_text(f"a = {self.saves}")
        # Two saves within one tick of the file system's clock are two saves all the same.
        os.utime(self.file, ns=(self.saves, self.saves))

    async def invoke(self) -> FunctionRecord:
        """What an invocation that comes when the folder may be looked at again runs."""
        await self.clock.advance(EVERY_S)
        return await self.live.fresh(self.room.registry.need(ARN))


async def test_a_save_is_another_revision_for_the_next_invocation(tmp_path: Path):
    live = LiveRoom(tmp_path)
    first = await live.open()
    assert await live.invoke() == first
    live.save()
    second = await live.invoke()
    assert second.revision != first.revision
    assert second.code == first.code
    assert await live.invoke() == second


async def test_a_folder_is_looked_at_only_so_often(tmp_path: Path):
    live = LiveRoom(tmp_path)
    first = await live.open()
    await live.invoke()
    live.save()
    assert await live.live.fresh(first) == first
    assert (await live.invoke()).revision != first.revision


async def test_an_invocation_waits_for_what_must_be_built(tmp_path: Path):
    builder = SlowBuilder()
    live = LiveRoom(tmp_path, builder)
    await live.open()
    builder.finish()
    await live.room.building.settled(ARN)
    live.save()
    invocation = asyncio.create_task(live.invoke())
    await settle()
    assert not invocation.done()
    builder.finish()
    assert (await invocation).update is None
    assert len(builder.asked) == 2


async def test_what_does_not_build_is_tried_once_for_each_save(tmp_path: Path):
    builder = SlowBuilder()
    live = LiveRoom(tmp_path, builder)
    await live.open()
    builder.finish("app.ts:1: wrong")
    await live.room.building.settled(ARN)
    assert (await live.invoke()).failure == "app.ts:1: wrong"
    live.save()
    builder.finish("app.ts:2: wrong")
    assert (await live.invoke()).failure == "app.ts:2: wrong"
    assert (await live.invoke()).failure == "app.ts:2: wrong"
    assert len(builder.asked) == 2
    live.save()
    builder.finish()
    assert ((record := await live.invoke()).state, record.failure) == ("Active", "")


async def test_a_folder_that_is_gone_changes_nothing(tmp_path: Path):
    live = LiveRoom(tmp_path)
    first = await live.open()
    live.file.unlink()
    live.file.parent.rmdir()
    assert await live.invoke() == first
    live.file.parent.mkdir()
    live.save()
    assert (await live.invoke()).revision != first.revision


async def test_what_busway_dev_deploys_is_left_to_it(tmp_path: Path):
    live = LiveRoom(tmp_path)
    first = await live.open({FOLDER_TAG: str(tmp_path)})
    live.save()
    assert await live.invoke() == first
