"""What the generator remembers of what it wrote, beside it: what was asked for, and what each file was.

By it `busway templates update` tells files that nobody touched since, and makes them anew. The record is a hidden
file of JSON that is committed with the others: `handlers/send_mail/.generated.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from busway.errors import BrokenProject

NAME = ".generated.json"
Kind = Literal["handler", "event", "rule"]


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """`spec` is what was asked for; `files` the SHA-256 of each text as it was written, by its path in it."""

    kind: Kind
    spec: dict[str, Any]
    files: dict[str, str]


def record_of(kind: Kind, name: str) -> str:
    """Where the record of a handler (by its folder), an event or a rule (by its file) lies in the project."""
    return f"handlers/{name}/{NAME}" if kind == "handler" else f"{kind}s/.{name}{NAME}"


def generated(root: Path, kind: Kind, spec: object, texts: Mapping[str, str]) -> Generated:
    """The record of texts by their paths. `spec` is a dataclass; paths in it lie below the project."""
    about = cast(dict[str, Any], _plain(root, spec))
    return Generated(kind=kind, spec=about, files={file: digest(text) for file, text in texts.items()})


def _plain(root: Path, value: object) -> object:
    """As JSON has it, without what was not asked for: then an option that comes later is not asked for either."""
    if isinstance(value, Path):
        return str(value.relative_to(root) if value.is_absolute() else value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(root, one) for one in cast(Sequence[object], value)]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    asked = {field: getattr(value, field.name) for field in fields(value)}
    return {field.name: _plain(root, one) for field, one in asked.items() if one != _default(field)}


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def record_text(record: Generated) -> str:
    return msgspec.json.format(msgspec.json.encode(record), indent=2).decode() + "\n"


def records(root: Path) -> dict[str, Generated]:
    """Every record, by its path in the project. Raises BrokenProject for one that is none."""
    found = [*(root / "handlers").glob(f"*/{NAME}"), *(root / "events").glob(f".*{NAME}")]
    found += (root / "rules").glob(f".*{NAME}")
    return {str(file.relative_to(root)): _read(file) for file in sorted(found)}


def _read(file: Path) -> Generated:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Generated)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BrokenProject(f"{file}: {error}", "it is the generator's own: take it back from git") from error


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_untouched(file: Path, was: str) -> bool:
    """Whether a file is, byte for byte, what has this digest."""
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == was
