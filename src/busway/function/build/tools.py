"""The programs that build: uv, npm and esbuild, each run to its end in a process of its own, bounded.

uv comes with Busway, npm with Node.js. esbuild is fetched by npm once, pinned by version and checksum, and then lies
in the data folder. Foreign code runs only in uv, for packages that are no wheels; npm runs no package's scripts.

A tool runs behind the walls of the functions' sandbox, where there is one: it reads the code and what it is made of,
and writes what it makes and a home of its own, which is gone afterwards. The network is open to it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from busway.clock import Clock, first_of
from busway.errors import BuildFailed
from busway.function.runtimes.node import Node
from busway.function.runtimes.walls import MOVES_ABI, landlock_abi
from busway.function.workers.output import Output
from busway.function.workers.process import MARK, Spawn, Start
from busway.function.workers.sandbox import NOT_ENCLOSED, Sandbox

# Ours: how long one tool may take, what it may use, and how much of what it says last is kept as the reason.
TOOL_S_MAX = 600.0
TOOL_MEMORY_BYTES = 2_147_483_648
REASON_LINES, REASON_CHARS = 15, 3_000
# Ours: how many tools run at once. Each uses more than one core already.
TOOLS_MAX = 2

ESBUILD = "0.28.2"
ESBUILD_LOCK = Path(__file__).parent / "esbuild"
NPM_OPTIONS = (
    "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--prefer-offline",
    "--loglevel=error", "--logs-max=0",
    # An .npmrc of the code could name another program.
    "--git=git",
)  # fmt: skip

# What of the server's environment a tool gets: how to find programs, and the way to the outside. In lower case.
_PASSED_ON = frozenset((
    "path", "lang", "ssl_cert_file", "ssl_cert_dir", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "uv_index", "uv_index_url", "uv_default_index", "uv_extra_index_url", "uv_index_strategy", "uv_http_timeout",
    "uv_native_tls", "uv_system_certs", "uv_offline", "uv_cache_dir", "pip_index_url",
    "node_extra_ca_certs", "npm_config_registry", "npm_config_proxy", "npm_config_https_proxy",
    "npm_config_noproxy", "npm_config_cafile", "npm_config_strict_ssl", "npm_config_offline",
    "npm_config_fetch_retries", "npm_config_userconfig", "npm_config_cache",
))  # fmt: skip
# Names and passwords of indexes that `UV_INDEX` names.
_PASSED_ON_STARTS = "uv_index_"
# Of those, what names files to read, and folders that the server's owner lets all builds share.
_FILES = ("ssl_cert_file", "ssl_cert_dir", "node_extra_ca_certs", "npm_config_cafile", "npm_config_userconfig")
_CACHES = ("uv_cache_dir", "npm_config_cache")
# npm's own files lie around this one, and not always where programs do.
_NPM = "npm-cli.js"

HINT_NODE = "install Node.js 20 or newer with npm"
HINT_ESBUILD = "TypeScript needs it, fetched once: let npm reach its registry, or deploy the handler as JavaScript"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a tool is run with. `mark` names the processes, for a server that finds them left over."""

    spawn: Spawn
    clock: Clock
    environment: Mapping[str, str]
    mark: str
    sandbox: Sandbox


@dataclass(frozen=True, slots=True)
class Job:
    """One tool to run in the folder `at`, to fill the folder `into`; `reads` is what it reads beside those.

    `cache` is a folder that the next such tool finds again, if there is one, `writes` are further ones that it may
    write. `bare`: it installs nothing, and gets no index's address or password.

    `trusted`: it runs nothing of the code, which is the user's own folder, and may read what that leads to. `heard`
    gets each line that it prints. `user` is the number of the system's user that it becomes, behind the walls.
    """

    what: str
    command: tuple[str, ...]
    into: Path
    at: Path
    reads: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    trusted: bool = False
    heard: Callable[[str], None] | None = None
    user: int | None = None
    cache: Path | None = None
    writes: tuple[Path, ...] = ()
    bare: bool = False


class Tools:
    """Runs tools. `folder` is where those lie that were fetched, `homes` where each gets one while it runs."""

    def __init__(self, folder: Path, homes: Path, machine: Machine) -> None:
        self.folder, self._homes, self._machine = folder, homes, machine
        # An older kernel lets nothing behind walls move a file to another folder, as installing does.
        self._walled = machine.sandbox.encloses and landlock_abi() >= MOVES_ABI
        self._slots = asyncio.Semaphore(TOOLS_MAX)
        self._numbers = itertools.count(1)

    async def run(self, job: Job) -> None:
        """Run it to its end. Raises `BuildFailed` that says what failed, and what the tool said last."""
        async with self._slots:
            lines: deque[str] = deque(maxlen=REASON_LINES)
            name = f"build-{next(self._numbers)}"
            home = self._homes / name
            await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
            try:
                problem = await self._run(self._start(job, name, home), lines, job.heard)
            finally:
                await asyncio.to_thread(shutil.rmtree, home, True)
        if problem:
            said = "\n".join(lines)[-REASON_CHARS:]
            raise BuildFailed(f"{job.what} failed: {problem}" + (f"\n{said}" if said else ""))

    def _start(self, job: Job, name: str, home: Path) -> Start:
        passes = _is_bare if job.bare else _is_passed_on
        passed_on = {name: value for name, value in self._machine.environment.items() if passes(name)}
        if job.user is not None:
            # Another user's cache is shut to it; without one of its own a tool keeps it in its home.
            passed_on = {name: value for name, value in passed_on.items() if name.lower() not in _CACHES}
        named = {name.lower(): Path(value) for name, value in passed_on.items() if os.path.isabs(value)}
        environment = {
            **passed_on, "HOME": str(home), "TMPDIR": str(home), **job.environment, **_cached(job.cache),
            MARK: f"{self._machine.mark}/{name}/",
        }  # fmt: skip
        enclosure = NOT_ENCLOSED
        if self._walled and not job.trusted:
            caches = [named[name] for name in _CACHES if name in named] if job.cache is None else [job.cache]
            for cache in caches:
                cache.mkdir(parents=True, exist_ok=True)
            reads = (*job.reads, *(named[name] for name in _FILES if name in named), *_folders_of(job.command))
            enclosure = self._machine.sandbox.enclose(job.at, reads, home, job.into, *job.writes, *caches)
            if job.user is not None:
                os.chown(home, job.user, job.user)
                enclosure = replace(enclosure, walls=(*enclosure.walls, f"u{job.user}"))
        return Start(
            ("exec", *job.command), environment, job.at, TOOL_MEMORY_BYTES, walls=enclosure.walls,
            wrapper=enclosure.wrapper,
        )  # fmt: skip

    async def _run(self, start: Start, lines: deque[str], heard: Callable[[str], None] | None) -> str | None:
        """What went wrong, None for nothing."""

        def line(text: str) -> None:
            lines.append(text)
            if heard is not None:
                heard(text)

        machine = self._machine
        try:
            child = machine.spawn.start(start)
        except OSError as error:
            return f"no process could be started: {error}"
        output = Output(child.output, line)
        try:
            status = await first_of(machine.clock, asyncio.shield(child.exited), TOOL_S_MAX)
            output.finish()
        finally:
            await child.bury()
            output.close()
        if status is None:
            return f"it took longer than {TOOL_S_MAX:g} seconds"
        if child.ran_out_of_memory():
            return f"it used more than {TOOL_MEMORY_BYTES} bytes of memory"
        return f"it ended with status {status}" if status else None


def _cached(folder: Path | None) -> dict[str, str]:
    """The variables by which uv and npm find their caches."""
    if folder is None:
        return {}
    return {"UV_CACHE_DIR": str(folder / "uv"), "npm_config_cache": str(folder / "npm")}


def _is_bare(name: str) -> bool:
    return name.lower() in ("path", "lang", "ssl_cert_file", "ssl_cert_dir")


def _is_passed_on(name: str) -> bool:
    return name.lower() in _PASSED_ON or name.lower().startswith(_PASSED_ON_STARTS)


def _folders_of(command: Sequence[str]) -> Iterator[Path]:
    """Where a program lies that is more than a file."""
    for word in command[:2]:
        file = Path(word).resolve() if os.path.isabs(word) else None
        if file is not None and file.is_file():
            yield file.parents[1] if file.name == _NPM else file


def find_uv(environment: Mapping[str, str]) -> str:
    """Beside the Python that runs the server, where Busway's own installation put it, or on the path."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.is_file() else shutil.which("uv", path=environment.get("PATH"))
    if found is None:
        raise BuildFailed("the dependencies need uv, which is not there; install it: pip install uv")
    return found


def need_npm(node: Node | None) -> tuple[str, ...]:
    """The command that starts npm. Raises `BuildFailed` with a hint."""
    if node is None or not node.npm:
        raise BuildFailed(f"npm is not there; {HINT_NODE}")
    return node.npm


def esbuild_in(folder: Path) -> Path | None:
    """esbuild's own executable below a folder that npm filled."""
    return next(folder.glob("node_modules/@esbuild/*/bin/esbuild"), None)
