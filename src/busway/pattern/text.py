"""`prefix` and `suffix`: strings only, code point for code point."""

from __future__ import annotations

from dataclasses import dataclass

from busway.pattern.conditions import Selectivity, quoted
from busway.pattern.event_tree import Scalar


@dataclass(frozen=True, slots=True)
class Prefix:
    """`{"prefix": "x"}`; the empty prefix accepts every string and nothing else."""

    text: str

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.RANGE

    @property
    def wanted(self) -> str:
        return f"a string that begins with {quoted(self.text)}"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return isinstance(value, str) and value.startswith(self.text)


@dataclass(frozen=True, slots=True)
class Suffix:
    """`{"suffix": "x"}`; the empty suffix accepts every string and nothing else."""

    text: str

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.RANGE

    @property
    def wanted(self) -> str:
        return f"a string that ends with {quoted(self.text)}"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        return isinstance(value, str) and value.endswith(self.text)
