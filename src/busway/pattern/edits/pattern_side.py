"""Changes of a pattern's value lists that might let it accept an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from busway.pattern.edits.document import Steps, path_of, text_of, value_at, with_value
from busway.pattern.edits.edit import Candidate, Change, Mistake
from busway.pattern.edits.entries import meant
from busway.pattern.edits.lists import ValueList, lists_of
from busway.pattern.edits.mending_operators import mended_list
from busway.pattern.edits.mistakes import COSTS
from busway.pattern.event_tree import Scalar, Tree
from busway.pattern.read_operator import OPERATORS

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
            yield _added(pattern, part, {"exists": False}, COSTS[""] + 1)


def _other_entries(pattern: Tree, part: ValueList, values: Iterable[Scalar]) -> Iterator[Candidate]:
    for at, entry in enumerate(part.entries):
        for value in values:
            for cost, mistake, other in meant(entry, value):
                yield _set(pattern, (*part.steps, at), other, cost, mistake)


def _further_entries(pattern: Tree, part: ValueList, values: Iterable[Scalar]) -> Iterator[Candidate]:
    for value in values:
        yield _added(pattern, part, value, COSTS[""])


def _added(pattern: Tree, part: ValueList, entry: Tree, cost: float) -> Candidate:
    steps = (*part.steps, len(part.entries))
    document = with_value(pattern, part.steps, [*part.entries, entry])
    return Candidate(cost, Change(path_of(steps), None, text_of(entry)), document)


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
