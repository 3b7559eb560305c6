"""What an event has on the way to a field that has no value: an object instead of a value, a string of JSON."""

from __future__ import annotations

from collections.abc import Sequence

from busway.errors import InvalidEvent
from busway.pattern.event_tree import Tree, read_event


def furthest(event: Tree, path: str) -> tuple[tuple[str | int, ...], Sequence[str], Tree]:
    """As far as the event has the path: the steps to there, the names that are left, and what is there.

    Of a list it is the first object, so this is a guess where elements differ.
    """
    names, steps = path.split("."), tuple[str | int, ...]()
    there = event
    for at, name in enumerate(names):
        below = _below(there, name)
        if below is None:
            return steps, names[at:], there
        further, there = below
        steps += further
    return steps, (), there


def _below(there: Tree, name: str) -> tuple[tuple[str | int, ...], Tree] | None:
    if isinstance(there, list):
        at, there = next(((at, item) for at, item in enumerate(there) if isinstance(item, dict)), (0, None))
        return ((at, name), there[name]) if there is not None and name in there else None
    return ((name,), there[name]) if isinstance(there, dict) and name in there else None


def object_in(there: Tree) -> dict[str, Tree] | None:
    """The object that a string holds as JSON; None for a string, or something else, that holds none."""
    if not isinstance(there, str) or not there.lstrip().startswith("{"):
        return None
    try:
        return read_event(there.encode("utf-8", "surrogatepass"))
    except InvalidEvent:
        return None
