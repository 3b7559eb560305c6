"""What all operators have in common: a condition says which scalar values of a field it accepts.

Pure, as is every file of this room: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Protocol, TypeAlias

import msgspec
from msgspec import Raw

from busway.pattern.event_tree import Scalar
from busway.pattern.unseen import escaped


class Selectivity(IntEnum):
    """How much a condition narrows, best first; the matcher asks the fields of a rule in this order."""

    EXACT = 0
    RANGE = 1
    NEARLY_ALL = 2
    ABSENCE = 3


class Condition(Protocol):
    """One matcher of a value list. Hashable and comparable by value: equal lists share their place in the matcher."""

    @property
    def selectivity(self) -> Selectivity: ...

    @property
    def wanted(self) -> str:
        """What it accepts, for people: `"Order Placed"`, `a number > 10`."""
        ...

    @property
    def words(self) -> tuple[str, ...]:
        """Whole strings it accepts, to compare with a value that was nearly right; () when there are none."""
        ...

    def accepts(self, value: Scalar) -> bool: ...


Conditions: TypeAlias = "tuple[Condition, ...]"
"""A value list: one of them is enough."""

Field: TypeAlias = "tuple[str, Conditions]"
"""A path, and the list that its values are asked with."""


def accepts(conditions: Iterable[Condition], value: Scalar) -> bool:
    return any(condition.accepts(value) for condition in conditions)


def in_words(conditions: Iterable[Condition]) -> str:
    """What a value list accepts, for people."""
    return " or ".join(dict.fromkeys(condition.wanted for condition in conditions))


def quoted(text: str) -> str:
    """`text` as a JSON string, for messages; lone surrogates and what nobody sees are shown as escapes."""
    return escaped(msgspec.json.encode(text.encode("utf-8", "backslashreplace").decode()).decode())


def shown(value: Scalar) -> str:
    """A scalar as the JSON text it came from (whole numbers in plain digits)."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Raw):
        return bytes(value).decode()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
