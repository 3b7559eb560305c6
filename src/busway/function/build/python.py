"""What a Python function asks to have installed: read from its files, nothing is run.

`requirements.txt`, or the dependencies of `pyproject.toml`. Code that carries its packages beside itself, as AWS
wants it, asks for nothing. Neither does it for what is there anyway: Busway itself; boto3, which AWS's runtime has
too, when the server's own environment has it new enough; in development everything that this environment has.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version as version_of
from pathlib import Path

import msgspec

from busway.errors import BuildFailed
from busway.function.build.requirements import EDITABLE, LISTS, Line, Lists, check, path_of, read_lists
from busway.function.build.told import Told, told

REQUIREMENTS, PROJECT = "requirements.txt", "pyproject.toml"
# Ours: what a worker has without asking. The first is not on PyPI, the others are part of AWS's runtime.
OURS = "busway"
GIVEN = (OURS, "boto3", "botocore")
# No part of what is built from a folder, and much in a project under development.
NO_SOURCE = (".git", ".venv", "__pycache__", "node_modules", ".busway")
# https://peps.python.org/pep-0508/#names
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:>=\s*([\d.]+))?")

Installed = Callable[[str], str | None]
"""A distribution's name → its version in the server's environment, None for none."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is to be installed, as the code's lists say it. `local`: something in the code's folder is part of it."""

    digest: str
    lines: tuple[Line, ...]
    hashed: bool = False
    local: bool = False

    def told(self, code: Path, at: Path) -> Told:
        """What uv is told, with the code's folder lying at `at`."""
        return told(self.lines, code, at)


class _Project(msgspec.Struct):
    dependencies: list[str] = []


class _ProjectFile(msgspec.Struct):
    project: _Project = msgspec.field(default_factory=_Project)


def installed_here(name: str) -> str | None:
    try:
        return version_of(name)
    except PackageNotFoundError:
        return None


def requirements_of(code: Path, *, live: bool, installed: Installed = installed_here) -> Requirements | None:
    """What the code asks for beyond what is there; None for nothing. Raises `BuildFailed` for a file that is none."""
    if any(code.glob("*.dist-info")):
        return None
    file, project = code / REQUIREMENTS, code / PROJECT
    if file.is_file():
        lists = read_lists(code, REQUIREMENTS)
    elif project.is_file():
        lists = Lists(lines=list(_project_dependencies(project)))
        for line in lists.lines:
            check(line, code.resolve())
    else:
        return None
    lines = [line.text for line in lists.lines]
    wanted = [line for line in lines if not line.startswith("-") or line.startswith(EDITABLE)]
    if all(_is_there(line, installed, live=live) for line in wanted):
        return None
    # Refused here, before anything is made; where uv will run is not known yet.
    told(lists.lines, code, code)
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sysconfig.get_platform()}\n".encode())
    for name, text in lists.texts or [("", "\n".join(lines))]:
        digest.update(f"{name}\n{text}\n".encode())
    local = any(path_of(line.text) is not None and not line.text.startswith(LISTS) for line in lists.lines)
    if local:
        # What lies there is part of it, and not what lies in another function's folder under the same name.
        digest.update(f"{code} {contents_sha256(code)}".encode())
    hashed = any("--hash" in text for _, text in lists.texts)
    return Requirements(digest.hexdigest()[:32], tuple(lists.lines), hashed, local)


def contents_sha256(code: Path) -> str:
    """Of the names and bytes of its files, hidden ones too; not of what is made from others, or installed."""
    digest = hashlib.sha256()
    for root, folders, files in os.walk(code):
        folders[:] = sorted(name for name in folders if name not in NO_SOURCE)
        for name in sorted(files):
            path = Path(root) / name
            if path.is_file():
                with path.open("rb") as file:
                    about = f"{path.relative_to(code)} {path.stat().st_size} "
                    digest.update(about.encode(errors="surrogateescape"))
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def own_environment(code: Path) -> Path | None:
    """The packages of the `.venv` that lies in the folder, when it is of the Python that runs the functions."""
    found = code / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    return found if found.is_dir() else None


def _project_dependencies(file: Path) -> Iterator[Line]:
    try:
        project = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _ProjectFile)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BuildFailed(f"{file.name} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise BuildFailed(f"{file.name} has no list of dependencies: {error}") from error
    for number, text in enumerate(project.project.dependencies, 1):
        yield Line(f"{file.name}, dependency {number}", text.strip(), file.parent)


def _is_there(line: str, installed: Installed, *, live: bool) -> bool:
    """Whether a worker has it without an installation. Only plain names and lower bounds are judged."""
    match = _REQUIREMENT.fullmatch(line)
    name = re.split(r"[^\w.-]", line, maxsplit=1)[0].lower().replace("_", "-")
    if name == OURS:
        return True
    if match is None or not (live or name in GIVEN):
        return False
    found = installed(name)
    return found is not None and _release(found) >= _release(match[2] or "0")


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
