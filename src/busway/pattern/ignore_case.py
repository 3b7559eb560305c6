"""`equals-ignore-case`, alone and under `prefix` and `suffix`.

AWS folds the pattern, not the event: each character of the pattern stands for its upper-case and its lower-case form
(full mappings, so "ß" also stands for "SS") and for nothing else. Hence "straße" accepts "STRASSE" but "STRASSE" does
not accept "straße".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from busway.pattern.conditions import Selectivity, quoted
from busway.pattern.event_tree import Scalar

Where = Literal["whole", "prefix", "suffix"]

_BASIC_PLANE_MAX = 0xFFFF


def forms(char: str) -> tuple[str, ...]:
    """The texts that `char` of a pattern stands for.

    A character beyond the basic plane that has case (Deseret, Adlam) stands for nothing, as recorded from AWS;
    one without case (emoji) stands for itself, where AWS looks for question marks.
    """
    upper, lower = char.upper(), char.lower()
    if ord(char) > _BASIC_PLANE_MAX:
        return (char,) if upper == lower else ()
    return (upper,) if upper == lower else (upper, lower)


@dataclass(frozen=True)
class IgnoreCase:
    """`{"equals-ignore-case": "x"}`, or that under prefix or suffix, as `where` says."""

    text: str
    where: Where = "whole"
    # Most patterns are ASCII: then the event's text must be ASCII too, and lower() compares.
    _ascii: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ascii", self.text.lower() if self.text.isascii() else None)

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.RANGE

    @property
    def wanted(self) -> str:
        verb = {"whole": "", "prefix": "a string that begins with ", "suffix": "a string that ends with "}[self.where]
        return f"{verb}{quoted(self.text)} in any case"

    @property
    def words(self) -> tuple[str, ...]:
        return (self.text,) if self.where == "whole" else ()

    def accepts(self, value: Scalar) -> bool:
        if not isinstance(value, str):
            return False
        if self._ascii is None:
            return self._accepts_any(value)
        if self.where == "prefix":
            value = value[: len(self._ascii)]
        elif self.where == "suffix":
            value = value[max(0, len(value) - len(self._ascii)) :]
        return value.isascii() and value.lower() == self._ascii

    @cached_property
    def _forms(self) -> list[tuple[str, ...]]:
        if self.where != "suffix":
            return [forms(char) for char in self.text]
        return [tuple(form[::-1] for form in forms(char)) for char in reversed(self.text)]

    def _accepts_any(self, value: str) -> bool:
        """Walk the forms along the value (backwards for a suffix), keeping every position that is possible."""
        if self.where == "suffix":
            value = value[::-1]
        ends = {0}
        for alternatives in self._forms:
            ends = {end + len(form) for end in ends for form in alternatives if value.startswith(form, end)}
        return len(value) in ends if self.where == "whole" else bool(ends)
