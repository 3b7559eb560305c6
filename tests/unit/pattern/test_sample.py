import contextlib
import json
from typing import Any

import pytest
from hypothesis import assume, given, settings, strategies as st
from msgspec import Raw

from busway.errors import NoSample
from busway.pattern import Pattern, event_text, explain, near_miss, near_misses, parse, sample, samples
from busway.pattern.bus_events import MEMBERS, STRINGS
from busway.pattern.likely_values import likely, unlikely
from busway.pattern.numbers import NumberBetween
from busway.pattern.traps import traps

from .random_patterns import PATTERNS, object_text

# For each claim; 1,500 were run when this was written.
EXAMPLES = 150


def of(pattern: Any) -> dict[str, Any]:
    return sample(parse(json.dumps(pattern)))


def detail_of(**fields: Any) -> dict[str, Any]:
    return of({"detail": fields})["detail"]


def in_detail(text: str) -> Pattern:
    """A pattern as one of events of a bus; a name that is empty cannot be asked for there."""
    pattern = parse(object_text([("detail", text)]))
    assume(all(path != "detail." for alternative in pattern.alternatives for path, _ in alternative.fields))
    return pattern


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS)
def test_a_sample_matches_and_explain_agrees(text: str):
    pattern = in_detail(text)
    found = samples(pattern, 5)
    texts = [event_text(event).encode() for event in found]
    assert len(set(texts)) == len(texts) > 0
    for event in texts:
        assert pattern.matches(event)
        assert explain(pattern, event).missed == 0


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS)
def test_a_near_miss_misses_by_exactly_the_field_it_names(text: str):
    pattern = in_detail(text)
    try:
        found = near_misses(pattern, 5)
    except NoSample:
        assume(False)
        raise
    for near in found:
        explanation = explain(pattern, event_text(near.event).encode())
        assert (explanation.matched, explanation.missed) == (False, 1)
        (missed,) = [field for field in explanation.fields if not field.matched]
        assert (missed.path, missed.wanted) == (near.field, near.wanted)


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS)
def test_a_pattern_of_a_bus_has_a_sample_and_a_miss_within_detail(text: str):
    in_detail(text)
    pattern = parse(object_text([("source", '["shop"]'), ("detail", text)]))
    assert sample(pattern)["source"] == "shop"
    assert explain(pattern, event_text(near_miss(pattern).event).encode()).missed == 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS)
def test_the_same_pattern_has_the_same_samples(text: str):
    assert samples(in_detail(text), 3) == samples(in_detail(text), 3)


@settings(max_examples=EXAMPLES, deadline=None)
@given(PATTERNS)
def test_likely_values_are_accepted_and_unlikely_ones_are_not(text: str):
    for alternative in parse(text).alternatives:
        for _, conditions in alternative.fields:
            assert all(any(one.accepts(value) for one in conditions) for value in likely(conditions))
            assert not any(one.accepts(value) for one in conditions for value in unlikely(conditions))


def test_a_sample_is_a_whole_event_of_which_the_pattern_names_a_part():
    assert of({"source": ["shop"], "detail": {"total": [{"numeric": [">=", 100]}]}}) == {
        "version": "0",
        "id": "00000000-0000-4000-8000-000000000001",
        "detail-type": "Example",
        "source": "shop",
        "account": "123456789012",
        "time": "2026-01-01T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"total": 100},
    }


@pytest.mark.parametrize(
    ("matcher", "value"),
    [
        ("Order Placed", "Order Placed"),
        ("10.0.0.1", "10.0.0.1"),
        (5.0, 5),
        (None, None),
        (True, True),
        ({"exactly": "x"}, "x"),
        ({"prefix": "Order"}, "Order"),
        ({"prefix": "us-"}, "us-example"),
        ({"prefix": ""}, "example"),
        ({"suffix": ".png"}, "example.png"),
        ({"prefix": {"equals-ignore-case": "Straße"}}, "Straße"),
        ({"equals-ignore-case": "Paid"}, "Paid"),
        ({"wildcard": "arn:*:s3/*.jpg"}, "arn:example:s3/example.jpg"),
        ({"wildcard": "a*c"}, "ac"),
        ({"wildcard": "*"}, "example"),
        ({"numeric": [">", 100]}, 101),
        ({"numeric": ["<", 5]}, 4),
        ({"numeric": [">", 0, "<", 1]}, 0.5),
        ({"numeric": ["=", 7]}, 7),
        ({"cidr": "10.1.0.0/16"}, "10.1.0.1"),
        ({"cidr": "2001:db8::/32"}, "2001:db8::1"),
        ({"exists": True}, "example"),
        ({"anything-but": ["example"]}, "other"),
        ({"anything-but": [1, 2]}, 3),
        ({"anything-but": {"prefix": "ex"}}, "other"),
    ],
)
def test_values_are_such_as_people_write(matcher: Any, value: Any):
    assert detail_of(field=[matcher]) == {"field": value}


@pytest.mark.parametrize(
    ("member", "matcher", "value"),
    [
        ("time", {"prefix": "2027-03"}, "2027-03-01T12:00:00Z"),
        ("time", {"wildcard": "*T03:*"}, "2026-01-01T03:00:00Z"),
        ("time", {"wildcard": "2027-*-07T*:30:*"}, "2027-01-07T12:30:00Z"),
        ("time", {"suffix": "45Z"}, "2026-01-01T12:00:45Z"),
        ("account", {"prefix": "99"}, "993456789012"),
        ("region", {"anything-but": "us-east-1"}, "eu-west-1"),
        ("region", {"wildcard": "*-3"}, "us-east-3"),
        ("time", {"wildcard": "noon*"}, "noon"),
    ],
)
def test_members_of_the_envelope_keep_their_form_where_they_can(member: str, matcher: Any, value: str):
    assert of({member: [matcher]})[member] == value


def test_several_of_a_member_with_a_form_all_have_it():
    found = samples(parse('{"time": [{"wildcard": "*T03:*"}]}'), 10)
    assert [event["time"] for event in found] == ["2026-01-01T03:00:00Z", "2026-07-01T03:00:00Z"]


def test_resources_are_a_list():
    assert of({"resources": [{"prefix": "arn:"}]})["resources"] == ["arn:example"]


def test_a_field_that_must_not_exist_is_left_out():
    assert detail_of(gone=[{"exists": False}], here=["x"]) == {"here": "x"}
    assert "replay-name" not in of({"replay-name": [{"exists": False}]})


def test_a_value_beside_fields_below_it_is_a_list_of_both():
    assert detail_of(a=["x"], **{"a.b": ["y"]}) == {"a": ["x", {"b": "y"}]}
    assert detail_of(a=["x", {"exists": False}], **{"a.b": ["y"]}) == {"a": {"b": "y"}}


@pytest.mark.parametrize("names", [99, 100, 1_000, 2_000])
def test_a_path_of_any_length_has_a_sample_and_a_miss(names: int):
    path = ".".join(["detail", *["a"] * names])
    pattern = parse(json.dumps({path: ["x"], f"{path}.b": ["y"]}))
    assert pattern.matches(event_text(sample(pattern)).encode())
    assert near_miss(pattern).field in (path, f"{path}.b")


def test_fields_of_one_array_lie_in_one_element():
    assert detail_of(items={"sku": ["A"], "colour": ["red"]}) == {"items": {"colour": "red", "sku": "A"}}


def test_a_number_beyond_a_double_keeps_its_text():
    pattern = parse('{"detail": {"big": [9007199254740993], "huge": [1e400]}}')
    event = sample(pattern)
    assert event["detail"] == {"big": 9007199254740993, "huge": Raw(b"1e400")}
    assert '"huge": 1e400' in event_text(event)


def test_each_branch_of_an_or_comes_before_another_value_of_the_same_branch():
    found = samples(parse('{"$or": [{"source": ["a", "b"]}, {"source": ["c"]}]}'), 3)
    assert [event["source"] for event in found] == ["a", "c", "b"]


def test_a_pattern_with_few_events_gives_those_it_has():
    assert len(samples(parse('{"detail": {"a": [true, null]}}'), 10)) == 2


def test_a_contradiction_names_the_field():
    with pytest.raises(NoSample) as found:
        sample(parse('{"source": ["x"], "detail": {"total": [{"numeric": ["<", -1.7976931348623157e308]}]}}'))
    assert found.value.field == "detail.total"
    assert str(found.value).startswith("no event can match: detail.total wants a number < -1.79769")


def of_a_bus(event: dict[str, Any]) -> bool:
    return (
        {*STRINGS, "resources", "detail"} <= {*event} <= {*MEMBERS}
        and all(isinstance(event[name], str) for name in event if name not in ("resources", "detail"))
        and all(isinstance(each, str) for each in event["resources"])
        and isinstance(event["detail"], dict)
    )


MATCHERS: list[Any] = ["x", "1", 5, None, {"exists": True}, {"exists": False}, {"prefix": ""}, {"numeric": ["<", 9]},
    {"anything-but": "x"}, {"anything-but": [5]}, {"anything-but": {"wildcard": "*"}}]  # fmt: skip
PLACES = [*MEMBERS, "foo", "source.name", "detail.a", "detail.a.b", "detail.", "detail.a."]


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(PLACES), st.lists(st.sampled_from(MATCHERS), min_size=1, max_size=2), min_size=1, max_size=3
    )
)
def test_samples_and_near_misses_are_of_a_bus_and_there_is_none_exactly_where_lint_says_never(lists: dict[str, Any]):
    pattern = parse(json.dumps(lists))
    never = [each.message for each in traps("r", pattern) if each.code == "never"]
    if never:
        with pytest.raises(NoSample) as refused:
            samples(pattern, 10)
        assert str(refused.value) in never
        return
    assert all(of_a_bus(event) for event in samples(pattern, 10))
    with contextlib.suppress(NoSample):
        assert all(of_a_bus(near.event) for near in near_misses(pattern, 10))


@pytest.mark.parametrize(
    ("pattern", "field", "words"),
    [
        ({"foo": ["x"]}, "foo", "foo wants \"x\", but no event has a member 'foo'; did you mean detail.foo?"),
        ({"source": [5]}, "source", "source wants the number 5, but source is always a string"),
        ({"source": [{"anything-but": {"wildcard": "*"}}]}, "source", "source is always a string"),
        ({"source": [{"exists": False}]}, "source", "source wants no value at all, but source is always a string"),
        ({"detail": {"": ["x"]}}, "detail.", "a name that is empty cannot be asked for"),
    ],
)
def test_what_no_event_of_a_bus_has_is_refused_by_the_field(pattern: Any, field: str, words: str):
    with pytest.raises(NoSample) as found:
        of(pattern)
    assert found.value.field == field
    assert words in str(found.value)


def test_one_branch_that_nothing_meets_is_passed_over():
    branches = '{"$or": [{"detail": {"a": [{"numeric": ["<", -1.7976931348623157e308]}]}}, {"source": ["x"]}]}'
    assert sample(parse(branches))["source"] == "x"


def test_what_cannot_be_missed_by_one_field_has_no_near_miss():
    with pytest.raises(NoSample, match="misses by exactly one field"):
        near_miss(parse('{"detail": {"a": [{"exists": true}, {"exists": false}]}}'))


def test_a_near_miss_is_next_to_what_was_wanted():
    near = near_miss(parse('{"source": ["shop"], "detail": {"total": [{"numeric": [">=", 100]}]}}'))
    assert (near.event["detail"], near.field, near.wanted) == ({"total": 99}, "detail.total", "a number >= 100")
    only = near_miss(parse('{"detail": {"total": [{"exists": true}]}}'))
    assert (only.event["detail"], only.field) == ({}, "detail.total")
    assert near_miss(parse('{"detail": {"x": [{"exists": false}]}}')).event["detail"] == {"x": "example"}


def test_a_field_that_all_branches_share_is_missed_in_all_of_them():
    pattern = parse('{"source": ["s"], "$or": [{"detail": {"a": ["x"]}}, {"detail": {"a": ["y"]}}]}')
    fields = {near.field for near in near_misses(pattern, 10)}
    assert fields == {"source", "detail.a"}


def test_a_range_between_two_neighbouring_doubles_has_its_value():
    low = 1.0
    high = 1.0000000000000004
    assert likely([NumberBetween(low, False, high, False)]) == [Raw(b"1.0000000000000002")]


def test_lone_surrogates_survive_the_text():
    pattern = parse('{"detail": {"a": ["\\ud800"]}}')
    assert pattern.matches(event_text(sample(pattern)).encode())


def test_an_indented_event_is_the_same_event():
    event = of({"detail": {"a": [1.5], "b": {"c": [None]}}, "resources": ["r"]})
    assert json.loads(event_text(event, step="  ")) == json.loads(event_text(event)) == event
