"""What the catalogue says of each event: fields, sample, who puts it, who takes it, whose it is, since when."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import msgspec

from busway.pattern import parse
from busway.road.manifest import EventEntry, Manifest
from busway.road.root import is_test
from busway.road.schemas.compatibility import told

# Ours: what is looked through for producers, and how much of it.
_SUFFIXES = {".py", ".ts", ".tsx", ".js", ".mjs"}
_LEFT_OUT = {".git", ".venv", "venv", "node_modules", "__pycache__", ".busway", "dist", "build"}
FILES_MAX, FILE_BYTES_MAX, VERSIONS_MAX = 5_000, 1_000_000, 20
_OWNERS_FILES = ("CODEOWNERS", ".github/CODEOWNERS", "docs/CODEOWNERS")


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    required: bool
    note: str


@dataclass(frozen=True, slots=True)
class Version:
    """A commit that changed the event's file."""

    commit: str
    date: str
    subject: str


@dataclass(frozen=True, slots=True)
class Taker:
    """A handler or rule that the event may go to. `about`: how often it is tried, or where it goes on to."""

    name: str
    file: str
    owners: str
    about: str
    alert: str | None
    pattern: str


@dataclass(frozen=True, slots=True)
class Page:
    """All that is told of an event."""

    event: EventEntry
    note: str
    fields: list[Field]
    sample: str
    schema: str
    owners: str
    takers: list[Taker]
    producers: list[str]
    versions: list[Version]


def pages(root: Path, manifest: Manifest) -> list[Page]:
    owners, sources = _owner_rules(root), _sources(root)
    return [_page(root, manifest, event, owners, sources) for event in manifest.events]


def _page(
    root: Path, manifest: Manifest, event: EventEntry, owners: list[tuple[str, str]], sources: Mapping[str, str]
) -> Page:
    word = re.compile(rf"\b{re.escape(event.name)}\b")
    return Page(
        event=event,
        note=str(event.json_schema.get("description", "")),
        fields=fields_of(event.json_schema),
        sample=_pretty(event.sample),
        schema=_pretty(event.json_schema),
        owners=owner_of(event.file, owners),
        takers=[*_takers(manifest, event, owners)],
        producers=[name for name, text in sources.items() if word.search(text)],
        versions=_versions(root, event.file),
    )


def _takers(manifest: Manifest, event: EventEntry, owners: list[tuple[str, str]]) -> Iterator[Taker]:
    for one in manifest.handlers:
        if may_take(one.pattern, event):
            about = f"{one.retries} retries"
            yield Taker(one.name, one.file, owner_of(one.file, owners), about, one.alert, _pretty(one.pattern))
    for one in manifest.rules:
        if may_take(pattern := one.rule.event_pattern, event):
            about = f"rule, to {', '.join(' '.join(target.place) for target in one.rule.targets)}"
            yield Taker(one.name, one.file, owner_of(one.file, owners), about, one.rule.alert, _pretty(pattern))


def may_take(pattern: Mapping[str, Any], event: EventEntry) -> bool:
    """Whether a pattern takes some events of this kind: by source and detail-type, whatever else it asks for."""
    known = {"source": event.source, "detail-type": event.detail_type}
    for name, wanted in pattern.items():
        if name == "$or" and not any(may_take(branch, event) for branch in wanted):
            return False
        if name in known:
            matcher = parse(msgspec.json.encode({name: wanted}).decode())
            if not matcher.matches(msgspec.json.encode({name: known[name]})):
                return False
    return True


def fields_of(schema: Mapping[str, Any], prefix: str = "", seen: tuple[str, ...] = ()) -> list[Field]:
    """The members of a detail, those of members that are objects behind them as `lines[].sku`."""
    root = cast(dict[str, Any], schema.get("$defs", {}))
    return _fields(schema, root, prefix, seen)


def _fields(schema: Mapping[str, Any], defs: Mapping[str, Any], prefix: str, seen: tuple[str, ...]) -> list[Field]:
    found: list[Field] = []
    required = set(schema.get("required", ()))
    for name, member in cast(dict[str, dict[str, Any]], schema.get("properties", {})).items():
        inner, suffix, names = _inner(member, defs)
        shown = " or ".join(dict.fromkeys(_told(each, defs) for each in _branches(member)))
        found.append(Field(f"{prefix}{name}", shown + suffix, name in required, str(member.get("description", ""))))
        if inner and not set(names) & set(seen):
            found += _fields(inner, defs, f"{prefix}{name}{suffix}.", (*seen, *names))
    return found


def _inner(member: Mapping[str, Any], defs: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str, list[str]]:
    """The object in a member, "[]" if it is in an array, and the names by which it is referred to."""
    items: Any = member.get("items")
    suffix = "[]" if isinstance(items, dict) else ""
    place = cast(Mapping[str, Any], items) if suffix else member
    name = str(place.get("$ref", "")).rpartition("/")[2]
    target = cast(Mapping[str, Any], defs.get(name, {})) if name else place
    return (target if "properties" in target else None), suffix, [name] if name else []


def _branches(member: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items: Any = member.get("items")
    place = cast(Mapping[str, Any], items) if isinstance(items, dict) else member
    return cast(list[Mapping[str, Any]], place.get("anyOf", [place]))


def _told(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return told(cast(Mapping[str, Any], defs[name])) if name in defs else told(schema)


def _owner_rules(root: Path) -> list[tuple[str, str]]:
    """Patterns with their owners, from the repository's CODEOWNERS; the last that fits wins."""
    for name in _OWNERS_FILES:
        file = root / name
        if file.is_file():
            lines = [line.split("#")[0].split() for line in file.read_text(errors="replace").splitlines()]
            return [(words[0], " ".join(words[1:])) for words in lines if words]
    return []


def owner_of(file: str, rules: list[tuple[str, str]]) -> str:
    """Whose a file is, "" for nobody's. Of CODEOWNERS' patterns: `*`, folders, names, paths from the root."""
    owner = ""
    for pattern, names in rules:
        rooted = pattern.lstrip("/")
        fits = fnmatch(file, rooted) or file.startswith(rooted.rstrip("/*") + "/") if rooted != "*" else True
        named = "/" not in pattern.strip("/") and any(fnmatch(part, rooted.rstrip("/")) for part in file.split("/"))
        if fits or (named and not pattern.startswith("/")):
            owner = names
    return owner


def _sources(root: Path) -> dict[str, str]:
    """The texts in which producers are looked for: all but events, handlers and tests."""
    found: dict[str, str] = {}
    for folder, inner, names in os.walk(root):
        place = Path(folder).relative_to(root)
        inner[:] = sorted(name for name in inner if name not in _LEFT_OUT)
        if not place.parts:
            inner[:] = [name for name in inner if name not in ("events", "handlers")]
        for file in (Path(folder, name) for name in sorted(names)):
            fits = file.suffix in _SUFFIXES and not is_test(file.name) and file.is_file()
            if fits and file.stat().st_size <= FILE_BYTES_MAX:
                found[str(place / file.name)] = file.read_text(errors="replace")
            if len(found) >= FILES_MAX:
                return found
    return found


def _versions(root: Path, file: str) -> list[Version]:
    """The newest commits of a file; none where there is no git, or no repository."""
    words = ["log", f"-{VERSIONS_MAX}", "--follow", "--format=%h%x09%cs%x09%s", "--", file]
    try:
        run = subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    lines = run.stdout.decode(errors="replace").splitlines() if run.returncode == 0 else []
    return [Version(*line.split("\t", 2)) for line in lines]


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
