"""The port to processes: the only module that starts or ends them.

A worker is a session of its own, so that its whole process group can be ended at once. It dies with the server
(`runtimes/launch.py` says how), and what slipped out of its group (a daemon) carries the worker's mark in its
environment, by which `sweep` finds it: after each worker's end, and at the server's next start.

Memory is bounded by a control group where one can be made (`cage.py`), otherwise by whoever watches
`resident_bytes` (`watch.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from busway.function.cage import Cage, Cages

# The variable that marks a worker's processes, also those that left its group. A mark ends in `/`, so that a mark is
# no beginning of another one.
MARK = "BUSWAY_WORKER"

_LAUNCH = Path(__file__).parent / "runtimes" / "launch.py"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")
_PR_SET_DUMPABLE = 4


@dataclass(frozen=True, slots=True)
class Start:
    """A process to start. `command` is what `runtimes/launch.py` takes after its own arguments.

    `channel` is the process's end of the socket to us, if it gets one; it is closed here once it is handed over.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    memory_bytes: int
    channel: socket.socket | None = None


class Child(Protocol):
    """A process that runs, or ran."""

    @property
    def pid(self) -> int: ...

    @property
    def output(self) -> int:
        """A non-blocking file descriptor with what it prints; whoever reads it closes it."""
        ...

    @property
    def exited(self) -> asyncio.Future[int]:
        """Its exit status, negative for the signal that ended it. Its whole group is gone by then."""
        ...

    @property
    def caged(self) -> bool:
        """Whether the kernel bounds its memory, so that nobody needs to watch."""
        ...

    def kill(self) -> None:
        """End it and its group at once."""
        ...

    def resident_bytes(self) -> int:
        """Memory it uses now, 0 when that can't be known."""
        ...

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended it, or a process of it, at the memory limit."""
        ...

    def processes_refused(self) -> bool:
        """Whether the kernel refused it a process at the limit."""
        ...

    async def bury(self) -> None:
        """Return when nothing of it is left, processes outside its group too."""
        ...


class Spawn(Protocol):
    """Starts processes."""

    def start(self, start: Start) -> Child:
        """Raises OSError when no process can be started."""
        ...

    async def sweep(self, mark: str) -> int:
        """End every process whose mark begins with `mark`; return how many there were."""
        ...


class SystemSpawn:
    """Processes of this machine. Call `start` from the thread that runs the event loop and lives on."""

    def __init__(self, *, cages: Cages | None = None) -> None:
        self._cages = Cages.find() if cages is None else cages

    def start(self, start: Start) -> SystemChild:
        cage = self._cages.make(start.memory_bytes)
        read_end, write_end = os.pipe2(os.O_CLOEXEC) if sys.platform == "linux" else os.pipe()
        lifeline, held = os.pipe2(os.O_CLOEXEC) if sys.platform == "linux" else os.pipe()
        channel = -1 if start.channel is None else start.channel.fileno()
        command = [sys.executable, "-P", str(_LAUNCH), str(os.getpid()), str(lifeline), str(channel)]
        try:
            popen = subprocess.Popen(
                [*command, ":".join(cage.member_files), *start.command],
                cwd=start.folder,
                env=dict(start.environment),
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=[lifeline] if channel < 0 else [lifeline, channel],
                start_new_session=True,
            )
        except OSError:
            os.close(read_end)
            os.close(held)
            cage.remove()
            raise
        finally:
            os.close(write_end)
            os.close(lifeline)
            if start.channel is not None:
                start.channel.close()
        os.set_blocking(read_end, False)
        return SystemChild(popen, read_end, held, cage, start.environment.get(MARK, ""), self)

    async def sweep(self, mark: str) -> int:
        # Reads /proc of every process: tens of microseconds each, so not on the event loop.
        return await asyncio.to_thread(_kill_marked, mark)


class SystemChild:
    """A process started by `SystemSpawn`."""

    def __init__(
        self, popen: subprocess.Popen[bytes], output: int, lifeline: int, cage: Cage, mark: str, spawn: SystemSpawn
    ) -> None:
        self.pid, self.output = popen.pid, output
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._popen, self._lifeline, self._cage, self._mark, self._spawn = popen, lifeline, cage, mark, spawn
        self._out_of_memory = self._refused = False
        self._watch_exit()

    @property
    def caged(self) -> bool:
        return self._cage.bounds_memory

    def _watch_exit(self) -> None:
        loop = asyncio.get_running_loop()
        if sys.platform == "linux":
            handle = os.pidfd_open(self.pid)
            loop.add_reader(handle, self._exited_by, handle)
        else:
            threading.Thread(target=self._wait_in_thread, args=(loop,), daemon=True).start()

    def _wait_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        self._popen.wait()
        # The loop is closed when the server ended first; then the worker's end is nobody's concern.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._finish)

    def _exited_by(self, handle: int) -> None:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)
        self._finish()

    def _finish(self) -> None:
        """The leader is dead but not reaped: its group can't be anyone else's yet, so end that first."""
        self._signal_group()
        self._out_of_memory, self._refused = self._cage.ran_out_of_memory(), self._cage.refused_processes()
        status = self._popen.wait()
        os.close(self._lifeline)
        if not self.exited.done():
            self.exited.set_result(status)

    def _signal_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        if self._popen.returncode is None:
            self._signal_group()

    def resident_bytes(self) -> int:
        try:
            return int((_PROC / str(self.pid) / "statm").read_bytes().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    def ran_out_of_memory(self) -> bool:
        return self._out_of_memory or self._cage.ran_out_of_memory()

    def processes_refused(self) -> bool:
        return self._refused or self._cage.refused_processes()

    async def bury(self) -> None:
        self.kill()
        await asyncio.shield(self.exited)
        if self._cage.bounds_memory:
            await asyncio.to_thread(self._cage.empty, _kill)
        elif self._mark:
            await self._spawn.sweep(self._mark)
        self._cage.remove()


def hide_from_own_user() -> None:
    """Keep other processes of this user from reading this one's environment, memory and open files.

    Workers are such processes, and the server's environment holds its secrets. Does not help against root, and is not
    there but on Linux: https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def peer_is_ours(connection: socket.socket) -> bool:
    """Whether the other end of a loopback TCP connection is a process of this user (Linux; elsewhere, unknown: True).

    A worker that speaks TCP is found by its port, which any user of the machine can try.
    """
    try:
        host, port = connection.getpeername()[:2]
        address = f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
        rows = (_PROC / "net" / "tcp").read_text().splitlines()
    except (OSError, ValueError):
        return True
    owners = [row.split()[7] for row in rows if row.split()[1] == address]
    return not owners or owners[0] == str(os.getuid())


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


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _kill_marked(mark: str) -> int:
    wanted, killed = f"\0{MARK}={mark}".encode(), 0
    for folder in _PROC.glob("[0-9]*"):
        try:
            environment = b"\0" + (folder / "environ").read_bytes()
        except OSError:
            # Someone else's process, or one that ended meanwhile.
            continue
        if wanted in environment and int(folder.name) != os.getpid():
            _kill(int(folder.name))
            killed += 1
    return killed
