"""A pattern as it was written: the lists that others of the same path put aside, and text that nobody reads.

Compiling keeps the last list of each path, and so does AWS; what was lost is only in the text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

Members: TypeAlias = "list[tuple[str, object]]"


@dataclass(frozen=True, slots=True)
class Overridden:
    """A path with a list that does not count. `branch`: one of the two is in a branch of `$or`, the other is not."""

    path: str
    branch: bool

    @property
    def in_words(self) -> str:
        where = (
            "a list of it does not count, in or beside a branch of $or"
            if self.branch
            else "only its last list counts"
        )
        return f"{self.path} is given more than once, and {where}"


def overridden(text: str) -> list[Overridden]:
    """The paths with more than one list, each once, in the order of the lists that count. `text` is a pattern."""
    found: dict[str, Overridden] = {}
    for lost in _Walk().object(_read(text)[0], "", frozenset()):
        found.setdefault(lost.path, lost)
    return list(found.values())


def text_behind(text: str) -> str:
    """What stands behind the pattern's closing brace; nobody reads it."""
    _, end = _read(text)
    return text[end:].strip()


def _read(text: str) -> tuple[Members, int]:
    """The members, and where the text behind them begins."""
    # Repeated names stay; numbers do not matter here, and Python refuses to read very long ones.
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs, parse_int=str, parse_float=str)
    members, end = decoder.raw_decode(text, len(text) - len(text.lstrip()))
    return cast(Members, members), end


class _Walk:
    """Follows the compiler: a list counts for everything read so far, a branch of `$or` for itself."""

    def __init__(self) -> None:
        self.seen: set[str] = set()  # in the object and what it is in
        self.branched: set[str] = set()  # in some branch before

    def object(self, members: Members, prefix: str, outside: frozenset[str]) -> Iterator[Overridden]:
        """`outside`: the paths that had a list before the branch of `$or` that this is in."""
        for name, value in members:
            if name == "$or":
                yield from self._or(cast("list[Members]", value), prefix, outside)
            elif _is_object(value):
                yield from self.object(cast(Members, value), f"{prefix}{name}.", outside)
            else:
                path = prefix + name
                if path in self.seen or path in outside or path in self.branched:
                    yield Overridden(path, path not in self.seen)
                self.seen.add(path)

    def _or(self, branches: list[Members], prefix: str, outside: frozenset[str]) -> Iterator[Overridden]:
        before, within = outside | self.seen | self.branched, set[str]()
        for members in branches:
            inside = _Walk()
            yield from inside.object(members, prefix, before)
            within |= inside.seen | inside.branched
        self.branched |= within


def _is_object(value: object) -> bool:
    """An object is a list of pairs here; a list of matchers holds texts, literals and objects of one pair."""
    return isinstance(value, list) and all(isinstance(each, tuple) for each in cast("list[object]", value))
