"""What an edit is: one or more changes of a pattern or of an event, and the whole document after them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from busway.pattern.event_tree import Tree

Side = Literal["pattern", "event"]
# What somebody probably did wrong; "" where the change is no guess at what was meant.
Mistake = Literal[
    "", "typo", "case", "space", "unseen", "type", "encoded", "brackets", "operator", "wildcard", "level", "place",
    "or-level", "elements", "syntax",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """`before` and `after` are JSON text, None for what is not there before or after; of a move, they are paths.

    `path` is where in the document: "detail.items[0].sku", "" for all of it.
    """

    path: str
    before: str | None
    after: str | None
    mistake: Mistake = ""
    moved: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "from": self.before,
            "to": self.after,
            "moved": self.moved,
            "mistake": self.mistake or None,
        }


@dataclass(frozen=True, slots=True)
class Edit:
    """Changes that make the pattern match the event, and `document`, the text of the pattern or event after them."""

    where: Side
    changes: tuple[Change, ...]
    document: str

    @property
    def guesswork(self) -> tuple[bool, int]:
        """How little it knows of what was meant: whether no change mends a known mistake, and how many mend none."""
        plain = sum(not change.mistake for change in self.changes)
        return plain == len(self.changes), plain

    def as_dict(self) -> dict[str, Any]:
        """The first change beside `where` and `document`; `further` holds the others, if it takes several."""
        first, *others = self.changes
        told: dict[str, Any] = {"where": self.where, **first.as_dict(), "document": self.document}
        return {**told, "further": [change.as_dict() for change in others]} if others else told


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change that may help, the whole document after it, and how far-fetched it is: 1 is a likely slip.

    A `halfway` one puts a field where it was meant, though what is there needs a further change to match.
    """

    cost: float
    change: Change
    document: Tree = field(repr=False)
    halfway: bool = False
