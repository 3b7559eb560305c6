"""What a requirements file says, line by line, and that nothing in it leads out of the code's folder.

uv would follow it anywhere: to lists, folders and packages by their paths, and into the environment by `${NAME}`.
https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from busway.errors import BuildFailed

# Ours: how many lists one may be made of, and how long each is.
LISTS_MAX, LIST_BYTES_MAX = 32, 1_048_576
_SHOWN_CHARS = 200

OPTION = re.compile(
    r"(-[rcefi]|--(?:requirement|constraint|editable|find-links|index-url|extra-index-url))[\s=]*(.*)"
)
LISTS = ("-r", "-c", "--requirement", "--constraint")
_CONSTRAINTS = ("-c", "--constraint")
EDITABLE = ("-e", "--editable")
# A flag with another option after it: uv takes several in one line.
_FLAG = re.compile(r"--[\w-]+\s+(?=-)")
# https://peps.python.org/pep-0508/: a name from an index, and a name with where it comes from.
_FROM_INDEX = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:[<>=!~(;].*)?")
_FROM_PLACE = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*@\s*(.+)")
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar|tgz|tbz|txz|tlz|tar\.\w+)$", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class Line:
    """A requirement or an option. `where` is for messages; `folder` is that of its file.

    `constraint`: it stands in a list that bounds versions and wants nothing itself.
    """

    where: str
    text: str
    folder: Path
    constraint: bool = False

    def refused(self, why: str) -> BuildFailed:
        return BuildFailed(f"{self.where}: {self.text[:_SHOWN_CHARS]!r} {why}")


@dataclass(slots=True)
class Lists:
    """A list and those that it includes: (path as written, text) of each, and their lines."""

    texts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    lines: list[Line] = field(default_factory=list[Line])


def read_lists(code: Path, name: str) -> Lists:
    """The list `name` of a folder with all that it includes. Raises `BuildFailed` naming file and line."""
    root, lists, seen = code.resolve(), Lists(), set[tuple[Path, bool]]()
    waiting: list[tuple[Path, Line | None, bool]] = [(code / name, None, False)]
    while waiting:
        path, named_by, constraint = waiting.pop()
        if (path.resolve(), constraint) in seen:
            continue
        seen.add((path.resolve(), constraint))
        if len(seen) > LISTS_MAX:
            raise BuildFailed(f"{name} includes more than {LISTS_MAX} files")
        shown = str(path.resolve().relative_to(root)) if path.resolve().is_relative_to(root) else name
        text = _read(path, shown, named_by)
        lists.texts.append((shown, text))
        for line in _lines(text, shown, path.parent, constraint):
            lists.lines.append(line)
            target = check(line, root)
            if target is not None and line.text.startswith(LISTS):
                waiting.append((target, line, constraint or line.text.startswith(_CONSTRAINTS)))
    return lists


def _read(path: Path, shown: str, named_by: Line | None) -> str:
    try:
        if not path.is_file():
            raise FileNotFoundError("it is no file")
        with path.open("rb") as file:
            data = file.read(LIST_BYTES_MAX + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = f"{path.name} can't be read: {error}"
        raise BuildFailed(why) if named_by is None else named_by.refused(f"can't be followed: {why}") from error
    if len(data) > LIST_BYTES_MAX:
        raise BuildFailed(f"{shown} is longer than {LIST_BYTES_MAX} bytes")
    return text


def _lines(text: str, shown: str, folder: Path, constraint: bool) -> Iterator[Line]:
    """The requirements and options, one each, without comments; lines that end in a backslash go on.

    As for uv a comment ends with its line, whatever stands last in it.
    """
    number, start, held = 0, 0, ""
    for raw in [*re.split(r"\r\n|\r|\n", text), ""]:
        number += 1
        start = start if held else number
        plain = re.sub(r"(^|\s)#.*", "", raw)
        if plain.endswith("\\"):
            held += plain[:-1] + " "
            continue
        plain, held = (held + plain).strip(), ""
        while plain:
            flag = _FLAG.match(plain)
            yield Line(f"{shown}, line {start}", plain[: flag.end()].strip() if flag else plain, folder, constraint)
            plain = plain[flag.end() :] if flag else ""


def check(line: Line, root: Path) -> Path | None:
    """What of the code's folder the line names, if anything. Raises `BuildFailed` for what is outside of it."""
    if "${" in line.text:
        raise line.refused("asks for a variable of the environment; write what is meant")
    given = path_of(line.text)
    if given is None:
        if line.text.startswith(LISTS):
            raise line.refused("is not a file of the code; copy it there")
        return None
    # As uv does: what is installed is found from where uv runs, other files from the list that names them.
    option = OPTION.match(line.text)
    folder = line.folder if option and option[1] not in EDITABLE else root
    try:
        inside = all((folder / path).resolve().is_relative_to(root) for path in (given, unquote(given)))
    except (OSError, RuntimeError, ValueError) as error:
        raise line.refused(f"can't be followed: {error}") from error
    if not inside:
        raise line.refused("leads out of the code's folder; copy there what it names")
    return folder / given


def path_of(text: str) -> str | None:
    """The path in a line, None for what comes from an index or over the network."""
    option = OPTION.match(text)
    if option:
        return _local(option[2].strip().strip("\"'"))
    if text.startswith("-"):
        return None
    # Without its markers and hashes.
    wanted = re.split(r"\s+(?:;|--)", text, maxsplit=1)[0].strip()
    placed, plain = _FROM_PLACE.fullmatch(wanted), _FROM_INDEX.fullmatch(wanted)
    if placed:
        return _local(placed[1])
    return None if plain and not _ARCHIVE.search(plain[1]) else _local(wanted)


def _local(place: str) -> str | None:
    scheme = _SCHEME.match(place)
    if scheme is None:
        return place
    if scheme[1].lower() != "file" and not scheme[1].lower().endswith("+file"):
        return None
    return unquote(re.sub(r"^//[^/]*", "", place[scheme.end() :])) or "/"
