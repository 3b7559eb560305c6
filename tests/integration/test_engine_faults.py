"""Real processes, real files: kill -9, an fsync that fails, a disk that is full."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from busway.clock import ManualClock, SystemClock
from busway.engine import Put
from busway.engine.embedded import EmbeddedEngine, open_embedded

WRITER = Path(__file__).with_name("engine_writer.py")
CYCLES = 200 if os.environ.get("BUSWAY_NIGHTLY") else 20


def start_writer(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, str(WRITER), str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def numbers(lines: list[str], word: str) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith(word + " ")]


def fail(exc: BaseException) -> None:
    raise exc


async def check_the_books(engine: EmbeddedEngine, accepted: set[int]) -> int:
    """All that was acknowledged is there, whole, and every entry is pending or ended. Returns the events found."""
    entries = await engine.journal.read("bus", 0, 1 << 30)
    found = [tuple(map(int, re.findall(rb"\d+", e.data[:40]))) for e in entries]
    assert all(len(e.data) > 500 for e in entries)
    # An append is there with all its entries or not at all, and once.
    assert found == [(number, part) for number in range(1, len(found) // 3 + 1) for part in range(3)]
    assert accepted <= {number for number, _ in found}
    position = await engine.journal.position("bus", "router")
    mine = [e.offset for e in entries if e.offset <= position]
    pending = await engine.queues.pending("mail")
    ended = [e.offset for e in await engine.queues.outcomes("mail", limit=1 << 30)]
    assert len(set(pending) | set(ended)) == len(pending) + len(ended)
    assert set(mine) <= set(pending) | set(ended) <= {e.offset for e in entries}
    return len(found) // 3


async def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path):
    seed = 20261123
    chance = random.Random(seed)
    folder = tmp_path / "data"
    accepted: set[int] = set()
    for cycle in range(CYCLES):
        writer = start_writer(folder)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        # The moment of a kill can't be waited for by a condition: it is any moment.
        time.sleep(chance.uniform(0.0, 0.15))
        writer.kill()
        lines, complaints = writer.communicate()
        assert complaints == "", f"seed {seed}, cycle {cycle}"
        accepted |= set(numbers(lines.splitlines(), "accepted"))
        engine = await open_embedded(folder, ManualClock(time.time()), on_fatal=fail, reserve_mb=0)
        await check_the_books(engine, accepted)
        await engine.close()
    assert len(accepted) > CYCLES


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: apt-get install strace")


@needs_strace
@pytest.mark.parametrize("call", ["fdatasync:error=EIO:when=12+", "pwrite64:error=EIO:when=60+"])
async def test_after_an_io_error_the_process_acknowledges_nothing_and_ends(tmp_path: Path, call: str):
    folder, trace = tmp_path / "data", tmp_path / "trace"
    name = call.partition(":")[0]
    # Made beforehand: the calls are counted by thread, and the committer's are to fail.
    await (await open_embedded(folder, SystemClock(), on_fatal=fail, reserve_mb=0)).close()
    strace = ("strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={name},write", "-e", f"inject={call}")
    writer = start_writer(folder, before=strace)
    lines, complaints = writer.communicate(timeout=60)
    assert writer.returncode == 70, complaints
    said = lines.splitlines()
    assert "I/O error" in said[-1]
    trail = trace.read_text().splitlines()
    failed = next(i for i, line in enumerate(trail) if "INJECTED" in line)
    assert not [line for line in trail[failed:] if "accepted" in line]
    # Nor is anything tried again, also not as the process ends.
    assert not [line for line in trail[failed + 1 :] if f"{name}(" in line]
    engine = await open_embedded(folder, ManualClock(time.time()), on_fatal=fail, reserve_mb=0)
    await check_the_books(engine, set(numbers(said, "accepted")))
    await engine.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small tmpfs can't be mounted (needs root): {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_on_a_full_disk_new_events_are_refused_and_accepted_ones_are_delivered(small_disk: Path):
    writer = start_writer(small_disk / "data", "2")
    assert writer.stdout is not None
    lines: list[str] = []
    for line in writer.stdout:
        lines.append(line.rstrip())
        if len([said for said in lines if said.startswith("full")]) >= 3:
            break
    writer.kill()
    writer.communicate()
    accepted = set(numbers(lines, "accepted"))
    assert accepted
    engine = await open_embedded(small_disk / "data", SystemClock(), on_fatal=fail, reserve_mb=2)
    assert not (await engine.health()).accepting
    await check_the_books(engine, accepted)
    # Delivery goes on from the reserve to the end.
    while items := await engine.queues.lease("q", 100, 30):
        await engine.queues.done(items)
    assert await engine.queues.names() == []
    await engine.close()


async def test_a_disk_filled_by_others_gives_the_ballast_to_accepted_work(small_disk: Path):
    engine = await open_embedded(small_disk / "data", SystemClock(), on_fatal=fail, reserve_mb=2)
    rest = os.statvfs(small_disk)
    (small_disk / "others").write_bytes(bytes(rest.f_bavail * rest.f_frsize))
    assert (small_disk / "data" / "ballast").exists()
    ids = await engine.queues.put([Put("q", bytes(100_000), 0.0) for _ in range(5)], accepted=True)
    assert 0 not in ids
    assert not (small_disk / "data" / "ballast").exists()
    assert not (await engine.health()).accepting
    (small_disk / "others").unlink()
    assert (await engine.health()).accepting
    await engine.journal.append("bus", [b"welcome back"])
    await engine.close()
