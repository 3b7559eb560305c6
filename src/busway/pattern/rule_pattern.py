"""A compiled pattern: the alternatives that `$or` leaves, each a set of fields with their conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from busway.pattern.array_consistency import first_unmet
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Tree, read_event
from busway.pattern.flatten import FieldTree, Leaves, flatten

Conditions: TypeAlias = "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Alternative:
    """Fields that must all be met, in the order of their paths."""

    fields: tuple[tuple[str, Conditions], ...]

    def met_by(self, leaves: Leaves) -> bool:
        return first_unmet(self.fields, leaves) is None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed event pattern; `text` is what it was parsed from. Made by `parse`."""

    text: str
    alternatives: tuple[Alternative, ...]
    tree: FieldTree = field(repr=False, compare=False)

    def matches(self, event: bytes) -> bool:
        """Whether the event matches. Raises `InvalidEvent` unless it is a JSON object.

        For one pattern at a time; `Matcher` asks many at once.
        """
        return self.matches_tree(read_event(event))

    def matches_tree(self, event: dict[str, Tree]) -> bool:
        leaves = flatten(event, self.tree)
        return any(alternative.met_by(leaves) for alternative in self.alternatives)


def make_pattern(text: str, alternatives: Iterable[Mapping[str, Conditions]]) -> Pattern:
    """Put the fields of each alternative into AWS's order and leave out repeated alternatives."""
    sorted_fields = dict.fromkeys(
        Alternative(tuple(sorted(fields.items(), key=lambda item: path_order(item[0])))) for fields in alternatives
    )
    paths = (path for alternative in sorted_fields for path, _ in alternative.fields)
    return Pattern(text, tuple(sorted_fields), FieldTree(paths))


def path_order(path: str) -> bytes:
    """Sort key: ascending UTF-16 code units, which is what `exists: false` depends on."""
    return path.encode("utf-16-be", "surrogatepass")
