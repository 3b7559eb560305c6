"""`--set NAME=VALUE`: members of an event's detail changed by name, as `send` and `redrive` take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from busway.road.events import ProjectEvent


def as_on_the_wire(event: ProjectEvent, changes: tuple[str, ...]) -> tuple[str, ...]:
    """Changes by the names that fields have in an event. Raises EventMismatch for a field that there is not."""
    import difflib

    from busway.errors import EventMismatch

    wire = event.wire_names()
    if wire is None:
        return changes
    found: list[str] = []
    for change in changes:
        path, equals, value = change.partition("=")
        first, dot, rest = path.partition(".")
        if equals and first and first not in wire and first not in wire.values():
            near = difflib.get_close_matches(first, [*wire.values()], 1)
            error = EventMismatch(
                f"--set {change!r}: {event.entry.name} has no field {first!r}; it has {', '.join(wire.values())}"
            )
            error.hint = f"did you mean {near[0]}?" if near else "--raw sends it all the same"
            raise error
        found.append(f"{wire.get(first, first)}{dot}{rest}{equals}{value}")
    return tuple(found)


def changed(detail: dict[str, Any], changes: tuple[str, ...]) -> dict[str, Any]:
    """`--set a.b=5` changes a member, by its names on the way; a value that is JSON is that, else text."""
    import copy

    import msgspec

    copied = copy.deepcopy(detail)
    for change in changes:
        path, found, text = change.partition("=")
        if not found or not path:
            raise click.UsageError(f"--set is {change!r}; wanted NAME=VALUE")
        *parents, last = path.split(".")
        place = _place(copied, parents, change)
        try:
            place[last] = _as_before(place.get(last), msgspec.json.decode(text), text)
        except msgspec.DecodeError:
            place[last] = text
    return copied


def _place(detail: dict[str, Any], names: Sequence[str], change: str) -> dict[str, Any]:
    """The object that a path leads to; what is missing on the way is made."""
    place = detail
    for name in names:
        inner = place.setdefault(name, {})
        if not isinstance(inner, dict):
            raise click.UsageError(f"--set {change!r}: {name} is no object in the detail")
        place = cast(dict[str, Any], inner)
    return place


def _as_before(before: Any, value: Any, text: str) -> Any:
    """What was text stays text: `--set zip=0150` is not the number 150."""
    return text if isinstance(before, str) and not isinstance(value, str) else value
