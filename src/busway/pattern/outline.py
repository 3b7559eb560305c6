"""A pattern as it was written: which list stands outside of `$or` and which in what branch, and what comes of it.

    {"a": [1], "$or": [{"b": [2]}, {"a": [3], "c": [4]}]}

    clauses:  the pattern  a [1]        readings:  a [1], b [2]
              $or[0]       b [2]                   a [3], c [4]
              $or[1]       a [3], c [4]

A reading takes one branch of each `$or`, and of the lists of a path the last one counts in it, as on AWS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from busway.pattern.conditions import Field


@dataclass(frozen=True, slots=True, eq=False)
class Or:
    branches: tuple[Clause, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """The whole pattern or a branch of a `$or`, and what stands in it, in order; objects only lengthen paths.

    A field written twice is two of them, told apart by identity. `place` names a branch, as "detail.$or[1]", and is
    "" for the pattern.
    """

    place: str
    members: tuple[Field | Or, ...]

    @property
    def fields(self) -> list[Field]:
        """Those that stand in the clause itself."""
        return [member for member in self.members if not isinstance(member, Or)]

    @property
    def branches(self) -> list[Clause]:
        """Those of the `$or`s that stand in the clause itself."""
        return [branch for member in self.members if isinstance(member, Or) for branch in member.branches]


# The fields that count, by path.
Counting: TypeAlias = "dict[str, Field]"
# Each clause that is taken, before those in it, and what counts in it when it is read alone.
Reading: TypeAlias = "dict[Clause, Counting]"


def clauses(clause: Clause) -> Iterator[Clause]:
    """The clause and all that are in it, in the pattern's order."""
    yield clause
    for branch in clause.branches:
        yield from clauses(branch)


def readings(clause: Clause) -> list[Reading]:
    """All of them, in the order in which AWS multiplies `$or` out."""
    found: list[tuple[Counting, Reading]] = [({}, {})]
    for member in clause.members:
        if isinstance(member, Or):
            found = [
                (counting | inside[branch], taken | inside)
                for branch in member.branches
                for inside in readings(branch)
                for counting, taken in found
            ]
        else:
            for counting, _ in found:
                counting[member[0]] = member
    return [{clause: counting, **taken} for counting, taken in found]


@dataclass(frozen=True, slots=True)
class Overridden:
    """A list at `place` that does not count where lists at the places `by` do; `never`: it counts nowhere else."""

    path: str
    place: str
    by: tuple[str, ...]
    never: bool

    @property
    def in_words(self) -> str:
        if self.place in self.by:
            return f"{self.path} is given more than once, and only its last list counts"
        own = f"{self.path} is given more than once, and its list {_stands(self.place)}"
        return f"{own} never counts" if self.never else f"{own} does not count where that {self._others} does"

    @property
    def _others(self) -> str:
        return " or ".join(map(_stands, self.by))


def _stands(place: str) -> str:
    return f"in {place}" if place else "outside of $or"


def overridden(pattern: Clause) -> list[Overridden]:
    """The lists that in some reading do not count though their clause is taken, in the pattern's order."""
    written = [(field, clause) for clause in clauses(pattern) for field in clause.fields]
    times = Counter(path for (path, _), _ in written)
    if len(times) == len(written):
        return []
    place_of = {id(field): clause.place for field, clause in written}
    found: list[Overridden] = []
    ways = readings(pattern)
    for field, clause in written:
        if times[field[0]] == 1:
            continue
        counting = [reading[pattern][field[0]] for reading in ways if clause in reading]
        others = [other for other in counting if other is not field]
        if others:
            by = dict.fromkeys(place_of[id(other)] for other in others)
            found.append(Overridden(field[0], clause.place, tuple(by), len(others) == len(counting)))
    return list(dict.fromkeys(found))
