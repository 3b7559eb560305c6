"""Edits make a pattern match: those that a person would make for a slip, and none that was not tried."""

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from busway.errors import InvalidPattern
from busway.pattern import Edit, Pattern, edits, explain, parse
from busway.pattern.edits.mending import mend, mend_for
from busway.pattern.event_tree import Tree
from busway.pattern.explain import fewest_missed

from .test_agreement import EVENTS, EXAMPLES, PATTERNS

EVENT: dict[str, Any] = {
    "source": "shop.orders",
    "detail-type": "Order Placed",
    "resources": ["arn:aws:s3:::b-1"],
    "detail": {
        "total": "150",
        "weight": 7,
        "file": "C:\\in\\a.log",
        "rows": [{"sku": "A", "colour": "blue"}, {"sku": "B", "colour": "red"}],
        "bucket": {"name": "b-1"},
    },
}


def applied(edit: Edit, pattern: str, event: bytes) -> bool:
    if edit.where == "pattern":
        return parse(edit.document).matches(event)
    return parse(pattern).matches(edit.document.encode())


def found(pattern: Any, event: Any = EVENT) -> list[tuple[str, str, str | None, str | None, str]]:
    """The edits' first changes; each edit is applied and must match."""
    text, data = json.dumps(pattern), json.dumps(event).encode()
    shown = edits(parse(text), data)
    assert all(applied(edit, text, data) for edit in shown)
    firsts = [(edit.where, edit.changes[0]) for edit in shown]
    return [(where, one.path, one.before, one.after, one.mistake) for where, one in firsts]


@pytest.mark.parametrize(
    ("pattern", "path", "before", "after", "mistake"),
    [
        ({"source": ["Shop.Orders"]}, "source[0]", '"Shop.Orders"', '"shop.orders"', "case"),
        ({"source": ["shop.orders "]}, "source[0]", '"shop.orders "', '"shop.orders"', "space"),
        ({"detail": {"total": [150]}}, "detail.total[0]", "150", '"150"', "type"),
        ({"detail": {"weight": ["7"]}}, "detail.weight[0]", '"7"', "7", "type"),
        (
            {"detail": {"detail": {"weight": [7]}}},
            "detail.detail.weight",
            "detail.detail.weight",
            "detail.weight",
            "level",
        ),
        ({"weight": [7]}, "weight", "weight", "detail.weight", "level"),
        ({"detail": {"wieght": [7]}}, "detail.wieght", "detail.wieght", "detail.weight", "typo"),
        ({"detail": {"Weight": [7]}}, "detail.Weight", "detail.Weight", "detail.weight", "case"),
        ({"resources": ["b-1"]}, "resources[0]", '"b-1"', '{"suffix": ":b-1"}', "operator"),
        ({"detail": {"name": ["b-1"]}}, "detail.name", "detail.name", "detail.bucket.name", "level"),
        ({"resources": ["C:\\in\\a.log"]}, "resources", "resources", "detail.file", "place"),
        (
            {"detail": {"resources": [{"prefix": "arn:"}]}},
            "detail.resources",
            "detail.resources",
            "resources",
            "level",
        ),
        ({"source": ["shop.*"]}, "source[0]", '"shop.*"', '{"wildcard": "shop.*"}', "wildcard"),
        (
            {"source": [{"wildcard": "shop.?rders"}]},
            "source[0]",
            '{"wildcard": "shop.?rders"}',
            '{"wildcard": "shop.*rders"}',
            "wildcard",
        ),
        (
            {"source": [{"wildcard": "orders"}]},
            "source[0]",
            '{"wildcard": "orders"}',
            '{"wildcard": "*orders"}',
            "wildcard",
        ),
        (
            {"detail": {"file": [{"wildcard": "C:\\*.log"}]}},
            "detail.file[0]",
            '{"wildcard": "C:\\\\*.log"}',
            '{"wildcard": "C:\\\\\\\\*.log"}',
            "wildcard",
        ),
        ({"source": [{"prefix": "Shop"}]}, "source[0]", '{"prefix": "Shop"}', '{"prefix": "shop"}', "case"),
        ({"source": [{"suffix": "order"}]}, "source[0]", '{"suffix": "order"}', '{"suffix": "rders"}', "typo"),
        (
            {"detail": {"weight": {"numeric": [">", 5]}}},
            "detail.weight",
            '{"numeric": [">", 5]}',
            '[{"numeric": [">", 5]}]',
            "brackets",
        ),
        (
            {"source": {"prefix": ["shop", "bank"]}},
            "source",
            '{"prefix": ["shop", "bank"]}',
            '[{"prefix": "shop"}, {"prefix": "bank"}]',
            "brackets",
        ),
        (
            {"detail": {"$or": [{"source": ["shop.orders"]}, {"account": ["1"]}]}},
            "detail.$or",
            "detail.$or",
            "$or",
            "or-level",
        ),
        ({"$or": [{"weight": [7]}, {"total": [5]}]}, "$or", "$or", "detail.$or", "or-level"),
        (
            {"detail": {"weight": [{"numeric": [">", 7]}]}},
            "detail.weight[0]",
            '{"numeric": [">", 7]}',
            '{"numeric": [">=", 7]}',
            "",
        ),
        (
            {"detail": {"weight": [{"numeric": [">", 9]}]}},
            "detail.weight[0]",
            '{"numeric": [">", 9]}',
            '{"numeric": [">=", 7]}',
            "",
        ),
        (
            {"detail": {"weight": [{"exists": False}]}},
            "detail.weight[0]",
            '{"exists": false}',
            '{"exists": true}',
            "",
        ),
        (
            {"source": [{"anything-but": ["shop.orders", "bank"]}]},
            "source[0]",
            '{"anything-but": ["shop.orders", "bank"]}',
            '{"anything-but": ["bank"]}',
            "",
        ),
        ({"source": ["bank"]}, "source[1]", None, '"shop.orders"', ""),
    ],
)
def test_a_slip_of_the_pattern_is_mended_as_a_person_would(
    pattern: Any, path: str, before: str, after: str, mistake: str
):
    assert found(pattern)[0] == ("pattern", path, before, after, mistake)


@pytest.mark.parametrize(
    ("pattern", "event", "path", "before", "after", "mistake"),
    [
        ({"a": ["x.y"]}, {"a": "x.y "}, "a", '"x.y "', '"x.y"', "space"),
        ({"a": [{"numeric": [">", 100]}]}, {"a": "150"}, "a", '"150"', "150", "type"),
        (
            {"a": ["Customer Notification"]},
            {"a": "Customer Nofication"},
            "a",
            '"Customer Nofication"',
            '"Customer Notification"',
            "typo",
        ),
        ({"a": ["x"]}, {}, "a", None, '"x"', ""),
    ],
)
def test_a_slip_of_the_event_is_mended_there(
    pattern: Any, event: Any, path: str, before: str | None, after: str, mistake: str
):
    assert found(pattern, event)[0] == ("event", path, before, after, mistake)


def test_what_both_sides_may_have_mistyped_is_offered_both_ways():
    pattern, event = {"detail-type": ["Customer Notification"]}, {**EVENT, "detail-type": "Customer Nofication"}
    assert [where for where, *_ in found(pattern, event)] == ["event", "pattern"]


@pytest.mark.parametrize(
    ("wildcard", "meant"),
    [
        ("in/*/a.jsson", "in/*/a.json"),
        ("inn/*/a.json", "in/*/a.json"),
        ("IN/*/A.json", "in/*/a.json"),
        ("in/*/a.jsn", "in/*/a.json"),
        ("in/%/a.json", "in/*/a.json"),
        ("in/", "in/*"),
    ],
)
def test_a_slip_around_an_asterisk_is_mended(wildcard: str, meant: str):
    event = b'{"key":"in/2026/a.json"}'
    (edit, *_) = edits(parse(json.dumps({"key": [{"wildcard": wildcard}]})), event)
    assert json.loads(edit.document) == {"key": [{"wildcard": meant}]}


def test_a_clash_of_elements_is_mended_on_either_side():
    pattern = {"detail": {"rows": {"sku": ["A"], "colour": ["red"]}}}
    assert found(pattern) == [
        ("pattern", "detail.rows.sku[1]", None, '"B"', "elements"),
        ("event", "detail.rows[1].sku", '"B"', '"A"', "elements"),
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_of_branches_that_missed_by_equally_few_the_one_with_a_slip_is_edited(turned: bool):
    branches = [{"source": ["a"]}, {"detail": {"total": [150]}}]
    place = f"$or[{0 if turned else 1}].detail.total[0]"
    pattern = {"$or": branches[::-1] if turned else branches}
    assert found(pattern)[0] == ("pattern", place, "150", '"150"', "type")


@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        ({"o": [{"exists": True}]}, {"o": {"k": 1}}),
        ({"a": [{"anything-but": "DE"}]}, {"a": "DE"}),
        ({"a": [{"anything-but": 5}]}, {"a": 5}),
    ],
)
def test_no_edit_makes_a_list_accept_every_value(pattern: Any, event: Any):
    assert found(pattern, event) == []


def test_a_list_that_refuses_a_value_may_take_that_there_is_none():
    assert found({"a": [{"anything-but": "x"}]}, {"b": 1}) == [("pattern", "a[1]", None, '{"exists": false}', "")]


def test_null_elsewhere_is_not_what_a_field_meant():
    shown = found({"source": [None]}, {**EVENT, "detail": {"z": None}})
    assert [mistake for *_, mistake in shown] == ["", ""]


def test_a_string_that_holds_json_becomes_the_object_and_what_is_in_it_is_mended_too():
    pattern, event = {"detail": {"x": ["1"], "y": [2]}}, {"detail": '{"x": "1", "y": "2"}'}
    (edit,) = edits(parse(json.dumps(pattern)), json.dumps(event).encode())
    assert [change.mistake for change in edit.changes] == ["encoded", "type"]
    assert edit.document == '{"detail": {"x": "1", "y": 2}}'


@pytest.mark.parametrize(
    ("wrong", "right"), [("shop\u200b", "shop"), ("a\u00a0b", "a b"), ("e\u0301", "\u00e9"), ("\ufeffx", "x")]
)
def test_what_nobody_sees_is_taken_out_of_the_side_that_has_it(wrong: str, right: str):
    assert [(where, mistake) for where, *_, mistake in found({"a": [wrong]}, {"a": right})] == [("pattern", "unseen")]
    assert [(where, mistake) for where, *_, mistake in found({"a": [right]}, {"a": wrong})] == [("event", "unseen")]


def test_several_slips_are_one_edit():
    pattern = {"source": ["Shop.orders"], "weight": [7], "detail": {"file": [{"prefix": "c:"}]}}
    (edit, *_) = edits(parse(json.dumps(pattern)), json.dumps(EVENT).encode())
    assert [change.mistake for change in edit.changes] == ["case", "case", "level"]
    told = edit.as_dict()
    assert (told["where"], len(told["further"])) == ("pattern", 2)
    assert json.loads(told["document"])["detail"] == {"file": [{"prefix": "C:"}], "weight": [7]}


def test_a_name_and_its_value_may_both_be_wrong():
    (edit, *_) = edits(parse('{"a":{"totl":[5]}}'), b'{"a":{"total":"5"}}')
    assert [change.mistake for change in edit.changes] == ["typo", "type"]
    assert edit.document == '{"a": {"total": ["5"]}}'


def test_members_that_every_event_of_a_bus_has_are_not_moved():
    assert all(where == "pattern" for where, *_ in found({"detail": {"source": ["shop.orders"]}}))


def test_what_matches_needs_no_edit():
    assert found({"source": ["shop.orders"]}) == []


def test_numbers_and_repeated_names_stay_as_they_were_written():
    event = b'{"n":1.50,"big":9007199254740993,"n":2,"a":"X"}'
    shown = {edit.where: edit.document for edit in edits(parse('{"a":["x"],"n":[1.5]}'), event)}
    assert shown["event"] == '{"n": 1.50, "n": 2, "big": 9007199254740993, "a": "x"}'
    assert shown["pattern"] == '{"a": ["X"], "n": [1.5]}'


def test_what_would_take_too_long_is_left():
    rows = [{"a": str(number)} for number in range(3_000)]
    many = parse(json.dumps({"r": {"a": [f"w{number}" for number in range(100)]}}))
    assert edits(many, json.dumps({"r": rows}).encode()) == ()
    deep = b'{"a":' * 900 + b'"y"' + b"}" * 900
    assert edits(parse('{"a":["x"]}'), deep) == ()
    fields = {f"f{number}": ["x"] for number in range(100)}
    assert edits(parse(json.dumps(fields)), b"{}") == ()


def test_a_large_event_costs_a_few_trials(monkeypatch: pytest.MonkeyPatch):
    rows = [{"sku": f"A{n}", "colour": f"c{n}", "size": f"s{n}"} for n in range(3_000)]
    pattern = parse('{"r":{"sku":["A1"],"colour":["c2"],"size":["s3"]}}')
    asked = 0

    def counted(pattern: Pattern, event: dict[str, Tree]) -> int:
        nonlocal asked
        asked += 1
        return fewest_missed(pattern, event)

    monkeypatch.setattr(import_module("busway.pattern.edits.repair"), "fewest_missed", counted)
    assert edits(pattern, json.dumps({"r": rows}).encode()) == ()
    assert asked < 20


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(PATTERNS, EVENTS)
def test_every_edit_that_is_shown_makes_it_match(pattern: str, event: str):
    parsed, data = parse(pattern), event.encode()
    shown = edits(parsed, data)
    assert all(applied(edit, pattern, data) for edit in shown)
    assert not (shown and explain(parsed, data).matched)
    for edit in shown:
        assert json.dumps(edit.as_dict())
        assert all(change.before != change.after for change in edit.changes)


WORDS = st.sampled_from(["Order Placed", "order placed", "Order Placed ", "Order Palced", "5", "x*", "C:\\in"])
NAMES = st.sampled_from(["source", "detail", "detial", "status", "Status", "resources"])
NEARLY = st.recursive(
    st.lists(st.one_of(WORDS, st.just(5), WORDS.map(lambda word: {"prefix": word})), min_size=1, max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=2),
    max_leaves=3,
).filter(lambda tree: isinstance(tree, dict))
NEAR_EVENTS = st.recursive(
    st.one_of(WORDS, st.just(5)), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=4
).filter(lambda tree: isinstance(tree, dict))


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(NEARLY, NEAR_EVENTS)
def test_every_edit_of_near_misses_makes_them_match(pattern: Any, event: Any):
    found(pattern, event)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(st.one_of(st.text("{}[]\",:'\\$or a5*", max_size=40), PATTERNS.map(lambda text: text[:-1])), EVENTS)
def test_a_mended_pattern_is_one_that_can_be_read(text: str, event: str):
    mended = mend(text)
    if mended is not None:
        parse(mended.document)
        with pytest.raises(InvalidPattern):
            parse(text)
    fitting = mend_for(text, event.encode())
    assert fitting is None or parse(fitting.document).matches(event.encode())
