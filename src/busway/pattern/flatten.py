"""The fields that patterns look at, and their values in an event.

A field's path is the names on the way to it joined by dots; arrays add nothing. A dot inside a name can't be told
from nesting, on either side. A name that is empty, inside an object, can be passed through but not looked at: AWS
neither finds it as "a." nor as {"a": {"": …}}.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from busway.pattern.event_tree import Scalar, Several, Tree, distinct


class Place:
    """An element of an array that a value lies in: which array of the event, which element, and the place around it.

    A scalar that is itself an element does not carry its own place: only objects and arrays inside arrays give one.
    There is one for each element, so that places are told apart by identity however deep they are; an array has a
    smaller number than those in it.
    """

    __slots__ = ("around", "array", "element")

    def __init__(self, array: int, element: int, around: Place | None) -> None:
        self.array = array
        self.element = element
        self.around = around


class Leaf(NamedTuple):
    value: Scalar
    place: Place | None


Leaves: TypeAlias = dict[str, list[Leaf]]


def path_order(path: str) -> bytes:
    """Sort key: ascending UTF-16 code units, which is what `exists: false` depends on."""
    return path.encode("utf-16-be", "surrogatepass")


class FieldTree:
    """A set of field paths as a tree of names, so that an event is walked only where somebody looks.

    `path` is what a value found here belongs to, None when nobody looks; `direct` is the same for a value whose own
    name led here undivided (None for an empty name inside an object).
    """

    __slots__ = ("children", "direct", "path")

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self.children: dict[str, FieldTree] = {}
        self.path: str | None = None
        self.direct: str | None = None
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        node = self
        names = path.split(".")
        for name in names:
            node = node.children.setdefault(name, FieldTree())
        node.path = path
        node.direct = path if names[-1] or len(names) == 1 else None

    def discard(self, path: str) -> None:
        """Forget a path; names that lead nowhere any more go too."""
        way: list[FieldTree] = [self]
        names = path.split(".")
        for name in names:
            way.append(way[-1].children[name])
        way[-1].path = way[-1].direct = None
        for parent, name in zip(reversed(way[:-1]), reversed(names), strict=True):
            child = parent.children[name]
            if child.path is None and not child.children:
                del parent.children[name]

    def below(self, name: str) -> FieldTree | None:
        """The node that an event's member name leads to; the name may hold dots."""
        if "." not in name:
            return self.children.get(name)
        node: FieldTree | None = self
        for part in name.split("."):
            node = node.children.get(part) if node is not None else None
        return node


def flatten(event: dict[str, Tree], fields: FieldTree) -> Leaves:
    """Every value of every field in `fields`, in the event's order, with its place; a field without one is left out.

    Iterative: an event may be nested as deep as its sender likes.
    """
    leaves: Leaves = {}
    arrays = 0
    # What is still to be walked, the last one first: the node, where its values belong, the value and its place.
    waiting: list[tuple[FieldTree, str | None, Tree, Place | None]] = [(fields, None, event, None)]
    while waiting:
        node, path, value, place = waiting.pop()
        if isinstance(value, dict):
            members = [
                (child, child.path if "." in name else child.direct, item, place)
                for name, item in value.items()
                if (child := node.below(name)) is not None
            ]
            waiting.extend(reversed(members))
        elif isinstance(value, list):
            arrays += 1
            elements = [
                (node, path, item, Place(arrays, index, place) if isinstance(item, dict | list) else place)
                for index, item in enumerate(value)
            ]
            waiting.extend(reversed(elements))
        elif isinstance(value, Several):
            waiting.extend((node, path, item, place) for item in reversed(value.values))
        elif path is not None:
            leaves.setdefault(path, []).append(Leaf(value, place))
    return leaves


def collect(event: dict[str, Tree], fields: FieldTree, values: dict[str, list[Scalar]]) -> bool:
    """The fast way for plain events: put each field's values into `values`, without places.

    False when the event needs `flatten`: an array of objects where somebody looks inside, a dot in a name, a repeated
    name; `values` is incomplete then. Of an array's equal values one is kept. Iterative: the dots of a pattern's path
    may lead deeper than Python recurses.
    """
    waiting = [(event, fields.children)]
    for members, children in waiting:
        if "." in "".join(members):
            return False
        # Whichever is fewer: the names that rules look at, or the names that the event has.
        few, many = (children, members) if len(children) < len(members) else (members, children)
        for name in few:
            if name not in many:
                continue
            value, node = members[name], children[name]
            if type(value) is str:  # most values are, and this is the hot path
                if node.direct is not None:
                    values[node.direct] = [value]
            elif isinstance(value, dict):
                if node.children:
                    waiting.append((value, node.children))
            elif isinstance(value, list):
                if not _collect_elements(value, node, values):
                    return False
            elif isinstance(value, Several):
                return False
            elif node.direct is not None:
                values[node.direct] = [value]
    return True


def _collect_elements(elements: list[Tree], node: FieldTree, values: dict[str, list[Scalar]]) -> bool:
    scalars: list[Scalar] = []
    for element in elements:
        if isinstance(element, dict | list | Several):
            return False
        scalars.append(element)
    if scalars and node.direct is not None:
        values[node.direct] = distinct(scalars)
    return True
