"""Array consistency as the rule reads: choose a value for each field in turn, so that all elements agree.

For fields that lead several ways; `array_consistency` says which those are, and settles all others without a search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from busway.pattern.conditions import Field, accepts
from busway.pattern.flatten import Leaves, Place
from busway.pattern.presence import ABSENT

# Ours: how many values and elements are looked at for one alternative. Where arrays multiply, what would be found
# only after these is not found.
STEPS_MAX = 10_000


class ElementSearch:
    """Whether the fields of one alternative, in path order, can be met together; tries at most `STEPS_MAX`."""

    def __init__(self, fields: Sequence[Field], leaves: Leaves) -> None:
        self._fields = fields
        self._leaves = leaves
        self._chosen: dict[int, int] = {}  # the element of each array
        self.steps_left = STEPS_MAX

    def finds(self) -> bool:
        ways = [self._ways(0)]
        while ways and self.steps_left > 0:
            if not next(ways[-1], False):
                ways.pop()
            elif len(ways) == len(self._fields):
                return True
            else:
                ways.append(self._ways(len(ways)))
        return False

    def _ways(self, position: int) -> Iterator[bool]:
        """Meet the field at `position` in one way after the other; its elements stay chosen until the next."""
        path, conditions = self._fields[position]
        agreed = False
        before: Place | bool | None = False
        for leaf in self._leaves.get(path, ()):
            if self.steps_left <= 0:
                return
            chosen = self._agreeing(leaf.place)
            if chosen is None:
                continue
            agreed = True
            # What another value in the same place opens was tried.
            if leaf.place is before or not accepts(conditions, leaf.value):
                continue
            before = leaf.place
            self._chosen |= chosen
            yield True
            for array in chosen:
                del self._chosen[array]
        if not agreed and ABSENT in conditions:
            yield True

    def _agreeing(self, place: Place | None) -> dict[int, int] | None:
        """The elements around a value that are not chosen yet; None if another element of some array is."""
        fresh: dict[int, int] = {}
        self.steps_left -= 1
        while place is not None:
            self.steps_left -= 1
            element = self._chosen.get(place.array)
            if element is None:
                fresh[place.array] = place.element
            elif element != place.element:
                return None
            place = place.around
        return fresh
