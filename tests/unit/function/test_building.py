from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from busway.clock import ManualClock, settle
from busway.engine.memory import MemoryEngine
from busway.errors import FunctionConflict
from busway.function.definitions.registry import Configuration

from .shelf_room import ARN, ShelfRoom, SlowBuilder


@asynccontextmanager
async def built(folder: Path, engine: MemoryEngine | None = None) -> AsyncIterator[tuple[ShelfRoom, SlowBuilder]]:
    clock, builder = ManualClock(), SlowBuilder()
    room = await ShelfRoom(engine or MemoryEngine(clock), clock, folder, builder).open()
    try:
        yield room, builder
    finally:
        await room.building.close()


async def until(room: ShelfRoom, state: str) -> None:
    async with asyncio.timeout(10):
        while room.registry.need(ARN).state != state or room.registry.need(ARN).update is not None:
            await settle()


async def test_a_function_is_pending_until_what_it_needs_is_built(tmp_path: Path):
    async with built(tmp_path) as (room, builder):
        created = await room.create()
        assert created.state == "Pending"
        builder.finish()
        await until(room, "Active")
        record = room.registry.need(ARN)
        assert record.built is not None and record.built.python_path == (f"/built/{record.code}",)
        assert record.revision == created.revision


async def test_a_build_that_fails_is_told_and_the_next_change_tries_again(tmp_path: Path):
    async with built(tmp_path) as (room, builder):
        await room.create()
        builder.finish("no such package: nosuch")
        await until(room, "Failed")
        assert room.registry.need(ARN).failure == "no such package: nosuch"
        assert (await room.update("a = 2")).state == "Pending"
        builder.finish()
        await until(room, "Active")
        assert room.registry.need(ARN).failure == ""


async def test_an_update_runs_the_old_code_until_it_is_built(tmp_path: Path):
    async with built(tmp_path) as (room, builder):
        await room.create("a = 1")
        builder.finish()
        await until(room, "Active")
        before = room.registry.need(ARN)
        changing = await room.update("a = 2")
        assert changing.update is not None and changing.shown.code_sha256 != before.code_sha256
        assert (room.source(), changing.revision) == ("a = 1", before.revision)
        with pytest.raises(FunctionConflict, match="An update is in progress for resource"):
            await room.registry.update_configuration(ARN, Configuration(timeout_s=9))
        with pytest.raises(FunctionConflict, match="An update is in progress for resource"):
            await room.versions.publish(ARN)
        await room.attached.put_concurrency(ARN, 5)
        builder.finish()
        await until(room, "Active")
        after = room.registry.need(ARN)
        assert (room.source(), after.revision, after.reserved) == ("a = 2", changing.shown.revision, 5)


async def test_an_update_that_can_not_be_built_leaves_the_function_as_it_was(tmp_path: Path):
    async with built(tmp_path) as (room, builder):
        await room.create("a = 1")
        builder.finish()
        await until(room, "Active")
        await room.update("a = 2")
        builder.finish("no")
        await until(room, "Active")
        assert (room.source(), room.registry.need(ARN).failure) == ("a = 1", "no")
        await room.registry.update_configuration(ARN, Configuration(timeout_s=9))
        builder.finish()
        await until(room, "Active")
        assert room.registry.need(ARN).failure == ""


async def test_a_version_published_with_its_code_waits_for_the_same_build(tmp_path: Path):
    async with built(tmp_path) as (room, builder):
        assert (await room.create(publish=True)).state == "Pending"
        builder.finish()
        await until(room, "Active")
        version = room.books.resolve(ARN, "1")
        assert (version.state, version.built) == ("Active", room.registry.need(ARN).built)
        assert (await room.update("a = 2", publish=True)).version == "2"
        builder.finish("no")
        await until(room, "Active")
        assert (room.books.resolve(ARN, "2").state, room.books.resolve(ARN, "1").state) == ("Failed", "Active")


async def test_a_build_that_a_restart_interrupted_begins_anew(tmp_path: Path):
    engine = MemoryEngine(ManualClock())
    async with built(tmp_path, engine) as (room, builder):
        await room.create("a = 1")
        async with asyncio.timeout(10):
            while not builder.asked:
                await settle()
    async with built(tmp_path, engine) as (room, builder):
        assert room.registry.need(ARN).state == "Pending"
        builder.finish()
        await until(room, "Active")


async def test_what_is_built_for_a_deleted_function_is_not_given_to_its_namesake(tmp_path: Path):
    async with built(tmp_path) as (room, builder):
        await room.create("a = 1")
        async with asyncio.timeout(10):
            while not builder.asked:
                await settle()
        await room.registry.delete(ARN)
        second = await room.create("a = 2")
        builder.finish()
        async with asyncio.timeout(10):
            while len(builder.asked) < 2:
                await settle()
        assert room.registry.need(ARN).state == "Pending"
        builder.finish()
        await until(room, "Active")
        found = room.registry.need(ARN)
        assert found.built is not None and found.built.python_path == (f"/built/{second.code}",)
