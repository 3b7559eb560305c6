"""The files of a new project, and what makes a project of a repository that is there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, cast

import msgspec

from busway.errors import GeneratorRefused
from busway.road.layout import LINE_LENGTH
from busway.road.pytest_settings import pytest_settings
from busway.road.rendering import render, write
from busway.road.root import NODE, PYTHON, Language, languages, read_package
from busway.road.typescript.package import put_package

_IGNORED = (".busway/", "node_modules/")
SETTINGS: dict[Language, str] = {"python": PYTHON, "typescript": NODE}
_COMMON = {"README.md": "README.md.jinja", ".gitignore": "gitignore.jinja"}
_FOLDERS: dict[Language, str] = {"python": "project", "typescript": "project_typescript"}
_PACKAGES = {
    # An installed package called `events` must not win over the folder: a folder with an __init__.py does.
    "events/__init__.py": "events_init.py.jinja",
    "handlers/__init__.py": "handlers_init.py.jinja",
}

# What asks for a zod before 4 and for none else: "^3.25.1", "~3.2", "3.x", "<4".
_OLD_ZOD = re.compile(r"(?:npm:zod@)?(?:[\^~=v<]|\s)*(?:[0-3](?:\.[\w*+-]+)*|(?<=<)4(?:\.0)*)\s*")
_PACKAGE_GROUPS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
# A file called .mjs or .cjs is what it is, whatever its package says.
_BY_PACKAGE = (".ts", ".tsx", ".js", ".jsx")


def new_project(folder: Path, name: str, bus: str = "default", language: Language = "python") -> list[Path]:
    """Write a project; return its files. Raises GeneratorRefused when the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GeneratorRefused(
            f"{folder} exists and is not empty", "take another name, or an empty folder; or `busway init` in it"
        )
    written = write(folder, _texts(folder, name, bus, language))
    if language == "typescript":
        put_package(folder)
    return written


def init_project(folder: Path, name: str, bus: str = "default", language: Language = "python") -> list[Path]:
    """Make a project of a folder with other things in it; return the files that were written or added to.

    Only .gitignore and the file with the settings are added to. A project in one language gets the other one so.
    Raises GeneratorRefused before anything is written.
    """
    _check_free(folder, name, language)
    if language == "typescript":
        _check_zod(folder)
    texts = _texts(folder, name, bus, language, is_new=False)
    settings = SETTINGS[language]
    added = {settings: "", ".gitignore": ""}
    there = [file for file in texts if (folder / file).exists()]
    if settings in there:
        complete = _with_tables if language == "python" else _with_members
        added[settings] = complete(folder / settings, texts[settings])
    if ".gitignore" in there:
        added[".gitignore"] = _with_lines(folder / ".gitignore", texts[".gitignore"])
    written = write(folder, {file: text for file, text in texts.items() if file not in there})
    for file, text in added.items():
        if text:
            (folder / file).write_text(text, encoding="utf-8")
            written.append(folder / file)
    if language == "typescript":
        put_package(folder)
    return written


def language_of(folder: Path) -> Language:
    """What a folder with other things in it seems to be in: TypeScript where npm's file is and Python's is not."""
    return "typescript" if (folder / NODE).is_file() and not (folder / PYTHON).is_file() else "python"


def _check_free(folder: Path, name: str, language: Language) -> None:
    found = languages(folder)
    if language in found:
        raise GeneratorRefused(
            f"{folder / SETTINGS[language]} is there already, and a project's", "busway add handler"
        )
    for package in ("events", "handlers"):
        if (folder / package).exists() and not found:
            raise GeneratorRefused(
                f"{folder / package} is there already, and may be something else",
                f"`busway new NAME` makes a project in a folder of its own, for example `busway new {name}-events`",
            )


def is_module(folder: Path) -> bool:
    """Whether files of the package may import and export; of one that we write they may."""
    return not (folder / NODE).is_file() or read_package(folder).get("type") == "module"


def own_code(folder: Path) -> Path | None:
    """A file that is read as package.json says, by its `type`, so that another type would break it."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if one != "node_modules" and not one.startswith("."))
        for file in sorted(files):
            if file.endswith(_BY_PACKAGE):
                return (Path(place) / file).relative_to(folder)
    return None


def _check_zod(folder: Path) -> None:
    package = read_package(folder) if (folder / NODE).is_file() else {}
    for group in _PACKAGE_GROUPS:
        wanted = cast(dict[str, Any], package.get(group) or {}).get("zod")
        if isinstance(wanted, str) and _OLD_ZOD.fullmatch(wanted):
            raise GeneratorRefused(
                f"{folder / NODE}: {group} has zod {wanted!r}; wanted zod 4: events are its schemas",
                'npm install "zod@^4", or a project in a folder of its own: `busway new NAME`',
            )


def _texts(folder: Path, name: str, bus: str, language: Language, *, is_new: bool = True) -> dict[str, str]:
    """`is_new`: nothing else is there, whose tests pytest would leave out if it were told ours."""
    templates = {
        "python": {"pyproject.toml": "pyproject.toml.jinja", **_COMMON, **_PACKAGES},
        "typescript": {"package.json": "package.json.jinja", "tsconfig.json": "tsconfig.json.jinja", **_COMMON},
    }
    facts = {"is_new": is_new, "has_pytest": pytest_settings(folder) is not None, "line_length": LINE_LENGTH}
    return {
        target: render(folder, f"{_FOLDERS[language]}/{template}", name=name, bus=bus, **facts)
        for target, template in templates[language].items()
    }


def _with_lines(file: Path, ours: str) -> str:
    """A text with the lines of ours that it lacks at its end, "" where it lacks none."""
    before = file.read_text(encoding="utf-8")
    missing = [line for line in ours.splitlines() if line in _IGNORED and line not in before.splitlines()]
    return "\n".join([before.rstrip(), *missing]).lstrip() + "\n" if missing else ""


def _with_tables(file: Path, ours: str) -> str:
    """A pyproject.toml with what it lacks of ours at its end: what Busway reads, and how pytest finds events."""
    tables = {part.split("]", 1)[0]: f"[{part}".strip() for part in ours.split("\n[")[1:]}
    wanted = ("tool.busway", "tool.busway.env.prod", "tool.pytest.ini_options")
    added = "".join(f"\n{tables[name]}\n" for name in wanted if name in tables)
    return f"{file.read_text(encoding='utf-8').rstrip()}\n{added}"


def _with_members(file: Path, ours: str) -> str:
    """A package.json with what it lacks of ours: Busway's settings, and the packages that handlers need.

    It becomes a package of modules, as handlers are, where nothing is there that would break by that.
    """
    package, wanted = read_package(file.parent), msgspec.json.decode(ours, type=dict[str, Any])
    for group in ("dependencies", "devDependencies"):
        package[group] = {**wanted[group], **cast(dict[str, Any], package.get(group) or {})}
    if own_code(file.parent) is None:
        package["type"] = wanted["type"]
    package = {**package, "busway": wanted["busway"]}
    return msgspec.json.format(msgspec.json.encode(package), indent=2).decode() + "\n"
