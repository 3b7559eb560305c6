"""A disk that fails and a disk that is full, under a whole server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faults_scenario import (
    ENVIRONMENT,
    Publisher,
    Receiver,
    attached,
    check_books,
    conserved,
    lay_out,
    work_off,
)

from busway.cli.demo.server import ServerProcess, free_port
from busway.cli.serve import EXIT_IO

N = (1, 2, 3, 5, 8, 13, 21, 34) if os.environ.get("BUSWAY_NIGHTLY") else (1, 4)
DISK_MB, RESERVE_MB = 64, 16


@pytest.mark.slow
@pytest.mark.needs("strace")
@pytest.mark.parametrize("n", N)
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_after_an_io_error_nothing_is_acknowledged_and_a_restart_finds_everything(tmp_path: Path, call: str, n: int):
    server = ServerProcess(tmp_path / "data", free_port(), ENVIRONMENT)
    server.start()
    lay_out(server)
    publisher = Publisher(server)
    trace = tmp_path / "trace"
    options = ["-o", str(trace), "-y", "-e", f"trace={call},write,sendto", "-e", f"inject={call}:error=EIO:when={n}+"]
    with attached(server, options):
        while publisher.fire(3):
            pass
        code = wait_for_end(server)
    assert code == EXIT_IO
    assert "error: storage failed, nothing more is accepted" in server.log_tail()
    assert "hint: " in server.log_tail()
    lines = trace.read_text().splitlines()
    failed = next(i for i, line in enumerate(lines) if "INJECTED" in line)
    assert not [line for line in lines[failed:] if "200 OK" in line], "acknowledged after the error"
    assert not [line for line in lines[failed + 1 :] if f" {call}(" in line], "tried again after the error"
    conserved(server.data)
    server.start()
    arrived, dead = Receiver(server, "arrived"), Receiver(server, "dead")
    work_off(server, [arrived, dead])
    assert server.stop() == 0
    check_books([publisher], arrived, dead)
    conserved(server.data)


def wait_for_end(server: ServerProcess, within_s: float = 20.0) -> int | None:
    deadline = time.monotonic() + within_s
    while server.exit_code() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return server.exit_code()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small tmpfs can't be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


class Crowd:
    """Others who fill the disk."""

    def __init__(self, disk: Path) -> None:
        self._disk, self._file = disk, disk / "others"

    def leave(self, free_mb: float) -> None:
        found = os.statvfs(self._disk)
        taken = found.f_bavail * found.f_frsize - int(free_mb * 1_000_000)
        assert taken > 0
        # The server writes too, and may have taken some of it meanwhile.
        with suppress(OSError), self._file.open("ab", buffering=0) as file:
            file.write(bytes(taken))

    def go(self) -> None:
        self._file.unlink()


@pytest.fixture
def server(small_disk: Path) -> Iterator[ServerProcess]:
    settings = {**ENVIRONMENT, "BUSWAY_RESERVE_MB": str(RESERVE_MB)}
    server = ServerProcess(small_disk / "data", free_port(), settings)
    server.start()
    lay_out(server)
    yield server
    server.kill()


def fire_until_refused(publisher: Publisher) -> None:
    while publisher.fire(10):
        pass
    refusal = publisher.refusals[-1].response
    assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert refusal["Error"]["Code"] == "ServiceUnavailable"
    assert "new work is refused, accepted work goes on" in refusal["Error"]["Message"]


@pytest.mark.slow
@pytest.mark.needs("root")
def test_a_full_disk_refuses_events_delivers_accepted_ones_and_recovers_without_a_restart(
    small_disk: Path, server: ServerProcess
):
    publisher, arrived, dead = Publisher(server), Receiver(server, "arrived"), Receiver(server, "dead")
    crowd = Crowd(small_disk)
    # Once so that our own events hit the limit, once so that others take the last byte and the ballast is needed.
    for free_mb in (RESERVE_MB + 1, 0):
        assert publisher.fire(10)
        crowd.leave(free_mb)
        fire_until_refused(publisher)
        work_off(server, [arrived, dead])
        check_books([publisher], arrived, dead)
        assert not publisher.fire(1), "the disk is still full"
        crowd.go()
        assert publisher.fire(3)
    work_off(server, [arrived, dead])
    check_books([publisher], arrived, dead)
    assert server.stop() == 0
    conserved(server.data)


@pytest.mark.slow
@pytest.mark.needs("root")
def test_a_server_killed_on_a_full_disk_starts_there_and_loses_nothing(small_disk: Path, server: ServerProcess):
    publisher, arrived, dead = Publisher(server), Receiver(server, "arrived"), Receiver(server, "dead")
    crowd = Crowd(small_disk)
    crowd.leave(RESERVE_MB + 1)
    fire_until_refused(publisher)
    server.kill()
    server.start()
    assert not publisher.fire(1)
    work_off(server, [arrived, dead])
    crowd.go()
    assert publisher.fire(3)
    work_off(server, [arrived, dead])
    assert server.stop() == 0
    check_books([publisher], arrived, dead)
    conserved(server.data)
