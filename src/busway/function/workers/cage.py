"""Control groups: where the kernel lets us make one, it bounds a worker's memory and number of processes.

Both versions of Linux's control groups. The worker joins by itself, before any code of the handler runs. Where no
group can be made (not root, no delegation, macOS) a `Cage` is empty and bounds nothing; `watch.py` does then.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# AWS's limit of processes and threads: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
PROCESSES_MAX = 1_024

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_PREFIX = "busway-"
# A process that forks while it is ended may escape one round.
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Cage:
    """The groups of one worker: none, one (version 2), or one for memory and one for processes (version 1)."""

    memory: Path | None = None
    processes: Path | None = None

    @property
    def bounds_memory(self) -> bool:
        return self.memory is not None

    @property
    def member_files(self) -> list[str]:
        """The files into which the worker writes itself."""
        return [str(folder / "cgroup.procs") for folder in self._folders()]

    def ran_out_of_memory(self) -> bool:
        return any(_count(self.memory, name, "oom_kill") for name in ("memory.events", "memory.oom_control"))

    def refused_processes(self) -> bool:
        return _count(self.processes, "pids.events", "max") > 0

    def empty(self, kill: Callable[[int], None]) -> None:
        """End every process in the groups. Blocks for as long as the kernel takes to end them."""
        for _ in range(_ROUNDS):
            members = {int(pid) for folder in self._folders() for pid in _lines(folder / "cgroup.procs")}
            if not members:
                return
            for pid in members:
                kill(pid)
            os.sched_yield()

    def remove(self) -> None:
        for folder in self._folders():
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _folders(self) -> list[Path]:
        return list(dict.fromkeys(folder for folder in (self.memory, self.processes) if folder is not None))


class Cages:
    """Makes cages under our own groups, as far as we may."""

    def __init__(self, memory: Path | None, processes: Path | None, version: int) -> None:
        self._memory, self._processes, self._version = memory, processes, version
        self._numbers = itertools.count(1)

        for parent in (memory, processes):
            _remove_left_over(parent)

    @classmethod
    def none(cls) -> Cages:
        """No cages: everything is watched instead."""
        return cls(None, None, 2)

    @classmethod
    def find(cls) -> Cages:
        """The groups in which we are and may make groups of our own."""
        mine: dict[str, str] = {}
        for line in _lines(_MEMBERSHIP):
            _, controllers, path = line.split(":", 2)
            mine.update({name: path.lstrip("/") for name in controllers.split(",")})
        if "memory" in mine:
            memory = _writable(_GROUPS / "memory" / mine["memory"])
            processes = _writable(_GROUPS / "pids" / mine["pids"]) if "pids" in mine else None
            return cls(memory, processes, 1)
        if "" in mine:
            ours = _GROUPS / mine[""]
            if "memory" in " ".join(_lines(ours / "cgroup.subtree_control")).split():
                return cls(_writable(ours), None, 2)
        return cls.none()

    def make(self, memory_bytes: int) -> Cage:
        """A cage for one worker; an empty one where the kernel refuses."""
        if self._memory is None:
            return Cage()
        name = f"{_PREFIX}{os.getpid()}-{next(self._numbers)}"
        try:
            return self._version_2(name, memory_bytes) if self._version == 2 else self._version_1(name, memory_bytes)
        except OSError:
            for parent in (self._memory, self._processes):
                if parent is not None:
                    with contextlib.suppress(OSError):
                        (parent / name).rmdir()
            return Cage()

    def _version_1(self, name: str, memory_bytes: int) -> Cage:
        assert self._memory is not None
        memory = self._memory / name
        memory.mkdir()
        (memory / "memory.limit_in_bytes").write_text(str(memory_bytes))
        if self._processes is None:
            return Cage(memory)
        processes = self._processes / name
        processes.mkdir()
        (processes / "pids.max").write_text(str(PROCESSES_MAX))
        return Cage(memory, processes)

    def _version_2(self, name: str, memory_bytes: int) -> Cage:
        assert self._memory is not None
        folder = self._memory / name
        folder.mkdir()
        (folder / "memory.max").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):
            (folder / "memory.swap.max").write_text("0")
        with contextlib.suppress(OSError):
            (folder / "pids.max").write_text(str(PROCESSES_MAX))
        return Cage(folder, folder)


def _remove_left_over(parent: Path | None) -> None:
    """Groups of servers that died; a group with a process in it can't be removed."""
    for folder in [] if parent is None else list(parent.glob(f"{_PREFIX}*")):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _count(folder: Path | None, name: str, word: str) -> int:
    """What a file of a group counts under a word; 0 where there is no such file."""
    if folder is None:
        return 0
    try:
        counts = dict(line.split() for line in (folder / name).read_text().splitlines())
    except OSError:
        return 0
    return int(counts.get(word, "0"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().split("\n")[:-1]
    except OSError:
        return []


def _writable(folder: Path) -> Path | None:
    return folder if os.access(folder, os.W_OK) else None
