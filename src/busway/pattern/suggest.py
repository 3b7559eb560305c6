"""Why a field was missed, in a sentence: what a value or the name of a field was probably meant to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from busway.pattern.conditions import Condition, shown
from busway.pattern.event_tree import Scalar, Tree
from busway.pattern.likeness import SUGGESTED_MIN, likeness, likeness_at_most, nearest_word, paths_of, slip_between
from busway.pattern.numbers import NumberBetween, NumberIs, canonical
from busway.pattern.on_the_way import furthest, object_in
from busway.pattern.unseen import as_seen

# Ours: how often two texts are compared for one field; comparing takes a hundred times as long as matching.
COMPARED_MAX = 500
_SLIPS: Mapping[str, str] = {
    "space": "a space",
    "unseen": "what nobody sees",
    "case": "upper and lower case",
    "typo": "a typo",
}


class EventPaths:
    """The paths of an event's fields that have a value, to tell why there is none at another one.

    What was found is kept, since many rules and branches ask for the same fields.
    """

    def __init__(self, event: dict[str, Tree]) -> None:
        self._event = event
        self._told: dict[str, str | None] = {}
        # By the names on the way to it, whether a string holds an object: it may be most of the event.
        self._encoded: dict[tuple[str | int, ...], bool] = {}

    def about(self, path: str) -> str | None:
        """Why the event has no value there."""
        if path not in self._told:
            self._told[path] = self._about(path)
        return self._told[path]

    def _about(self, path: str) -> str | None:
        if path.endswith("."):
            return "a field with an empty name inside an object is never found"
        steps, left, there = furthest(self._event, path)
        if left and self._holds_object(steps, there):
            names = ".".join(step for step in steps if isinstance(step, str))
            return f"{names} is a string that holds JSON, not an object"
        inside = [] if left else [inner for inner in paths_of({path: there}) if inner != path]
        if inside:
            return f"an object is no value; ask for a field in it: {inside[0]}"
        other = self._nearest(path)
        return f"did you mean the field {other}?" if other is not None else None

    def _holds_object(self, steps: tuple[str | int, ...], there: Tree) -> bool:
        if steps not in self._encoded:
            self._encoded[steps] = object_in(there) is not None
        return self._encoded[steps]

    def _nearest(self, path: str) -> str | None:
        """The field that `path` may have meant: nearly that name in the same object, or the name elsewhere."""
        parent, _, name = path.rpartition(".")
        siblings = {known: other for known, other in self._by_parent.get(parent, {}).items() if other != path}
        near = nearest_word([name], list(siblings))
        if near is not None:
            return siblings[near]
        return next((other for other in self._by_name.get(name, ()) if other != path), None)

    @cached_property
    def _by_parent(self) -> dict[str, dict[str, str]]:
        """Of each object the names of its fields, with their paths."""
        found: dict[str, dict[str, str]] = {}
        for path in paths_of(self._event):
            parent, _, name = path.rpartition(".")
            found.setdefault(parent, {})[name] = path
        return found

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in paths_of(self._event):
            found.setdefault(path.rpartition(".")[2], []).append(path)
        return found


def about_values(conditions: Sequence[Condition], values: Sequence[Scalar]) -> tuple[str | None, float]:
    """Why none was accepted, and how near the event's values came to a wanted text, from 0 to 1."""
    words = [word for condition in conditions for word in condition.words][:COMPARED_MAX]
    texts = [value for value in values if isinstance(value, str)][: COMPARED_MAX // max(1, len(words))]
    pairs = _nearest_pairs(texts, words)
    near = pairs[0][0] if pairs else 0.0
    for alike, text, word in pairs:
        # Of a short text, one character is much.
        slip = slip_between(text, word) if alike >= SUGGESTED_MIN or _looks(text) == _looks(word) else None
        if slip is not None:
            said = f"the event's {shown(text)} and the pattern's {shown(word)} differ by {_SLIPS[slip.kind]}"
            return said, near
    return next((said for value in values if (said := _about_kind(conditions, value))), None), near


def _nearest_pairs(texts: Sequence[str], words: Sequence[str]) -> list[tuple[float, str, str]]:
    """The likeness of texts and words, the nearest first; without pairs that neither are the nearest nor look alike.

    Comparing is quadratic in the length of a text, so what cannot be alike is not compared.
    """
    pairs: list[tuple[float, str, str]] = []
    near = 0.0
    for text in texts:
        for word in words:
            most = likeness_at_most(text, word)
            if most > near or most >= SUGGESTED_MIN or _looks(text) == _looks(word):
                pairs.append((likeness(text, word), text, word))
                near = max(near, pairs[-1][0])
    return sorted(pairs, reverse=True)


def _looks(text: str) -> str:
    return as_seen(text).strip()


def _about_kind(conditions: Sequence[Condition], value: Scalar) -> str | None:
    """A string for a number or the other way round; a number that no range holds."""
    said = shown(value)
    if isinstance(value, str):
        if any(condition.wanted == f"the number {value}" for condition in conditions):
            return f"the event's {said} is a string, the pattern's {value} a number"
    elif value is not None and not isinstance(value, bool):
        for condition in conditions:
            if said in condition.words:
                return f"the event's {said} is a number, the pattern's {condition.wanted} a string"
        if isinstance(canonical(value), str):
            return _beyond_a_double(conditions, said)
    return None


def _beyond_a_double(conditions: Sequence[Condition], said: str) -> str | None:
    reason = f"the event's {said} has more digits than a double keeps, so it"
    if any(isinstance(condition, NumberBetween) for condition in conditions):
        return f"{reason} lies in no range"
    if any(isinstance(condition, NumberIs) for condition in conditions):
        return f"{reason} equals only a number written just so"
    return None
