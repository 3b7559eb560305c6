"""A compiled pattern: the alternatives that `$or` leaves, each a set of fields with their conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from busway.pattern.array_consistency import met_together
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Tree, read_event
from busway.pattern.flatten import FieldTree, flatten, path_order

Conditions: TypeAlias = "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Alternative:
    """Fields that must all be met, in the order of their paths.

    `branches` are the places of the `$or` branches that lead to it, as "detail.$or[1]".
    """

    fields: tuple[tuple[str, Conditions], ...]
    branches: tuple[str, ...] = field(default=(), compare=False)


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
        return any(met_together([alternative.fields for alternative in self.alternatives], leaves))


def make_pattern(text: str, alternatives: Iterable[tuple[Mapping[str, Conditions], Sequence[str]]]) -> Pattern:
    """Put the fields of each alternative into AWS's order; of equal ones one is left, with the branches of all."""
    branches: dict[tuple[tuple[str, Conditions], ...], dict[str, None]] = {}
    for fields, taken in alternatives:
        in_order = tuple(sorted(fields.items(), key=lambda item: path_order(item[0])))
        branches.setdefault(in_order, {}).update(dict.fromkeys(taken))
    paths = (path for fields in branches for path, _ in fields)
    made = tuple(Alternative(fields, tuple(taken)) for fields, taken in branches.items())
    return Pattern(text, made, FieldTree(paths))
