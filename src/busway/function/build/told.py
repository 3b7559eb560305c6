"""What uv is told to install: each line of the code's lists as we read it, and nothing that we did not understand.

uv never sees the lists themselves, so where it would read one otherwise than we do, nothing comes of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from busway.function.build.requirements import EDITABLE, LISTS, OPTION, Line, path_of

_FLAGS = ("--no-index", "--pre", "--prefer-binary", "--require-hashes")
_WITH_VALUE = re.compile(r"(--no-binary|--only-binary|--trusted-host|--use-feature)[\s=]+(\S+)")
_HASH = re.compile(r"\s+--hash(?:=|\s+)(\w+:[0-9A-Fa-f]+)(?=\s|$)")
_FURTHER = re.compile(r"\s-")


@dataclass(frozen=True, slots=True)
class Told:
    """The lines of the two files that uv gets."""

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]


def told(lines: Iterable[Line], root: Path, at: Path) -> Told:
    """`root` is the code's folder, `at` where it lies while uv runs. Raises `BuildFailed` naming file and line."""
    wanted: list[str] = []
    bounds: list[str] = []
    for line in lines:
        if not line.text.startswith(LISTS):
            understood = _understood(line, root, at)
            (bounds if line.constraint and not understood.startswith("-") else wanted).append(understood)
    return Told(tuple(wanted), tuple(bounds))


def _understood(line: Line, root: Path, at: Path) -> str:
    text = line.text.replace("\t", " ")
    if not text.isprintable():
        raise line.refused("has characters that can't be seen")
    if option := OPTION.match(text):
        value = option[2].strip().strip("\"'")
        if re.search(r"\s", value) and (path_of(text) is None or option[1] in EDITABLE):
            raise line.refused("has another option behind it, or a space")
        if option[1] in EDITABLE:
            if line.constraint:
                raise line.refused("bounds no version, as a constraint does")
            return f"-e {value}"
        return f"{option[1]} {_place(line, value, root, at)}"
    if text in _FLAGS:
        return text
    if with_value := _WITH_VALUE.fullmatch(text):
        return f"{with_value[1]} {with_value[2]}"
    if text.startswith("-"):
        raise line.refused("is no option that Busway understands")
    plain, hashes = _HASH.sub("", text), _HASH.findall(text)
    if _FURTHER.search(plain):
        raise line.refused("has an option behind it; write that on a line of its own")
    return " ".join([plain.strip(), *(f"--hash={one}" for one in hashes)])


def _place(line: Line, value: str, root: Path, at: Path) -> str:
    """An index, or a folder of packages: the address, or where the folder lies. `check` has seen where it leads."""
    given = path_of(line.text)
    if given is None:
        return value
    found = line.folder / given
    if not found.exists():
        found = line.folder / unquote(given)
    return (at / found.resolve().relative_to(root.resolve())).as_uri()
