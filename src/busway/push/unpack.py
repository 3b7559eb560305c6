"""Takes what was pushed apart: `python -m busway.push.unpack REPOSITORY PACK COMMIT SOURCE TOLD`.

The pack's objects go to the repository, the commit's files to SOURCE, and what the project is written in and asks to
have installed to TOLD. A program of its own: a pack of a few bytes may ask for any amount of memory and time, so it
runs behind walls, with limits.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import msgspec
from dulwich.index import build_index_from_tree
from dulwich.object_store import BaseObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

from busway.errors import BuswayError, PushRefused
from busway.push.asked import BYTES_MAX, FILES_MAX, PACKAGES_MAX, Asked
from busway.road.root import NODE, PYTHON, languages, read_config

# What a worker has anyway.
_GIVEN = ("busway",)


def take_objects(repository: Repo, pack: Path, name: bytes) -> Commit:
    """Put the pack into the store; the commit. Raises PushRefused for a pack that is broken or lacks it."""
    store = repository.object_store
    try:
        if ObjectID(name) not in store:
            with pack.open("rb") as body:
                store.add_thin_pack(body.read, None, max_input_size=pack.stat().st_size)
        commit = store[ObjectID(name)]
    except Exception as error:
        raise PushRefused(f"the objects cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(commit, Commit):
        raise PushRefused(f"main is to be {type(commit).__name__} {name.decode()}; wanted a commit")
    return commit


def measure(store: BaseObjectStore, tree: ObjectID) -> None:
    """Raises PushRefused for more files or bytes than a project has. A tree may hold itself many times over."""
    waiting, files, size = [tree], 0, 0
    while waiting:
        found = store[waiting.pop()]
        if not isinstance(found, Tree):
            continue
        for entry in found.iteritems():
            files += 1
            if files > FILES_MAX:
                raise PushRefused(f"there are more than {FILES_MAX} files and folders")
            if entry.mode & 0o170000 == 0o040000:
                waiting.append(ObjectID(entry.sha))
            elif entry.sha in store:
                one = store[ObjectID(entry.sha)]
                size += len(one.data) if isinstance(one, Blob) else 0
            if size > BYTES_MAX:
                raise PushRefused(f"the files have more than {BYTES_MAX} bytes together")


def check_out(repository: Repo, commit: Commit, source: Path, index: Path) -> None:
    """Write the commit's files. Raises PushRefused for names that lead out of the folder."""
    measure(repository.object_store, commit.tree)
    try:
        build_index_from_tree(str(source), str(index), repository.object_store, commit.tree)
    except Exception as error:
        raise PushRefused(f"the files cannot be written: {type(error).__name__}: {error}") from error


def read_asked(root: Path) -> Asked:
    """Raises PushRefused for what is no project."""
    for name in (PYTHON, NODE):
        if (root / name).is_symlink():
            raise PushRefused(f"{name} is a link; wanted a file")
    try:
        found = languages(root)
        project = read_config(root).name if found else ""
    except BuswayError as error:
        raise PushRefused(str(error).replace(f"{root}/", ""), error.hint) from error
    if not found:
        raise PushRefused(
            "no Busway project was pushed: no pyproject.toml with [tool.busway], and no package.json with "
            '"busway", at its top',
            "busway init",
        )
    packages = wanted_packages(root / PYTHON) if "python" in found else []
    locked = (root / "package-lock.json").is_file()
    return Asked(languages=found, packages=packages, locked=locked, project=project)


def wanted_packages(file: Path) -> list[str]:
    """What a project's tests need: its dependencies and those of its group `dev`, but what is there anyway."""
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    groups = cast(dict[str, list[Any]], document.get("dependency-groups", {}))
    lines = [*document.get("project", {}).get("dependencies", []), *groups.get("dev", [])]
    wanted = [line for line in lines if isinstance(line, str) and not line.startswith(_GIVEN)]
    for line in wanted:
        if line.lstrip().startswith("-") or not line.isprintable():
            raise PushRefused(f"pyproject.toml depends on {line!r}; wanted a package's name and version")
    if len(wanted) > PACKAGES_MAX:
        raise PushRefused(f"pyproject.toml depends on {len(wanted)} packages; wanted at most {PACKAGES_MAX}")
    return wanted


def main(repository: str, pack: str, commit: str, source: str, told: str) -> int:
    place = Path(told)
    try:
        opened = Repo(repository)
        check_out(opened, take_objects(opened, Path(pack), commit.encode()), Path(source), place.parent / "index")
        asked = read_asked(Path(source))
    except PushRefused as refusal:
        asked = Asked(problem=str(refusal), hint=refusal.hint)
    place.write_bytes(msgspec.json.encode(asked))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
