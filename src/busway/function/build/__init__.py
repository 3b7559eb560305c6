"""What a function's code needs before it can run, made once and shared: installed dependencies, bundled TypeScript.

This file is the seam. The registry asks `key` after the code is stored, runs `build` in the background while the
function is Pending, keeps the `Built` in the function's record, and hands to `sweep` what is still in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import msgspec

from busway.errors import BuildFailed as BuildFailed


class Built(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a worker needs beyond the code folder, as absolute paths below the data folder.

    `python_path` and `node_path` are folders of packages, searched after the code itself. `entry` is the folder from
    which the handler is loaded in place of the code folder, "" for none.
    """

    python_path: tuple[str, ...] = ()
    node_path: tuple[str, ...] = ()
    entry: str = ""


class Builder(Protocol):
    """Makes what functions need. The same key gives the same `Built`, made once however many ask for it."""

    def key(self, code: Path, runtime: str, handler: str) -> str | None:
        """A hash of all that the build depends on; None for nothing to build. Reads files: call it in a thread."""
        ...

    async def build(self, code: Path, runtime: str, handler: str) -> Built:
        """Build, or find what was built before. Raises `BuildFailed`, `StorageFull`."""
        ...

    async def sweep(self, used: Iterable[Built], unused_s: float) -> None:
        """Remove what none of `used` points to and nobody asked for in the last `unused_s` seconds.

        0 when the server starts; later long enough for workers of the code before to finish.
        """
        ...


class NothingToBuild:
    """For code that carries everything it needs."""

    def key(self, code: Path, runtime: str, handler: str) -> str | None:
        return None

    async def build(self, code: Path, runtime: str, handler: str) -> Built:
        return Built()

    async def sweep(self, used: Iterable[Built], unused_s: float) -> None:
        return None
