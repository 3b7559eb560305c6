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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from busway.function.workers.cage import Cage, Cages
from busway.function.workers.usage import only_descendant, resident_bytes

# The variable that marks a worker's processes, also those that left its group. A mark ends in `/`, so that a mark is
# no beginning of another one.
MARK = "BUSWAY_WORKER"

# As `runtimes/launch.py` knows it.
HELD_BACK = "BUSWAY_HELD_BACK_"

_LAUNCH = Path(__file__).parents[1] / "runtimes" / "launch.py"
_PROC = Path("/proc")
_PR_SET_DUMPABLE = 4
# As a shell does, a wrapper adds this to the signal that ended what it ran.
_SHELL_SIGNALS = 128
_TRIAL_S = 10.0
# Ours: a process that forks while it is ended may escape one look.
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Start:
    """A process to start. `command` is what `runtimes/launch.py` takes after its own arguments.

    `channel` is the process's end of the socket to us, if it gets one; it is closed here once it is handed over.
    `walls` and `wrapper` are those of its `sandbox.Enclosure`.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    memory_bytes: int
    channel: socket.socket | None = None
    walls: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()


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

    async def bury(self) -> int:
        """Return when nothing of it is left; how many processes outside its group that ended."""
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
        try:
            popen = subprocess.Popen(
                _command(start, cage, lifeline, channel),
                cwd=start.folder,
                env=_held_back(start.environment),
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
        mark = start.environment.get(MARK, "")
        return SystemChild(popen, read_end, held, cage, mark, self, wrapped=bool(start.wrapper))

    async def sweep(self, mark: str) -> int:
        # Reads /proc of every process: tens of microseconds each, so not on the event loop.
        return await asyncio.to_thread(_end_marked, mark, _Strays())


def _held_back(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, with what the loader would act on (LD_PRELOAD) under a name that it doesn't know."""
    return {f"{HELD_BACK}{name}" if name.startswith("LD_") else name: text for name, text in environment.items()}


def _command(start: Start, cage: Cage, lifeline: int, channel: int) -> list[str]:
    """A wrapper has name spaces of its own: the groups' files are shown in it, and it dies with us by itself."""
    shown = [word for file in cage.member_files for word in ("--bind", file, file)]
    wrapper = [*start.wrapper, *shown] if start.wrapper else []
    server = 0 if wrapper else os.getpid()
    # Isolated, without `site`: nothing of the function's (PYTHONPATH, sitecustomize) runs before the walls stand.
    launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(server), str(lifeline), str(channel)]
    walls = [str(len(start.walls)), *start.walls]
    return [*wrapper, *launch, ":".join(cage.member_files), *walls, *start.command]


def output_of(command: Sequence[str]) -> str:
    """What a short program prints; "" when it can't be run or fails. Blocks until it ends."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRIAL_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


class SystemChild:
    """A process started by `SystemSpawn`."""

    def __init__(
        self, popen: subprocess.Popen[bytes], output: int, lifeline: int, cage: Cage, mark: str, spawn: SystemSpawn,
        *, wrapped: bool,
    ) -> None:  # fmt: skip
        self.pid, self.output = popen.pid, output
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._popen, self._lifeline, self._cage, self._mark, self._spawn = popen, lifeline, cage, mark, spawn
        self._out_of_memory = self._refused = False
        self._wrapped = wrapped
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
        if self._wrapped and status > _SHELL_SIGNALS:
            status = _SHELL_SIGNALS - status
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
        return resident_bytes(only_descendant(self.pid) if self._wrapped else self.pid)

    def ran_out_of_memory(self) -> bool:
        return self._out_of_memory or self._cage.ran_out_of_memory()

    def processes_refused(self) -> bool:
        return self._refused or self._cage.refused_processes()

    async def bury(self) -> int:
        self.kill()
        await asyncio.shield(self.exited)
        strays = _Strays(self.pid)
        if self._cage.bounds_memory:
            await asyncio.to_thread(self._cage.empty, strays)
        elif self._mark:
            await asyncio.to_thread(_end_marked, self._mark, strays)
        self._cage.remove()
        return len(strays.found)


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


class _Strays:
    """Ends processes, and notes those that are not of `group`, which was ended before."""

    def __init__(self, group: int = 0) -> None:
        self._group = group
        self.found: set[int] = set()

    def __call__(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) != self._group:
                self.found.add(pid)
            os.kill(pid, signal.SIGKILL)


def _end_marked(mark: str, end: Callable[[int], None]) -> int:
    """End every process with the mark, and those that they started meanwhile; how many there were."""
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        found = set(_marked(mark)) - ended
        if not found:
            break
        for pid in found:
            end(pid)
        ended |= found
    return len(ended)


def _marked(mark: str) -> Iterator[int]:
    wanted = f"\0{MARK}={mark}".encode()
    for folder in _PROC.glob("[0-9]*"):
        try:
            environment = b"\0" + (folder / "environ").read_bytes()
        except OSError:
            # Someone else's process, or one that ended meanwhile.
            continue
        if wanted in environment and int(folder.name) != os.getpid():
            yield int(folder.name)
