"""The files of a new project, and what makes a project of a repository that is there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, cast

from busway.errors import BrokenProject, GeneratorRefused
from busway.road.layout import LINE_LENGTH
from busway.road.rendering import render, write

_IGNORED = ".busway/"
_PACKAGES = {
    # An installed package called `events` must not win over the folder: a folder with an __init__.py does.
    "events/__init__.py": "events_init.py.jinja",
    "handlers/__init__.py": "handlers_init.py.jinja",
}


def new_project(folder: Path, name: str, bus: str = "default") -> list[Path]:
    """Write a project; return its files. Raises GeneratorRefused when the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GeneratorRefused(
            f"{folder} exists and is not empty", "take another name, or an empty folder; or `busway init` in it"
        )
    return write(folder, _texts(folder, name, bus))


def init_project(folder: Path, name: str, bus: str = "default") -> list[Path]:
    """Make a project of a folder with other things in it; return the files that were written or added to.

    Only pyproject.toml and .gitignore are added to, at their end. Raises GeneratorRefused before anything is written.
    """
    for package in ("events", "handlers"):
        if (folder / package).exists():
            raise GeneratorRefused(
                f"{folder / package} is there already, and may be something else",
                f"`busway new NAME` makes a project in a folder of its own, for example `busway new {name}-events`",
            )
    texts = _texts(folder, name, bus)
    added = {"pyproject.toml": _tables(folder / "pyproject.toml", texts["pyproject.toml"]), ".gitignore": _IGNORED}
    there = [file for file in texts if (folder / file).exists()]
    written = write(folder, {file: text for file, text in texts.items() if file not in there})
    for file, text in added.items():
        before = (folder / file).read_text(encoding="utf-8") if file in there else ""
        if file in there and text and text not in before.splitlines():
            (folder / file).write_text(f"{before.rstrip()}\n{text}\n".lstrip(), encoding="utf-8")
            written.append(folder / file)
    return written


def _texts(folder: Path, name: str, bus: str) -> dict[str, str]:
    templates = {
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
        ".gitignore": "gitignore.jinja",
        **_PACKAGES,
    }
    return {
        target: render(folder, f"project/{template}", name=name, bus=bus, line_length=LINE_LENGTH)
        for target, template in templates.items()
    }


def _tables(file: Path, ours: str) -> str:
    """What a pyproject.toml lacks of ours, "" where there is none: what Busway reads, and how pytest finds events."""
    if not file.exists():
        return ""
    try:
        tools = cast(dict[str, Any], tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}))
    except tomllib.TOMLDecodeError as error:
        raise BrokenProject(f"{file} is not TOML: {error}") from error
    if "busway" in tools:
        raise GeneratorRefused(f"{file} has [tool.busway]: this is a project already", "busway add handler")
    tables = {part.split("]", 1)[0]: f"[{part}".strip() for part in ours.split("\n[")[1:]}
    wanted = ["tool.busway"] if "pytest" in tools else ["tool.busway", "tool.pytest.ini_options"]
    return "".join(f"\n{tables[name]}\n" for name in wanted).rstrip()
