import json
from typing import Any

import pytest

from busway.errors import InvalidPattern
from busway.pattern import mend, mend_event, mend_for, parse


def mended(text: str) -> Any:
    with pytest.raises(InvalidPattern):
        parse(text)
    edit = mend(text)
    assert edit is not None
    parse(edit.document)
    return json.loads(edit.document)


@pytest.mark.parametrize(
    ("list_", "expected"),
    [
        ("x", ["x"]),
        (5, [5]),
        (None, [None]),
        ([["x", ["y"]]], ["x", "y"]),
        ({"prefix": "x"}, [{"prefix": "x"}]),
        ([{"PREFIX": "x"}], [{"prefix": "x"}]),
        ([{"startsWith": "x"}], [{"prefix": "x"}]),
        ([{"anything_but": "x"}], [{"anything-but": "x"}]),
        ([{"anythingBut": ["x", "y"]}], [{"anything-but": ["x", "y"]}]),
        ([{"equalsIgnoreCase": "x"}], [{"equals-ignore-case": "x"}]),
        ([{"contains": "a*b"}], [{"wildcard": "*a\\*b*"}]),
        ([{"wildcrad": "x*"}], [{"wildcard": "x*"}]),
        ([{"prefix": ["x", "y"]}], [{"prefix": "x"}, {"prefix": "y"}]),
        ([{"prefix": 12}], [{"prefix": "12"}]),
        ([{"prefix": "a", "suffix": "b"}], [{"wildcard": "a*b"}]),
        ([{"exists": "true"}], [{"exists": True}]),
        ([{"equals": 5}], [5]),
        ([{"numeric": ">= 5"}], [{"numeric": [">=", 5]}]),
        ([{"numeric": [">", "5"]}], [{"numeric": [">", 5]}]),
        ([{"numeric": [">=5"]}], [{"numeric": [">=", 5]}]),
        ([{"numeric": ["> 1", "<9"]}], [{"numeric": [">", 1, "<", 9]}]),
        ([{"between": [1, 9]}], [{"numeric": [">=", 1, "<=", 9]}]),
        ([{"regex": "^in/.*\\.log$"}], [{"wildcard": "in/*.log"}]),
        ([{"regex": "error"}], [{"wildcard": "*error*"}]),
        ([{"regex": ".*a.*"}], [{"wildcard": "*a*"}]),
        ([{"numeric": ["==", 5]}], [{"numeric": ["=", 5]}]),
        ([{"numeric": ["!=", 5]}], [{"anything-but": 5}]),
        ([{"numeric": ["<", 9, ">", 1]}], [{"numeric": [">", 1, "<", 9]}]),
        ([{"numeric": [1, 9]}], [{"numeric": [">=", 1, "<=", 9]}]),
        ([{"numeric": 5}], [{"numeric": ["=", 5]}]),
        ([{">": 5}], [{"numeric": [">", 5]}]),
        ([{"anything-but": ["x", 5]}], [{"anything-but": ["x", "5"]}]),
        ([{"anything-but": {"starts-with": "x"}}], [{"anything-but": {"prefix": "x"}}]),
        ([{"cidr": "10.0.0.1"}], ["10.0.0.1"]),
        ([{"cidr": "10.0.0.1/32"}], ["10.0.0.1"]),
        ([{"wildcard": "a**b"}], [{"wildcard": "a*b"}]),
        ([{"wildcard": "C:\\in\\*.log"}], [{"wildcard": "C:\\\\in\\\\*.log"}]),
    ],
)
def test_a_value_list_is_mended_as_it_was_meant(list_: Any, expected: Any):
    assert mended(json.dumps({"detail": {"a": list_}})) == {"detail": {"a": expected}}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"a": ["x"], "detail": {}}, {"a": ["x"]}),
        ({"$or": {"a": ["x"], "b": ["y"]}}, {"$or": [{"a": ["x"]}, {"b": ["y"]}]}),
        ({"a": ["x"], "$or": [{"b": ["y"]}]}, {"a": ["x"], "b": ["y"]}),
        ({"or": [{"a": ["x"]}, {"b": ["y"]}]}, {"$or": [{"a": ["x"]}, {"b": ["y"]}]}),
        ({"a": {"$or": ["x", {"prefix": "y"}]}}, {"a": ["x", {"prefix": "y"}]}),
        ({"detail": [{"x": ["1"]}]}, {"detail": {"x": ["1"]}}),
        ({"detail": [{"x": ["1"]}, {"y": ["2"]}]}, {"detail": {"x": ["1"], "y": ["2"]}}),
        ({"b": ["z"], "$and": [{"x": ["1"]}, {"y": ["2"]}]}, {"b": ["z"], "x": ["1"], "y": ["2"]}),
        ({"a": {"$or": [{"numeric": [">", 5]}, {"prefix": "y"}]}}, {"a": [{"numeric": [">", 5]}, {"prefix": "y"}]}),
    ],
)
def test_the_shape_around_the_lists_is_mended(pattern: Any, expected: Any):
    assert mended(json.dumps(pattern)) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ["x"], "b": [true,],}',
        "{'a': ['x'], 'b': [True]}",
        '{a: ["x"], b: [true]}',
        '{"a": ["x"] "b": [true]}',
        '{"a": ["x"], // why\n "b": [true]}',
        '{"a": ["x"], "b": [true]',
        '{"a": ["x"], "b": [true',
        '{"a": ["x", "b": [true]}',
        "{“a”: [“x”], “b”: [true]}",
    ],
)
def test_text_that_is_nearly_json_is_mended(text: str):
    assert mended(text) == {"a": ["x"], "b": [True]}


def test_an_event_that_is_nearly_json_is_mended():
    assert mend_event("{'a': {b: 1,}}") == '{"a": {"b": 1}}'
    assert [mend_event(text) for text in ('{"a": 1}', "[1]", "", "nothing")] == [None] * 4


@pytest.mark.parametrize(
    "text",
    [
        '{"$and": [{"x": ["1"]}, {"x": ["2"]}]}',
        '{"a": [{"regex": "[0-9]+"}]}',
        '{"a": [{"regex": "a*b"}]}',
        r'{"a": [{"regex": "\\d"}]}',
    ],
)
def test_what_only_seems_to_say_the_same_is_not_offered(text: str):
    assert mend(text) is None


@pytest.mark.parametrize(
    "text", ["", "[]", '"x"', "{}", '{"a": []}', '{"a": [{"nothing like it": 1}]}', "{" * 5_000, '{"a": ["x"]}']
)
def test_what_is_right_or_beyond_guessing_is_left(text: str):
    assert mend(text) is None


def test_what_is_mended_is_matched_too_if_it_takes_more_than_brackets():
    edit = mend_for('{"source": "Shop"}', b'{"source": "shop"}')
    assert edit is not None
    assert [(change.mistake, change.after) for change in edit.changes] == [
        ("brackets", '["Shop"]'),
        ("case", '"shop"'),
    ]
    assert edit.document == '{"source": ["shop"]}'
