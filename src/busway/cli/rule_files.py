"""Patterns as they come in files: a pattern, a rule file of a project, or rules as AWS lists or describes them."""

from __future__ import annotations

from dataclasses import dataclass

import click
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


class _File(msgspec.Struct, rename="pascal"):
    """A rule has `EventPattern` or a schedule, AWS's list has `Rules`. A pattern has no strings as members."""

    rules: list[_Rule] | None = None
    event_pattern: Raw = _NOTHING
    schedule_expression: str = ""
    event_bus_name: str = "default"


def patterns_in(text: str, name: str) -> list[NamedPattern]:
    """The patterns of a file, without rules that run on a schedule. A text that is no rule is taken as a pattern."""
    try:
        found = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=_File)
    except msgspec.MsgspecError:
        return [NamedPattern(name, text)]  # whoever parses it says what is wrong with it
    if found.event_pattern != _NOTHING:
        return [NamedPattern(name, _text_of(found.event_pattern), found.event_bus_name)]
    if found.rules is None:
        return [] if found.schedule_expression else [NamedPattern(name, text)]
    return [
        NamedPattern(rule.name or f"{name} {place}", _text_of(rule.event_pattern), rule.event_bus_name)
        for place, rule in enumerate(found.rules, 1)
        if rule.event_pattern != _NOTHING
    ]


def pattern_in(text: str, name: str) -> str:
    """The pattern of a file with one, or with one rule. Raises UsageError for several."""
    found = patterns_in(text, name)
    if len(found) != 1:
        known = ", ".join(each.name for each in found) or "none"
        raise click.UsageError(f"PATTERN holds {len(found)} patterns ({known}); wanted one")
    return found[0].text


def _text_of(member: Raw) -> str:
    """The pattern in a rule: an object in a rule file, a string in what AWS prints."""
    given = bytes(member).decode("utf-8", "surrogatepass")
    return msgspec.json.decode(member, type=str) if given.startswith('"') else given
