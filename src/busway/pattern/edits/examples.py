"""Values that a condition accepts, as near as may be to one that it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Raw

from busway.pattern.address import AddressIs, InNetwork
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.ignore_case import IgnoreCase
from busway.pattern.json_text import NUMBER
from busway.pattern.numbers import NumberBetween, NumberIs
from busway.pattern.text import Prefix, Suffix
from busway.pattern.wildcard import Wildcard


def examples(condition: Condition, near: Scalar) -> Iterator[Scalar]:
    """Some values, the likeliest first; none where any would do as well as another. `near` is "" for nothing."""
    if isinstance(condition, StringIs | AddressIs):
        yield condition.text
    elif isinstance(condition, NumberIs):
        yield Raw(condition.text.encode())
    elif isinstance(condition, LiteralIs):
        yield condition.literal
    elif isinstance(condition, Prefix | Suffix | IgnoreCase):
        yield from _with_edge(condition, near if isinstance(near, str) else "")
    elif isinstance(condition, Wildcard):
        yield "".join(condition.literals)
    elif isinstance(condition, NumberBetween):
        yield from _in_range(condition, near)
    elif isinstance(condition, InNetwork):
        yield condition.text.partition("/")[0]


def _with_edge(condition: Prefix | Suffix | IgnoreCase, near: str) -> Iterator[Scalar]:
    text = condition.text
    where = condition.where if isinstance(condition, IgnoreCase) else None
    if where == "whole":
        yield text
    elif where == "prefix" or isinstance(condition, Prefix):
        yield text + near[len(text) :]
        yield text + near
    else:
        yield near[: max(0, len(near) - len(text))] + text
        yield near + text


def _in_range(condition: NumberBetween, near: Scalar) -> Iterator[Scalar]:
    if isinstance(near, str) and NUMBER.fullmatch(near.strip()):
        yield Raw(near.strip().encode())
    low, high = condition.low, condition.high
    if condition.low_included and low != -math.inf:
        yield _number(low)
    if condition.high_included and high != math.inf:
        yield _number(high)
    if low == -math.inf:
        yield _number(high - 1)
    elif high == math.inf:
        yield _number(low + 1)
    else:
        yield _number(low + 1)
        yield _number((low + high) / 2)


def _number(number: float) -> Scalar:
    whole = number.is_integer() and abs(number) < 2**53
    return int(number) if whole else Raw(repr(number).encode())
