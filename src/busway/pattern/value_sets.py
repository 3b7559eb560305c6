"""Value lists seen as sets: whether one accepts all that another accepts, or nothing of it.

Sound, not complete: True is proven, False means that it is not known. Values are strings, numbers, and null, true and
false; that there is none (`exists: false`) counts as one more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Raw

from busway.pattern.anything_but import NotLike, NotStrings
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.ignore_case import IgnoreCase
from busway.pattern.numbers import NumberBetween, NumberIs
from busway.pattern.presence import ABSENT, Absent, Present
from busway.pattern.text_sets import impossible_text, text_apart, text_within

Bounds: TypeAlias = "tuple[float, float]"
_LARGEST = math.nextafter(math.inf, 0)


def covers(whole: Sequence[Condition], part: Sequence[Condition]) -> bool:
    """Whether `whole` accepts everything that `part` accepts."""
    return all(_covers_one(whole, one) for one in part)


def apart(one: Sequence[Condition], other: Sequence[Condition]) -> bool:
    """Whether nothing is accepted by both."""
    return all(_apart(here, there) for here in one for there in other)


def accepts_nothing(condition: Condition) -> bool:
    """A range with no number in it, or a text that no string is like. `exists: false` accepts that there is none."""
    if isinstance(condition, NumberBetween):
        low, high = bounds(condition)
        return low > high
    return isinstance(condition, IgnoreCase) and impossible_text(condition)


def bounds(condition: NumberBetween) -> Bounds:
    """The smallest and the largest double in the range; the first is larger when there is none."""
    low = condition.low if condition.low_included else math.nextafter(condition.low, math.inf)
    high = condition.high if condition.high_included else math.nextafter(condition.high, -math.inf)
    return max(low, -_LARGEST), min(high, _LARGEST)


def refused_by(condition: Condition) -> tuple[Condition, ...] | None:
    """What an `anything-but` does not accept, None for other operators."""
    if isinstance(condition, NotStrings):
        return tuple(StringIs(text) for text in sorted(condition.texts))
    return condition.refused if isinstance(condition, NotLike) else None


def point(condition: Condition) -> list[Scalar]:
    """The only value that a condition accepts, as a list; [] when there may be several."""
    if isinstance(condition, StringIs):
        return [condition.text]
    if isinstance(condition, LiteralIs):
        return [condition.literal]
    return [Raw(condition.text.encode())] if isinstance(condition, NumberIs) else []


def _covers_one(whole: Sequence[Condition], one: Condition) -> bool:
    if isinstance(one, Absent):
        return ABSENT in whole
    if any(_implies(one, other) for other in whole):
        return True
    if isinstance(one, NumberBetween) and _ranges_cover(whole, bounds(one)):
        return True
    for place, other in enumerate(whole):
        refused = refused_by(other)
        rest = [*whole[:place], *whole[place + 1 :]]
        if refused is not None and all(_apart(one, each) or _covers_one(rest, each) for each in refused):
            return True
    return False


def _implies(one: Condition, other: Condition) -> bool:
    if isinstance(other, Absent):
        return False
    if one == other or isinstance(other, Present) or accepts_nothing(one):
        return True
    for value in point(one):
        return other.accepts(value)
    refused = refused_by(other)
    if refused is not None:
        return all(_apart(one, each) for each in refused)
    if isinstance(one, NumberBetween) and isinstance(other, NumberBetween):
        (low, high), (lowest, highest) = bounds(one), bounds(other)
        return lowest <= low and high <= highest
    return _kinds(one) == _kinds(other) == "text" and text_within(one, other)


def _apart(one: Condition, other: Condition) -> bool:
    if isinstance(one, Absent) or isinstance(other, Absent):
        return one != other
    if accepts_nothing(one) or accepts_nothing(other):
        return True
    for here, there in ((one, other), (other, one)):
        for value in point(here):
            return not there.accepts(value)
    for here, there in ((one, other), (other, one)):
        refused = refused_by(here)
        if refused is not None:
            return refused_by(there) is None and _covers_one(refused, there)
    if isinstance(one, NumberBetween) and isinstance(other, NumberBetween):
        (low, high), (other_low, other_high) = bounds(one), bounds(other)
        return max(low, other_low) > min(high, other_high)
    kinds = {_kinds(one), _kinds(other)}
    return "all" not in kinds and (len(kinds) == 2 or text_apart(one, other))


def _kinds(condition: Condition) -> str:
    if isinstance(condition, Present | NotStrings | NotLike):
        return "all"
    if isinstance(condition, NumberIs | NumberBetween):
        return "number"
    return "literal" if isinstance(condition, LiteralIs) else "text"


def _ranges_cover(whole: Sequence[Condition], wanted: Bounds) -> bool:
    """Whether ranges and single numbers together leave no double out."""
    known = [bounds(one) for one in whole if isinstance(one, NumberBetween)]
    known += [(one.key, one.key) for one in whole if isinstance(one, NumberIs) and isinstance(one.key, float)]
    reached, end = wanted
    for low, high in sorted(known):
        if low > reached:
            return False
        reached = max(reached, math.nextafter(high, math.inf))
        if reached > end:
            return True
    return False
