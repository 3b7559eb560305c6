"""Events as people and attackers send them: odd JSON, odd names, large arrays, deep nesting."""

import json
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from busway.errors import InvalidEvent
from busway.pattern import Matcher, explain, parse


def verdict(pattern: Any, event: bytes) -> bool:
    """Every way of asking must give the same answer."""
    parsed = parse(pattern if isinstance(pattern, str) else json.dumps(pattern))
    matcher = Matcher()
    matcher.add("rule", parsed)
    matched = parsed.matches(event)
    assert matcher.match(event) == (["rule"] if matched else [])
    assert explain(parsed, event).matched == matched
    return matched


@pytest.mark.parametrize(
    "event",
    [
        b'{"a":"z","a":"x"}',
        b'{"a":"x","a":"z"}',
        b'{"a":"x","\\u0061":"z"}',
        b'{ "a" : "x" , "a" : "\\u0022" }',
        b'{"a":"x","a":{"b":"z"}}',
        b'{"a":["x"],"a":["z"]}',
        b'{"q":"\\u0022","a":"x","a":1}',
    ],
)
def test_values_of_a_repeated_name_accumulate(event: bytes):
    assert verdict({"a": ["x"]}, event)


@pytest.mark.parametrize("filler", [r"\u0022\u0022", r"\"\"", r"\u0022\"", '", "', "   "])
def test_no_writing_of_quotes_hides_a_repeated_name(filler: str):
    event = f'{{"q":"{filler}","a":1,"a":"z"}}' if '", "' not in filler else '{"q":["", ""],"a":1,"a":"z"}'
    assert verdict({"a": [1]}, event.encode())


def test_arrays_of_a_repeated_name_do_not_constrain_each_other():
    assert verdict({"a": {"b": [1], "c": [1]}}, b'{"a":[{"b":1},{}],"a":[{},{"c":1}]}')
    assert not verdict({"a": {"b": [1], "c": [1]}}, b'{"a":[{"b":1},{"c":1}]}')


def test_a_repeated_name_elsewhere_does_no_harm():
    assert verdict({"a": ["x"]}, b'{"z":1,"a":"x","z":2}')
    assert not verdict({"a": ["x"]}, b'{"z":"x","a":"y","z":"x"}')


def test_lone_surrogates_equal_themselves():
    assert verdict('{"a":["\\ud83d"]}', b'{"a":"\\ud83d"}')
    assert verdict('{"a":["\\ud83d\\ude00"]}', '{"a":"😀"}'.encode())
    assert not verdict('{"a":["\\ud83d"]}', '{"a":"😀"}'.encode())
    # A prefix is compared by characters, so half of one is no prefix.
    assert not verdict('{"a":[{"prefix":"\\ud83d"}]}', '{"a":"😀"}'.encode())


def test_a_dotted_name_and_nesting_are_the_same():
    for event in (b'{"a":{"b":{"c":"x"}}}', b'{"a.b":{"c":"x"}}', b'{"a":{"b.c":"x"}}', b'{"a.b.c":"x"}'):
        assert verdict({"a": {"b": {"c": ["x"]}}}, event)
        assert verdict({"a.b.c": ["x"]}, event)


def test_an_empty_name_inside_an_object_can_be_passed_but_not_looked_at():
    assert verdict({"a..b": ["x"]}, b'{"a":{"":{"b":"x"}}}')
    assert not verdict({"a.": ["x"]}, b'{"a":{"":"x"}}')
    assert not verdict({"a": {"": ["x"]}}, b'{"a":{"":"x"}}')
    assert not verdict({"a": {"": ["x"]}}, b'{"a":{"":["x"]}}')
    assert verdict({"a": {"": ["x"]}}, b'{"a.":"x"}')
    assert verdict({"": ["x"]}, b'{"":["x"]}')


@pytest.mark.parametrize("event", [b'{"a":"x"} ', b'{"a":"x"}garbage', b'{"a":"x"}{"a":"y"}', b'\n{"a":"x"}'])
def test_text_around_the_event_is_ignored(event: bytes):
    assert verdict({"a": ["x"]}, event)


@pytest.mark.parametrize(
    "event",
    [
        b"", b" ", b"[]", b'"x"', b"5", b"null", b"nul", b"{", b'{"a"', b'{"a":}', b'{"a":1,}', b'{"a":01}',
        b'{"a":+1}',
        b'{"a":NaN}', b"{'a':1}", b'{"a":"\t"}', b'{"a":"\\x"}', b'{"a":"\xff"}', b'\xff', b'{"z":[1,}],"a":"x"}',
        b'{"a":"x","z":tru}', b"\xef\xbb\xbf{}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused_by_all(event: bytes):
    pattern = parse('{"a":["x"]}')
    matcher = Matcher()
    matcher.add("rule", pattern)
    for ask in (pattern.matches, matcher.match, lambda text: explain(pattern, text)):
        with pytest.raises(InvalidEvent):
            ask(event)


def nested(levels: int, opened: str, closed: str) -> bytes:
    return (opened * levels + '"x"' + closed * levels).encode()


@pytest.mark.parametrize("levels", [500, 998])
def test_deep_events_are_matched(levels: int):
    assert verdict({"a": ["x"]}, b'{"a":' + nested(levels, "[", "]") + b"}")
    assert verdict({"a": ["x"]}, b'{"a":"x","z":' + nested(levels, '{"a":', "}") + b"}")


@pytest.mark.parametrize("levels", [1_000, 100_000])
def test_events_nested_beyond_the_limit_are_refused_not_crashed_on(levels: int):
    pattern = parse('{"a":["x"]}')
    for event in (b'{"a":' + nested(levels, "[", "]") + b"}", nested(levels + 1, '{"a":', "}")):
        with pytest.raises(InvalidEvent, match="nesting depth"):
            pattern.matches(event)


def test_large_integers_are_read():
    digits = "1" * 5_000
    assert verdict(f'{{"a":[{digits}]}}', f'{{"a":{digits}}}'.encode())
    assert verdict({"a": [{"numeric": [">", 1]}]}, b'{"a":20000000000000000000}')


def test_absence_sees_what_smaller_names_chose_in_utf16_order():
    emoji, halfwidth = "\U0001f600", "\uffee"
    rows = {"a": [{emoji: 1}, {halfwidth: 1}]}
    event = json.dumps(rows).encode()
    assert verdict({"a": {emoji: [1], halfwidth: [{"exists": False}]}}, event)
    assert not verdict({"a": {halfwidth: [1], emoji: [{"exists": False}]}}, event)


@pytest.mark.parametrize(("text", "value"), [("k", "\u212a"), ("s", "ſ"), ("i", "İ")])
def test_ignoring_case_takes_no_lookalike(text: str, value: str):
    event = json.dumps({"a": value}).encode()
    for matcher in ({"equals-ignore-case": text}, {"prefix": {"equals-ignore-case": text}}):
        assert not verdict({"a": [matcher]}, event)


def calls(pattern: Any, event: Any) -> int:
    """How many functions are called to find out that a pattern does not match."""
    parsed, text = parse(json.dumps(pattern)), json.dumps(event).encode()
    called = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal called
        called += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        matched = parsed.matches(text)
    finally:
        sys.setprofile(None)
    assert not matched
    return called


def lone(names: str, rows: int) -> list[Any]:
    """Each name alone in every so many elements."""
    return [{name: 1} for _ in range(rows) for name in names]


def nest(rows: list[Any]) -> list[Any]:
    """Each row in a list that is inside the one of the next."""
    nested: list[Any] = []
    for row in rows:
        nested = [row, nested]
    return nested


ROWS: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "a long array": ({"a": {"b": [1], "c": [1]}}, lambda rows: {"a": lone("bc", rows)}),
    "one inside another": (
        {"o": {"a": {"b": [1], "c": [1]}, "d": [1]}},
        lambda rows: {"o": [{"a": lone("bc", rows), "d": [1] * rows}]},
    ),
    "arrays beside each other": (
        {name: {"b": [1], "c": [1]} for name in "stuvwxyz"},
        lambda rows: {name: lone("bc", rows) for name in "stuvwxyz"},
    ),
    "absence": (
        {"a": {"b": [1], "c": [{"exists": False}], "d": [1]}},
        lambda rows: {"a": [*lone("bd", rows), *[{"b": 1, "c": 1, "d": 1}] * rows]},
    ),
    "lists nested as deep": ({"a": {"b": [1], "c": [1]}}, lambda rows: {"a": nest(lone("bc", rows))}),
    "every branch of many": (
        {"a": {"$or": [{"b": [n, 1]} for n in range(9)], "n": {"$or": [{"c": [n, 1]} for n in range(9)]}}},
        lambda rows: {"a": [{"b": 1}, {"n": {"c": 1}}] * rows},
    ),
    "a list of equal values beside": (
        {"$or": [{"a": ["x", n]} for n in range(50)], "b": {"c": [1], "d": [1]}},
        lambda rows: {"a": ["x"] * rows, "b": lone("cd", rows)},
    ),
}


@pytest.mark.parametrize(("pattern", "event"), ROWS.values(), ids=ROWS.keys())
def test_arrays_cost_their_length_and_not_its_square(pattern: Any, event: Callable[[int], Any]):
    short, long = (calls(pattern, event(rows)) for rows in (100, 400))
    assert long < 5 * short


def test_a_hostile_event_with_repeated_arrays_stays_bounded():
    repeated = ",".join(['"a":[' + ",".join(['{"b":1,"c":1,"d":1,"e":1}'] * 30) + "]"] * 8)
    event = f"{{{repeated}}}".encode()
    assert parse('{"a":{"b":[1],"c":[1],"d":[1],"e":[1]}}').matches(event)
    assert not parse('{"a":{"b":[1],"c":[1],"d":[1],"e":[2]}}').matches(event)


LONG = 1_000_000
CONDITIONS: list[Any] = [
    "10.0.0.1",
    "::1",
    {"cidr": "10.0.0.0/8"},
    {"cidr": "::/64"},
    {"prefix": "a:" * 20},
    {"suffix": ":b"},
    {"prefix": {"equals-ignore-case": "K"}},
    {"suffix": {"equals-ignore-case": "K"}},
    {"equals-ignore-case": "aaaa"},
    {"wildcard": "*a*a:b*c"},
    {"anything-but": {"wildcard": "*"}},
    {"numeric": ["<", 0]},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=json.dumps)
@pytest.mark.parametrize("piece", [":", "a", "1.", "0:", "ab:", "A", "\u212a"])
def test_a_text_of_a_million_characters_is_judged_in_one_look(condition: Any, piece: str):
    # What looks more than once would take hours.
    text = piece * (LONG // len(piece))
    assert not verdict({"a": [condition]}, json.dumps({"a": f"{text}x"}).encode())


@pytest.mark.parametrize("digits", ["9" * 400_000, f"0.{'0' * 400_000}1", f"1e{'9' * 400_000}", f"-{'1' * 5_000}.5"])
def test_a_number_of_very_many_digits_is_read(digits: str):
    verdict({"a": [{"numeric": [">", 1]}, 7, {"anything-but": [3]}]}, f'{{"a":{digits}}}'.encode())
