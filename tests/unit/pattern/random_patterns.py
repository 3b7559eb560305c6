"""Random patterns and events over few names and values, so that they often have to do with each other. JSON text."""

import json
from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "a.b", "ab"])
TEXTS = st.sampled_from(["x", "y", "xy", "X", "", "5", "10.0.0.1", "10.0.00.1", "é", "straße", "STRASSE"])
# Literal texts, so that the same number comes in several spellings, some beyond a double.
NUMBERS = st.sampled_from(["5", "5.0", "50e-1", "0", "-0", "-1", "6.25", "9007199254740993", "1e400", "1E400"])
LITERALS = st.sampled_from(["null", "true", "false"])
SCALARS = st.one_of(TEXTS.map(json.dumps), NUMBERS, LITERALS)


def object_text(members: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


def array_text(elements: list[str]) -> str:
    return "[" + ",".join(elements) + "]"


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(array_text),
        # Names may repeat: then the values accumulate.
        st.lists(st.tuples(NAMES, inner), max_size=3).map(object_text),
    ),
    max_leaves=12,
)
# Without arrays of objects, so that fields do not depend on each other.
PLAIN_VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3).map(array_text)),
    lambda inner: st.lists(st.tuples(NAMES, inner), max_size=3).map(object_text),
    max_leaves=8,
)
PLAIN_EVENTS = st.lists(st.tuples(NAMES, PLAIN_VALUES), max_size=4).map(object_text)
EVENTS = st.lists(st.tuples(NAMES, VALUES), max_size=4).map(object_text)


def _operator(name: str, argument: Any) -> dict[str, Any]:
    return {name: argument}


WILDCARDS = st.sampled_from(["*", "x*", "*y", "x*y", "*x*", "", "10.*"])
COMPARABLE = st.sampled_from([0, 5, 6.25, -1])
RANGES = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), COMPARABLE).map(list),
    st.just([">", -1, "<=", 5]),
    st.just([">=", 0, "<", 100]),
)
IGNORING = TEXTS.map(lambda text: {"equals-ignore-case": text})
ANYTHING_BUT = st.one_of(
    TEXTS,
    COMPARABLE,
    st.lists(TEXTS, min_size=1, max_size=2),
    TEXTS.filter(bool).map(lambda text: {"prefix": text}),
    TEXTS.filter(bool).map(lambda text: {"suffix": text}),
    IGNORING,
    WILDCARDS.map(lambda text: {"wildcard": text}),
)
OPERATORS = st.one_of(
    TEXTS.map(lambda text: _operator("prefix", text)),
    TEXTS.map(lambda text: _operator("suffix", text)),
    IGNORING.map(lambda nested: _operator("prefix", nested)),
    IGNORING.map(lambda nested: _operator("suffix", nested)),
    IGNORING,
    TEXTS.map(lambda text: _operator("exactly", text)),
    WILDCARDS.map(lambda text: _operator("wildcard", text)),
    ANYTHING_BUT.map(lambda argument: _operator("anything-but", argument)),
    RANGES.map(lambda argument: _operator("numeric", argument)),
    st.booleans().map(lambda present: _operator("exists", present)),
    st.sampled_from(["10.0.0.0/24", "::/8"]).map(lambda network: _operator("cidr", network)),
)
MATCHERS = st.one_of(SCALARS, OPERATORS.map(json.dumps))
LISTS = st.lists(MATCHERS, min_size=1, max_size=3).map(array_text)


def _pattern_object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    plain = st.tuples(NAMES, st.one_of(LISTS, inner))
    branches = st.lists(inner, min_size=2, max_size=2).map(array_text)
    alternatives = st.tuples(st.just("$or"), branches)
    return st.lists(st.one_of(plain, plain, plain, alternatives), min_size=1, max_size=3).map(object_text)


_FLAT = st.lists(st.tuples(NAMES, LISTS), min_size=1, max_size=3).map(object_text)
PATTERNS = st.recursive(_FLAT, _pattern_object, max_leaves=4)
_FIELDS = st.lists(st.tuples(NAMES, LISTS), max_size=2)
_OR = st.lists(PATTERNS, min_size=2, max_size=3).map(lambda branches: ("$or", array_text(branches)))
WITH_OR = st.tuples(_FIELDS, _OR, _FIELDS).map(lambda parts: object_text([*parts[0], parts[1], *parts[2]]))


class Number(str):
    """As it is spelled."""


def read_json(text: str) -> Any:
    """Objects as tuples of members, so that repeated names stay, arrays as lists."""
    return json.loads(text, object_pairs_hook=tuple, parse_int=Number, parse_float=Number)


def json_text(value: Any) -> str:
    """The text of what `read_json` gives."""
    if isinstance(value, tuple):
        return object_text([(name, json_text(member)) for name, member in value])
    if isinstance(value, list):
        return array_text([json_text(element) for element in value])
    return value if isinstance(value, Number) else json.dumps(value)
