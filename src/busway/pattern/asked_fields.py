"""The fields that some alternatives ask for, and which of the alternatives values and absence meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from busway.pattern.conditions import Conditions, Field, accepts
from busway.pattern.event_tree import Scalar, identity
from busway.pattern.flatten import path_order
from busway.pattern.presence import ABSENT

# Alternatives, or fields, each a bit.
Bits: TypeAlias = int


class AskedField:
    """One field as alternatives ask for it: `who` do, and of these `absent` are met by its absence."""

    __slots__ = ("_lists", "_met_by", "absent", "path", "who")

    def __init__(self, path: str) -> None:
        self.path = path
        self.who: Bits = 0
        self.absent: Bits = 0
        self._lists: dict[Conditions, Bits] = {}
        self._met_by: dict[object, Bits] = {}

    def add(self, who: Bits, conditions: Conditions) -> None:
        self.who |= who
        self._lists[conditions] = self._lists.get(conditions, 0) | who
        if ABSENT in conditions:
            self.absent |= who

    def met_by(self, value: Scalar) -> Bits:
        """The alternatives that a value meets; equal values are asked once."""
        key = identity(value)
        met = self._met_by.get(key)
        if met is None:
            met = 0
            for conditions, who in self._lists.items():
                if accepts(conditions, value):
                    met |= who
            self._met_by[key] = met
        return met


class AskedFields:
    """The fields of some alternatives in path order: the n-th is bit n."""

    def __init__(self, alternatives: Sequence[Sequence[Field]]) -> None:
        fields: dict[str, AskedField] = {}
        for number, alternative in enumerate(alternatives):
            for path, conditions in alternative:
                if path not in fields:
                    fields[path] = AskedField(path)
                fields[path].add(1 << number, conditions)
        in_order = sorted(fields.values(), key=lambda field: path_order(field.path))
        self.bits: list[tuple[Bits, AskedField]] = [(1 << number, field) for number, field in enumerate(in_order)]
        self._lacking: dict[tuple[Bits, Bits], Bits] = {}

    def who(self, fields: Bits) -> Bits:
        """The alternatives that ask for any of `fields`."""
        who = 0
        for bit, field in self.bits:
            if fields & bit:
                who |= field.who
        return who

    def lacking(self, fields: Bits, missing: Bits) -> Bits:
        """The alternatives that an element of an array fails by having none of `missing`, of the array's `fields`.

        Absence will do where a smaller one of the fields is asked for too, since this chose the element.
        """
        known = self._lacking.get((fields, missing))
        if known is not None:
            return known
        lacking = chosen = 0
        for bit, field in self.bits:
            if missing & bit:
                lacking |= field.who & ~(field.absent & chosen)
            if fields & bit:
                chosen |= field.who
        self._lacking[fields, missing] = lacking
        return lacking
