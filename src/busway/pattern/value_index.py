"""For one field at one place of the matcher: which ways go on for a value.

A *way* belongs to one list of conditions. Exact values are looked up in a dict; prefixes and suffixes too, once for
each length that occurs; number ranges are sorted by their lower end. The rest (wildcards, ignoring case,
anything-but) is asked one by one, among the conditions on this very field.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from typing import Generic, TypeVar

from busway.pattern.address import Address, AddressIs, parse_address
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.numbers import NumberBetween, NumberIs, canonical
from busway.pattern.text import Prefix, Suffix

Way = TypeVar("Way")
Key = TypeVar("Key")


class ValueIndex(Generic[Way]):
    """Ways by the values that open them. A way comes at most once for a value."""

    __slots__ = (
        "_addresses", "_literals", "_numbers", "_only_exact", "_others", "_prefixes", "_ranges", "_strings",
        "_suffixes",
    )  # fmt: skip

    def __init__(self) -> None:
        self._strings: dict[str, list[Way]] = {}
        self._numbers: dict[float | str, list[Way]] = {}
        self._literals: dict[bool | None, list[Way]] = {}
        self._addresses: dict[Address, list[Way]] = {}
        self._prefixes: _ByLength[Way] = _ByLength()
        self._suffixes: _ByLength[Way] = _ByLength()
        self._ranges: list[tuple[float, NumberBetween, Way]] = []  # by their lower end
        self._others: list[tuple[Condition, Way]] = []
        self._only_exact = True

    def find(self, value: Scalar) -> list[Way]:
        """The ways that `value` opens."""
        if isinstance(value, str):
            exact = self._strings.get(value) or []
            return exact if self._only_exact else self._find_more(value, [*exact, *self._find_text(value)])
        if value is None or isinstance(value, bool):
            exact = self._literals.get(value, [])
            return exact if self._only_exact else self._find_more(value, exact)
        number = canonical(value)
        exact = self._numbers.get(number, [])
        return exact if self._only_exact else self._find_more(value, [*exact, *self._find_range(number)])

    def put(self, condition: Condition, way: Way) -> None:
        if isinstance(condition, StringIs):
            self._strings.setdefault(condition.text, []).append(way)
        elif isinstance(condition, NumberIs):
            self._numbers.setdefault(condition.key, []).append(way)
        elif isinstance(condition, LiteralIs):
            self._literals.setdefault(condition.literal, []).append(way)
        else:
            self._only_exact = False
            self._put_inexact(condition, way)

    def take(self, condition: Condition, way: Way) -> None:
        """Undo one `put`."""
        if isinstance(condition, StringIs):
            _take(self._strings, condition.text, way)
        elif isinstance(condition, NumberIs):
            _take(self._numbers, condition.key, way)
        elif isinstance(condition, LiteralIs):
            _take(self._literals, condition.literal, way)
        elif isinstance(condition, AddressIs):
            _take(self._addresses, condition.address, way)
        elif isinstance(condition, Prefix):
            self._prefixes.take(condition.text, way)
        elif isinstance(condition, Suffix):
            self._suffixes.take(condition.text[::-1], way)
        elif isinstance(condition, NumberBetween):
            self._ranges = [entry for entry in self._ranges if entry[1:] != (condition, way)]
        else:
            self._others.remove((condition, way))

    def _put_inexact(self, condition: Condition, way: Way) -> None:
        if isinstance(condition, AddressIs):
            self._addresses.setdefault(condition.address, []).append(way)
        elif isinstance(condition, Prefix):
            self._prefixes.put(condition.text, way)
        elif isinstance(condition, Suffix):
            self._suffixes.put(condition.text[::-1], way)
        elif isinstance(condition, NumberBetween):
            insort(self._ranges, (condition.low, condition, way), key=lambda entry: entry[0])
        else:
            self._others.append((condition, way))

    def _find_text(self, value: str) -> list[Way]:
        found = self._prefixes.find(value)
        if self._suffixes.lengths:
            found += self._suffixes.find(value[::-1])
        if self._addresses:
            address = parse_address(value)
            if address is not None:
                found += self._addresses.get(address, [])
        return found

    def _find_range(self, number: float | str) -> list[Way]:
        if isinstance(number, str):
            return []
        end = bisect_right(self._ranges, number, key=lambda entry: entry[0])
        return [way for _, condition, way in self._ranges[:end] if condition.holds(number)]

    def _find_more(self, value: Scalar, found: list[Way]) -> list[Way]:
        asked = [way for condition, way in self._others if condition.accepts(value)]
        return list(dict.fromkeys([*found, *asked]))


class _ByLength(Generic[Way]):
    """Ways by beginnings of a string, looked up once for each length that some beginning has."""

    __slots__ = ("_ways", "lengths")

    def __init__(self) -> None:
        self._ways: dict[str, list[Way]] = {}
        self.lengths: Counter[int] = Counter()

    def put(self, text: str, way: Way) -> None:
        self._ways.setdefault(text, []).append(way)
        self.lengths[len(text)] += 1

    def take(self, text: str, way: Way) -> None:
        _take(self._ways, text, way)
        self.lengths[len(text)] -= 1
        if not self.lengths[len(text)]:
            del self.lengths[len(text)]

    def find(self, text: str) -> list[Way]:
        found: list[Way] = []
        for length in self.lengths:
            if length <= len(text):
                found += self._ways.get(text[:length], [])
        return found


def _take(ways: dict[Key, list[Way]], key: Key, way: Way) -> None:
    ways[key].remove(way)
    if not ways[key]:
        del ways[key]
