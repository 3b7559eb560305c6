"""What a repository has set for pytest, and where it looks for tests. Imports nothing of it."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path
from typing import Any, cast

from busway.errors import BrokenProject

# The folders of a project in which tests are looked for.
TEST_FOLDERS = ("handlers", "rules", "tests")
# In pytest's order: the first file with its section counts, one called pytest.ini also without it.
# https://docs.pytest.org/en/stable/reference/customize.html
_FILES = (
    ("pytest.toml", ("pytest",)),
    (".pytest.toml", ("pytest",)),
    ("pytest.ini", ("pytest",)),
    (".pytest.ini", ("pytest",)),
    ("pyproject.toml", ("tool.pytest", "tool.pytest.ini_options")),
    ("tox.ini", ("pytest",)),
    ("setup.cfg", ("tool:pytest",)),
)


def pytest_settings(root: Path) -> dict[str, Any] | None:
    """The settings that pytest takes there, None where there are none. Raises BrokenProject."""
    for name, sections in _FILES:
        file = root / name
        if not file.is_file():
            continue
        found = _sections(file)
        given = [found[section] for section in sections if section in found]
        if given or name.endswith(("pytest.ini", "pytest.toml")):
            return {key: value for section in given for key, value in section.items()}
    return None


def all_testpaths(root: Path) -> list[str] | None:
    """The folders that are set and those of a project that they leave out; None where pytest looks everywhere."""
    given = (pytest_settings(root) or {}).get("testpaths")
    if not given:
        return None
    paths = given.split() if isinstance(given, str) else [str(path) for path in given]
    return [*paths, *(folder for folder in TEST_FOLDERS if folder not in paths and (root / folder).is_dir())]


def _sections(file: Path) -> dict[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix != ".toml":
            parser = configparser.ConfigParser(interpolation=None, strict=False)
            parser.read_string(text)
            return {name: dict(parser[name]) for name in parser.sections()}
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, configparser.Error, UnicodeDecodeError) as error:
        raise BrokenProject(f"{file} cannot be read: {error}") from error
    if file.name != "pyproject.toml":
        return {"pytest": document.get("pytest", {})}
    found = cast(dict[str, Any] | None, document.get("tool", {}).get("pytest"))
    return {} if found is None else {"tool.pytest": found, "tool.pytest.ini_options": found.get("ini_options", {})}
