"""`anything-but`: accepts every present value that it does not name, whatever its type."""

from __future__ import annotations

from dataclasses import dataclass

from busway.pattern.conditions import Condition, Selectivity, quoted
from busway.pattern.event_tree import Scalar


@dataclass(frozen=True, slots=True)
class NotStrings:
    """`{"anything-but": ["x", "y"]}`; addresses are plain text here."""

    texts: frozenset[str]

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.NEARLY_ALL

    @property
    def wanted(self) -> str:
        return "anything but " + " or ".join(quoted(text) for text in sorted(self.texts))

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return not isinstance(value, str) or value not in self.texts


@dataclass(frozen=True, slots=True)
class NotLike:
    """Anything but what one of `refused` accepts: numbers, prefixes, suffixes, wildcards, ignoring case."""

    refused: tuple[Condition, ...]

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.NEARLY_ALL

    @property
    def wanted(self) -> str:
        return "anything but " + " or ".join(condition.wanted for condition in self.refused)

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return not any(condition.accepts(value) for condition in self.refused)
