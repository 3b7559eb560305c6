"""Changes of an event's values that might let a pattern accept it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from busway.pattern.bus_events import MEMBERS
from busway.pattern.conditions import Condition
from busway.pattern.edits.document import Steps, Value, path_of, places_for, text_of, value_at, with_value, without
from busway.pattern.edits.edit import Candidate, Change, Mistake
from busway.pattern.edits.examples import examples
from busway.pattern.edits.mistakes import COSTS, Difference, between_texts, between_values, is_number
from busway.pattern.edits.moves import is_envelope
from busway.pattern.event_tree import Scalar, Tree
from busway.pattern.ignore_case import IgnoreCase
from busway.pattern.on_the_way import furthest, object_in
from busway.pattern.presence import ABSENT
from busway.pattern.text import Prefix, Suffix
from busway.pattern.wildcard import Wildcard

# Ours: of a field with many values, or in long lists, how many places are tried.
PLACES_MAX = 12


def openings(event: Tree, paths: Sequence[str]) -> Iterator[Candidate]:
    """Where a path leads into a string that holds JSON, the object in it."""
    reached = {steps: there for steps, left, there in (furthest(event, path) for path in paths) if left}
    for steps, there in reached.items():
        inside = object_in(there)
        if inside is not None:
            change = Change(path_of(steps), text_of(there), text_of(inside), "encoded")
            yield Candidate(COSTS["encoded"], change, with_value(event, steps, inside), halfway=True)


def value_changes(
    event: Tree, path: str, conditions: Sequence[Condition], values: Sequence[Value]
) -> Iterator[Candidate]:
    """For one field that was missed: another value where it has one, and one where it has none."""
    present = [value for value in values if value.path == path][:PLACES_MAX]
    for value in present:
        for condition in conditions:
            for example in examples(condition, value.value):
                mistake, cost = _difference(condition, value.value, example) or Difference("", COSTS[""] + 0.5)
                yield _set(event, value.steps, example, cost, mistake)
        if ABSENT in conditions:
            change = Change(path_of(value.steps), text_of(value.value), None)
            yield Candidate(COSTS[""], change, without(event, value.steps))
    if is_envelope(event) and path.partition(".")[0] not in MEMBERS:
        return
    taken = {value.steps for value in present}
    for steps in places_for(event, path.split("."), PLACES_MAX):
        if steps not in taken:
            yield from _added(event, steps, conditions)


def _difference(condition: Condition, value: Scalar, example: Scalar) -> Difference | None:
    if isinstance(value, str) and is_number(example) and text_of(example) == value.strip():
        return Difference("type", COSTS["type"])
    if isinstance(condition, Wildcard) and len(condition.literals) > 1:
        return None  # what the asterisks stood for is not known
    if isinstance(value, str) and isinstance(condition, Prefix | Suffix | IgnoreCase):
        return between_texts(_edge(condition, value), condition.text)
    return between_values(value, example)


def _edge(condition: Prefix | Suffix | IgnoreCase, value: str) -> str:
    """What of a value the condition looks at."""
    where = condition.where if isinstance(condition, IgnoreCase) else None
    if where == "whole":
        return value
    if where == "prefix" or isinstance(condition, Prefix):
        return value[: len(condition.text)]
    return value[max(0, len(value) - len(condition.text)) :]


def _added(event: Tree, steps: Steps, conditions: Sequence[Condition]) -> Iterator[Candidate]:
    """A list that is there gets one more value, what is there otherwise another one."""
    before = _there(event, steps)
    for condition in conditions:
        for example in list(examples(condition, ""))[:1]:
            after: Tree = [*before, example] if isinstance(before, list) else example
            change = Change(path_of(steps), None if before is None else text_of(before), text_of(after))
            yield Candidate(COSTS[""], change, with_value(event, steps, after))


def _there(event: Tree, steps: Steps) -> Tree:
    try:
        return value_at(event, steps)
    except KeyError:
        return None


def _set(event: Tree, steps: Steps, value: Scalar, cost: float, mistake: Mistake) -> Candidate:
    change = Change(path_of(steps), text_of(value_at(event, steps)), text_of(value), mistake)
    return Candidate(cost, change, with_value(event, steps, value))
