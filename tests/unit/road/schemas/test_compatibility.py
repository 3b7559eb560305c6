"""Whether a reader's schema takes what a writer's allows, judged against a validator."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator

from busway.road.schemas.changes import EVENTS, HANDLERS, breaks
from busway.road.schemas.compatibility import gaps
from busway.road.schemas.export import DETAIL_TYPE, SOURCE

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
INTEGERS = {"type": "array", "items": INTEGER}


def thing(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


@pytest.mark.parametrize(
    ("reader", "writer", "path", "problem"),
    [
        (thing(["a"], a=STRING), thing([]), "detail.a", "is not there, and is required"),
        (thing(["a"], a=STRING), thing([], a=STRING), "detail.a", "may be missing"),
        (thing([], a=STRING), thing(["a"], a=INTEGER), "detail.a", "is integer, wanted string"),
        (INTEGER, NUMBER, "detail", "is number, wanted integer"),
        ({"enum": ["x"]}, {"enum": ["x", "y"]}, "detail", 'may be "y", wanted "x"'),
        ({"enum": ["x"]}, STRING, "detail", "may be any string"),
        ({**STRING, "maxLength": 5}, {**STRING, "maxLength": 9}, "detail", "has maxLength 9, wanted 5"),
        ({**INTEGER, "minimum": 0}, INTEGER, "detail", "has minimum none, wanted 0"),
        ({**STRING, "format": "uuid"}, STRING, "detail", "has format none, wanted uuid"),
        (STRING, {"anyOf": [STRING, {"type": "null"}]}, "detail", "is null, wanted string"),
        (INTEGERS, {"type": "array", "items": STRING}, "detail[]", "is string, wanted integer"),
        (INTEGERS, {"type": "array"}, "detail[]", "wanted integer"),
        (thing([], a=thing(["b"], b=STRING)), thing([], a=thing([])), "detail.a.b", "is not there"),
        ({"anyOf": [STRING], "maxLength": 1}, STRING, "detail", "together are not understood"),
        ({"not": STRING}, {"type": "integer"}, "detail", "not understood"),
        ({**thing([]), "additionalProperties": False}, thing([], a=STRING), "detail.a", "nothing is taken there"),
    ],
)
def test_a_gap_is_told_with_its_place(reader: Any, writer: Any, path: str, problem: str):
    (gap,) = gaps(reader, writer)
    assert gap.path == path and problem in gap.reason
    assert not gaps(writer, writer) and not gaps(reader, reader)


@pytest.mark.parametrize(
    ("reader", "writer"),
    [
        (NUMBER, INTEGER),
        ({}, thing(["a"], a=STRING)),
        ({"anyOf": [STRING, {"type": "null"}]}, STRING),
        ({"enum": ["x", "y"]}, {"const": "x"}),
        (STRING, {"enum": ["x", "y"]}),
        (thing([], a=STRING, b=STRING), thing(["a"], a=STRING)),
        (thing([]), thing(["a"], a=STRING)),
        ({**STRING, "maxLength": 9, "title": "x"}, {**STRING, "maxLength": 5}),
    ],
)
def test_what_only_takes_more_is_no_gap(reader: Any, writer: Any):
    assert gaps(reader, writer) == []


def test_schemas_that_refer_to_themselves_are_compared_to_an_end():
    def tree(n: Any) -> dict[str, Any]:
        return {"$ref": "#/$defs/T", "$defs": {"T": thing([], next={"$ref": "#/$defs/T"}, n=n)}}

    assert gaps(tree(INTEGER), tree(INTEGER)) == []
    assert [gap.path for gap in gaps(tree(INTEGER), tree(STRING))] == ["detail.n"]


SCALARS = st.sampled_from(
    [
        STRING, INTEGER, NUMBER, {"type": "boolean"}, {"type": "null"}, {"enum": ["x", "y"]}, {"enum": ["x", 1]},
        {"const": 3}, {**STRING, "maxLength": 1}, {**STRING, "minLength": 1}, {**INTEGER, "minimum": 2},
        {**INTEGER, "maximum": 1}, {**NUMBER, "exclusiveMinimum": 0},
    ]
)  # fmt: skip


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    return st.tuples(members, st.sets(st.sampled_from("ab"))).map(
        lambda pair: thing(sorted(pair[1] & set(pair[0])), **pair[0])
    )


SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        objects(inner),
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=5,
)


def values(schema: Any) -> st.SearchStrategy[Any]:
    """What a writer may write: the members that it names, no others."""
    if "anyOf" in schema:
        return st.one_of([values(each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema["type"]:
        case "object":
            required = set(schema["required"])
            members = {name: values(each) for name, each in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: each for name, each in members.items() if name in required},
                optional={name: each for name, each in members.items() if name not in required},
            )
        case "array":
            return st.lists(values(schema["items"]), max_size=2)
        case "string":
            return st.text("xy", min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 3))
        case "integer":
            return st.integers(schema.get("minimum", -3), schema.get("maximum", 5))
        case "number":
            return st.floats(0.5, 3) if "exclusiveMinimum" in schema else st.floats(-3, 3)
        case "boolean":
            return st.booleans()
        case _:
            return st.none()


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, SCHEMAS, st.data())
def test_what_is_called_compatible_is_taken_by_a_validator(reader: Any, writer: Any, data: st.DataObject):
    if not gaps(reader, writer):
        value = data.draw(values(writer))
        Draft202012Validator(reader).validate(value)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS)
def test_every_schema_takes_what_it_allows_itself(schema: Any):
    assert gaps(schema, schema) == []


def event(**members: Any) -> dict[str, Any]:
    return {SOURCE: "shop", DETAIL_TYPE: "Paid", **thing(sorted(members), **members)}


def test_each_break_says_whom_it_breaks_and_what_would_not():
    (new_field,) = breaks({"Paid": event()}, {"Paid": event(a=STRING)})
    assert (new_field.path, new_field.breaks, new_field.fix) == ("detail.a", EVENTS, "give the field a default")
    gone, field = breaks({"Paid": event(a=STRING), "Gone": event()}, {"Paid": event()})
    assert (gone.event, gone.breaks) == ("Gone", HANDLERS)
    assert (field.path, field.breaks) == ("detail.a", HANDLERS) and "keep the field" in field.fix
    (renamed,) = breaks({"Paid": event()}, {"Paid": {**event(), SOURCE: "store"}})
    assert renamed.path == "source" and "was 'shop' and is 'store'" in renamed.problem
    both = breaks({"Paid": event(a=STRING)}, {"Paid": event(a=INTEGER)})
    assert {each.breaks for each in both} == {EVENTS, HANDLERS}
    optional = {**event(a=STRING), "required": []}
    assert breaks({"Paid": event()}, {"Paid": optional, "New": event()}) == []
