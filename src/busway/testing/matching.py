"""`events_matching`: a Hypothesis strategy of events that a pattern matches, for users' property tests.

    @given(events_matching({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}}))
    def test_every_large_order_is_booked(event): ...

Beside what the pattern names, events hold other fields too, and values lie in lists where that changes nothing.
Importing this raises MissingExtra where Hypothesis is not installed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, cast

from msgspec import Raw

from busway.errors import MissingExtra
from busway.pattern import Pattern, event_text, parse, sample
from busway.pattern.address import InNetwork
from busway.pattern.anything_but import NotLike, NotStrings
from busway.pattern.bus_events import may_hold, met_on_a_bus
from busway.pattern.conditions import Condition, Conditions
from busway.pattern.event_tree import Scalar
from busway.pattern.likely_values import likely, number
from busway.pattern.numbers import NumberBetween
from busway.pattern.presence import ABSENT, Present
from busway.pattern.rule_pattern import Alternative
from busway.pattern.sample import FORMED, options_of
from busway.pattern.sample_event import Missing, build
from busway.pattern.text import Prefix, Suffix
from busway.pattern.wildcard import Wildcard

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ModuleNotFoundError as missing:
    raise MissingExtra("hypothesis", "hypothesis") from missing

# Names for fields that the pattern does not name, so that nobody counts on their absence.
_OTHERS: Sequence[str] = ("note", "more", "tags")
_TEXT_CHARS_MAX = 12


def events_matching(pattern: Pattern | Mapping[str, Any] | str) -> SearchStrategy[dict[str, Any]]:
    """Events as EventBridge delivers them, all of which `pattern` (or its JSON) matches.

    Numbers beyond a double are `msgspec.Raw`, as in `busway.pattern.event_text`, which makes JSON of an event.
    Raises InvalidPattern, and NoSample for a pattern that no event of a bus matches.
    """
    if not isinstance(pattern, Pattern):
        pattern = parse(pattern if isinstance(pattern, str) else json.dumps(pattern))
    compiled = pattern
    sample(compiled)  # or nothing matches
    possible = [one for one in compiled.alternatives if all(options_of(one).values())]
    drawn = st.one_of([_events(one) for one in possible])
    # Arrays, and other alternatives' `exists: false`, are the pattern's own affair: it has the last word.
    return drawn.filter(lambda event: compiled.matches(event_text(event).encode()))


def _events(alternative: Alternative) -> SearchStrategy[dict[str, Any]]:
    usual = options_of(alternative)
    fields = {path: _field(path, conditions, usual[path]) for path, conditions in alternative.fields}
    others = st.dictionaries(st.sampled_from(_OTHERS), _scalars(), max_size=2)
    listed = st.sets(st.sampled_from(sorted(fields)), max_size=2)

    def made(drawn: tuple[dict[str, Scalar | Missing], dict[str, Scalar], set[str]]) -> dict[str, Any]:
        filling, more, in_lists = drawn
        event = build({**{f"detail.{name}": value for name, value in more.items()}, **filling})
        for path in in_lists:
            _put_into_list(event, path)
        return event

    return st.tuples(st.fixed_dictionaries(fields), others, listed).map(made)


def _put_into_list(event: dict[str, Any], path: str) -> None:
    """A field of detail that holds one value holds a list with it instead: that is the same to every pattern."""
    names = path.split(".")
    if names[0] != "detail" or len(names) < 2:
        return
    inside: Any = event
    for name in names[:-1]:
        inside = cast(dict[str, Any], inside).get(name) if isinstance(inside, dict) else None
    if isinstance(inside, dict):
        members = cast(dict[str, Any], inside)
        value = members.get(names[-1], {})
        if not isinstance(value, dict | list):
            members[names[-1]] = [value]


def _field(path: str, conditions: Conditions, usual: Sequence[Scalar | Missing]) -> SearchStrategy[Scalar | Missing]:
    """What the samples have, and whatever else the conditions accept and an event of a bus may have.

    Of a member whose strings have a form, what the samples have.
    """
    samples = st.sampled_from(list(usual))
    if path in FORMED:
        return samples
    drawn = [_accepted(condition) for condition in met_on_a_bus(path, conditions) if condition != ABSENT]
    return st.one_of([samples, *(each.filter(lambda value: may_hold(path, value)) for each in drawn)])


def _accepted(condition: Condition) -> SearchStrategy[Scalar]:
    text = st.text(max_size=_TEXT_CHARS_MAX)
    if isinstance(condition, Present):
        return _scalars()
    if isinstance(condition, NotStrings | NotLike):
        return _scalars().filter(condition.accepts)
    if isinstance(condition, Prefix):
        return text.map(lambda rest: condition.text + rest)
    if isinstance(condition, Suffix):
        return text.map(lambda rest: rest + condition.text)
    if isinstance(condition, Wildcard) and len(condition.literals) > 1:
        first, *later = condition.literals
        runs = st.tuples(*(text for _ in later))
        return runs.map(lambda runs: first + "".join(run + part for run, part in zip(runs, later, strict=True)))
    if isinstance(condition, NumberBetween):
        return _numbers(condition)
    if isinstance(condition, InNetwork):
        return _addresses(condition)
    return st.sampled_from(likely([condition])) if likely([condition]) else st.nothing()


def _numbers(condition: NumberBetween) -> SearchStrategy[Scalar]:
    low = None if condition.low == -math.inf else condition.low
    high = None if condition.high == math.inf else condition.high
    floats = st.floats(low, high, allow_nan=False, allow_infinity=False).filter(condition.holds)
    return floats.map(number)


def _addresses(condition: InNetwork) -> SearchStrategy[Scalar]:
    bits = condition.network.bits - condition.mask_bits
    first = condition.network.number >> bits << bits
    spell = IPv4Address if condition.network.bits == 32 else IPv6Address
    hosts = st.integers(0, (1 << bits) - 1)
    return hosts.map(lambda host: str(spell(first + host))).filter(condition.accepts)


def _scalars() -> SearchStrategy[Scalar]:
    floats = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: Raw(repr(value).encode()))
    return st.one_of(st.text(max_size=_TEXT_CHARS_MAX), st.integers(-1000, 1000), floats, st.booleans(), st.none())
