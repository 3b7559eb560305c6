"""The programs that build: uv, npm and esbuild, each run to its end in a process of its own, bounded.

uv comes with Busway, npm with Node.js. esbuild is fetched by npm once, pinned by version and checksum, and then lies
in the data folder. Foreign code runs only in uv, for packages that are no wheels; npm runs no package's scripts.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from busway.clock import Clock, first_of
from busway.errors import BuildFailed
from busway.function.runtimes.node import Node
from busway.function.workers.output import Output
from busway.function.workers.process import MARK, Spawn, Start

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
)  # fmt: skip

# What of the server's environment a tool gets: how to find programs and its own settings, and the way to the outside.
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC")
_PASSED_ON_STARTS = ("UV_", "XDG_", "NPM_CONFIG_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

HINT_NODE = "install Node.js 20 or newer with npm"
HINT_ESBUILD = "TypeScript needs it, fetched once: let npm reach its registry, or deploy the handler as JavaScript"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a tool is run with. `mark` names the processes, for a server that finds them left over."""

    spawn: Spawn
    clock: Clock
    environment: Mapping[str, str]
    mark: str


class Tools:
    """Runs tools. `folder` is where those lie that were fetched."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder, self._machine = folder, machine
        self._slots = asyncio.Semaphore(TOOLS_MAX)
        self._numbers = itertools.count(1)

    async def run(self, what: str, command: Sequence[str], folder: Path, **environment: str) -> None:
        """Run it in `folder`. Raises `BuildFailed` that says `what` failed, and what the tool said last."""
        async with self._slots:
            lines: deque[str] = deque(maxlen=REASON_LINES)
            problem = await self._run(command, folder, environment, lines)
        if problem:
            said = "\n".join(lines)[-REASON_CHARS:]
            raise BuildFailed(f"{what} failed: {problem}" + (f"\n{said}" if said else ""))

    async def _run(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], lines: deque[str]
    ) -> str | None:
        """What went wrong, None for nothing."""
        machine = self._machine
        mark = f"{machine.mark}/build-{next(self._numbers)}/"
        passed_on = {name: value for name, value in machine.environment.items() if _is_passed_on(name)}
        start = Start(("exec", *command), {**passed_on, **environment, MARK: mark}, folder, TOOL_MEMORY_BYTES)
        try:
            child = machine.spawn.start(start)
        except OSError as error:
            return f"no process could be started: {error}"
        output = Output(child.output, lines.append)
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


def _is_passed_on(name: str) -> bool:
    return name in _PASSED_ON or name.upper().startswith(_PASSED_ON_STARTS)


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
