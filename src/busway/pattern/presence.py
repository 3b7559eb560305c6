"""`exists`: whether a field has a value at all. null is a value; [] , {} and objects are not."""

from __future__ import annotations

from dataclasses import dataclass

from busway.pattern.conditions import Selectivity
from busway.pattern.event_tree import Scalar


@dataclass(frozen=True, slots=True)
class Present:
    """`{"exists": true}`."""

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.NEARLY_ALL

    @property
    def wanted(self) -> str:
        return "any value"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Absent:
    """`{"exists": false}`: accepts no value; who asks must look whether there is none (`array_consistency`)."""

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.ABSENCE

    @property
    def wanted(self) -> str:
        return "no value at all"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return False


ABSENT = Absent()
