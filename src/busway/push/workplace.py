"""Where a push is built: folders that are gone afterwards, also those of a server that was killed."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import os
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from busway.engine.embedded.disk import LOCK_NAME, Disk
from busway.errors import DataInUse

# Ours: users from 61,184 on are nobody's by convention. https://systemd.io/UIDS-GIDS/
USERS = range(61_184, 65_520)
_TOP = Path("/var/tmp" if Path("/var/tmp").is_dir() else tempfile.gettempdir())
_PREFIX = "busway-push-"

log = logging.getLogger(__name__)


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
    def repository(self) -> Path:
        """What was pushed, apart from the project's repository until it is live."""
        return self.root / "repository"

    @property
    def packages(self) -> Path:
        return self.root / "packages"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def told(self) -> Path:
        """What is written down for the steps that come: theirs to read only."""
        return self.root / "told"

    @property
    def folders(self) -> tuple[Path, ...]:
        return self.source, self.repository, self.packages, self.out, self.told


@asynccontextmanager
async def workplace(project: str, cache: Path) -> AsyncGenerator[Workplace]:
    """Empty folders, which are gone afterwards."""
    user = user_for(project)
    await asyncio.to_thread(sweep, _TOP)
    # Not below the server's data, which is for nobody else.
    top = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TOP))
    disk = Disk(top)
    disk.lock()
    try:
        made = Workplace(top / "build", user, cache if user is None else None)
        for folder in (made.root, *made.folders, *([made.cache] if made.cache else [])):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Who builds goes through these two, and can change nothing in them: not what `source` is, for one.
        top.chmod(0o711)
        made.root.chmod(0o711)
        yield made
    finally:
        await asyncio.to_thread(_remove, top)
        disk.unlock()


def sweep(top: Path) -> None:
    """Remove what servers left that were killed: whoever is at work has its folder's lock."""
    for folder in top.glob(f"{_PREFIX}*"):
        disk = Disk(folder)
        try:
            # Without a lock it was made this moment.
            if folder.lstat().st_uid != os.geteuid() or not (folder / LOCK_NAME).exists():
                continue
            disk.lock()
        except (DataInUse, OSError):
            continue
        log.info("%s was left over and is removed", folder)
        _remove(folder)
        disk.unlock()


def _remove(top: Path) -> None:
    """Folder by folder, each moved up before: what tests left may be deeper than Python, or a path, can go."""
    waiting, numbers = [top], itertools.count()
    try:
        for folder in waiting:
            folder.chmod(0o700)
            for entry in list(os.scandir(folder)):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                elif folder != top:
                    waiting.append(Path(top, f"moved-{next(numbers)}"))
                    os.rename(entry.path, waiting[-1])
                else:
                    waiting.append(Path(entry.path))
        for folder in reversed(waiting):
            folder.rmdir()
    except OSError as error:
        log.warning("%s could not be removed: %s", top, error)


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
