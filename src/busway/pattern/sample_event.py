"""An event made of values for fields: the envelope of EventBridge around them, and its text.

A field that has a value and fields below it becomes a list of both, since a list adds nothing to a path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from msgspec import Raw

from busway.pattern.event_tree import Scalar
from busway.pattern.numbers import canonical

# What of an event no pattern names. `detail` is filled by the fields that are in it.
ENVELOPE: Mapping[str, Any] = {
    "version": "0",
    "id": "00000000-0000-4000-8000-000000000001",
    "detail-type": "Example",
    "source": "example",
    "account": "123456789012",
    "time": "2026-01-01T12:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {},
}

# Ours: from here on a path stays one name with dots in it, which means the same; a path has as many as fit a pattern.
NESTED_MAX = 100

# Members of the envelope that hold no value when they are empty, so they may stay where none is wanted.
_EMPTY = ("resources", "detail")

# A value, or that there is none.
Filling: TypeAlias = "Mapping[str, Scalar | Missing]"


class Missing:
    """In place of a value: the field is left out."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


def build(filling: Filling) -> dict[str, Any]:
    """The event with these values; numbers that a double does not hold are `msgspec.Raw`."""
    root = _Node()
    for path, value in filling.items():
        if not isinstance(value, Missing):
            root.put(_names(path), value)
    event = {name: value for name, value in ENVELOPE.items() if name not in filling or name in _EMPTY}
    for name, node in root.children.items():
        event[name] = [*map(_plain, node.values)] if name == "resources" and not node.children else node.plain()
    order = [*ENVELOPE]
    return dict(sorted(event.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def needs_lists(filling: Filling) -> bool:
    """Whether some field has a value and fields below it, which only a list can hold."""
    present = [path for path, value in filling.items() if not isinstance(value, Missing)]
    return any(other.startswith(f"{path}.") for path in present for other in present)


def _names(path: str) -> list[str]:
    """The members on the way. An empty name at the end is found only as part of a name with a dot in it."""
    names = path.split(".", NESTED_MAX)
    return [*names[:-2], f"{names[-2]}."] if len(names) > 1 and not names[-1] else names


class _Node:
    def __init__(self) -> None:
        self.values: list[Scalar] = []
        self.children: dict[str, _Node] = {}

    def put(self, names: list[str], value: Scalar) -> None:
        node = self
        for name in names:
            node = node.children.setdefault(name, _Node())
        node.values.append(value)

    def plain(self) -> Any:
        below = {name: node.plain() for name, node in self.children.items()}
        if not below:
            return _plain(self.values[0])
        return [*map(_plain, self.values), below] if self.values else below


def _plain(value: Scalar) -> Any:
    """A number as Python has it, if a double holds it."""
    key = canonical(value) if isinstance(value, Raw) else ""
    return value if isinstance(key, str) else key


def event_text(event: Any, indent: str = "", step: str = "") -> str:
    """JSON text of an event, on one line without `step`; numbers keep their text, lone surrogates are escaped."""
    if isinstance(event, Raw):
        return bytes(event).decode()
    inner = indent + step
    around, between = (f"\n{inner}", f",\n{inner}") if step else ("", ", ")
    end = f"\n{indent}" if step else ""
    if isinstance(event, dict) and event:
        members = cast(dict[str, Any], event)
        told = (f"{_string(name)}: {event_text(value, inner, step)}" for name, value in members.items())
        return f"{{{around}{between.join(told)}{end}}}"
    if isinstance(event, list) and event:
        elements = cast(list[Any], event)
        return f"[{around}{between.join(event_text(value, inner, step) for value in elements)}{end}]"
    return _string(event) if isinstance(event, str) else json.dumps(event)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=any("\ud800" <= char <= "\udfff" for char in text))
