from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from busway.function.workers.cage import Cage, Cages
from busway.function.workers.process import peer_is_ours


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_a_connection_of_another_user_is_told_from_ours(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            assert peer_is_ours(server)
            monkeypatch.setattr(os, "getuid", lambda: 12345)
            assert not peer_is_ours(server)


def test_without_control_groups_a_cage_bounds_nothing():
    cage = Cages.none().make(1)
    assert cage == Cage()
    assert not cage.bounds_memory
    assert cage.member_files == []
    assert not cage.ran_out_of_memory()


def test_a_version_2_group_is_made_with_its_limits_and_removed(tmp_path: Path):
    """On a plain folder: what is written is checked, not that the kernel obeys."""
    cage = Cages(tmp_path, None, 2).make(1_000)
    assert cage.memory is not None
    assert (cage.memory / "memory.max").read_text() == "1000"
    assert (cage.memory / "pids.max").read_text() == "1024"
    assert cage.member_files == [str(cage.memory / "cgroup.procs")]
    assert not cage.ran_out_of_memory()
    (cage.memory / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 1\n")
    assert cage.ran_out_of_memory()


def test_a_group_that_can_not_be_made_is_no_error(tmp_path: Path):
    assert Cages(tmp_path / "gone", None, 1).make(1_000) == Cage()


@pytest.mark.skipif(sys.platform != "linux", reason="a way of Linux")
def test_a_server_can_be_hidden_from_other_processes_of_its_user():
    code = "from busway.function.workers.process import hide_from_own_user as hide; import ctypes; hide(); "
    asked = subprocess.run(
        [sys.executable, "-c", f"{code}print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # PR_GET_DUMPABLE: 0 is what makes /proc/<pid>/environ and mem root's.
    assert asked.stdout == "0\n"
