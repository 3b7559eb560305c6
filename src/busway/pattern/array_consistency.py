"""Whether the fields of one rule can be met by values that lie in the same elements of the event's arrays.

    {"items": {"sku": ["A"], "colour": ["red"]}}   must not match   items: [{A, blue}, {B, red}]

Fields are taken in the order of their paths (UTF-16, as AWS). After each field there is a set of *choices*: which
element of which array the values chosen so far lie in. A field is met if some accepted value's place agrees with
some choice; `exists: false` is met by a choice if no value at all agrees with it, and it sees only what smaller
paths chose.

Kept small in two ways, or a 256-KiB event could cost minutes: a choice forgets arrays in which no later field lies,
and choices that agree with a place are found by walking a tree of choices from the outermost array in, not by trying
all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from busway.pattern.conditions import Condition
from busway.pattern.flatten import Leaf, Leaves, Place
from busway.pattern.presence import ABSENT

# Array ids with the index chosen in each, by ascending id: an array has a smaller id than those inside it.
Choice: TypeAlias = "tuple[tuple[int, int], ...]"
Field: TypeAlias = "tuple[str, Sequence[Condition]]"

# Ours: how many pairs of a choice and a place one field may cost, for each value of the event that the rule looks at.
# As many as arrays are nested is enough: only repeated names, or dotted names beside nested ones, multiply arrays
# with each other, and of those combinations what lies beyond this is not found.
PAIRS_PER_VALUE = 16


def choice_of(place: Place | None) -> Choice:
    chosen: list[tuple[int, int]] = []
    while place is not None:
        chosen.append((place.array, place.element))
        place = place.around
    return tuple(reversed(chosen))


def first_unmet(fields: Sequence[Field], leaves: Leaves) -> int | None:
    """The position of the first field that can't be met together with those before it; None when all can.

    `fields` are in path order.
    """
    values = [leaf for path, _ in fields for leaf in leaves.get(path, ())]
    plain = all(leaf.place is None for leaf in values)
    pairs_max = PAIRS_PER_VALUE * len(values)
    later = [] if plain else _arrays_of_later_fields(fields, leaves)
    choices: set[Choice] = {()}
    for position, (path, conditions) in enumerate(fields):
        present = leaves.get(path, [])
        if plain:
            if not (accepted(conditions, present) or (ABSENT in conditions and not present)):
                return position
            continue
        choices = _narrow(choices, conditions, present, later[position], pairs_max)
        if not choices:
            return position
    return None


def accepted(conditions: Sequence[Condition], leaves: Iterable[Leaf]) -> list[Leaf]:
    return [leaf for leaf in leaves if any(condition.accepts(leaf.value) for condition in conditions)]


def _arrays_of_later_fields(fields: Sequence[Field], leaves: Leaves) -> list[set[int]]:
    """For each field, the arrays that values of the fields after it lie in."""
    later: list[set[int]] = []
    arrays: set[int] = set()
    for path, _ in reversed(fields):
        later.append(set(arrays))
        for place in {leaf.place for leaf in leaves.get(path, ())}:
            arrays.update(array for array, _ in choice_of(place))
    return later[::-1]


def _narrow(
    choices: set[Choice], conditions: Sequence[Condition], present: list[Leaf], later: set[int], pairs_max: int
) -> set[Choice]:
    """The choices that remain after one more field, each forgetting the arrays that are not in `later`."""
    tree = ChoiceTree(choices)
    places = (choice_of(place) for place in {leaf.place for leaf in accepted(conditions, present)})
    pairs = ((choice, place) for place in places for choice in tree.agreeing(place))
    narrowed: set[Choice] = set()
    for choice, place in islice(pairs, pairs_max):
        narrowed.add(_within(later, sorted({*choice, *place})))
        if not later:  # there is nothing left to tell choices apart
            return narrowed
    if ABSENT in conditions:
        taken = ChoiceTree(choice_of(place) for place in {leaf.place for leaf in present})
        narrowed.update(_within(later, choice) for choice in choices if next(taken.agreeing(choice), None) is None)
    return narrowed


def _within(arrays: set[int], choice: Iterable[tuple[int, int]]) -> Choice:
    return tuple(pair for pair in choice if pair[0] in arrays)


class ChoiceTree:
    """Choices by their first array, then its index, then the next array …: {array: {index: ChoiceTree}}."""

    __slots__ = ("arrays", "ends")

    def __init__(self, choices: Iterable[Choice] = ()) -> None:
        self.arrays: dict[int, dict[int, ChoiceTree]] = {}
        self.ends = False
        for choice in choices:
            node = self
            for array, index in choice:
                node = node.arrays.setdefault(array, {}).setdefault(index, ChoiceTree())
            node.ends = True

    def agreeing(self, wanted: Choice) -> Iterator[Choice]:
        """Every choice that names no array of `wanted` with another index."""
        indexes = dict(wanted)
        waiting: list[tuple[ChoiceTree, Choice]] = [(self, ())]
        while waiting:
            node, choice = waiting.pop()
            if node.ends:
                yield choice
            for array, elements in node.arrays.items():
                index = indexes.get(array)
                if index is None:
                    waiting.extend((child, (*choice, (array, at))) for at, child in elements.items())
                elif index in elements:
                    waiting.append((elements[index], (*choice, (array, index))))
