"""Value lists seen as sets: whether one accepts all that another accepts, or nothing of it.

Sound, not complete: True is proven, False means that it is not known. Values are strings, numbers, and null, true and
false; that there is none (`exists: false`) counts as one more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

from msgspec import Raw

from busway.pattern.anything_but import NotLike, NotStrings
from busway.pattern.conditions import Condition
from busway.pattern.event_tree import Scalar
from busway.pattern.exact import LiteralIs, StringIs
from busway.pattern.ignore_case import IgnoreCase
from busway.pattern.numbers import NumberBetween, NumberIs, canonical
from busway.pattern.presence import ABSENT, Absent, Present
from busway.pattern.text_sets import impossible_text, text_apart, text_within

Bounds: TypeAlias = "tuple[float, float]"
_LARGEST = math.nextafter(math.inf, 0)


def covers(whole: Sequence[Condition], part: Sequence[Condition]) -> bool:
    """Whether `whole` accepts everything that `part` accepts."""
    exact, others = _divided(whole)
    for one in part:
        key = exact_key(one)
        if key is None:
            if not _covers_one(whole, one):
                return False
        elif key not in exact and not _accepts_point(others, one):
            return False
    return True


def apart(one: Sequence[Condition], other: Sequence[Condition]) -> bool:
    """Whether nothing is accepted by both."""
    here, open_here = _divided(one)
    there, open_there = _divided(other)
    return (
        here.keys().isdisjoint(there)
        and all(_apart(first, second) for first in open_here for second in other)
        and all(_apart(first, second) for first in here.values() for second in open_there)
    )


def accepting(conditions: Sequence[Condition]) -> Callable[[Scalar], bool]:
    """Whether some condition of a list accepts a value; for a list that is asked about many."""
    exact, others = _divided(conditions)
    asked = [acceptance(other) for other in others]

    def accepts(value: Scalar) -> bool:
        return _value_key(value) in exact or any(each(value) for each in asked)

    return accepts


def acceptance(condition: Condition) -> Callable[[Scalar], bool]:
    """As `accepting`, of one condition: an `anything-but` may be a long list too."""
    if not isinstance(condition, NotLike):
        return condition.accepts
    refuses = accepting(condition.refused)
    return lambda value: not refuses(value)


def exact_key(condition: Condition) -> Hashable | None:
    """The same for conditions that accept the same one value and nothing else; None for all others."""
    if isinstance(condition, StringIs):
        return condition.text
    if isinstance(condition, LiteralIs):
        return condition
    return (condition.key,) if isinstance(condition, NumberIs) else None


def _value_key(value: Scalar) -> Hashable:
    """The `exact_key` of conditions that accept this value alone."""
    if isinstance(value, str):
        return value
    return LiteralIs(value) if value is None or isinstance(value, bool) else (canonical(value),)


def _divided(conditions: Sequence[Condition]) -> tuple[dict[Hashable, Condition], list[Condition]]:
    """Those that accept one value, by their keys, and the others: lists of many values are mostly of the first kind.

    To compare all with all made rules of four hundred values each cost a minute.
    """
    exact: dict[Hashable, Condition] = {}
    others: list[Condition] = []
    for condition in conditions:
        key = exact_key(condition)
        if key is None:
            others.append(condition)
        else:
            exact[key] = condition
    return exact, others


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


def _accepts_point(whole: Sequence[Condition], one: Condition) -> bool:
    return any(other.accepts(value) for value in point(one) for other in whole)


def _covers_one(whole: Sequence[Condition], one: Condition) -> bool:
    if isinstance(one, Absent):
        return ABSENT in whole
    if exact_key(one) is not None:
        return _accepts_point(whole, one)
    if any(_implies(one, other) for other in whole):
        return True
    if isinstance(one, NumberBetween) and _ranges_cover(whole, bounds(one)):
        return True
    for place, other in enumerate(whole):
        refused = refused_by(other)
        if refused is None:
            continue
        rest = [*whole[:place], *whole[place + 1 :]]
        if all(_apart(one, each) or _covers_one(rest, each) for each in refused):
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
