"""Events of a bus made from a pattern: some that it matches, and some that it misses by exactly one field.

Every event is asked of the pattern before it is given, so none is a guess. Deterministic: the same pattern, the same
events. Without lists, unless a field that has a value must have fields below it too.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from busway.errors import NoSample
from busway.pattern.bus_events import may_be_absent, may_hold, met_on_a_bus, unmet
from busway.pattern.conditions import Condition, Conditions, accepts
from busway.pattern.event_tree import Scalar
from busway.pattern.explain import Explanation, explain
from busway.pattern.likely_values import distinct, likely, unlikely
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Alternative, Pattern
from busway.pattern.sample_event import ENVELOPE, MISSING, Filling, Missing, build, event_text
from busway.pattern.text_sets import literals_of

# Ours: how many events are made from one pattern before it is given up.
TRIES_MAX = 400

T = TypeVar("T")
Options: TypeAlias = "dict[str, list[Scalar | Missing]]"
# Members of the envelope whose strings have a form: what else they may be. A beginning is filled up from these.
FORMED: Mapping[str, Sequence[str]] = {
    "id": ("00000000-0000-4000-8000-000000000002",),
    "account": ("210987654321",),
    "time": ("2026-07-01T12:00:00Z",),
    "region": ("eu-west-1", "ap-southeast-2", "sa-east-1"),
}


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An event that the pattern does not match because of `field` alone; `wanted` says in words what it accepts."""

    event: dict[str, Any]
    field: str
    wanted: str


def sample(pattern: Pattern) -> dict[str, Any]:
    """An event that the pattern matches; see `samples`."""
    return samples(pattern, 1)[0]


def samples(pattern: Pattern, count: int) -> list[dict[str, Any]]:
    """At most `count` different events that the pattern matches, fewer when no more were found, never none.

    Each is a whole event as EventBridge delivers it; `event_text` makes JSON of it. Raises `NoSample`.
    """
    told = [options for alternative in pattern.alternatives if all((options := options_of(alternative)).values())]
    if not told:
        raise _refusal(pattern.alternatives[0])

    def kept(event: dict[str, Any], text: str) -> dict[str, Any] | None:
        return event if pattern.matches(text.encode()) else None

    found = _different(_fillings(told), count, kept)
    if not found:
        raise NoSample(None, "no event was found that the pattern matches")
    return found


def near_miss(pattern: Pattern) -> NearMiss:
    """An event that is missed by exactly one field; see `near_misses`."""
    return near_misses(pattern, 1)[0]


def near_misses(pattern: Pattern, count: int) -> list[NearMiss]:
    """At most `count` events that the pattern misses, each by one field as `explain` counts, a field of detail first.

    Raises `NoSample` when the pattern matches no event, or when no field can be missed alone.
    """
    sample(pattern)

    def kept(event: dict[str, Any], text: str) -> NearMiss | None:
        explanation = explain(pattern, text.encode())
        return _near_miss(event, explanation) if explanation.missed == 1 else None

    found = _different(_missing_one(pattern), count, kept)
    if not found:
        raise NoSample(None, "no event was found that the pattern misses by exactly one field")
    return found


def _different(fillings: Iterable[Filling], count: int, kept: Callable[[dict[str, Any], str], T | None]) -> list[T]:
    """At most `count` of what is `kept` of the fillings' events, each event once; `kept` gets it as text too."""
    found: dict[str, T] = {}
    for filling in itertools.islice(fillings, max(TRIES_MAX, 4 * count)):
        event = build(filling)
        text = event_text(event)
        if text not in found and (one := kept(event, text)) is not None:
            found[text] = one
            if len(found) == count:
                break
    return list(found.values())


def options_of(alternative: Alternative) -> Options:
    """What each field may be in an event of a bus, the best first; [] for a field that no value meets."""
    options: Options = {}
    paths = [path for path, _ in alternative.fields]
    for path, all_conditions in alternative.fields:
        conditions = met_on_a_bus(path, all_conditions)
        values: list[Scalar | Missing] = list(fit_envelope(path, [conditions], likely(conditions)))
        if ABSENT in conditions:
            below = any(other.startswith(f"{path}.") for other in paths)
            values.insert(0 if below else len(values), MISSING)
        options[path] = values
    return options


def fit_envelope(path: str, lists: Sequence[Conditions], values: Sequence[Scalar]) -> list[Scalar]:
    """Those of `values`, which all lists accept, that an event of a bus may have; first what a sample has anyway.

    Where the strings of a member have a form, and some that have it are accepted, it is these alone.
    """
    usual = _usual(path)
    formed = [text for conditions in lists for one in conditions for text in _formed(path, one)]
    first = [text for text in (*usual, *formed) if all(accepts(conditions, text) for conditions in lists)]
    others = [] if first and path in FORMED else [value for value in values if may_hold(path, value)]
    return distinct(iter([*first, *others]))


def _usual(path: str) -> list[str]:
    usual = ENVELOPE.get(path)
    return [usual, *FORMED.get(path, ())] if isinstance(usual, str) else []


def _formed(path: str, condition: Condition) -> Iterator[str]:
    """What is usual there, with the pieces that a condition wants written over what is alike.

    "*T03:*" makes 2026-01-01T03:00:00Z of 2026-01-01T12:00:00Z: a digit stands for any digit, a small letter for any
    small letter, all else for itself. A piece goes where it fits first, as in matching.
    """
    literals = literals_of(condition)
    if path not in FORMED or literals is None or len(literals) == 1:
        return
    first, *inner, last = [re.escape(_form(literal)) for literal in literals]
    form = re.compile(f"{first}{''.join(f'(?>(.*?){piece})' for piece in inner)}(.*){last}", re.DOTALL)
    for text in _usual(path):
        if found := form.fullmatch(_form(text)):
            kept = [text[slice(*found.span(number))] for number in range(1, len(literals))]
            yield literals[0] + "".join(map("".join, zip(kept, literals[1:], strict=True)))


def _form(text: str) -> str:
    return re.sub("[0-9]", "0", re.sub("[a-z]", "a", text))


def _fillings(alternatives: Sequence[Options]) -> Iterator[dict[str, Scalar | Missing]]:
    """The best of each alternative, then those that differ from it in one field, then all others."""
    best = [{path: values[0] for path, values in options.items()} for options in alternatives]
    yield from best
    most = max(len(values) for options in alternatives for values in options.values())
    for place in range(1, most):
        for filling, options in zip(best, alternatives, strict=True):
            for path in _detail_first(options):
                if place < len(options[path]):
                    yield {**filling, path: options[path][place]}
    for options in alternatives:
        for values in itertools.product(*options.values()):
            yield dict(zip(options, values, strict=True))


def _missing_one(pattern: Pattern) -> Iterator[dict[str, Scalar | Missing]]:
    """Fillings that spoil one field each: first every field by its nearest value, then by the next one …"""
    spoiled: list[Iterator[dict[str, Scalar | Missing]]] = []
    for alternative in pattern.alternatives:
        options = options_of(alternative)
        if not all(options.values()):
            continue
        best = {path: values[0] for path, values in options.items()}
        lists = dict(alternative.fields)
        spoiled += [_spoil(best, path, lists[path]) for path in _detail_first(options)]
    while spoiled:
        rest = [(next(one, None), one) for one in spoiled]
        yield from (filling for filling, _ in rest if filling is not None)
        spoiled = [one for filling, one in rest if filling is not None]


def _spoil(
    best: dict[str, Scalar | Missing], path: str, conditions: Conditions
) -> Iterator[dict[str, Scalar | Missing]]:
    values = [value for value in unlikely(conditions) if may_hold(path, value)]
    if path in FORMED:
        usual = [text for text in _usual(path) if not accepts(conditions, text)]
        values = usual or values
    yield from ({**best, path: value} for value in values)
    if ABSENT not in conditions and may_be_absent(path):
        yield {**best, path: MISSING}


def _detail_first(options: Mapping[str, object]) -> list[str]:
    return sorted(options, key=lambda path: not path.startswith("detail."))


def _near_miss(event: dict[str, Any], explanation: Explanation) -> NearMiss:
    (field,) = [field for field in explanation.fields if not field.matched]
    return NearMiss(event, field.path, field.wanted)


def _refusal(alternative: Alternative) -> NoSample:
    for path, conditions in alternative.fields:
        if why := unmet(path, conditions):
            return NoSample(path, f"no event can match: {why}")
    path = next(path for path, values in options_of(alternative).items() if not values)
    return NoSample(path, f"no event was found that the pattern matches: of {path} no value that was tried is met")
