"""What the processes of a machine use, as /proc says: for those that no control group bounds."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Usage:
    """What all processes of one session use together.

    `tasks` counts threads too. `resident_bytes` counts a page for each process that shares it: an upper bound, for
    which `proportional_bytes` gives the exact value.
    """

    pids: tuple[int, ...] = ()
    tasks: int = 0
    resident_bytes: int = 0


def tasks_on_machine() -> int:
    """How many processes and threads there are, 0 when that can't be known: one cheap read."""
    try:
        return int((_PROC / "loadavg").read_text().split()[3].split("/")[1])
    except (OSError, IndexError):
        return 0


def usage_by_session() -> dict[int, Usage]:
    """The usage of every session on the machine, by the process id of its leader. Reads all of /proc."""
    usage: dict[int, Usage] = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            # pid (name) state ppid pgrp session …; the name may hold anything, a bracket too.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        session, threads, pages = int(fields[3]), int(fields[17]), int(fields[21])
        before = usage.get(session, Usage())
        usage[session] = Usage(
            (*before.pids, int(folder.name)), before.tasks + threads, before.resident_bytes + pages * _PAGE_BYTES
        )
    return usage


def proportional_bytes(pids: Iterable[int]) -> int:
    """The memory of processes together, a page that they share counted once. Takes long: some 100 us a process."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1_024
    return total


def resident_bytes(pid: int) -> int:
    """The memory of one process now, 0 when that can't be known."""
    try:
        return int((_PROC / str(pid) / "statm").read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def only_descendant(pid: int) -> int:
    """The last of a chain in which each process has one child: what a wrapper runs. Itself when it has none."""
    while True:
        try:
            children = (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split()
        except OSError:
            return pid
        if len(children) != 1:
            return pid
        pid = int(children[0])
