"""Classes of events that are described already: by a JSON Schema, or by what was seen on the bus."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings, strategies as st

from busway.errors import EventMismatch, GeneratorRefused
from busway.road.event_files import EventSpec, loaded_class
from busway.road.fields import parse_fields
from busway.road.from_schema import check_harmless, class_text, read_schema
from busway.road.generator import add_event
from busway.road.inference import schema_of
from busway.road.project import load_events
from busway.road.project_files import new_project
from busway.road.schemas.export import document

from .test_hostile_names import TEXTS

TOOLS = Path(sys.executable).parent
ORDER = EventSpec("OrderPlaced", "com.example.Shop", "Order Placed")
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An order that was placed",
    "type": "object",
    "description": "What the shop knows of an order.",
    "properties": {
        "order-id": {"type": "string", "examples": ["o-1"]},
        "class": {"type": "string"},
        "envelope": {"type": "string", "description": "Paper or bubble wrap"},
        "total": {"type": "number", "minimum": 0},
        "when": {"type": "string", "format": "date-time"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "address": {"type": "object", "properties": {"zip": {"type": "string"}}, "required": ["zip"]},
        "kind": {"enum": ["retail", "wholesale"]},
    },
    "required": ["order-id", "lines", "kind"],
    "$defs": {"Line": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}},
}
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=5), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_what_was_seen_fits_the_schema_that_is_made_of_it(details: list[dict[str, Any]]):
    schema = schema_of(details)
    jsonschema.Draft202012Validator.check_schema(schema)
    for detail in details:
        jsonschema.Draft202012Validator(schema).validate(detail)
    assert set(schema.get("required", [])) == set.intersection(*map(set, details))


def test_a_class_made_of_a_schema_takes_what_the_schema_takes(tmp_path: Path):
    new_project(tmp_path / "shop", "shop")
    text = class_text(ORDER, read_schema(json.dumps(SCHEMA).encode(), "order.json"))
    made = loaded_class(tmp_path / "shop", text, "events.order_placed", "OrderPlaced")
    detail = {"order-id": "o-2", "lines": [{"sku": "a"}], "kind": "retail", "envelope": "paper", "class": "first"}
    event = made.model_validate(detail)
    assert json.loads(event.detail_json()) | detail == json.loads(event.detail_json())
    assert (made.event_source, made.event_detail_type) == ("com.example.Shop", "Order Placed")
    assert made.sample().model_dump(by_alias=True)["order-id"] == "o-1"
    for wrong in ({"order-id": 1}, {"kind": "gift"}, {"total": -1}, {"lines": [{}]}, {"when": "today"}):
        with pytest.raises(ValueError, match="validation error"):
            made.model_validate({**detail, **wrong})


def test_an_exported_schema_makes_the_class_again(tmp_path: Path):
    for project in ("one", "two"):
        new_project(tmp_path / project, project)
    fields = parse_fields(["order-id:str=o-1", "total:decimal", "at:datetime?", "tags:list[str]"])
    add_event(tmp_path / "one", EventSpec("OrderPlaced", "shop", "Order Placed", fields))
    entry, _ = load_events(tmp_path / "one")["OrderPlaced"]
    file = tmp_path / "OrderPlaced.json"
    file.write_text(json.dumps(document(entry)))
    run(tmp_path / "two", "add", "event", "OrderPlaced", "--from-schema", str(file))
    again, _ = load_events(tmp_path / "two")["OrderPlaced"]
    assert (again.source, again.detail_type) == ("shop", "Order Placed")
    assert sorted(again.json_schema["required"]) == sorted(entry.json_schema["required"])
    assert again.json_schema["properties"]["order-id"] == entry.json_schema["properties"]["order-id"]


NODE = {
    "type": "object",
    "properties": {
        "node-id": {"type": "integer"},
        "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        "leaf": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    },
    "required": ["node-id", "kids", "leaf"],
}
LEAF = {"node-id": 1, "kids": [], "leaf": None}
# Schemas that hold themselves, with what their samples are.
RECURSIVE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"properties": {"top": {"$ref": "#/$defs/Node"}}, "required": ["top"], "$defs": {"Node": NODE}}, {"top": LEAF}),
    ({"properties": {"n": {"type": "integer"}, "again": {"$ref": "#"}}, "required": ["n"]}, {"n": 1}),
    (
        {"properties": {"again": {"type": "array", "items": {"$ref": "#"}}}, "required": ["again"]},
        {"again": []},
    ),
    (
        {
            "properties": {"one": {"$ref": "#/$defs/One"}},
            "required": ["one"],
            "$defs": {
                "One": {"type": "object", "properties": {"two": {"$ref": "#/$defs/Two"}}, "required": ["two"]},
                "Two": {"type": "object", "properties": {"one": {"$ref": "#/$defs/One"}}},
            },
        },
        {"one": {"two": {"one": None}}},
    ),
    (
        {
            "properties": {"any": {"$ref": "#/$defs/Any"}},
            "required": ["any"],
            "$defs": {"Any": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Any"}}, {"type": "string"}]}},
        },
        {"any": []},
    ),
]


@pytest.mark.parametrize(("schema", "sample"), RECURSIVE, ids=range(len(RECURSIVE)))
def test_a_type_that_holds_itself_is_made_and_its_sample_ends(
    tmp_path: Path, schema: dict[str, Any], sample: dict[str, Any]
):
    new_project(tmp_path / "shop", "shop")
    text = class_text(ORDER, read_schema(json.dumps({"type": "object", **schema}).encode(), "x.json"))
    made = loaded_class(tmp_path / "shop", text, "events.order_placed", "OrderPlaced")
    assert json.loads(made.sample().detail_json()) == sample
    (tmp_path / "shop/events/order_placed.py").write_text(text)
    assert load_events(tmp_path / "shop")["OrderPlaced"][0].sample["detail"] == sample


def test_a_type_that_can_only_hold_itself_is_told_to_have_an_example(tmp_path: Path):
    schema = {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]}
    text = class_text(ORDER, read_schema(json.dumps(schema).encode(), "x.json"))
    made = loaded_class(tmp_path, text, "events.order_placed", "OrderPlaced")
    with pytest.raises(EventMismatch, match="would never end"):
        made.sample()


@pytest.mark.parametrize(
    "line",
    ["Other.model_rebuild()", "Node.model_rebuild(force=print(1))", "Node.model_validate()", "Node.model_rebuild"],
)
def test_nothing_but_the_end_of_a_type_that_holds_itself_may_be_called(line: str):
    text = f"from pydantic import BaseModel\n\n\nclass Node(BaseModel):\n    a: int\n\n\n{line}\n"
    check_harmless(ast.parse(text.replace(line, "Node.model_rebuild()")))
    with pytest.raises(GeneratorRefused, match="what was made of the schema"):
        check_harmless(ast.parse(text))


@pytest.mark.parametrize("command", [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["pyright"]])
def test_what_is_made_is_code_that_a_careful_team_would_have_written(tmp_path: Path, command: list[str]):
    root = tmp_path / "shop"
    new_project(root, "shop")
    (tmp_path / "order.json").write_text(json.dumps(SCHEMA))
    run(root, "add", "event", "OrderPlaced", "--source", "shop", "--from-schema", str(tmp_path / "order.json"))
    (tmp_path / "tree.json").write_text(json.dumps({"type": "object", **RECURSIVE[0][0]}))
    run(root, "add", "event", "TreeGrown", "--source", "shop", "--from-schema", str(tmp_path / "tree.json"))
    words = [*command, "--pythonpath", sys.executable] if command == ["pyright"] else command
    done = subprocess.run([TOOLS / words[0], *words[1:]], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "is no JSON Schema"),
        (b'{"type": "array"}', 'wanted "object"'),
        (b'{"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}}', "a schema in one file"),
        (b'{"type": "object", "properties": {"a": {"$ref": "../../../etc/passwd"}}}', "a schema in one file"),
        (b'{"type": "object", "$id": "file:///etc/", "properties": {}}', "a schema in one file"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(text: bytes, said: str):
    with pytest.raises(GeneratorRefused, match=said):
        read_schema(text, "x.json")


@pytest.mark.parametrize("text", [*TEXTS, '""" + __import__("os").abort() + """', "x = open('/tmp/x')"])
def test_texts_in_a_schema_end_as_literals_or_are_refused(tmp_path: Path, text: str):
    schema = {
        "type": "object",
        "description": text,
        "properties": {
            text: {"type": "string", "description": text, "examples": [text], "default": text},
            "kind": {"enum": [text, "other"]},
            "inner": {"type": "object", "title": text, "properties": {text: {"type": "string", "pattern": "a"}}},
        },
        "$defs": {text: {"type": "object", "title": text}},
    }
    try:
        made = class_text(ORDER, read_schema(json.dumps(schema).encode(), "x.json"))
    except GeneratorRefused:
        return
    try:
        made_class = loaded_class(tmp_path, made, "events.order_placed", "OrderPlaced")
    except GeneratorRefused:
        return
    assert "kind" in made_class.model_fields


def run(root: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "busway", *words], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
