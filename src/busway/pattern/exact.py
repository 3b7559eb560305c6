"""Exact values: strings, null, true and false. Numbers are in `numbers`, strings that are addresses in `address`."""

from __future__ import annotations

from dataclasses import dataclass

from busway.pattern.conditions import Selectivity, quoted, shown
from busway.pattern.event_tree import Scalar


@dataclass(frozen=True, slots=True)
class StringIs:
    """`"x"` and `{"exactly": "x"}`: code point for code point, without normalisation."""

    text: str

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.EXACT

    @property
    def wanted(self) -> str:
        return quoted(self.text)

    @property
    def words(self) -> tuple[str, ...]:
        return (self.text,)

    def accepts(self, value: Scalar) -> bool:
        return value == self.text


@dataclass(frozen=True, slots=True)
class LiteralIs:
    """`null`, `true` or `false`: the JSON literal itself, never a missing field and never a string."""

    literal: bool | None

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.EXACT

    @property
    def wanted(self) -> str:
        return shown(self.literal)

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return value is self.literal
