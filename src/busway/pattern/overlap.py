"""Two patterns, seen as the sets of events of a bus that they match: equal, one within the other, overlapping, apart.

    covers(a, b)   every field of some alternative of a is met by whatever the same field of b is met by
    apart(a, b)    a field that holds one string wants different ones, or one wants a value where the other wants none
    both(a, b)     an event made for both at once; that both match it has been tried

Each says what is proven and nothing else. In particular, two patterns that want different values of a field in
`detail` are not apart: a list may hold both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

from busway.pattern.bus_events import Fields, fields_of, share_arrays, single
from busway.pattern.conditions import Condition, Conditions
from busway.pattern.event_tree import Scalar
from busway.pattern.flatten import path_order
from busway.pattern.likely_values import likely
from busway.pattern.numbers import NumberBetween
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Pattern
from busway.pattern.sample import fit_envelope
from busway.pattern.sample_event import MISSING, Missing, build, event_text, needs_lists
from busway.pattern.value_sets import accepting, apart as values_apart, covers as values_cover

# What one pattern is to another; "covers": the first matches all that the second matches.
Relation = Literal["equal", "covers", "covered", "apart", "unknown"]

# Ours: how many pairs of alternatives are tried for an event, and how many pairs of texts for one value.
ALTERNATIVES_TRIED_MAX = 20
TEXTS_TRIED_MAX = 8


class Reach:
    """A pattern as the events of a bus that it can match: `alternatives` is empty when there are none."""

    __slots__ = ("alternatives", "pattern")

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern
        found = [fields for alternative in pattern.alternatives if (fields := fields_of(alternative)) is not None]
        self.alternatives: list[Fields] = found

    @property
    def key(self) -> frozenset[frozenset[tuple[str, frozenset[Condition]]]]:
        """The same for patterns that differ in nothing but order."""
        return frozenset(
            frozenset((path, frozenset(conditions)) for path, conditions in fields.items())
            for fields in self.alternatives
        )


def relation(one: Reach, other: Reach) -> Relation:
    """What is proven of two patterns that can match something. `both` may know more of those it is unknown of."""
    here, there = covers(one, other), covers(other, one)
    if here or there:
        return "equal" if here and there else "covers" if here else "covered"
    return "apart" if apart(one, other) else "unknown"


def covers(whole: Reach, part: Reach) -> bool:
    """Whether `whole` matches every event of a bus that `part` matches. False: not known."""
    return all(any(fields_cover(each, fields) for each in whole.alternatives) for fields in part.alternatives)


def apart(one: Reach, other: Reach) -> bool:
    """Whether no event of a bus is matched by both. False: not known."""
    return all(_fields_apart(here, there) for here in one.alternatives for there in other.alternatives)


def both(one: Reach, other: Reach) -> dict[str, Any] | None:
    """An event that both match, without lists made for the purpose; None when none was found."""
    pairs = itertools.product(one.alternatives, other.alternatives)
    for here, there in itertools.islice(pairs, ALTERNATIVES_TRIED_MAX):
        filling = _filling(here, there)
        if filling is None or needs_lists(filling):
            continue
        event = build(filling)
        text = event_text(event).encode()
        if one.pattern.matches(text) and other.pattern.matches(text):
            return event
    return None


def fields_cover(whole: Fields, part: Fields) -> bool:
    """Of two alternatives. What `part` chooses from arrays, `whole` can choose too, unless absence depends on more.

    `exists: false` sees only the elements that fields with smaller paths chose: if `whole` lacks one of these, it
    looks at more elements than `part` does.
    """
    for path, conditions in whole.items():
        if path not in part or not values_cover(conditions, part[path]):
            return False
        if ABSENT in part[path] and any(other not in whole for other in _seen_before(path, part)):
            return False
    return True


def _seen_before(path: str, fields: Fields) -> list[str]:
    return [other for other in fields if share_arrays(other, path) and path_order(other) < path_order(path)]


def _fields_apart(one: Fields, other: Fields) -> bool:
    for path in one.keys() & other.keys():
        if single(path) and values_apart(one[path], other[path]):
            return True
        for here, there in ((one, other), (other, one)):
            absent = all(condition == ABSENT for condition in here[path]) and not _seen_before(path, here)
            if absent and ABSENT not in there[path]:
                return True
    return False


def _filling(one: Fields, other: Fields) -> dict[str, Scalar | Missing] | None:
    """A value for each field of both; None when a field that both have is not met by any that was tried."""
    filling: dict[str, Scalar | Missing] = {}
    for path in sorted({*one, *other}, key=path_order):
        lists = [fields[path] for fields in (one, other) if path in fields]
        values = fit_envelope(path, lists, _common(lists))
        if values:
            filling[path] = values[0]
        elif all(ABSENT in conditions for conditions in lists):
            filling[path] = MISSING
        else:
            return None
    return filling


def _common(lists: Sequence[Conditions]) -> list[Scalar]:
    """Values that all of one or two lists accept: what two ranges share, of either list, or made of both."""
    accepts = [accepting(conditions) for conditions in lists]
    values = _shared_numbers(*lists) if len(lists) == 2 else []
    values += [value for conditions in lists for value in likely(conditions)]
    found = [value for value in values if all(each(value) for each in accepts)]
    if len(lists) == 2 and not found:
        found = [value for value in _joined_texts(*lists) if all(each(value) for each in accepts)]
    return found


def _joined_texts(one: Conditions, other: Conditions) -> list[Scalar]:
    here = [value for value in likely(one) if isinstance(value, str)][:TEXTS_TRIED_MAX]
    there = [value for value in likely(other) if isinstance(value, str)][:TEXTS_TRIED_MAX]
    joined = [text for first, second in itertools.product(here, there) for text in (first + second, second + first)]
    return [*sorted(joined, key=len)]


def _shared_numbers(one: Conditions, other: Conditions) -> list[Scalar]:
    found: list[Scalar] = []
    for first, second in itertools.product(_ranges(one), _ranges(other)):
        found += likely([_shared(first, second)])
    return found


def _ranges(conditions: Conditions) -> list[NumberBetween]:
    return [condition for condition in conditions if isinstance(condition, NumberBetween)]


def _shared(one: NumberBetween, other: NumberBetween) -> NumberBetween:
    low, low_left_out = max((one.low, not one.low_included), (other.low, not other.low_included))
    high, high_included = min((one.high, one.high_included), (other.high, other.high_included))
    return NumberBetween(low, not low_left_out, high, high_included)
