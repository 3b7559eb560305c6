"""The compiled matcher says what the reference says: recorded facts, and random patterns and events.

Each example is some patterns and some events; BUSWAY_EXAMPLES says how many examples each claim gets.
"""

import dataclasses
import json
import os
import threading
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.unit.pattern.random_patterns import EVENTS, NAMES, PATTERNS
from tests.unit.pattern.test_agreement import ROWS
from tests.unit.pattern.test_events import nested
from tests.unit.pattern.test_vectors import VECTORS, decided, recorded, text_of

from busway.errors import InvalidEvent, InvalidPattern
from busway.pattern import Pattern, default_implementation, new_matcher, parse
from busway.pattern.compiled import CompiledMatcher

pytestmark = pytest.mark.needs("matcher")

EXAMPLES = int(os.environ.get("BUSWAY_EXAMPLES", 5_000 if os.environ.get("BUSWAY_NIGHTLY") else 30))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

pairs = 0


def compiled() -> Any:
    return import_module("busway_matcher")


def reference(patterns: dict[str, Pattern], event: bytes) -> set[str] | str:
    global pairs
    pairs += len(patterns)
    try:
        return {key for key, pattern in patterns.items() if pattern.matches(event)}
    except InvalidEvent:
        return "InvalidEvent"


def asked(matcher: Any, event: bytes) -> set[str] | str:
    try:
        found = matcher.match(event)
    except compiled().InvalidEvent:
        return "InvalidEvent"
    assert len(found) == len(set(found))
    return set(found)


def agree(texts: Sequence[str], events: Iterable[bytes]) -> Any:
    """All patterns at once, and each by itself: which of its fields a rule waits under depends on the others."""
    patterns = {f"rule-{number}": parse(text) for number, text in enumerate(texts)}
    together, alone = compiled().Matcher(), {key: compiled().Matcher() for key in patterns}
    for key, pattern in patterns.items():
        together.add(key, pattern.text)
        alone[key].add(key, pattern.text)
    for event in events:
        wanted = reference(patterns, event)
        assert asked(together, event) == wanted, event
        for key, matcher in alone.items():
            assert asked(matcher, event) == (wanted if isinstance(wanted, str) else wanted & {key}), event
    return together


@pytest.fixture(scope="module", autouse=True)
def told() -> Any:
    yield
    print(f"{pairs:,} pairs of a pattern and an event")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_it_agrees_with_what_was_recorded_and_decided(vector: dict[str, Any]):
    wanted = decided(vector) if "tag" in vector else recorded(vector)
    matcher = compiled().Matcher()
    try:
        matcher.add("rule", text_of(vector["pattern"]))
        found: tuple[str, Any] = "match", matcher.match(text_of(vector["event"]).encode()) == ["rule"]
    except compiled().InvalidPattern:
        found = "InvalidEventPatternException", wanted[1]  # its own words are shorter
    except compiled().InvalidEvent:
        found = "InvalidEvent", ""
    assert found == wanted


@SETTINGS
@given(st.lists(PATTERNS, min_size=1, max_size=6), st.lists(EVENTS, min_size=1, max_size=3))
def test_it_agrees_with_the_reference(texts: list[str], events: list[str]):
    agree(texts, [event.encode() for event in events])


@SETTINGS
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a.b", "a.c", "a.d", "a.r.b", "a.r.c", "a.r"]),
            st.sampled_from([["x"], ["y"], [{"exists": False}], ["x", {"exists": False}], [{"anything-but": "x"}]]),
            min_size=2,
            max_size=4,
        ),
        min_size=1,
        max_size=4,
    ),
    st.fixed_dictionaries(
        {"a": st.one_of(ROWS, st.lists(st.fixed_dictionaries({"r": ROWS, "b": st.just("x")}), max_size=4))},
        optional={"a.b": st.sampled_from(["x", "y", ["x", "y"]])},
    ),
)
def test_it_agrees_on_arrays_of_objects(conditions: list[dict[str, Any]], table: dict[str, Any]):
    agree([json.dumps(each) for each in conditions], [json.dumps(table).encode()])


TABLES = st.lists(st.dictionaries(st.sampled_from("bcd"), st.sampled_from("xy"), min_size=1), min_size=2, max_size=4)
CELLS = st.sampled_from([["x"], ["y"], ["x", "y"], [{"anything-but": "x"}], [{"exists": True}], [{"exists": False}]])


@SETTINGS
@given(
    st.lists(st.dictionaries(st.sampled_from(["a.b", "a.c", "a.d", "k"]), CELLS, min_size=2), min_size=5, max_size=5),
    st.sampled_from(['{"a":%s}', '{"a":[%s]}', '{"a":[{"b":"x"},%s]}', '{"a":%s,"k":"x"}', '{"a.d":"x","a":%s}']),
    TABLES,
)
def test_it_agrees_on_tables(patterns: list[dict[str, Any]], around: str, table: list[dict[str, str]]):
    agree([json.dumps(each) for each in patterns], [(around % json.dumps(table)).encode()])


# Characters whose forms differ in length, that look alike, that are halves of others, that wildcards are made of.
CHARS = st.sampled_from([*"aAbkKsSßẞſﬁiİıΣσςΚéÉ*\\.:/10", "\u212a", "😀", "𐐀", "\ud83d", "\ude00", "\u0000", "ŉ"])
TEXTS = st.lists(CHARS, max_size=5).map("".join)
STARRED = st.lists(st.sampled_from(["a", "b", "ab", "aab", "é", r"\\", r"\*", "*", "*"]), max_size=6).map("".join)
TEXT_CONDITIONS = st.one_of(
    TEXTS,
    st.builds(lambda name, text: {name: text}, st.sampled_from(["exactly", "prefix", "suffix"]), TEXTS),
    st.builds(lambda text: {"equals-ignore-case": text}, TEXTS),
    st.builds(lambda edge, text: {edge: {"equals-ignore-case": text}}, st.sampled_from(["prefix", "suffix"]), TEXTS),
    STARRED.map(lambda text: {"wildcard": text}),
    STARRED.map(lambda text: {"anything-but": {"wildcard": text}}),
    st.builds(
        lambda name, texts: {"anything-but": {name: texts}},
        st.sampled_from(["prefix", "suffix", "equals-ignore-case"]),
        st.lists(TEXTS.filter(bool), min_size=1, max_size=2),
    ),
    st.lists(TEXTS, min_size=1, max_size=3).map(lambda texts: {"anything-but": texts}),
)


def compiles(text: str) -> bool:
    """Whether the reference takes a pattern; the compiled parser must say the same."""
    try:
        parse(text)
        ours = True
    except InvalidPattern:
        ours = False
    try:
        compiled().Matcher().add("rule", text)
        theirs = True
    except compiled().InvalidPattern:
        theirs = False
    assert ours == theirs, text
    return ours


@SETTINGS
@given(
    st.lists(st.lists(TEXT_CONDITIONS, min_size=1, max_size=3), min_size=1, max_size=6),
    st.lists(st.one_of(TEXTS, STARRED), min_size=1, max_size=4),
    st.booleans(),
)
def test_it_agrees_on_texts(lists: list[Any], values: list[str], as_list: bool):
    texts = [text for conditions in lists if compiles(text := json.dumps({"a": conditions}))]
    events = [json.dumps({"a": value}) for value in values] + [json.dumps({"a": values})] * as_list
    agree(texts, [event.encode() for event in events])
    unescaped = [json.dumps({"a": value}, ensure_ascii=False) for value in values if value.isprintable()]
    agree(texts, [event.encode(errors="surrogatepass") for event in unescaped])


DIGITS = st.integers(0, 10**18).map(str)
NUMBER_TEXTS = st.one_of(
    st.builds(
        lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
        st.sampled_from(["", "-"]),
        st.one_of(st.sampled_from(["0", "1", "9007199254740993", "17976931348623157"]), DIGITS),
        st.one_of(st.just(""), DIGITS.map(lambda digits: f".{digits}"), st.sampled_from([".0", ".50", ".000"])),
        st.one_of(
            st.just(""), st.integers(-330, 330).map(lambda e: f"e{e}"), st.sampled_from(["E+2", "e-0", "e99999"])
        ),
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["5", "5.0", "50e-1", "-0", "0e5", "5e-324", "2e23", "1.7976931348623157e308", "1e309"]),
)


def near(number: str) -> str:
    """The same number in another spelling, or one beside it."""
    return number + "0" if "." in number and "e" not in number.lower() else number


@SETTINGS
@given(st.lists(NUMBER_TEXTS, min_size=1, max_size=5), st.lists(NUMBER_TEXTS, max_size=3))
def test_it_agrees_on_numbers(bounds: list[str], values: list[str]):
    texts: list[str] = [f'{{"a":[{bounds[0]}]}}']
    for number in bounds:
        texts += [f'{{"a":[{{"numeric":["{operator}",{number}]}}]}}' for operator in ("=", "<", "<=", ">", ">=")]
        texts += [
            f'{{"a":[{{"numeric":[">",{number},"<=",{bounds[0]}]}}]}}',
            f'{{"a":[{{"anything-but":{number}}}]}}',
        ]
        texts.append(f'{{"a":[{number}]}}')
    events = [f'{{"a":{number}}}'.encode() for number in [*values, *bounds, *map(near, bounds)]]
    agree([text for text in texts if compiles(text)], events)


ADDRESSES = st.sampled_from(
    [
        "10.0.0.1", "010.0.0.1", "10.0.0.256", "::1", "0:0:0:0:0:0:0:1", "::ffff:a00:1", "a00:1::", "1::",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8::", ":::", ":", "1:2:3:4:5:6:7:8", "12345::", "0a12::1",
        "10.0.0.1/8", "1:2:3:4:5:6:7",
    ]
)  # fmt: skip
NETWORKS = st.builds(
    lambda address, bits: f"{address}/{bits}", ADDRESSES, st.sampled_from(["0", "8", "31", "33", "127", "+1", "-0"])
)


@SETTINGS
@given(
    st.lists(st.one_of(ADDRESSES, NETWORKS.map(lambda text: {"cidr": text})), min_size=1),
    st.lists(ADDRESSES, min_size=1),
)
def test_it_agrees_on_addresses(entries: list[Any], values: list[str]):
    texts = [text for entry in entries if compiles(text := json.dumps({"a": [entry, {"anything-but": ["::1"]}]}))]
    texts += [text for entry in entries if compiles(text := json.dumps({"a": [entry]}))]
    agree(texts, [json.dumps({"a": value}).encode() for value in values])


def spoiled(event: bytes, places: list[tuple[float, bytes]]) -> bytes:
    for at, piece in places:
        place = int(at * len(event))
        event = event[:place] + piece + event[place + (len(piece) == 1) :]
    return event


PIECES = st.sampled_from(
    [
        b",",
        b":",
        b"}",
        b"{",
        b"[",
        b"]",
        b'"',
        b"\\",
        b"\\u12",
        b"\xff",
        b"\xed\xa0\x80",
        b"\x00",
        b"0",
        b"-",
        b".",
        b"e",
        b"\n",
        b" ",
        b"tru",
        b"\xc3\xa9",
        b"\x7f",
        b"}x",
    ]
)
SPOILING = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), PIECES), max_size=3)


@SETTINGS
@given(st.lists(PATTERNS, max_size=3), EVENTS, SPOILING)
def test_it_refuses_what_the_reference_refuses(texts: list[str], event: str, places: list[tuple[float, bytes]]):
    texts.append('{"a":[{"exists":false}]}')
    agree(texts, [spoiled(event.encode(), places)])
    # The same where nobody looks.
    agree(['{"elsewhere":["x"]}', '{"b":["x"]}'], [b'{"z":' + spoiled(event.encode(), places) + b',"b":"x"}'])


@SETTINGS
@given(PATTERNS, SPOILING)
def test_it_refuses_patterns_that_the_reference_refuses(text: str, places: list[tuple[float, bytes]]):
    broken = spoiled(text.encode(), places)
    try:
        compiles(broken.decode())
    except UnicodeDecodeError:
        with pytest.raises(compiled().InvalidPattern):
            compiled().Matcher().add("rule", broken)


@SETTINGS
@given(st.lists(PATTERNS, min_size=2, max_size=8), EVENTS, st.data())
def test_a_removed_pattern_leaves_nothing_behind(texts: list[str], event: str, data: st.DataObject):
    matcher = agree(texts, [event.encode()])
    gone = data.draw(st.sets(st.sampled_from(range(len(texts)))))
    for number in gone:
        matcher.remove(f"rule-{number}")
    again = data.draw(st.sets(st.sampled_from(range(len(texts)))))
    for number in again:
        matcher.add(f"rule-{number}", texts[number])
    kept = {f"rule-{n}": parse(text) for n, text in enumerate(texts) if n not in gone or n in again}
    assert len(matcher) == len(kept)
    assert asked(matcher, event.encode()) == reference(kept, event.encode())
    for number in range(len(texts)):
        matcher.remove(f"rule-{number}")
    assert len(matcher) == 0
    assert asked(matcher, event.encode()) == set()


@SETTINGS
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4), EVENTS)
def test_it_agrees_on_names_with_dots_and_without_letters(names: list[tuple[str, str]], event: str):
    odd = ["", ".", "a.", ".a", "a..b", "\ud83d", "é", "a\u0000"]
    texts = [json.dumps({odd[len(one) * 3 % 8]: {two: ["x"]}, f"{one}.": [{"exists": False}]}) for one, two in names]
    events = [json.dumps({name: {one: "x", two: ["x"]}, one: {name: "x"}}) for name in odd for one, two in names]
    agree(texts, [event.encode(), *[text.encode() for text in events]])


@pytest.mark.parametrize("levels", [998, 999, 1_000, 1_001, 100_000])
def test_nesting_ends_where_the_reference_ends_it(levels: int):
    for name in ("a", "z"):
        events = (f'{{"{name}":'.encode() + nested(levels, "[", "]") + b"}", nested(levels, f'{{"{name}":', "}"))
        agree(['{"a":["x"]}', '{"a.a":["x"]}', json.dumps({".".join("a" * 900): ["x"]})], events)


def test_adding_an_id_again_replaces_its_pattern_and_a_bad_one_changes_nothing():
    matcher = compiled().Matcher()
    matcher.add("rule", b'{"a":["x"]}')
    with pytest.raises(compiled().InvalidPattern, match="at `a`: an empty list"):
        matcher.add("rule", '{"a":[]}')
    assert matcher.match(b'{"a":"x"}') == ["rule"]
    matcher.add("rule", '{"a":["y"]}')
    assert matcher.match(b'{"a":"x"}') == []
    assert len(matcher) == 1
    assert matcher.memory_bytes() > 0


def test_threads_may_match_while_rules_come_and_go():
    matcher, rounds = compiled().Matcher(), 300
    matcher.add("always", '{"a":["x"]}')
    wrong: list[Any] = []

    def match() -> None:
        for number in range(rounds):
            # Every other one is long enough to be matched without the GIL.
            filler = b"z" * (number % 2 * 5_000)
            found = matcher.match(b'{"a":"x","b":%d,"z":"%s"}' % (number % 50, filler))
            if "always" not in found or len(found) > 2:
                wrong.append(found)

    threads = [threading.Thread(target=match) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        matcher.add(f"rule-{number % 50}", json.dumps({"b": [number % 50], "a": ["x"]}))
        matcher.remove(f"rule-{(number + 25) % 50}")
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_seam_takes_it_when_it_is_installed():
    assert default_implementation()[0] == "compiled"
    matcher = new_matcher(members=["a"])
    assert isinstance(matcher, CompiledMatcher)
    # Half a character may stand in a pattern's text as it is.
    matcher.add("half", parse('{"a":["\ud83d"]}'))
    matcher.add("whole", parse('{"a":["x"]}'))
    assert matcher.match(b'{"a":"\\ud83d"}') == ["half"]
    assert len(matcher) == 2
    with pytest.raises(InvalidEvent, match="expected a value at byte 5"):
        matcher.match(b'{"a":}')
    matcher.remove("half")
    matcher.remove("unknown")
    assert len(matcher) == 1


def test_a_rule_that_only_the_reference_takes_is_matched_all_the_same():
    matcher = CompiledMatcher()
    matcher.add("both", parse('{"a":["x"]}'))
    # No text is known that only one of them takes, so the text is spoiled afterwards.
    matcher.add("one", dataclasses.replace(parse('{"b":["x"]}'), text="{"))
    assert set(matcher.match(b'{"a":"x","b":"x"}')) == {"both", "one"}
    matcher.remove("one")
    assert matcher.match(b'{"a":"x","b":"x"}') == ["both"]
