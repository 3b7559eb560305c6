"""Changes that put something elsewhere: a field whose name or place is not the event's, a `$or` one level off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from busway.pattern.bus_events import MEMBERS
from busway.pattern.conditions import Condition, Selectivity, accepts
from busway.pattern.edits.document import (
    Steps,
    Value,
    names_of,
    path_of,
    pruned,
    renamed,
    value_at,
    with_value,
    without,
)
from busway.pattern.edits.edit import Candidate, Change, Mistake
from busway.pattern.edits.lists import Alternatives, ValueList, lists_of, parts_of
from busway.pattern.edits.mistakes import COSTS, OTHER_SIDE, Difference, between_texts
from busway.pattern.event_tree import Tree
from busway.pattern.exact import LiteralIs

# Ours: moving what the sender wrote is a little less likely to be meant than moving what the rule's author wrote.
EVENT_MOVED = 0.3


class Elsewhere(NamedTuple):
    """A value of the event that a missed field may have meant, how its place differs, and whether it is accepted."""

    value: Value
    difference: Difference
    accepted: bool


def elsewhere(path: str, conditions: Sequence[Condition], values: Sequence[Value]) -> Iterator[Elsewhere]:
    """Where else in the event a field's list is met; for a field that is missing, also what has nearly its path.

    A place with another path altogether counts only if the list is met there and asks for something.
    """
    # null, true and false stand in too many places to tell which was meant.
    specific = any(one.selectivity <= Selectivity.RANGE and not isinstance(one, LiteralIs) for one in conditions)
    seen: set[str] = set()
    missing = all(value.path != path for value in values)
    for value in values:
        if value.path == path or value.path in seen:
            continue
        accepted = accepts(conditions, value.value)
        if not missing and not (specific and accepted):
            continue
        difference = _between_paths(path, value.path)
        if difference is None and specific and accepted:
            difference = Difference("place", COSTS["place"])
        if difference is not None and (accepted or difference.mistake != "place"):
            seen.add(value.path)
            yield Elsewhere(value, difference, accepted)


def _between_paths(path: str, other: str) -> Difference | None:
    names, others = path.split("."), other.split(".")
    if _one_more(names, others) or _one_more(others, names):
        return Difference("level", COSTS["level"])
    if names[:-1] == others[:-1]:
        difference = between_texts(names[-1], others[-1])
        if difference is not None and difference.mistake == "typo" and _alike_by_chance(names[-1], others[-1]):
            return None
        return difference
    if names[-1] == others[-1]:
        return Difference("place", COSTS["place"] - 0.5)
    wrong = [(one, two) for one, two in zip(names, others, strict=False) if one != two]
    if len(names) == len(others) and len(wrong) == 1:
        return between_texts(*wrong[0])
    return None


def _alike_by_chance(name: str, other: str) -> bool:
    return len(name) < 3 or len(other) < 3


def _one_more(shorter: Sequence[str], longer: Sequence[str]) -> bool:
    """Whether `longer` is `shorter` with one name put in."""
    return len(longer) == len(shorter) + 1 and any(
        [*longer[:at], *longer[at + 1 :]] == list(shorter) for at in range(len(longer))
    )


def field_moves(pattern: Tree, found: dict[str, list[Elsewhere]]) -> Iterator[Candidate]:
    """The lists of missed fields, put where the event has what they accept; `found` is by the field's path."""
    for part in lists_of(pattern):
        for other in found.get(part.path, []):
            document = _tried(lambda part=part, other=other: _moved(pattern, part, names_of(other.value.steps)))
            if document is not None:
                change = Change(
                    path_of(part.steps), part.path, other.value.path, other.difference.mistake, moved=True
                )
                yield Candidate(other.difference.cost, change, document, halfway=not other.accepted)


def _moved(pattern: Tree, part: ValueList, names: tuple[str, ...]) -> Tree:
    """Raises KeyError if the place is taken, or outside of the branch of a `$or` that the list is in."""
    if names[: len(part.around)] != part.around:
        raise KeyError(names)
    target: Steps = (*part.branch, *names[len(part.around) :])
    if target[:-1] == part.steps[:-1] and target:
        return renamed(pattern, part.steps, str(target[-1]))
    if _is_there(pattern, target):
        raise KeyError(target)
    return pruned(with_value(pattern, target, part.entries), part.steps)


def or_moves(pattern: Tree) -> Iterator[Candidate]:
    """Every `$or` one level further out, at the top, and inside each object beside it (or in `detail`)."""
    for part in parts_of(pattern):
        if not isinstance(part, Alternatives):
            continue
        host = part.steps[:-1]
        beside = value_at(pattern, host)
        names = [name for name, item in beside.items() if isinstance(item, dict)] if isinstance(beside, dict) else []
        targets = [host[:-1], ()] if host and isinstance(host[-1], str) else []
        targets += [(*host, name) for name in dict.fromkeys([*names, "detail"])]
        for target in dict.fromkeys(targets):
            document = _tried(lambda part=part, target=target: _moved_or(pattern, part.steps, (*target, "$or")))
            if document is not None:
                change = Change(
                    path_of(part.steps), path_of(part.steps), path_of((*target, "$or")), "or-level", moved=True
                )
                yield Candidate(COSTS["or-level"], change, document)


def _moved_or(pattern: Tree, steps: Steps, target: Steps) -> Tree:
    if _is_there(pattern, target):
        raise KeyError(target)
    return pruned(with_value(pattern, target, value_at(pattern, steps)), steps)


def value_moves(event: Tree, found: dict[str, list[Elsewhere]]) -> Iterator[Candidate]:
    """The same in the event: what a missed field accepts, put where the pattern looks. Not out of lists."""
    for path, others in found.items():
        for other in others:
            steps = other.value.steps
            if isinstance(steps[-1], int):
                steps = steps[:-1]
            if not other.accepted or any(isinstance(step, int) for step in steps) or _fixed(event, steps, path):
                continue
            document = _tried(lambda steps=steps, path=path: _moved_value(event, steps, path))
            if document is None:
                continue
            mistake: Mistake = other.difference.mistake
            change = Change(path_of(steps), path_of(steps), path, mistake, moved=True)
            extra = EVENT_MOVED + (OTHER_SIDE if mistake == "place" else 0)
            yield Candidate(other.difference.cost + extra, change, document)


def _fixed(event: Tree, steps: Steps, path: str) -> bool:
    """Whether an event of a bus would lose a member that all have, or get one that none has."""
    if not is_envelope(event):
        return False
    return (len(steps) == 1 and steps[0] in MEMBERS) or path.partition(".")[0] not in MEMBERS


def is_envelope(event: Tree) -> bool:
    return isinstance(event, dict) and {"source", "detail-type", "detail"} <= event.keys()


def _moved_value(event: Tree, steps: Steps, path: str) -> Tree:
    target: Steps = tuple(path.split("."))
    if target[:-1] == steps[:-1]:
        return renamed(event, steps, str(target[-1]))
    if _is_there(event, target):
        raise KeyError(path)
    return without(with_value(event, target, value_at(event, steps)), steps)


def _is_there(tree: Tree, steps: Steps) -> bool:
    try:
        value_at(tree, steps)
    except KeyError:
        return False
    return True


def _tried(make: Callable[[], Tree]) -> Tree | None:
    try:
        return make()
    except KeyError:
        return None
