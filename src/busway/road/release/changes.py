"""A project against what was deployed of it last, in the words that its code has. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from busway.road.manifest import HandlerEntry, Manifest
from busway.road.release.history import Released
from busway.road.rules import RuleEntry

Kind = Literal["create", "change", "remove", "same"]
What = Literal["handler", "rule"]


class Difference(msgspec.Struct, frozen=True):
    """One option that is another than it was; None for none."""

    name: str
    was: Any
    to: Any


class Change(msgspec.Struct, frozen=True):
    """What becomes of one handler or rule."""

    kind: Kind
    what: What
    name: str
    differences: Sequence[Difference] = ()


def changes(
    was: Manifest | None,
    released: Mapping[str, Released],
    to: Manifest,
    shas: Mapping[str, str],
    others: Mapping[str, Sequence[Difference]] | None = None,
) -> list[Change]:
    """Handlers by name, then rules. `shas` are the CodeSha256 of the handlers as they are to be, by name.

    `others` are differences of handlers that neither manifest tells of.
    """
    before = was or Manifest(project=to.project, bus=to.bus, events=[], handlers=[])
    moved = [Difference("bus", before.bus, to.bus)] if before.bus != to.bus else []
    codes = {name: list(found) for name, found in (others or {}).items()}
    for name, sha in shas.items():
        if name in released and released[name].sha256 != sha:
            codes.setdefault(name, []).append(Difference("code", released[name].sha256, sha))
    handlers = _changes("handler", _named(before.handlers), _named(to.handlers), codes, moved)
    return [*handlers, *_changes("rule", _named(before.rules), _named(to.rules), {}, moved)]


def _named(entries: Sequence[HandlerEntry] | Sequence[RuleEntry]) -> dict[str, dict[str, Any]]:
    """Each entry as the options that it was written with."""
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        options = msgspec.to_builtins(entry)
        # Where it lies in the project changes nothing of what it does.
        options.pop("file")
        found[entry.name] = {**options.pop("rule", {}), **options}
    return found


def _changes(
    what: What,
    was: Mapping[str, dict[str, Any]],
    to: Mapping[str, dict[str, Any]],
    more: Mapping[str, list[Difference]],
    moved: list[Difference],
) -> list[Change]:
    made: list[Change] = []
    for name in sorted({*was, *to}):
        if name not in was:
            made.append(Change("create", what, name))
        elif name not in to:
            made.append(Change("remove", what, name))
        else:
            found = [*moved, *_differences(was[name], to[name]), *more.get(name, [])]
            made.append(Change("change" if found else "same", what, name, found))
    return made


def _differences(was: Mapping[str, Any], to: Mapping[str, Any]) -> list[Difference]:
    options = [option for option in {**was, **to} if was.get(option) != to.get(option)]
    return [Difference(option, was.get(option), to.get(option)) for option in sorted(options)]
