"""Reading of an event only what rules look at, where the event's own members are known beforehand.

The events of a bus have the members of the envelope, each once; only what lies inside `detail` is the sender's. So
members that no rule looks at are passed over unread, and those that hold one string need no tree.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from busway.errors import InvalidEvent
from busway.pattern.event_tree import Scalar, distinct, read_event
from busway.pattern.flatten import FieldTree, collect


class Skim:
    """The values of `fields` in events that have the members `members`, each at most once, and no others."""

    __slots__ = ("_inside", "_read", "_whole")

    def __init__(self, fields: FieldTree, members: frozenset[str]) -> None:
        used = [(name, node) for name, node in fields.children.items() if name in members]
        self._read = _reader(tuple((name, bool(node.children)) for name, node in used))
        places = [(f"member_{at}", node) for at, (_, node) in enumerate(used)]
        self._whole = [(place, node.direct or "") for place, node in places if not node.children]
        self._inside = [(place, node) for place, node in places if node.children]

    def values(self, event: bytes) -> dict[str, list[Scalar]] | None:
        """As `flatten.collect` gathers them; None for an event that has to be read whole."""
        values: dict[str, list[Scalar]] = {}
        try:
            found = self._read(event)
            for place, path in self._whole:
                value: str | list[Scalar] = getattr(found, place)
                if type(value) is str:
                    values[path] = [value]
                elif value is not UNSET and value:
                    values[path] = distinct(value)
            for place, node in self._inside:
                raw = getattr(found, place)
                if raw is not UNSET and not collect(read_event(bytes(raw)), node, values):
                    return None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidEvent):
            # Reading it whole says what is wrong with it, if anything is.
            return None
        return values


@functools.lru_cache(maxsize=64)
def _reader(names: tuple[tuple[str, bool], ...]) -> Callable[[bytes], object]:
    """A decoder of these members into `member_0`, `member_1`, …; True asks for the text, to look inside."""
    kinds: list[tuple[str, Any, Any]] = [
        (f"member_{at}", Raw if inside else str | list[str], UNSET) for at, (_, inside) in enumerate(names)
    ]
    renamed = {f"member_{at}": name for at, (name, _) in enumerate(names)}
    members = msgspec.defstruct("Members", kinds, rename=renamed)
    return msgspec.json.Decoder(members).decode
