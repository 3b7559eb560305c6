"""How two values that should be the same differ, by a slip or by their type, and how likely each mistake is."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Raw

from busway.pattern.conditions import shown
from busway.pattern.edits.edit import Mistake
from busway.pattern.event_tree import Scalar
from busway.pattern.likeness import slip_between
from busway.pattern.unseen import as_seen

# Ours: how far-fetched a change is, by what it mends. What mends nothing known comes last.
COSTS: dict[Mistake, float] = {
    "brackets": 0.9, "encoded": 0.9, "space": 1.0, "unseen": 1.0, "case": 1.1, "type": 1.2,
    "wildcard": 1.3, "operator": 1.4, "or-level": 1.5, "level": 1.6, "elements": 1.7, "typo": 2.0,
    "place": 3.0, "": 5.0,
}  # fmt: skip
# The side on which the slip is not seems less in need of a change.
OTHER_SIDE = 1.5


class Difference(NamedTuple):
    mistake: Mistake
    cost: float


def between_texts(wrong: str, right: str) -> Difference | None:
    """What it takes to turn `wrong` into `right`; None when they are equal or have too little in common."""
    slip = slip_between(wrong, right)
    if slip is None:
        return None
    extra = 0.0
    if slip.kind == "space":
        # Whoever has the space has the slip.
        extra = 0 if len(wrong) > len(right) else OTHER_SIDE
    elif slip.kind == "unseen":
        extra = 0 if as_seen(wrong) != wrong else OTHER_SIDE
    elif slip.kind == "typo":
        # More often a letter is left out than one too many typed.
        extra = 1 - slip.likeness + (0.5 if len(wrong) > len(right) else 0)
    return Difference(slip.kind, COSTS[slip.kind] + extra)


def between_values(wrong: Scalar, right: Scalar) -> Difference | None:
    """As `between_texts`; a number, a boolean or null beside a string of the same text is of another type."""
    if isinstance(wrong, str) and isinstance(right, str):
        return between_texts(wrong, right)
    if isinstance(wrong, str) != isinstance(right, str) and bare(wrong) == bare(right):
        return Difference("type", COSTS["type"])
    return None


def bare(value: Scalar) -> str:
    """A value's text without quotes."""
    return value.strip() if isinstance(value, str) else shown(value)


def is_number(value: object) -> bool:
    return isinstance(value, int | Raw) and not isinstance(value, bool)
