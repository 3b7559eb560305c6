"""How nearly two texts are the same: for "did you mean", and to tell which rule an event came closest to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from busway.pattern.event_tree import Several, Tree
from busway.pattern.unseen import as_seen


class Slip(NamedTuple):
    """How two texts that should be the same differ; without that, they are alike by `likeness`."""

    kind: Literal["space", "unseen", "case", "typo"]
    likeness: float = 1.0


# Below this a guess is more often wrong than right.
SUGGESTED_MIN = 0.75
# difflib is quadratic: what matters of a text shows in its beginning.
CHARS_MAX = 200
PATHS_MAX = 1_000


def likeness(one: str, other: str) -> float:
    """From 0 (nothing in common) to 1 (equal but for case)."""
    return SequenceMatcher(None, one[:CHARS_MAX].lower(), other[:CHARS_MAX].lower(), autojunk=False).ratio()


def likeness_at_most(one: str, other: str) -> float:
    """What `likeness` cannot exceed, whatever the order of the characters is; a fraction of its cost."""
    one, other = one[:CHARS_MAX].lower(), other[:CHARS_MAX].lower()
    chars = len(one) + len(other)
    common = sum(min(one.count(char), other.count(char)) for char in set(one))
    return 2.0 * common / chars if chars else 1.0


def slip_between(one: str, other: str) -> Slip | None:
    """None when they are equal or have too little in common."""
    if one == other:
        return None
    if one.strip() == other.strip():
        return Slip("space")
    one, other = as_seen(one).strip(), as_seen(other).strip()
    if one == other:
        return Slip("unseen")
    if one.casefold() == other.casefold():
        return Slip("case")
    near = likeness(one, other)
    return Slip("typo", near) if near >= SUGGESTED_MIN else None


def nearest_word(texts: Iterable[str], words: Sequence[str]) -> str | None:
    """The word that comes nearest to one of the texts, if it is near enough to suggest."""
    best, nearest = 0.0, None
    for text in texts:
        for word in words:
            most = likeness_at_most(text, word)
            if most >= SUGGESTED_MIN and most > best and (near := likeness(text, word)) > best:
                best, nearest = near, word
    return nearest if best >= SUGGESTED_MIN else None


def paths_of(event: dict[str, Tree]) -> list[str]:
    """The paths of the event's fields that have a value, each once, the first `PATHS_MAX` in order."""
    paths: dict[str, None] = {}
    waiting: list[tuple[str, Tree]] = [("", event)]
    while waiting and len(paths) < PATHS_MAX:
        path, value = waiting.pop()
        if isinstance(value, dict):
            below = [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
            waiting.extend(reversed(below))
        elif isinstance(value, list):
            waiting.extend((path, item) for item in reversed(value))
        elif isinstance(value, Several):
            waiting.extend((path, item) for item in reversed(value.values))
        else:
            paths[path] = None
    return list(paths)
