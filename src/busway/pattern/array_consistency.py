"""Which alternatives are met by values that lie in the same elements of the event's arrays.

    {"items": {"sku": ["A"], "colour": ["red"]}}   must not match   items: [{A, blue}, {B, red}]

The rule, as AWS has it: fields are taken in the order of their paths (UTF-16). Each chooses one of its accepted
values, and with it the elements that this lies in; of no array two elements may be chosen. `exists: false` is met if
no value at all agrees with what smaller paths chose.

Nearly always a field leads one way: in any object, all its values are in one array, or in none. Then each array is
settled by itself, the inner ones first: an alternative is met in an array if one of the elements has all that it asks
of this array. `exists: false` is met in an element that lacks the field, but not for the alternative's first field in
the array, before which no element is chosen. Alternatives are bits of an integer, so that one walk over the values is
for all of them, however many a `$or` makes.

Alternatives with fields that lead several ways (a repeated name, a dotted name beside a nested one, a list that has
scalars and lists) are left to `element_search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from busway.pattern.asked_fields import AskedField, AskedFields, Bits
from busway.pattern.conditions import Conditions, Field, accepts
from busway.pattern.element_search import ElementSearch
from busway.pattern.flatten import Leaf, Leaves, Place


def met_together(alternatives: Sequence[Sequence[Field]], leaves: Leaves) -> list[bool]:
    """Of each alternative, whether all its fields can be met together. They are in path order."""
    asked = AskedFields(alternatives)
    walk = _Walk()
    for bit, field in asked.bits:
        walk.take(bit, field, leaves.get(field.path, ()))
    walk.settle_arrays(asked)
    searched = asked.who(walk.several_ways)
    return [
        bool(walk.met >> number & 1)
        if not searched >> number & 1
        else bool(walk.possible >> number & 1) and ElementSearch(fields, leaves).finds()
        for number, fields in enumerate(alternatives)
    ]


def first_unmet(fields: Sequence[Field], leaves: Leaves) -> int | None:
    """The position of the first field that can't be met together with those before it; None when all can."""
    met = met_together([fields[: end + 1] for end in range(len(fields))], leaves)
    return None if all(met) else met.index(False)


def accepted(conditions: Conditions, leaves: Iterable[Leaf]) -> list[Leaf]:
    return [leaf for leaf in leaves if accepts(conditions, leaf.value)]


class _Scope:
    """The event or an element of an array, without the elements of arrays in it.

    `fields` have values here, or in arrays in it that are settled; `met` are the alternatives that these meet.
    """

    __slots__ = ("fields", "met")

    def __init__(self) -> None:
        self.fields: Bits = 0
        self.met: Bits = -1


class _Array:
    __slots__ = ("around", "elements")

    def __init__(self, around: _Scope) -> None:
        self.around = around
        self.elements: list[_Scope] = []


class _Walk:
    """One walk over the values of all fields.

    `possible` are the alternatives that have each field met by itself. `met` are, when the arrays are settled, those
    that have all met together, except that it says nothing of who asks for a field that leads `several_ways`.
    """

    def __init__(self) -> None:
        self.possible: Bits = -1
        self.several_ways: Bits = 0
        self._event = _Scope()
        self._scopes: dict[Place | None, _Scope] = {None: self._event}
        self._arrays: dict[int, _Array] = {}

    @property
    def met(self) -> Bits:
        return self.possible & self._event.met

    def take(self, bit: Bits, field: AskedField, leaves: Sequence[Leaf]) -> None:
        """Put what a field's values meet into the scopes that they lie in."""
        place: Place | None = None
        anywhere = here = 0
        for number, leaf in enumerate(leaves):
            if leaf.place is not place:
                if number:
                    self._put(bit, field, place, here)
                anywhere |= here
                place, here = leaf.place, 0
            here |= field.met_by(leaf.value)
        if leaves:
            self._put(bit, field, place, here)
        self.possible &= ~field.who | field.absent | anywhere | here

    def _put(self, bit: Bits, field: AskedField, place: Place | None, met: Bits) -> None:
        scope = self._scopes.get(place) or self._open(place)
        self.several_ways |= scope.fields & bit
        scope.fields |= bit
        scope.met &= ~field.who | met

    def _open(self, place: Place | None) -> _Scope:
        """The scope at a place, with those around it."""
        inner: list[Place] = []
        while place is not None and place not in self._scopes:
            inner.append(place)
            place = place.around
        scope = self._scopes[place]
        for place in reversed(inner):
            array = self._arrays.get(place.array)
            if array is None:
                array = self._arrays[place.array] = _Array(scope)
            scope = self._scopes[place] = _Scope()
            array.elements.append(scope)
        return scope

    def settle_arrays(self, asked: AskedFields) -> None:
        """Take each array's alternatives into the scope around it. An array has a smaller number than those in it."""
        for number in sorted(self._arrays, reverse=True):
            array = self._arrays[number]
            fields = 0
            for element in array.elements:
                fields |= element.fields
            met = ~asked.who(fields)
            for element in array.elements:
                met |= element.met & ~asked.lacking(fields, fields & ~element.fields)
            self.several_ways |= array.around.fields & fields
            array.around.fields |= fields
            array.around.met &= met
