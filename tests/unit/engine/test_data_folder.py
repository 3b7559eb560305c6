"""Opening: one process at a time, settings that took, data of another version, a folder for its owner alone."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from busway.clock import ManualClock
from busway.engine import Once, Put
from busway.engine.embedded import EmbeddedEngine, open_embedded
from busway.engine.embedded.disk import Disk
from busway.engine.embedded.schema import MIGRATIONS, PRAGMAS, apply_pragma, connect, migrate
from busway.errors import BuswayError, DataInUse, DataTooNew


def fail(exc: BaseException) -> None:
    raise exc


async def reopen(folder: Path) -> EmbeddedEngine:
    return await open_embedded(folder, ManualClock(), on_fatal=fail, reserve_mb=1)


async def test_a_second_engine_is_refused_and_told_who_holds_the_folder(tmp_path: Path):
    first = await reopen(tmp_path / "data")
    with pytest.raises(DataInUse, match=rf"held by process {os.getpid()}"):
        await reopen(tmp_path / "data")
    await first.close()
    await (await reopen(tmp_path / "data")).close()


async def test_the_folder_is_its_owners_alone(tmp_path: Path):
    await (await reopen(tmp_path / "data")).close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_data_of_the_first_version_is_brought_up_to_date(tmp_path: Path):
    engine = await reopen(tmp_path)
    await engine.queues.put([Put("plain", b"before", 0.0)])
    await engine.close()
    with sqlite3.connect(tmp_path / "busway.db") as db:
        for table in ("grouped", "item_groups", "keys"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    engine = await reopen(tmp_path)
    await engine.queues.put([Put("ordered", b"after", 0.0, group="g", once=Once("k", 1e12))])
    for queue, body in (("plain", b"before"), ("ordered", b"after")):
        assert [item.body for item in await engine.queues.lease(queue, 9, 30)] == [body]
    await engine.close()


async def test_data_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path):
    await (await reopen(tmp_path)).close()
    with sqlite3.connect(tmp_path / "busway.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DataTooNew, match=r"found data of version 99, wanted at most \d+"):
        await reopen(tmp_path)
    # The refusal let go of the folder.
    with pytest.raises(DataTooNew):
        await reopen(tmp_path)


def test_every_migration_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "busway.db"
    db = connect(path)
    with monkeypatch.context() as patched:
        patched.setattr("busway.engine.embedded.schema.MIGRATIONS", ((*MIGRATIONS[0], "CREATE broken"),))
        with pytest.raises(sqlite3.OperationalError):
            migrate(db, path)
    assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    migrate(db, path)
    migrate(db, path)
    assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    db.close()


def test_a_setting_that_did_not_take_is_an_error(tmp_path: Path):
    db = connect(tmp_path / "busway.db")
    assert ("synchronous", 2) in PRAGMAS
    with pytest.raises(BuswayError, match="database setting journal_mode: found 'wal', wanted 'tape'"):
        apply_pragma(db, "journal_mode", "tape")
    db.close()


def test_the_ballast_takes_real_space(tmp_path: Path):
    disk = Disk(tmp_path)
    assert disk.make_ballast(1_000_000)
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 1_000_000
    assert disk.has_ballast(1_000_000) and not disk.has_ballast(2_000_000)
    assert not disk.make_ballast(1 << 60)
    assert not disk.has_ballast(1)
    disk.drop_ballast()


async def test_the_reserve_is_held_from_the_start(tmp_path: Path):
    engine = await reopen(tmp_path)
    assert (tmp_path / "ballast").stat().st_size == 1_000_000
    assert "reserve" in (await engine.health()).detail
    await engine.close()
