"""JSON documents as trees that are edited without loss: the way to a value, a copy with one thing changed, the text.

A copy shares all that did not change with what it was made of; nothing here changes a tree in place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Raw

from busway.pattern.event_tree import Scalar, Several, Tree
from busway.pattern.unseen import escaped

# Names and positions from the document's top to a value.
Steps: TypeAlias = "tuple[str | int, ...]"

# Ours: of a large event, how many values are looked at, and how many elements of each list.
VALUES_MAX, ELEMENTS_MAX = 1_000, 50

# Stands in for a member that is not there; null is one that is.
_NOTHING = Several([])
_SURROGATE = re.compile("[\ud800-\udfff]")


class Value(NamedTuple):
    """A scalar of an event: the way to it, the path that a pattern asks for it by, and what it is."""

    steps: Steps
    path: str
    value: Scalar


def text_of(tree: Tree) -> str:
    """The document as JSON text on one line; numbers as they were written, what nobody sees as escapes."""
    if isinstance(tree, dict):
        return "{" + ", ".join(_members(tree)) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(text_of(item) for item in tree) + "]"
    if isinstance(tree, Raw):
        return bytes(tree).decode()
    if isinstance(tree, Several):
        return text_of(tree.values[-1])
    text = escaped(json.dumps(tree, ensure_ascii=False))
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _members(tree: dict[str, Tree]) -> Iterator[str]:
    for name, item in tree.items():
        for value in item.values if isinstance(item, Several) else (item,):
            yield f"{text_of(name)}: {text_of(value)}"


def nested_deeper(tree: Tree, levels: int) -> bool:
    """Whether there is a value more than so many levels down; deeper ones are not edited, recursion would end."""
    inside: list[Tree] = [tree]
    for _ in range(levels):
        inside = [item for one in inside for item in _items(one)]
        if not inside:
            return False
    return True


def _items(tree: Tree) -> Iterable[Tree]:
    if isinstance(tree, dict):
        return tree.values()
    return tree if isinstance(tree, list) else tree.values if isinstance(tree, Several) else ()


def path_of(steps: Steps) -> str:
    """The way to a value for people: `detail.items[0].sku`."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def names_of(steps: Steps) -> tuple[str, ...]:
    return tuple(step for step in steps if isinstance(step, str))


def value_at(tree: Tree, steps: Steps) -> Tree:
    """The value that the steps lead to. Raises KeyError where they lead nowhere."""
    for step in steps:
        inside = tree.get(step, _NOTHING) if isinstance(tree, dict) and isinstance(step, str) else _NOTHING
        if isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            inside = tree[step]
        if inside is _NOTHING:
            raise KeyError(step)
        tree = inside
    return tree


def with_value(tree: Tree, steps: Steps, value: Tree) -> Tree:
    """A copy with `value` at the end of the steps; objects on the way that are missing are made.

    A position behind the end of a list appends. Raises KeyError where something else is in the way.
    """
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        if not isinstance(tree, list):
            raise KeyError(step)
        if step >= len(tree):
            return [*tree, with_value({}, rest, value)]
        return [*tree[:step], with_value(tree[step], rest, value), *tree[step + 1 :]]
    if not isinstance(tree, dict):
        raise KeyError(step)
    return {**tree, step: with_value(tree.get(step, {}), rest, value)}


def without(tree: Tree, steps: Steps) -> Tree:
    """A copy without the value."""
    parent = value_at(tree, steps[:-1])
    if isinstance(parent, dict):
        return with_value(tree, steps[:-1], {name: item for name, item in parent.items() if name != steps[-1]})
    if isinstance(parent, list):
        return with_value(tree, steps[:-1], [item for at, item in enumerate(parent) if at != steps[-1]])
    raise KeyError(steps)


def pruned(tree: Tree, steps: Steps) -> Tree:
    """A copy without the value, and without what its absence leaves empty around it."""
    left = without(tree, steps)
    around = steps[:-1]
    return pruned(tree, around) if around and not value_at(left, around) else left


def renamed(tree: Tree, steps: Steps, name: str) -> Tree:
    """A copy in which the member at the end of the steps is called `name` and keeps its place among the others."""
    parent = value_at(tree, steps[:-1])
    if not isinstance(parent, dict) or name in parent:
        raise KeyError(name)
    members = {name if known == steps[-1] else known: item for known, item in parent.items()}
    return with_value(tree, steps[:-1], members)


def values_of(event: Tree) -> list[Value]:
    """The event's scalars in order, as many as are looked at. What stands under a repeated name is left out."""
    values: list[Value] = []
    waiting: list[tuple[Steps, Tree]] = [((), event)]
    while waiting and len(values) < VALUES_MAX:
        steps, tree = waiting.pop()
        if isinstance(tree, dict):
            waiting.extend(((*steps, name), item) for name, item in reversed(tree.items()))
        elif isinstance(tree, list):
            waiting.extend(((*steps, at), tree[at]) for at in range(min(len(tree), ELEMENTS_MAX) - 1, -1, -1))
        elif not isinstance(tree, Several):
            values.append(Value(steps, ".".join(names_of(steps)), tree))
    return values


def places_for(event: Tree, names: Sequence[str], elements_max: int) -> list[Steps]:
    """Where a value for the path of these names may be put: each way through the first elements of lists.

    Objects on the way may be missing; a scalar on the way leads nowhere.
    """
    places: list[tuple[Steps, Tree]] = [((), event)]
    for name in names:
        further: list[tuple[Steps, Tree]] = []
        for steps, tree in places:
            further.extend(
                ((*inside, name), item.get(name, {})) for inside, item in _objects(steps, tree, elements_max)
            )
        places = further[:elements_max]
    return [steps for steps, _ in places]


def _objects(steps: Steps, tree: Tree, elements_max: int) -> Iterator[tuple[Steps, dict[str, Tree]]]:
    if isinstance(tree, dict):
        yield steps, tree
    elif isinstance(tree, list):
        for at, item in enumerate(tree[:elements_max]):
            yield from _objects((*steps, at), item, elements_max)
