"""Patterns as they come in files: a pattern, a rule file of a project, or what `aws events list-rules` prints."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from msgspec import Raw


@dataclass(frozen=True, slots=True)
class NamedPattern:
    """The text of a pattern as it was written, and what to call it. `bus` is the one it reads."""

    name: str
    text: str
    bus: str = "default"


_NOTHING = Raw()


class _Rule(msgspec.Struct, rename="pascal"):
    event_pattern: Raw = _NOTHING
    name: str = ""
    event_bus_name: str = "default"


class _Rules(msgspec.Struct, rename="pascal"):
    """A rule file has `EventPattern`, AWS's list has `Rules`."""

    rules: list[_Rule] | None = None
    event_pattern: Raw = _NOTHING


def patterns_in(text: str, name: str) -> list[NamedPattern]:
    """The patterns of a file, without rules that run on a schedule. A text that is no rule is taken as a pattern."""
    try:
        found = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=_Rules)
    except msgspec.MsgspecError:
        return [NamedPattern(name, text)]  # whoever parses it says what is wrong with it
    if found.event_pattern != _NOTHING:
        return [NamedPattern(name, _text_of(found.event_pattern))]
    if found.rules is None:
        return [NamedPattern(name, text)]
    return [
        NamedPattern(rule.name or f"{name} {place}", _text_of(rule.event_pattern), rule.event_bus_name)
        for place, rule in enumerate(found.rules, 1)
        if rule.event_pattern != _NOTHING
    ]


def _text_of(member: Raw) -> str:
    """The pattern in a rule: an object in a rule file, a string in what AWS prints."""
    given = bytes(member).decode("utf-8", "surrogatepass")
    return msgspec.json.decode(member, type=str) if given.startswith('"') else given
