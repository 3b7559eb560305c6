"""What a Python function asks to have installed: read from its files, nothing is run.

`requirements.txt`, or the dependencies of `pyproject.toml`. Code that carries its packages beside itself, as AWS
wants it, asks for nothing. Neither does it for what is there anyway: Busway itself; boto3, which AWS's runtime has
too, when the server's own environment has it new enough; in development everything that this environment has.
"""

from __future__ import annotations

import hashlib
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
from busway.function.definitions.package import folder_sha256

REQUIREMENTS, PROJECT = "requirements.txt", "pyproject.toml"
# Ours: what a worker has without asking. The first is not on PyPI, the others are part of AWS's runtime.
OURS = "busway"
GIVEN = (OURS, "boto3", "botocore")
# https://peps.python.org/pep-0508/#names
_REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:>=\s*([\d.]+))?")
_INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)[\s=]*(.+)")
_INCLUDES_MAX = 100

Installed = Callable[[str], str | None]
"""A distribution's name → its version in the server's environment, None for none."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is to be installed. `file` is read by uv as it is; "" when `lines` are what it would say."""

    digest: str
    file: Path | None
    lines: tuple[str, ...] = ()
    hashed: bool = False


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
        texts = list(_with_includes(file))
        lines = [line for _, text in texts for line in _lines(text)]
    elif project.is_file():
        texts, lines = [], list(_project_dependencies(project))
    else:
        return None
    wanted = [line for line in lines if not line.startswith("-")]
    if all(_is_there(line, installed, live=live) for line in wanted):
        return None
    digest = hashlib.sha256(f"{sys.implementation.cache_tag} {sysconfig.get_platform()}\n".encode())
    for name, text in texts or [("", "\n".join(lines))]:
        digest.update(f"{name}\n{text}\n".encode())
    if any(map(_is_local, lines)):
        digest.update(f"{code} {folder_sha256(code)}".encode())
    hashed = any("--hash" in text for _, text in texts)
    return Requirements(digest.hexdigest()[:32], file if texts else None, tuple(wanted), hashed)


def own_environment(code: Path) -> Path | None:
    """The packages of the `.venv` that lies in the folder, when it is of the Python that runs the functions."""
    found = code / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    return found if found.is_dir() else None


def _with_includes(file: Path) -> Iterator[tuple[str, str]]:
    """(path as written, text) of a requirements file and those that it names."""
    waiting, seen = [file], set[Path]()
    while waiting and len(seen) < _INCLUDES_MAX:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BuildFailed(f"{path.name}, which {file.name} names, can't be read: {error}") from error
        yield path.name, text
        waiting += [path.parent / match[1].strip() for line in _lines(text) if (match := _INCLUDE.fullmatch(line))]


def _lines(text: str) -> Iterator[str]:
    """The requirements and options of a requirements file, one each, without comments."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        plain = re.sub(r"(^|\s)#.*", "", line).strip()
        if plain:
            yield plain


def _project_dependencies(file: Path) -> Iterator[str]:
    try:
        project = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _ProjectFile)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BuildFailed(f"{file.name} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise BuildFailed(f"{file.name} has no list of dependencies: {error}") from error
    yield from (line.strip() for line in project.project.dependencies)


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


def _is_local(line: str) -> bool:
    """Whether it means files beside it, which are part of what is installed."""
    return line.startswith((".", "/", "-e", "--editable")) or "file:" in line
