"""Where in a pattern's document its value lists stand, and its `$or`s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from busway.pattern.edits.document import Steps
from busway.pattern.event_tree import Tree


class ValueList(NamedTuple):
    """A value list: the way to it, the path of its field, and the way to the branch (or the top) that it is in.

    `around` is the path of the object that holds that branch's `$or`, as names; () at the top.
    """

    steps: Steps
    path: str
    entries: list[Tree]
    branch: Steps
    around: tuple[str, ...]


class Alternatives(NamedTuple):
    """A `$or`: the way to it."""

    steps: Steps


def parts_of(pattern: Tree) -> Iterator[ValueList | Alternatives]:
    """Every value list and every `$or`, in the pattern's order. What stands under a repeated name is left out."""
    yield from _parts(pattern, (), (), (), ())


def lists_of(pattern: Tree) -> list[ValueList]:
    return [part for part in parts_of(pattern) if isinstance(part, ValueList)]


def _parts(
    tree: Tree, steps: Steps, names: tuple[str, ...], branch: Steps, around: tuple[str, ...]
) -> Iterator[ValueList | Alternatives]:
    if not isinstance(tree, dict):
        return
    for name, item in tree.items():
        here = (*steps, name)
        if isinstance(item, dict):
            yield from _parts(item, here, (*names, name), branch, around)
        elif isinstance(item, list) and name == "$or":
            yield Alternatives(here)
            for at, inside in enumerate(item):
                yield from _parts(inside, (*here, at), names, (*here, at), names)
        elif isinstance(item, list):
            yield ValueList(here, ".".join((*names, name)), item, branch, around)
