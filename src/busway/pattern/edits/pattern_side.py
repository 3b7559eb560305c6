"""Changes of a pattern's value lists that might let it accept an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from busway.errors import InvalidPattern
from busway.pattern.edits.document import Steps, path_of, text_of, value_at, with_value
from busway.pattern.edits.edit import Candidate, Change, Mistake
from busway.pattern.edits.entries import meant
from busway.pattern.edits.lists import ValueList, lists_of
from busway.pattern.edits.mending_operators import mended_list
from busway.pattern.edits.mistakes import COSTS
from busway.pattern.event_tree import Scalar, Tree
from busway.pattern.parse import parse
from busway.pattern.presence import Present
from busway.pattern.read_operator import OPERATORS
from busway.pattern.value_sets import covers

_NEARLY_ALL = frozenset(("anything-but", "exists"))
# Ours: of a field that holds many values, how many are tried.
VALUES_TRIED_MAX = 12


def list_changes(pattern: Tree, paths: set[str], found: dict[str, list[Scalar]]) -> Iterator[Candidate]:
    """For the lists of fields that were missed; `found` are the event's values by path."""
    for part in lists_of(pattern):
        if part.path not in paths:
            continue
        yield from _brackets(pattern, part)
        values = list({text_of(value): value for value in found.get(part.path, [])}.values())[:VALUES_TRIED_MAX]
        if values:
            yield from _other_entries(pattern, part, values)
            yield from _further_entries(pattern, part, values)
        else:
            yield from _added(pattern, part, {"exists": False}, COSTS[""] + 1)


def _other_entries(pattern: Tree, part: ValueList, values: Iterable[Scalar]) -> Iterator[Candidate]:
    for at, entry in enumerate(part.entries):
        for value in values:
            for cost, mistake, other in meant(entry, value):
                yield _set(pattern, (*part.steps, at), other, cost, mistake)


def _further_entries(pattern: Tree, part: ValueList, values: Iterable[Scalar]) -> Iterator[Candidate]:
    for value in values:
        yield from _added(pattern, part, value, COSTS[""])


def _added(pattern: Tree, part: ValueList, entry: Tree, cost: float) -> Iterator[Candidate]:
    """One more entry, unless the list then accepts every value there is: that asks for nothing any more."""
    entries: list[Tree] = [*part.entries, entry]
    if _accepts_all(entries):
        return
    steps = (*part.steps, len(part.entries))
    yield Candidate(cost, Change(path_of(steps), None, text_of(entry)), with_value(pattern, part.steps, entries))


def _accepts_all(entries: list[Tree]) -> bool:
    """Only what accepts nearly all by itself may accept all with one more entry."""
    if not any(isinstance(entry, dict) and not _NEARLY_ALL.isdisjoint(entry) for entry in entries):
        return False
    try:
        (alternative,) = parse(text_of({"field": entries})).alternatives
    except InvalidPattern:
        return False
    return covers(alternative.fields[0][1], [Present()])


def _set(pattern: Tree, steps: Steps, value: Tree, cost: float, mistake: Mistake) -> Candidate:
    change = Change(path_of(steps), text_of(value_at(pattern, steps)), text_of(value), mistake)
    return Candidate(cost, change, with_value(pattern, steps, value))


def _brackets(pattern: Tree, part: ValueList) -> Iterator[Candidate]:
    """An operator that stands in place of a list, not inside one, reads as a field of its name."""
    for at, name in enumerate(part.steps):
        if at and name in OPERATORS and isinstance(part.steps[at - 1], str):
            steps = part.steps[:at]
            operator = value_at(pattern, steps)
            wrapped: list[Tree] = mended_list([operator])
            yield _set(pattern, steps, wrapped, COSTS["brackets"], "brackets")
            return
