"""Ways of asking the same question agree, on random patterns and events over few names and values.

The matcher with each pattern, the explanation with the pattern, the pattern with a naive search, the fast reader with
the careful one.
"""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings, strategies as st

from busway.pattern import Matcher, explain, parse
from busway.pattern.conditions import Conditions
from busway.pattern.event_tree import Scalar, Tree, _read_carefully, distinct, read_event
from busway.pattern.flatten import FieldTree, Leaf, Leaves, collect, flatten
from busway.pattern.presence import ABSENT
from busway.pattern.rule_pattern import Alternative

from .hard_parts import ROWS
from .random_patterns import EVENTS, PATTERNS, VALUES, object_text

# For each claim; 4,000 were run when this was written.
EXAMPLES = 50


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=6), st.lists(EVENTS, min_size=1, max_size=3))
def test_the_matcher_agrees_with_each_pattern(texts: list[str], events: list[str]):
    patterns = {f"rule-{number}": parse(text) for number, text in enumerate(texts)}
    matcher = Matcher()
    for key, pattern in patterns.items():
        matcher.add(key, pattern)
    for text in events:
        one_by_one = {key for key, pattern in patterns.items() if pattern.matches(text.encode())}
        found = matcher.match(text.encode())
        assert set(found) == one_by_one
        assert len(found) == len(one_by_one)


MEMBERS = ("a", "b", "ab")
# The event's own names once each, as in an envelope; what they hold is anything.
ENVELOPES = st.lists(st.tuples(st.sampled_from(MEMBERS), VALUES), max_size=3, unique_by=lambda member: member[0]).map(
    object_text
)


@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=6), st.lists(ENVELOPES, min_size=1, max_size=3))
def test_knowing_the_members_of_events_changes_no_verdict(texts: list[str], events: list[str]):
    patterns = {f"rule-{number}": parse(text) for number, text in enumerate(texts)}
    skimming = Matcher(MEMBERS)
    for key, pattern in patterns.items():
        skimming.add(key, pattern)
        for text in events:
            wanted = {known for known in patterns if known <= key and patterns[known].matches(text.encode())}
            assert set(skimming.match(text.encode())) == wanted


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(PATTERNS, min_size=2, max_size=8), EVENTS, st.data())
def test_a_removed_pattern_leaves_nothing_behind(texts: list[str], text: str, data: st.DataObject):
    patterns = {f"rule-{number}": parse(pattern) for number, pattern in enumerate(texts)}
    matcher = Matcher()
    for key, pattern in patterns.items():
        matcher.add(key, pattern)
    gone = data.draw(st.sets(st.sampled_from(sorted(patterns))))
    for key in gone:
        matcher.remove(key)
    assert set(matcher.match(text.encode())) == {
        key for key, pattern in patterns.items() if key not in gone and pattern.matches(text.encode())
    }
    for key in patterns:
        matcher.remove(key)
    assert matcher._start.empty
    assert not matcher._fields.children
    assert len(matcher) == 0


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS, EVENTS)
def test_an_explanation_agrees_with_the_verdict(pattern_text: str, event_text: str):
    pattern, event = parse(pattern_text), event_text.encode()
    explanation = explain(pattern, event)
    assert explanation.matched == pattern.matches(event)
    assert (explanation.missed == 0) == explanation.matched
    assert all((field.decided_by is None) != field.matched for field in explanation.fields)
    assert json.dumps(explanation.as_dict())


def naive(fields: Sequence[tuple[str, Conditions]], leaves: Leaves, chosen: dict[int, int]) -> bool:
    """The rule for arrays as it reads: choose a value for each field in turn, so that all elements agree."""
    if not fields:
        return True
    (path, conditions), later = fields[0], fields[1:]
    agreeing: list[tuple[Any, dict[int, int]]] = []
    for leaf in leaves.get(path, []):
        around = dict(elements(leaf))
        if all(chosen.get(array, element) == element for array, element in around.items()):
            agreeing.append((leaf.value, around))
    if ABSENT in conditions and not agreeing and naive(later, leaves, chosen):
        return True
    return any(
        any(condition.accepts(value) for condition in conditions) and naive(later, leaves, chosen | around)
        for value, around in agreeing
    )


def naive_alternative(alternative: Alternative, leaves: Leaves) -> bool:
    return naive(alternative.fields, leaves, {})


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS, EVENTS)
def test_array_consistency_agrees_with_the_naive_search(pattern_text: str, event_text: str):
    pattern = parse(pattern_text)
    leaves = flatten(read_event(event_text.encode()), pattern.tree)
    expected = any(naive_alternative(alternative, leaves) for alternative in pattern.alternatives)
    assert pattern.matches(event_text.encode()) == expected


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.fixed_dictionaries({"a": st.one_of(ROWS, st.lists(st.fixed_dictionaries({"r": ROWS, "b": st.just("x")})))}),
    st.dictionaries(
        st.sampled_from(["a.b", "a.c", "a.d", "a.r.b", "a.r.c", "a.r"]),
        st.sampled_from([["x"], ["y"], [{"exists": False}], ["x", {"exists": False}], [{"anything-but": "x"}]]),
        min_size=2,
        max_size=4,
    ),
)
def test_nested_tables_agree_with_the_naive_search(table: dict[str, Any], conditions: dict[str, Any]):
    pattern, event = parse(json.dumps(conditions)), json.dumps(table).encode()
    leaves = flatten(read_event(event), pattern.tree)
    expected = any(naive_alternative(alternative, leaves) for alternative in pattern.alternatives)
    assert pattern.matches(event) == expected
    matcher = Matcher()
    matcher.add("rule", pattern)
    assert matcher.match(event) == (["rule"] if expected else [])
    assert explain(pattern, event).matched == expected


PATHS = FieldTree(["a", "b", "c", "ab", "a.b", "a.a", "a.b.c", "b.a", "c.c"])


def found(event: dict[str, Tree]) -> dict[str, list[tuple[Scalar, list[tuple[int, int]]]]]:
    """Each field's values, with the elements that each lies in."""
    return {path: [(leaf.value, elements(leaf)) for leaf in leaves] for path, leaves in flatten(event, PATHS).items()}


def elements(leaf: Leaf) -> list[tuple[int, int]]:
    chosen: list[tuple[int, int]] = []
    place = leaf.place
    while place is not None:
        chosen.append((place.array, place.element))
        place = place.around
    return chosen


@settings(max_examples=EXAMPLES, deadline=None)
@given(EVENTS)
def test_the_fast_reader_loses_nothing_that_the_careful_one_keeps(text: str):
    fast, careful = read_event(text.encode()), _read_carefully(text.encode())
    assert found(fast) == found(careful)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.dictionaries(st.text(), st.one_of(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers()))
)
def test_any_text_and_number_reads_the_same_both_ways(members: dict[str, Any]):
    for text in (json.dumps(members), json.dumps(members, ensure_ascii=False, separators=(",", ":"))):
        if any("\ud800" <= char <= "\udfff" for char in text):
            continue  # not UTF-8
        fast, careful = read_event(text.encode()), _read_carefully(text.encode())
        assert fast == careful


@settings(max_examples=EXAMPLES, deadline=None)
@given(EVENTS)
def test_the_fast_walk_finds_what_the_full_one_finds(text: str):
    event = read_event(text.encode())
    values: dict[str, Any] = {}
    if collect(event, PATHS, values):
        whole = flatten(event, PATHS)
        assert values == {path: distinct(leaf.value for leaf in leaves) for path, leaves in whole.items()}
        assert all(leaf.place is None for leaves in whole.values() for leaf in leaves)
