"""A pushed project, built and tested: each step in a process of its own behind the sandbox's walls.

    the commit's files -> dependencies -> `busway test` -> what is to be deployed, in a folder

Where the server is root's, the steps run as a user of the project's own (a number that no account has), unless the
server's Python is root's alone. What they get of the server's environment is what builds of functions get.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from busway.config import environment
from busway.errors import BuildFailed, PushRefused
from busway.function.build.tools import Job, Tools, find_uv, need_npm
from busway.function.runtimes.node import find_node
from busway.push.asked import BYTES_MAX, ENTRIES_MAX, Asked
from busway.push.pack import CODES, MANIFEST
from busway.push.receive import quarantine
from busway.push.workplace import Workplace
from busway.road.deploy import ZIP_BYTES_MAX
from busway.road.manifest import Manifest
from busway.road.release.release import Project

MANIFEST_BYTES_MAX = 8_388_608
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Say = Callable[[str], None]


class Builder:
    """Builds what was checked out at a workplace, and says how that goes."""

    def __init__(self, tools: Tools, place: Workplace, project: str, say: Say) -> None:
        """`project`: how it is to be called."""
        self._tools, self._place, self._project, self._say = tools, place, project, say

    async def build(self, repository: Path, pack: Path, commit: str) -> Project:
        """Raises PushRefused when a step fails."""
        place = self._place
        asked = await self._unpack(repository, pack, commit)
        if place.user is not None:
            await asyncio.to_thread(_give_to, (place.source, place.packages, place.out), place.user)
        if asked.packages:
            await self._install_python(asked.packages)
        if "typescript" in asked.languages:
            await self._install_node(asked.locked)
        self._say("running the tests")
        await self._run("the tests", (sys.executable, "-m", "busway", "test"), place.source)
        pack_it = (sys.executable, "-m", "busway.push.pack", str(place.out))
        await self._run("reading the project", pack_it, place.out, place.source)
        built = await asyncio.to_thread(read_built, place.out)
        self._check_name(built.manifest.project)
        return built

    def _check_name(self, found: str) -> None:
        if found != self._project:
            raise PushRefused(
                f"this project is called {found!r}, and was pushed to {self._project!r}",
                f"git remote set-url busway …/git/{found}.git",
            )

    async def _unpack(self, repository: Path, pack: Path, commit: str) -> Asked:
        """The commit's files in their folder, by a process that may run out of memory alone."""
        place, told = self._place, self._place.told / "asked.json"
        words = (str(place.repository), str(pack), commit, str(place.source), str(told))
        command = (sys.executable, "-m", "busway.push.unpack", *words)
        await asyncio.to_thread(quarantine, place.repository, repository)
        writes = (place.repository, place.source)
        reads = (pack, repository)
        job = Job("unpacking", command, place.told, place.source, reads, heard=self._say, writes=writes, bare=True)
        await self._do(job)
        try:
            asked = msgspec.json.decode(_bytes(told, MANIFEST_BYTES_MAX), type=Asked)
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise PushRefused(f"what was pushed cannot be read: {error}") from error
        if asked.problem:
            raise PushRefused(asked.problem, asked.hint)
        self._check_name(asked.project)
        return asked

    async def _install_python(self, lines: Sequence[str]) -> None:
        self._say(f"installing {', '.join(lines)}")
        file = self._place.told / "requirements.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        file.chmod(0o644)
        self._place.told.chmod(0o755)
        command = (
            find_uv(environment()), "pip", "install", "--no-config", "--quiet", "--no-progress", "--color", "never",
            "--python", sys.executable, "--target", str(self._place.packages), "--link-mode", "copy",
            "--requirements", str(file),
        )  # fmt: skip
        await self._run("installing the dependencies", command, self._place.packages, installs=True)

    async def _install_node(self, locked: bool) -> None:
        self._say("installing the packages of npm")
        command = (
            *need_npm(find_node()), "ci" if locked else "install", "--ignore-scripts", "--no-audit", "--no-fund",
            "--no-progress", "--prefer-offline", "--loglevel=error", "--logs-max=0",
        )  # fmt: skip
        await self._run("installing the packages of npm", command, self._place.source, installs=True)

    async def _run(
        self, what: str, command: tuple[str, ...], into: Path, *writes: Path, installs: bool = False
    ) -> None:
        place = self._place
        paths = {"PYTHONPATH": str(place.packages), "CI": "true", "BUSWAY_ENDPOINT": ""}
        job = Job(
            what, command, into, place.source, (place.packages, place.told), paths, heard=self._say, user=place.user,
            cache=place.cache if installs else None, writes=writes, bare=not installs,
        )  # fmt: skip
        await self._do(job)

    async def _do(self, job: Job) -> None:
        # Nothing but the steps' own folders is theirs, so none of these can have become a link.
        for folder in self._place.folders:
            if folder.is_symlink() or not folder.is_dir():
                raise PushRefused(f"{folder.name} is no folder any more")
        try:
            await self._tools.run(job)
        except BuildFailed as failure:
            raise PushRefused(failure.reason.split("\n", 1)[0]) from failure


def _give_to(folders: Sequence[Path], user: int) -> None:
    for folder in folders:
        for place in (folder, *folder.rglob("*")):
            os.chown(place, user, user, follow_symlinks=False)


def read_built(out: Path) -> Project:
    """What was written down. Nothing in it is taken for what it should be. Raises PushRefused."""
    try:
        manifest = msgspec.json.decode(_bytes(out / MANIFEST, MANIFEST_BYTES_MAX), type=Manifest)
        names = msgspec.json.decode(_bytes(out / CODES, MANIFEST_BYTES_MAX), type=dict[str, str])
        check_manifest(manifest, names)
        codes: dict[str, dict[str, Any]] = {}
        left = BYTES_MAX
        for handler, name in sorted(names.items()):
            codes[handler] = {"ZipFile": _bytes(out / Path(name).name, min(ZIP_BYTES_MAX, left))}
            left -= len(codes[handler]["ZipFile"])
    except (OSError, ValueError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise PushRefused(f"what was built cannot be read: {error}") from error
    return Project(manifest, codes)


def check_manifest(manifest: Manifest, codes: Mapping[str, str]) -> None:
    """What a project's own decorators check, again: they ran where the project's code did. Raises ValueError."""
    entries = [*manifest.handlers, *manifest.rules]
    if len(entries) > ENTRIES_MAX:
        raise ValueError(f"{len(entries)} handlers and rules; wanted at most {ENTRIES_MAX}")
    if {entry.name for entry in manifest.handlers} != set(codes) or len(set(codes.values())) != len(codes):
        raise ValueError("a code of its own is wanted for each handler")
    for entry in entries:
        if not _NAME.fullmatch(entry.name):
            raise ValueError(f"{entry.name!r} is no name of a handler or rule")
    for variable in (one for entry in manifest.handlers for one in (*entry.env, *entry.secrets)):
        if not _VARIABLE.fullmatch(variable) or variable.startswith("AWS_"):
            raise ValueError(f"{variable!r} is no name of a variable")


def _bytes(file: Path, bytes_max: int) -> bytes:
    """A plain file's bytes: no link, which could lead to what is the server's. Raises OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > bytes_max:
            raise OSError(f"{file.name} is no file of at most {bytes_max} bytes")
        return opened.read(bytes_max)
