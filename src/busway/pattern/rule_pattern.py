"""A compiled pattern: the alternatives that `$or` leaves, each a set of fields with their conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from busway.pattern.array_consistency import met_together
from busway.pattern.conditions import Field
from busway.pattern.event_tree import Tree, read_event
from busway.pattern.flatten import FieldTree, flatten, path_order
from busway.pattern.outline import Clause, Counting


@dataclass(frozen=True, slots=True)
class Alternative:
    """Fields that must all be met, in the order of their paths."""

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed event pattern; `text` is what it was parsed from. Made by `parse`.

    `outline` is how it was written, `behind` the text behind its closing brace, which nobody reads.
    """

    text: str
    alternatives: tuple[Alternative, ...]
    tree: FieldTree = field(repr=False, compare=False)
    outline: Clause = field(repr=False, compare=False)
    behind: str = field(repr=False, compare=False)

    def matches(self, event: bytes) -> bool:
        """Whether the event matches. Raises `InvalidEvent` unless it is a JSON object.

        For one pattern at a time; `Matcher` asks many at once.
        """
        return self.matches_tree(read_event(event))

    def matches_tree(self, event: dict[str, Tree]) -> bool:
        leaves = flatten(event, self.tree)
        return any(met_together([alternative.fields for alternative in self.alternatives], leaves))


def in_order(fields: Counting) -> tuple[Field, ...]:
    return tuple(sorted(fields.values(), key=lambda field: path_order(field[0])))


def make_pattern(text: str, alternatives: Sequence[Counting], outline: Clause, behind: str) -> Pattern:
    """Put the fields of each alternative into AWS's order; of equal ones the first is left."""
    ordered = map(in_order, alternatives)
    made = tuple(Alternative(fields) for fields in (dict.fromkeys(ordered) if len(alternatives) > 1 else ordered))
    tree = FieldTree(path for alternative in made for path, _ in alternative.fields)
    return Pattern(text, made, tree, outline, behind)
