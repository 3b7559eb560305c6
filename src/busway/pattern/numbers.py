"""Numbers as AWS compares them, and the `numeric` operator.

A number's text is *comparable* when it says exactly what the shortest text of its nearest double says. Comparable
numbers equal by value (1 = 1.0 = 1e0); others (9007199254740993, 1e400, more digits than a double keeps) equal only
their own text and lie in no range.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from msgspec import Raw

from busway.pattern.conditions import Selectivity
from busway.pattern.event_tree import Scalar

# Every integer up to 2**53 is a double, and its shortest text is its digits.
EXACT_INTEGER_MAX = 2**53
# A significand of 15 digits always survives the way to a double and back.
DIGITS_SAFE = 15

_SHORT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?\Z")
_NONZERO_SIGNIFICAND = re.compile(r"[^eE]*[1-9]")


def canonical(value: int | Raw) -> float | str:
    """The double for a comparable number, otherwise the number's own text."""
    if isinstance(value, int):
        return float(value) if abs(value) <= EXACT_INTEGER_MAX else canonical_text(str(value))
    return canonical_text(bytes(value).decode())


def canonical_text(text: str) -> float | str:
    """As `canonical`, for a number's literal text."""
    number = float(text)
    if len(text) <= DIGITS_SAFE and _SHORT.match(text):
        return number
    if not math.isfinite(number):
        return text
    if number == 0.0:  # underflow, or a true zero with an exponent too large for Decimal
        return text if _NONZERO_SIGNIFICAND.match(text) else 0.0
    return number if Decimal(text) == Decimal(repr(number)) else text


@dataclass(frozen=True, slots=True)
class NumberIs:
    """A number literal, and `{"numeric": ["=", n]}`. `key` is the canonical number, `text` what the pattern says."""

    key: float | str
    text: str

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.EXACT

    @property
    def wanted(self) -> str:
        return f"the number {self.text}"

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        if isinstance(value, Raw):
            return canonical(value) == self.key
        return isinstance(value, int) and not isinstance(value, bool) and canonical(value) == self.key


@dataclass(frozen=True, slots=True)
class NumberBetween:
    """`{"numeric": [...]}` with <, <=, >, >=. A side without a bound is infinite; event numbers never are."""

    low: float
    low_included: bool
    high: float
    high_included: bool

    @property
    def selectivity(self) -> Selectivity:
        return Selectivity.RANGE

    @property
    def wanted(self) -> str:
        sides: list[str] = []
        if self.low != -math.inf:
            sides.append(f"{'>=' if self.low_included else '>'} {_plain(self.low)}")
        if self.high != math.inf:
            sides.append(f"{'<=' if self.high_included else '<'} {_plain(self.high)}")
        return "a number " + " and ".join(sides)

    @property
    def words(self) -> tuple[str, ...]:
        return ()

    def accepts(self, value: Scalar) -> bool:
        if not isinstance(value, int | Raw) or isinstance(value, bool):
            return False
        number = canonical(value)
        return not isinstance(number, str) and self.holds(number)

    def holds(self, number: float) -> bool:
        above = number >= self.low if self.low_included else number > self.low
        return above and (number <= self.high if self.high_included else number < self.high)


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < EXACT_INTEGER_MAX else repr(number)
