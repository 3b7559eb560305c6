"""What one event made of the fields of one pattern: which are met together, and of the others what was mistaken.

`$or` may make a thousand alternatives of a pattern, which share most of their fields. So all that is known of a field
by itself is found once, and outside of arrays that is everything: there, fields do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from busway.pattern.array_consistency import accepted, first_unmet
from busway.pattern.conditions import Field, in_words, shown
from busway.pattern.event_tree import Tree
from busway.pattern.flatten import Leaf, Leaves, flatten
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Pattern
from busway.pattern.suggest import EventPaths, about_values

# Ours: enough of a long list to see what is in it.
VALUES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class FieldVerdict:
    """What one field of a pattern made of an event.

    `found` are the event's values as JSON text, () when the field is missing. `decided_by` is the matcher that
    accepted one, None when none did. `wanted` is what the whole value list accepts. `clash` says which elements of an
    array disagree when the values fit but do not lie in one element. `suggestion` is what was probably mistaken.
    `likeness` is how near the event came, from 0 to 1.
    """

    path: str
    found: tuple[str, ...]
    decided_by: str | None
    wanted: str
    matched: bool
    clash: str | None = None
    suggestion: str | None = None
    likeness: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Not `asdict`, whose deep copies cost more than the verdict."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """A field beside its values in the event. `fitting` are those that its list accepts.

    `possible`: it may be met, if the others let it; where it is not `in_arrays`, it is met.
    """

    asked: Field
    present: Sequence[Leaf]
    fitting: Sequence[Leaf]
    in_arrays: bool
    possible: bool

    @property
    def path(self) -> str:
        return self.asked[0]


_Fields: TypeAlias = "tuple[_Field, ...]"


class FieldVerdicts:
    """The verdicts on the fields of all alternatives; a field that several have is the same `_Field` in them."""

    def __init__(self, pattern: Pattern, event: dict[str, Tree], paths: EventPaths) -> None:
        """`paths` are the event's."""
        self.pattern = pattern
        self._paths = paths
        self._leaves: Leaves = flatten(event, pattern.tree)
        # Alternatives share a field as one object; to compare long lists would cost as much as to ask them.
        self._known: dict[int, _Field] = {}
        self._alternatives = [self._fields(alternative.fields) for alternative in pattern.alternatives]
        self._unmet: dict[_Fields, frozenset[_Field]] = {}
        self._clashes: dict[tuple[_Field, _Field], str | None] = {}
        self._verdicts: dict[tuple[_Field, bool, str | None], FieldVerdict] = {}

    def fewest_missed(self) -> int:
        """How many fields of the best alternative are not met."""
        return min(len(self._missed(fields)) for fields in self._alternatives)

    def of_alternatives(self) -> Iterator[tuple[FieldVerdict, ...]]:
        """The verdicts on the fields of each alternative."""
        return map(self._verdicts_on, self._alternatives)

    def of(self, fields: Sequence[Field]) -> tuple[FieldVerdict, ...]:
        """The verdicts on fields of the pattern in the order of their paths, whether they are an alternative or not.

        A field counts as met if it can be met together with the fields before it that are.
        """
        return self._verdicts_on(self._fields(fields))

    def _verdicts_on(self, fields: _Fields) -> tuple[FieldVerdict, ...]:
        missed = self._missed(fields)
        met: list[_Field] = []
        verdicts: list[FieldVerdict] = []
        for field in fields:
            clash = self._clash(field, met) if field.fitting and field in missed else None
            verdicts.append(self._verdict(field, field not in missed, clash))
            if field not in missed:
                met.append(field)
        return tuple(verdicts)

    def _fields(self, fields: Sequence[Field]) -> _Fields:
        for field in fields:
            if id(field) not in self._known:
                self._known[id(field)] = self._field(field)
        return tuple(self._known[id(field)] for field in fields)

    def _field(self, field: Field) -> _Field:
        path, conditions = field
        present = self._leaves.get(path, [])
        fitting = accepted(conditions, present)
        in_arrays = any(leaf.place is not None for leaf in present)
        # In an array a value may lie in other elements than those that the fields before it chose.
        absent = ABSENT in conditions and (in_arrays or not present)
        return _Field(field, present, fitting, in_arrays, bool(fitting) or absent)

    def _missed(self, fields: _Fields) -> set[_Field]:
        missed = {field for field in fields if not field.possible}
        possible = tuple(field for field in fields if field.possible)
        in_arrays = tuple(field for field in possible if field.in_arrays)
        if in_arrays:
            # Where all may be met, exactly what decides whether the pattern matches is asked.
            missed |= self._unmet_in_arrays(in_arrays if missed else possible)
        return missed

    def _unmet_in_arrays(self, fields: _Fields) -> frozenset[_Field]:
        """Those that can't be met together with the ones before them that can."""
        if fields not in self._unmet:
            left = [*fields]
            while (position := first_unmet([field.asked for field in left], self._leaves)) is not None:
                del left[position]
            self._unmet[fields] = frozenset(fields).difference(left)
        return self._unmet[fields]

    def _verdict(self, field: _Field, matched: bool, clash: str | None) -> FieldVerdict:
        known = (field, matched, clash)
        if known not in self._verdicts:
            self._verdicts[known] = self._met(field) if matched else self._not_met(field, clash)
        return self._verdicts[known]

    def _met(self, field: _Field) -> FieldVerdict:
        path, conditions = field.asked
        deciding = (one for leaf in field.fitting for one in conditions if one.accepts(leaf.value))
        decided_by = next(deciding, ABSENT).wanted
        return FieldVerdict(path, _found(field.present), decided_by, in_words(conditions), matched=True, likeness=1.0)

    def _not_met(self, field: _Field, clash: str | None) -> FieldVerdict:
        path, conditions = field.asked
        suggestion, near = None, 1.0
        if not field.fitting and field.present:
            suggestion, near = about_values(conditions, [leaf.value for leaf in field.present])
        elif not field.fitting:
            suggestion, near = self._paths.about(path), 0.0
        return FieldVerdict(path, _found(field.present), None, in_words(conditions), False, clash, suggestion, near)

    def _clash(self, field: _Field, met: Sequence[_Field]) -> str:
        """Name the field and the array elements that this field's fitting values can't be combined with."""
        for other in met:
            # Without a value in an array it leaves all elements open.
            clash = self._clash_of_two(other, field) if other.in_arrays else None
            if clash is not None:
                return clash
        return f"no one element of an array fits {field.path} and all of {', '.join(other.path for other in met)}"

    def _clash_of_two(self, other: _Field, field: _Field) -> str | None:
        if (other, field) not in self._clashes:
            together = first_unmet([other.asked, field.asked], self._leaves) is None
            self._clashes[other, field] = None if together else _clash_in_words(other, field)
        return self._clashes[other, field]


def _found(present: Sequence[Leaf]) -> tuple[str, ...]:
    texts = [shown(leaf.value) for leaf in present[:VALUES_SHOWN_MAX]]
    cut = len(present) - VALUES_SHOWN_MAX
    return (*texts, f"… and {cut} more") if cut > 0 else tuple(texts)


def _clash_in_words(other: _Field, field: _Field) -> str:
    here, there = _elements(field), _elements(other)
    for array in here.keys() & there.keys():
        if not here[array] & there[array]:
            return (
                f"{field.path} fits in element {_listed(here[array])} of an array, "
                f"{other.path} in element {_listed(there[array])} of it"
            )
    return f"no one element of an array fits both {field.path} and {other.path}"


def _elements(field: _Field) -> dict[int, set[int]]:
    """In which elements of which arrays a field's fitting values lie."""
    elements: dict[int, set[int]] = {}
    for leaf in field.fitting:
        place = leaf.place
        while place is not None:
            elements.setdefault(place.array, set()).add(place.element)
            place = place.around
    return elements


def _listed(indexes: set[int]) -> str:
    shown_indexes = sorted(indexes)[:VALUES_SHOWN_MAX]
    return ", ".join(str(index) for index in shown_indexes)
