"""A JSON Schema in zod's words: what is refused, with its place, and how things are called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from busway.errors import GeneratorRefused
from busway.road.event_files import EventSpec
from busway.road.typescript.texts import described_text
from busway.road.typescript.zod import detail_text


def member(schema: Any, **more: Any) -> str:
    """The text of a detail's one member."""
    return detail_text("Thing", {"type": "object", "properties": {"a": schema}, **more}).members[0]


SKU = {"type": "string", "minLength": 1}
REFUSED = [
    ({"not": SKU}, "#/properties/a/not: zod has no word for it"),
    ({"type": "array", "items": {"if": SKU}}, "#/properties/a/items/if: zod has no word"),
    ({"type": "object", "patternProperties": {"x": SKU}}, "#/properties/a/patternProperties: zod has no word"),
    ({"type": "object", "minProperties": 1}, "#/properties/a/minProperties: zod has no word"),
    ({"anyOf": [SKU, {"contains": SKU}]}, "#/properties/a/anyOf/1/contains: zod has no word"),
    ({"type": "object", "propertyNames": {"pattern": "x"}}, "#/properties/a/propertyNames: what members are called"),
    ({"minLength": 1}, "#/properties/a has minLength and no type"),
    ({"properties": {}}, "#/properties/a has properties and no type"),
    ({"type": "text"}, '#/properties/a/type is "text"; wanted of string'),
    ({"type": []}, "#/properties/a/type is []"),
    ({"type": "array", "items": [SKU]}, "#/properties/a/items is a list"),
    ({"type": "array", "uniqueItems": True}, "#/properties/a/uniqueItems: JavaScript compares"),
    ({"type": "array", "items": {"type": "object"}, "uniqueItems": True}, "#/properties/a/uniqueItems: JavaScript"),
    ({"enum": [{"a": 1}]}, "#/properties/a: wanted in enum"),
    ({"const": []}, "#/properties/a: wanted in enum"),
    ({"enum": "a"}, "#/properties/a: wanted in enum"),
    ({"anyOf": []}, "#/properties/a/anyOf is []; wanted a list"),
    ({"anyOf": ["string"]}, '#/properties/a/anyOf/0 is "string"; wanted a schema'),
    ({"type": "number", "exclusiveMinimum": True}, "#/properties/a/exclusiveMinimum is true; wanted a number"),
    ({"type": "number", "minimum": "1"}, '#/properties/a/minimum is "1"; wanted a number'),
    ({"type": "number", "multipleOf": 0}, "#/properties/a/multipleOf is 0"),
    ({"type": "string", "minLength": -1}, "#/properties/a/minLength is -1; wanted a whole number"),
    ({"type": "string", "pattern": 5}, "#/properties/a/pattern is 5; wanted a text"),
    ({"type": "string", "pattern": r"\Aa\Z"}, r"#/properties/a/pattern has \\A, which JavaScript does not know"),
    ({"type": "string", "pattern": r"a\-b"}, r"#/properties/a/pattern has \\-, which"),
    ({"type": "string", "pattern": "(?P<x>a)"}, r"#/properties/a/pattern has \(\?P<, which"),
    ({"type": "object", "properties": []}, "#/properties/a/properties is []"),
    ({"type": "object", "required": True}, "#/properties/a/required is true"),
    (
        {"type": "object", "properties": {"constructor": SKU}},
        "#/properties/a/properties/constructor: zod cannot tell",
    ),
    ({"$ref": "#/properties/b"}, r"#/properties/a/\$ref is '#/properties/b'; wanted a definition"),
    ({"$ref": "#/$defs/Gone"}, "'#/\\$defs/Gone'; wanted a definition"),
    ({"$ref": "#/$defs/Loop"}, r"#/\$defs/Loop refers to itself with nothing between"),
    ({"allOf": [{"$ref": "#/$defs/Closed"}, {"type": "object"}]}, "#/properties/a: several schemas hold"),
]


@pytest.mark.parametrize(("schema", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_zod_cannot_say_is_refused_with_its_place(schema: Any, said: str):
    defs: dict[str, Any] = {
        "Loop": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Loop"}]},
        "Closed": {"anyOf": [{"type": "object", "additionalProperties": False}]},
    }
    with pytest.raises(GeneratorRefused, match=said.replace("[]", r"\[\]")):
        member(schema, **{"$defs": defs})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"additionalProperties": False}, "#/additionalProperties is false: what else an event has"),
        ({"allOf": [{"type": "object"}]}, "#/allOf: a detail is one object"),
        ({"minProperties": 1}, "#/minProperties: zod has no word"),
        ({"$defs": []}, "#/\\$defs is a list"),
    ],
)
def test_so_is_what_a_detail_cannot_be(more: dict[str, Any], said: str):
    with pytest.raises(GeneratorRefused, match=said):
        member(SKU, **more)


def test_what_says_nothing_of_values_is_left_out_or_kept():
    text = member({"title": "A", "$comment": "b", "x-c": 1, "type": "integer", "format": "int64", "readOnly": True})
    assert text == 'a: z.int().meta({ format: "int64", readOnly: true }).optional()'


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "string", "nullable": True}, "z.string().nullable().optional()"),
        ({"type": "integer", "default": 3, "description": "d"}, 'z.int().meta({ description: "d" }).default(3)'),
        ({"anyOf": [{"type": "string"}]}, "z.string().optional()"),
        ({"type": "object", "allOf": [{"type": "object", "required": ["b"]}]}, "z.looseObject({ b: z.unknown() })"),
    ],
)
def test_it_is_written_as_a_person_would(schema: Any, wanted: str):
    assert member(schema).startswith(f"a: {wanted}")


def test_a_default_of_what_must_be_there_is_only_noted():
    assert member({"type": "integer", "default": 3}, required=["a"]) == "a: z.int().meta({ default: 3 })"


def test_definitions_are_called_by_names_that_mean_nothing_else():
    names = ["Thing", "thing-detail", "Set", "a b", "a-b", "名", "1st", "x*/y"]
    refs = {f"m{number}": {"$ref": f"#/$defs/{name}"} for number, name in enumerate(names)}
    schema = {"type": "object", "properties": refs, "$defs": {name: {"type": "string"} for name in names}}
    made = detail_text("Thing", schema)
    called = [text.split()[1] for text in made.definitions]
    assert called == ["Thing2", "ThingDetail2", "Set2", "AB", "AB2", "Definition", "Definition1st", "XY"]


def test_a_teams_template_that_leaves_out_the_definitions_is_named(tmp_path: Path):
    own = tmp_path / "_templates/handler/event.ts.jinja"
    own.parent.mkdir(parents=True)
    own.write_text("{{ event_class }} {{ fields }}")
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": SKU}}
    with pytest.raises(GeneratorRefused, match=r"event\.ts\.jinja leaves out `definitions`"):
        described_text(tmp_path, EventSpec("Thing", "shop", "Thing"), detail_text("Thing", schema))
