from __future__ import annotations

from pathlib import Path

from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.function.definitions.code_store import Folder
from busway.function.definitions.download import VALID_S, Downloads
from busway.function.definitions.package import pack

from .shelf_room import ARN, PYTHON, ShelfRoom, zipped


async def test_a_location_is_good_for_ten_minutes(clock: ManualClock, tmp_path: Path):
    room = await ShelfRoom(MemoryEngine(clock), clock, tmp_path).open()
    downloads = Downloads(clock, SeededEntropy(3), room.code)
    path, _, query = downloads.offer(await room.create("a = 1")).partition("?")
    await room.update("a = 2")
    assert await downloads.take(path, query) == zipped("a = 1")
    await clock.advance(VALID_S)
    assert await downloads.take(path, query) == zipped("a = 1")
    await clock.advance(1)
    assert await downloads.take(path, query) is None
    longer = query.replace(query.split("&")[0], f"Expires={int(clock.now()) + 600}")
    assert await downloads.take(path, longer) is None


async def test_nothing_else_is_given(clock: ManualClock, tmp_path: Path):
    room = await ShelfRoom(MemoryEngine(clock), clock, tmp_path).open()
    downloads, others = Downloads(clock, SeededEntropy(3), room.code), Downloads(clock, SeededEntropy(4), room.code)
    record = await room.create("a = 1")
    path, _, query = downloads.offer(record).partition("?")
    assert await others.take(path, query) is None
    for bad in (
        "",
        "Expires=x",
        "Expires=99999999999999",
        f"{query}0",
        query.replace("Signature=", "Signature=%C3%A9"),
    ):
        assert await downloads.take(path, bad) is None
    assert await downloads.take(path + "x", query) is None


async def test_a_version_s_own_code_is_offered(clock: ManualClock, tmp_path: Path):
    room = await ShelfRoom(MemoryEngine(clock), clock, tmp_path).open()
    downloads = Downloads(clock, SeededEntropy(3), room.code)
    await room.create("a = 1", publish=True)
    await room.update("a = 2")
    for qualifier, source in (("1", "a = 1"), ("", "a = 2")):
        path, _, query = downloads.offer(room.books.resolve(ARN, qualifier)).partition("?")
        assert await downloads.take(path, query) == zipped(source)


async def test_a_folder_is_zipped_the_same_for_the_same_files(clock: ManualClock, tmp_path: Path):
    code = tmp_path / "live"
    for name in ("a/b.py", "app.py", ".git/config", "a/__pycache__/b.pyc"):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(name)
    (code / "app.py").chmod(0o755)
    room = await ShelfRoom(MemoryEngine(clock), clock, tmp_path / "code").open()
    record = await room.registry.create(ARN, Folder(str(code)), PYTHON)
    first = await room.code.archive(record)
    (code / "a" / "b.py").touch()
    assert first == pack(code)
    frozen = await room.code.freeze(record)
    assert not frozen.live and (await room.code.freeze(record)) == frozen
