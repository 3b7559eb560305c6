"""What a build left behind, looked at before it is kept: packages' own code ran there, and may have left anything.

Workers read what lies here, and the server opens each file to sync it. So there are files, folders, and links that
stay inside; a link to somewhere else would open that to the function, and a pipe would be waited for, for ever.
"""

from __future__ import annotations

import os
from pathlib import Path

from busway.errors import BuildFailed


def examine(folder: Path, kept: str) -> None:
    """Raises `BuildFailed`. `kept` names the folder in it that is used; one that is missing is left to others."""
    inside = folder.resolve()
    if (folder / kept).is_symlink():
        raise _refused(folder / kept, folder, "a link in the place of a folder")
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink():
                    if not _stays(path, inside):
                        raise _refused(path, folder, f"a link to {os.readlink(path)}")
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif not entry.is_file(follow_symlinks=False):
                    raise _refused(path, folder, "what is no file")


def _stays(link: Path, inside: Path) -> bool:
    """Whether it ends below the folder, however many links it takes. One in a circle ends nowhere."""
    try:
        return link.resolve().is_relative_to(inside) and not os.path.isabs(os.readlink(link))
    except (OSError, RuntimeError):
        return False


def _refused(path: Path, folder: Path, what: str) -> BuildFailed:
    return BuildFailed(
        f"installing left {what} at {path.relative_to(folder)}; wanted files, folders, and links that stay among them"
    )
