"""The compiled matcher says what the reference says, of pairs of a pattern and an event that hypothesis draws.

A claim for each hard part of the language, and some for all of it. Each example is some patterns and some events,
each asked with each: `make test` compares 20,000 pairs, `make nightly` 1,000,000. BUSWAY_EXAMPLES says how many
examples each claim gets.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.unit.pattern.agreeing import TALLY, agree, asked, compiled, compiles, reference
from tests.unit.pattern.hard_parts import (
    CHANCES,
    ENDS,
    NESTED_PATTERNS,
    NESTED_TABLES,
    NUMBER_TEXTS,
    REPEATING_EVENTS,
    REPEATING_PATTERNS,
    STARRED,
    TABLE_PATTERNS,
    TABLES,
    TEXTS,
    WAYS,
    asking_for,
    deep_event,
    deep_pattern,
    near,
    respelled,
)
from tests.unit.pattern.random_patterns import EVENTS, NAMES, PATTERNS, VALUES, object_text

from busway.pattern import parse

pytestmark = [pytest.mark.needs("matcher"), pytest.mark.slow]

NIGHTLY = bool(os.environ.get("BUSWAY_NIGHTLY"))
PAIRS_MIN = 1_000_000 if NIGHTLY else 20_000
EXAMPLES = int(os.environ.get("BUSWAY_EXAMPLES", 2_400 if NIGHTLY else 70))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

# Pairs by claim.
shares: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest) -> Iterator[None]:
    before = TALLY.pairs
    yield
    shares[request.function.__name__] += TALLY.pairs - before


@SETTINGS
@given(st.lists(PATTERNS, min_size=3, max_size=6), st.lists(EVENTS, min_size=2, max_size=4))
def test_it_agrees_on_whatever_is_drawn(texts: list[str], events: list[str]):
    agree(texts, [event.encode() for event in events])


@SETTINGS
@given(st.lists(NESTED_PATTERNS, min_size=4, max_size=6), st.lists(NESTED_TABLES, min_size=2, max_size=4))
def test_it_agrees_on_arrays_of_objects(texts: list[str], tables: list[str]):
    agree(texts, [table.encode() for table in tables])


@SETTINGS
@given(
    st.lists(TABLE_PATTERNS, min_size=5, max_size=5),
    st.sampled_from(['{"a":%s}', '{"a":[%s]}', '{"a":[{"b":"x"},%s]}', '{"a":%s,"k":"x"}', '{"a.d":"x","a":%s}']),
    st.lists(TABLES, min_size=3, max_size=4),
)
def test_it_agrees_on_tables(texts: list[str], around: str, tables: list[str]):
    agree(texts, [(around % table).encode() for table in tables])


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


@SETTINGS
@given(st.lists(NUMBER_TEXTS, min_size=1, max_size=3), st.lists(NUMBER_TEXTS, max_size=2), st.booleans())
def test_it_agrees_on_numbers_and_on_strings_that_spell_them(bounds: list[str], values: list[str], as_list: bool):
    numbers = [*values, *bounds, *map(near, bounds)]
    events = [f'{{"a":{number}}}' for number in numbers] + [f'{{"a":"{number}"}}' for number in bounds]
    events += [f'{{"a":[{",".join(numbers)}]}}'] * as_list
    agree([text for text in asking_for(bounds) if compiles(text)], [event.encode() for event in events])


SPELLED_NAMES = st.one_of(st.sampled_from(["a", "é", "a.é", "$or", "/"]), TEXTS.filter(bool))


@SETTINGS
@given(
    st.lists(st.tuples(SPELLED_NAMES, st.lists(TEXT_CONDITIONS, min_size=1, max_size=2)), min_size=1, max_size=4),
    st.lists(st.one_of(TEXTS, STARRED), min_size=1, max_size=3),
    CHANCES,
)
def test_it_agrees_however_names_and_texts_are_spelled(fields: list[Any], values: list[str], chance: random.Random):
    drawn = [respelled({name: conditions}, chance) for name, conditions in fields for _ in range(2)]
    found = [*values, *words(fields)][:5]
    events = [respelled({name: value for name, _ in fields}, chance) for value in found]
    events += [respelled({name: [found, {"b": found}]}, chance) for name, _ in fields]
    agree([text for text in drawn if compiles(text)], [event.encode() for event in events])


def words(conditions: object) -> list[str]:
    """The texts that conditions are about, so that some values meet them."""
    if isinstance(conditions, str):
        return [conditions]
    children = conditions.values() if isinstance(conditions, dict) else conditions
    return [word for child in children for word in words(child)] if isinstance(children, Iterable) else []


@SETTINGS
@given(st.lists(REPEATING_PATTERNS, min_size=4, max_size=8), st.lists(REPEATING_EVENTS, min_size=3, max_size=6))
def test_it_agrees_where_names_are_repeated(texts: list[str], events: list[str]):
    agree(texts, [event.encode() for event in events])


@SETTINGS
@given(
    st.lists(WAYS, min_size=2, max_size=3),
    st.lists(ENDS, min_size=3, max_size=4),
    st.lists(VALUES, min_size=2, max_size=3),
    CHANCES,
)
def test_it_agrees_far_down(ways: list[Any], ends: list[Any], values: list[str], chance: random.Random):
    texts = [deep_pattern(way, end, chance) for way in ways for end in ends]
    bottoms = [object_text([(name, value) for name in "abc"]) for value in values]
    events = [deep_event(way, bottom, chance) for way in ways for bottom in bottoms]
    agree([text for text in texts if compiles(text)], [event.encode() for event in events])


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


def test_as_many_pairs_were_compared_as_is_said(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]):
    with capsys.disabled():
        print(f"\n{TALLY}", *(f"{pairs:>9,}  {claim}" for claim, pairs in shares.items()), sep="\n")
    claims = {name for name in vars(request.module) if name.startswith("test_")}
    if "BUSWAY_EXAMPLES" in os.environ or claims != {*shares, request.function.__name__}:
        pytest.skip("only some of the claims were tried")
    assert sum(shares.values()) >= PAIRS_MIN
