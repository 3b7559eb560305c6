"""The events as they were: in a folder of exported schemas, or in a commit of the project's repository."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from busway.errors import BrokenProject
from busway.road.describe import describe
from busway.road.root import is_node
from busway.road.schemas.export import document, read_document
from busway.road.typescript.package import put_package


async def schemas_at(root: Path, reference: str) -> dict[str, Any]:
    """By event name. `reference` is a folder, or what git knows a commit by. Raises BrokenProject."""
    folder = Path(reference)
    if folder.is_dir():
        files = sorted(folder.glob("*.json"))
        if not files:
            raise BrokenProject(f"{folder} holds no schemas", "`busway schema export --out DIR` writes them")
        return {file.stem: read_document(str(file), file.read_bytes()) for file in files}
    prefix = _git(root, "rev-parse", "--show-prefix").decode().strip()
    archive = _git(root, "archive", "--format=tar", f"{_commit(root, reference)}:{prefix}")
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(scratch, filter="data")
        _lend_packages(root, Path(scratch))
        manifest = await describe(Path(scratch))
    return {event.name: document(event) for event in manifest.events}


def _lend_packages(root: Path, copy: Path) -> None:
    """A project in TypeScript is read with the packages that are installed now."""
    if is_node(copy) and (root / "node_modules").is_dir():
        put_package(root)
        (copy / "node_modules").symlink_to(root / "node_modules")


def _commit(root: Path, reference: str) -> str:
    # What begins with a dash would be an option.
    try:
        return _git(root, "rev-parse", "--verify", "--end-of-options", f"{reference}^{{commit}}").decode().strip()
    except BrokenProject as error:
        raise BrokenProject(
            f"there is no folder {reference!r}, and git knows no commit by that name", error.hint
        ) from error


def _git(root: Path, *words: str) -> bytes:
    try:
        run = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise BrokenProject("git is not installed", "or give --against a folder of exported schemas") from error
    if run.returncode:
        said = run.stderr.decode(errors="replace").strip()
        raise BrokenProject(f"git {' '.join(words)}: {said}", "--against takes a commit, a branch, or a folder")
    return run.stdout
