"""A pushed project, built and tested: each step in a process of its own behind the sandbox's walls.

    the commit's files -> dependencies -> `busway test` -> what is to be deployed, in a folder

Where the server is root's, the steps run as a user of the project's own (a number that no account has), unless the
server's Python is root's alone. What they get of the server's environment is what builds of functions get.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import tomllib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from busway.config import environment
from busway.errors import BrokenProject, BuildFailed, PushRefused
from busway.function.build.tools import Job, Tools, find_uv, need_npm
from busway.function.runtimes.node import find_node
from busway.push.pack import CODES, MANIFEST
from busway.road.deploy import ZIP_BYTES_MAX
from busway.road.manifest import Manifest
from busway.road.release.release import Project
from busway.road.root import NODE, PYTHON, Language, languages

# Ours: users from 61,184 on are nobody's by convention. https://systemd.io/UIDS-GIDS/
USERS = range(61_184, 65_520)
MANIFEST_BYTES_MAX = 8_388_608
# What a worker has anyway.
_GIVEN = ("busway",)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Workplace:
    """The folders of one build: the commit's files, what is installed for them, and what comes of it.

    `cache` is the project's, kept from push to push; a user of its own has none, as the server's data is shut to it.
    """

    root: Path
    user: int | None
    cache: Path | None = None

    @property
    def source(self) -> Path:
        return self.root / "source"

    @property
    def packages(self) -> Path:
        return self.root / "packages"

    @property
    def out(self) -> Path:
        return self.root / "out"


@contextmanager
def workplace(project: str, cache: Path) -> Generator[Workplace]:
    """Empty folders, which are gone afterwards."""
    user = user_for(project)
    # Not below the server's data, which is for nobody else.
    top = Path(tempfile.mkdtemp(prefix="busway-push-", dir="/var/tmp" if Path("/var/tmp").is_dir() else None))
    try:
        made = Workplace(top / "build", user, cache if user is None else None)
        for folder in (made.root, made.source, made.packages, made.out, *([made.cache] if made.cache else [])):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        top.chmod(0o711)
        yield made
    finally:
        shutil.rmtree(top, ignore_errors=True)


def user_for(project: str) -> int | None:
    """The number of the project's own user; None where the server may not become one, or that could run nothing."""
    if os.geteuid() != 0 or not all(_is_anybodys(Path(place)) for place in (sys.executable, sys.prefix, __file__)):
        return None
    digest = hashlib.sha256(project.encode()).digest()
    return USERS[int.from_bytes(digest[:4], "big") % len(USERS)]


def _is_anybodys(place: Path) -> bool:
    """Whether everybody may read it, and go to where it lies."""
    real = place.resolve()
    mode = stat.S_IROTH | (stat.S_IXOTH if real.is_dir() else 0)
    return real.stat().st_mode & mode == mode and all(one.stat().st_mode & stat.S_IXOTH for one in real.parents)


class Builder:
    """Builds what was checked out at a workplace, and says how that goes."""

    def __init__(self, tools: Tools, place: Workplace, say: Say) -> None:
        self._tools, self._place, self._say = tools, place, say

    async def build(self) -> Project:
        """Raises PushRefused when a step fails."""
        languages = languages_of(self._place.source)
        if self._place.user is not None:
            await asyncio.to_thread(_give_to, self._place.root, self._place.user)
        if "python" in languages:
            await self._install_python()
        if "typescript" in languages:
            await self._install_node()
        self._say("running the tests")
        await self._run("the tests", sys.executable, "-m", "busway", "test")
        await self._run("reading the project", sys.executable, "-m", "busway.push.pack", str(self._place.out))
        return read_built(self._place.out)

    async def _install_python(self) -> None:
        lines = wanted_packages(self._place.source / "pyproject.toml")
        if not lines:
            return
        self._say(f"installing {', '.join(lines)}")
        file = self._place.root / "requirements.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        await self._run(
            "installing the dependencies", find_uv(environment()), "pip", "install", "--no-config", "--quiet",
            "--no-progress", "--color", "never", "--python", sys.executable, "--target", str(self._place.packages),
            "--link-mode", "copy", "--requirements", str(file),
        )  # fmt: skip

    async def _install_node(self) -> None:
        locked = (self._place.source / "package-lock.json").is_file()
        self._say("installing the packages of npm")
        await self._run(
            "installing the packages of npm", *need_npm(find_node()), "ci" if locked else "install",
            "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--prefer-offline", "--loglevel=error",
            "--logs-max=0",
        )  # fmt: skip

    async def _run(self, what: str, *command: str) -> None:
        place = self._place
        paths = {"PYTHONPATH": str(place.packages), "CI": "true", "BUSWAY_ENDPOINT": ""}
        job = Job(
            what, command, place.root, place.source, (), paths, heard=self._say, user=place.user, cache=place.cache
        )
        try:
            await self._tools.run(job)
        except BuildFailed as failure:
            raise PushRefused(failure.reason.split("\n", 1)[0]) from failure


def languages_of(root: Path) -> list[Language]:
    """What a pushed project is written in. Raises PushRefused for what is none."""
    for name in (PYTHON, NODE):
        if (root / name).is_symlink():
            # It is read here, where more can be read than was pushed.
            raise PushRefused(f"{name} is a link; wanted a file")
    try:
        found = languages(root)
    except BrokenProject as error:
        raise PushRefused(str(error).replace(f"{root}/", ""), error.hint) from error
    if not found:
        raise PushRefused(
            "no Busway project was pushed: no pyproject.toml with [tool.busway], and no package.json with "
            '"busway", at its top',
            "busway init",
        )
    return found


def wanted_packages(file: Path) -> list[str]:
    """What a project's tests need: its dependencies and those of its group `dev`, but what is there anyway."""
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    groups = cast(dict[str, list[Any]], document.get("dependency-groups", {}))
    lines = [*document.get("project", {}).get("dependencies", []), *groups.get("dev", [])]
    return [line for line in lines if isinstance(line, str) and not line.startswith(_GIVEN) and "\n" not in line]


def _give_to(folder: Path, user: int) -> None:
    os.chown(folder, user, user)
    for place in folder.rglob("*"):
        os.chown(place, user, user, follow_symlinks=False)


def read_built(out: Path) -> Project:
    """What was written down. Nothing in it is taken for what it should be. Raises PushRefused."""
    try:
        manifest = msgspec.json.decode(_bytes(out / MANIFEST, MANIFEST_BYTES_MAX), type=Manifest)
        names = msgspec.json.decode(_bytes(out / CODES, MANIFEST_BYTES_MAX), type=dict[str, str])
        codes = {
            handler: {"ZipFile": _bytes(out / Path(name).name, ZIP_BYTES_MAX)} for handler, name in names.items()
        }
    except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise PushRefused(f"what was built cannot be read: {error}") from error
    if {entry.name for entry in manifest.handlers} != set(codes):
        raise PushRefused("what was built lacks the code of a handler")
    return Project(manifest, codes)


def _bytes(file: Path, bytes_max: int) -> bytes:
    """A plain file's bytes: no link, which could lead to what is the server's. Raises OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > bytes_max:
            raise OSError(f"{file.name} is no file of at most {bytes_max} bytes")
        return opened.read(bytes_max)
