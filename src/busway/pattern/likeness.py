"""How nearly two texts are the same: for "did you mean", and to tell which rule an event came closest to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal

from busway.pattern.event_tree import Several, Tree
from busway.pattern.unseen import as_seen

# How two texts that should be the same differ.
Slip = Literal["space", "unseen", "case", "typo"]

# Below this a guess is more often wrong than right.
SUGGESTED_MIN = 0.75
# difflib is quadratic: what matters of a text shows in its beginning.
CHARS_MAX = 200
PATHS_MAX = 1_000


def likeness(one: str, other: str) -> float:
    """From 0 (nothing in common) to 1 (equal but for case)."""
    return SequenceMatcher(None, one[:CHARS_MAX].lower(), other[:CHARS_MAX].lower(), autojunk=False).ratio()


def slip_between(one: str, other: str) -> Slip | None:
    """None when they are equal or have too little in common."""
    if one == other:
        return None
    if one.strip() == other.strip():
        return "space"
    one, other = as_seen(one).strip(), as_seen(other).strip()
    if one == other:
        return "unseen"
    if one.casefold() == other.casefold():
        return "case"
    return "typo" if likeness(one, other) >= SUGGESTED_MIN else None


def nearest_word(texts: Iterable[str], words: Sequence[str]) -> str | None:
    """The word that comes nearest to one of the texts, if it is near enough to suggest."""
    near = [(likeness(text, word), word) for text in texts for word in words]
    best = max(near, default=(0.0, ""), key=lambda pair: pair[0])
    return best[1] if best[0] >= SUGGESTED_MIN else None


def nearest_path(path: str, paths: Sequence[str]) -> str | None:
    """The event's field that `path` may have meant: nearly that name in the same object, or the name elsewhere."""
    parent, _, name = path.rpartition(".")
    siblings = [other for other in paths if other.rpartition(".")[0] == parent and other != path]
    names = {other.rpartition(".")[2]: other for other in siblings}
    near = nearest_word([name], list(names))
    if near is not None:
        return names[near]
    return next((other for other in paths if other.rpartition(".")[2] == name and other != path), None)


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
