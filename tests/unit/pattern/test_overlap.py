"""What is said of two patterns, or of one, is never refuted by an event of a bus."""

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from busway.errors import NoSample
from busway.pattern import event_text, parse
from busway.pattern.event_tree import Scalar
from busway.pattern.overlap import Reach, apart, both, covers, relation
from busway.pattern.sample import options_of
from busway.pattern.sample_event import Missing
from busway.pattern.value_sets import accepts_nothing, apart as values_apart, covers as values_cover
from busway.testing import events_matching

from .random_patterns import LISTS, NAMES, PATTERNS, TEXTS, VALUES, array_text, object_text

# For each claim.
EXAMPLES = 1_000 if os.environ.get("BUSWAY_NIGHTLY") else 60

# Many pairs have nothing to do with each other, and a busy machine draws slowly.
CROWDED = [HealthCheck.filter_too_much, HealthCheck.too_slow]

# Lists are few, so that two patterns often have the same ones.
FEW = st.sampled_from(
    [
        '["x"]', '["y"]', '["x","y"]', '["x",{"exists":false}]', '[{"exists":false}]', '[{"exists":true}]',
        '[{"prefix":"x"}]', '[{"anything-but":"x"}]', '[{"anything-but":["x","y"]}]', '[{"numeric":[">",0]}]',
        '[{"numeric":[">",5]}]', '[5]', '[{"numeric":["<=",5]},{"numeric":[">",5]}]', '[null,{"anything-but":"y"}]',
        '[{"suffix":"y"}]', '[{"wildcard":"x*y"}]', '[{"equals-ignore-case":"X"}]', '["10.0.0.1"]',
        '[{"cidr":"10.0.0.0/24"}]',
    ]
)  # fmt: skip
MIXED = st.one_of(FEW, LISTS)
FLAT = st.lists(st.tuples(NAMES, MIXED), min_size=1, max_size=3).map(object_text)
NESTED = st.tuples(NAMES, FLAT).map(lambda member: object_text([member]))
BRANCHES = st.lists(st.one_of(FLAT, NESTED), min_size=2, max_size=3).map(
    lambda branches: object_text([("$or", array_text(branches))])
)
DETAILS = st.one_of(FLAT, NESTED, BRANCHES, PATTERNS)
SOURCES = st.sampled_from(['["x"]', '["x","y"]', '[{"prefix":"x"}]', '[{"anything-but":"x"}]', '[{"exists":false}]'])
AROUND = st.one_of(
    st.just([]),
    st.tuples(st.sampled_from(["source", "detail-type", "replay-name", "resources", "other"]), SOURCES).map(
        lambda member: [member]
    ),
)
IMPOSSIBLE = st.sampled_from(
    [("source", "[5]"), ("other", '["x"]'), ("id.a", '["x"]'), ("region", '[{"anything-but":{"wildcard":"*"}}]')]
)
MOSTLY_IMPOSSIBLE = st.builds(lambda member, detail: object_text([member, ("detail", detail)]), IMPOSSIBLE, DETAILS)
BUS_PATTERNS = st.tuples(AROUND, DETAILS).map(lambda drawn: object_text([*drawn[0], ("detail", drawn[1])]))
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=3).map(object_text)
ROWS = st.lists(OBJECTS, max_size=3).map(array_text)
# Two levels of what the patterns look at, and lists of objects.
INSIDE = st.lists(st.tuples(NAMES, st.one_of(VALUES, OBJECTS, ROWS)), max_size=3).map(object_text)
MAYBE = st.lists(st.just(("replay-name", '"x"')), max_size=1)


def _bus_event(source: str, detail_type: str, resources: list[str], more: list[Any], detail: str) -> str:
    members = [(name, json.dumps(name)) for name in ("version", "id", "account", "time", "region")]
    members += [("source", json.dumps(source)), ("detail-type", json.dumps(detail_type))]
    return object_text([*members, ("resources", json.dumps(resources)), *more, ("detail", detail)])


BUS_EVENTS = st.builds(_bus_event, TEXTS, TEXTS, st.lists(TEXTS, max_size=2), MAYBE, INSIDE)


def matched(text: str, event: str) -> bool:
    return parse(text).matches(event.encode())


def is_of_a_bus(event: dict[str, Any]) -> bool:
    strings = ("version", "id", "detail-type", "source", "account", "time", "region")
    return (
        all(isinstance(event.get(name), str) for name in strings)
        and isinstance(event.get("detail"), dict)
        and all(isinstance(each, str) for each in event["resources"])
        and isinstance(event.get("replay-name", ""), str)
        and event.keys() <= {*strings, "detail", "resources", "replay-name"}
    )


def drawn_events(data: st.DataObject, texts: list[str]) -> list[str]:
    """Random ones, and for each pattern some that it matches, if there are any on a bus."""
    events = data.draw(st.lists(BUS_EVENTS, min_size=2, max_size=6))
    for text in texts:
        try:
            made = data.draw(st.lists(events_matching(text), min_size=1, max_size=3))
        except NoSample:
            continue
        events += [event_text(event) for event in made if is_of_a_bus(event)]
    return events


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CROWDED)
@given(BUS_PATTERNS, BUS_PATTERNS, st.data())
def test_no_event_refutes_what_is_said_of_two_patterns(one: str, other: str, data: st.DataObject):
    first, second = Reach(parse(one)), Reach(parse(other))
    said = (covers(first, second), covers(second, first), apart(first, second))
    assume(any(said))
    for event in drawn_events(data, [one, other]):
        here, there = matched(one, event), matched(other, event)
        if said[0] and there:
            assert here, event
        if said[1] and here:
            assert there, event
        assert not (said[2] and here and there), event


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CROWDED)
@given(st.one_of(BUS_PATTERNS, MOSTLY_IMPOSSIBLE), st.data())
def test_no_event_refutes_that_a_pattern_can_never_match(text: str, data: st.DataObject):
    assume(not Reach(parse(text)).alternatives)
    assert not any(matched(text, event) for event in drawn_events(data, [text]))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CROWDED)
@given(BUS_PATTERNS, BUS_PATTERNS)
def test_an_example_is_an_event_of_a_bus_that_both_match(one: str, other: str):
    event = both(Reach(parse(one)), Reach(parse(other)))
    assume(event is not None)
    assert event is not None and is_of_a_bus(event)
    assert matched(one, event_text(event)) and matched(other, event_text(event))
    assert not apart(Reach(parse(one)), Reach(parse(other)))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=CROWDED)
@given(BUS_PATTERNS)
def test_a_pattern_has_the_same_events_as_itself(text: str):
    reach = Reach(parse(text))
    assume(reach.alternatives)
    assert relation(reach, reach) == "equal"


def values_of(*lists: str) -> list[Scalar]:
    """Values that any of the lists may accept."""
    alternatives = [alternative for text in lists for alternative in parse(f'{{"a": {text}}}').alternatives]
    found = [value for one in alternatives for values in options_of(one).values() for value in values]
    return [value for value in found if not isinstance(value, Missing)]


SPELLED: list[Any] = [
    "x",
    "X",
    "xy",
    "Xy",
    "y",
    "yx",
    "",
    "5",
    "10.0.0.1",
    "10.0.00.1",
    "::1",
    "é",
    "É",
    "STRASSE",
    "straße",
]


@pytest.mark.slow
@settings(max_examples=5 * EXAMPLES, deadline=None)
@given(MIXED, MIXED, st.text(alphabet="xyXY*0.1", max_size=4))
def test_no_value_refutes_what_is_said_of_two_lists(one: str, other: str, text: str):
    ((_, here),) = parse(f'{{"a": {one}}}').alternatives[0].fields
    ((_, there),) = parse(f'{{"a": {other}}}').alternatives[0].fields
    said = values_cover(here, there), values_cover(there, here), values_apart(here, there)
    for value in [*values_of(one, other), *SPELLED, text, 0, 5, 6, -1, None, True, False]:
        first, second = any(each.accepts(value) for each in here), any(each.accepts(value) for each in there)
        assert not (said[0] and second and not first), value
        assert not (said[1] and first and not second), value
        assert not (said[2] and first and second), value
        assert not any(accepts_nothing(each) and each.accepts(value) for each in (*here, *there))


def kind(one: Any, other: Any) -> str:
    return relation(Reach(parse(json.dumps(one))), Reach(parse(json.dumps(other))))


def listed(one: list[Any], other: list[Any]) -> str:
    return kind({"detail": {"a": one}}, {"detail": {"a": other}})


def test_lists_of_one_field_are_compared_operator_by_operator():
    assert listed([{"prefix": "x"}], ["xy"]) == "covers"
    assert listed([{"wildcard": "x*"}], [{"prefix": "x"}]) == "equal"
    assert listed([{"wildcard": "*b*"}], [{"wildcard": "a*b*c"}]) == "covers"
    assert listed([{"equals-ignore-case": "Paid"}], ["PAID"]) == "covers"
    assert listed([{"prefix": {"equals-ignore-case": "p"}}], [{"equals-ignore-case": "Paid"}]) == "covers"
    assert listed([{"numeric": [">", 0]}], [{"numeric": [">", 5, "<", 9]}]) == "covers"
    assert listed([{"numeric": ["<=", 5]}, {"numeric": [">", 5]}], [{"numeric": [">", 3]}]) == "covers"
    assert listed([{"numeric": [">", 5]}], [{"numeric": [">=", 5]}]) == "covered"
    assert listed([{"numeric": ["<", 5]}], [{"numeric": ["<=", 5]}]) == "covered"
    assert listed([{"numeric": ["<", 5]}, {"numeric": [">", 5]}], [{"numeric": [">", 3]}]) == "unknown"
    assert listed([{"equals-ignore-case": "ς"}], [{"equals-ignore-case": "σ"}]) == "unknown"
    assert listed([{"exists": True}], [{"anything-but": "x"}]) == "covers"
    assert listed([{"anything-but": "x"}, "x"], [{"exists": True}]) == "equal"
    assert listed([{"anything-but": "x"}], [{"anything-but": {"prefix": "x"}}]) == "covers"
    assert listed([{"anything-but": ["x", "y"]}], [{"anything-but": "x"}]) == "covered"
    assert listed([{"cidr": "10.0.0.0/8"}], [{"cidr": "10.1.0.0/16"}]) == "covers"
    assert listed([{"cidr": "10.0.0.0/8"}], ["10.0.0.1"]) == "covers"
    assert listed(["x", {"exists": False}], ["x"]) == "covers"


def test_overlapping_lists_have_a_value_in_common():
    def common(one: list[Any], other: list[Any]) -> Any:
        event = both(*(Reach(parse(json.dumps({"detail": {"a": each}}))) for each in (one, other)))
        assert event is not None
        return event["detail"]["a"]

    assert common([{"numeric": [">", 5]}], [{"numeric": ["<", 6]}]) == 5.5
    assert common([{"prefix": "img-"}], [{"suffix": ".png"}]) == "img-.png"
    assert common(["x", "y"], ["y", "z"]) == "y"
    assert common([{"anything-but": "example"}], [{"anything-but": "other"}]) == "another"


def test_different_values_in_detail_are_not_apart_since_a_list_may_hold_both():
    assert listed(["x"], ["y"]) == "unknown"
    assert kind({"source": ["x"]}, {"source": ["y"]}) == "apart"
    assert kind({"source": [{"prefix": "a"}]}, {"source": [{"anything-but": {"prefix": "a"}}]}) == "apart"
    assert kind({"detail": {"a": [{"exists": False}]}}, {"detail": {"a": ["x"]}}) == "apart"


def test_absence_in_lists_depends_on_fields_with_smaller_paths():
    part = {"detail": {"rows": {"a": ["1"], "b": [{"exists": False}]}}}
    whole = {"detail": {"rows": {"b": [{"exists": False}]}}}
    event = '{"detail": {"rows": [{"a": "1"}, {"b": "2"}]}}'
    assert matched(json.dumps(part), event) and not matched(json.dumps(whole), event)
    assert kind(whole, part) == "unknown"


def test_what_every_event_has_makes_no_difference():
    assert kind({"source": [{"exists": True}], "detail": {"a": ["x"]}}, {"detail": {"a": ["x"]}}) == "equal"
    assert kind({"account": [{"wildcard": "*"}], "source": ["s"]}, {"source": ["s"]}) == "equal"
