"""What `add event --from-schema` writes in TypeScript takes what the schema takes, and nothing else.

The oracle is jsonschema. One process of Node.js judges all that hypothesis thinks of.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings, strategies as st

from busway.cli import main
from busway.errors import GeneratorRefused
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import add_event
from busway.road.project_files import new_project
from busway.road.typescript.texts import described_text
from busway.road.typescript.zod import detail_text

from ..unit.road.test_hostile_names import TEXTS
from .packages import put_road_packages

pytestmark = pytest.mark.needs("node")

Schema = dict[str, Any]
JUDGE = Path(__file__).with_name("zod_judge.mjs")
PATIENCE_S = 90.0


class Judge:
    """A process that says which details fit an event's file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            ["node", str(JUDGE), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def text(self, schema: Schema, name: str = "Thing", source: str = "shop", detail_type: str = "Thing") -> str:
        return described_text(self.root, EventSpec(name, source, detail_type), detail_text(name, schema))

    def ask(self, text: str, values: Sequence[Any] = ()) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"text": text, "values": list(values)}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, f"{answer['error']}\n{text}"
        return answer

    def typed(self, texts: Sequence[str]) -> str:
        """What `tsc --strict` says of these files, by the project's own settings."""
        for number, text in enumerate(texts):
            (self.root / "events" / f"e{number}.ts").write_text(text, encoding="utf-8")
        tsc = [str(self.root / "node_modules" / ".bin" / "tsc"), "-p", str(self.root)]
        done = subprocess.run(tsc, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        return done.stdout[-3_000:]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Generator[Judge]:
    root = tmp_path_factory.mktemp("zod") / "shop"
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    (root / "events").mkdir()
    judge = Judge(root)
    yield judge
    judge.process.communicate("", timeout=30)


# Names that TypeScript writes in different ways; texts whose length depends on who counts.
NAMES = st.sampled_from(["a", "b", "c-d", "default", "名", "0"])
TEXT = st.text("aé😀/ ", max_size=4)
NUMBERS = st.integers(-12, 12) | st.integers(-24, 24).map(lambda quarter: quarter / 4)
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
PATTERNS = ["^a", "a/", "é$", "^.{2}$", "[^a]", ""]


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    """Schemas with some of these words."""
    return st.fixed_dictionaries({}, optional=members)


def of(kind: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return some(**members).map(lambda given: {"type": kind, **given})


BOUNDS = {
    "minimum": st.integers(-5, 5), "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 0.5, 3]),
}  # fmt: skip
SIMPLE: st.SearchStrategy[Any] = st.one_of(
    of("string", minLength=st.integers(0, 3), maxLength=st.integers(0, 3), pattern=st.sampled_from(PATTERNS)),
    of("integer", **BOUNDS),
    of("number", **BOUNDS),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, True, False]),
    st.lists(SCALARS, min_size=1, max_size=3).map(lambda values: {"enum": values}),
    SCALARS.map(lambda value: {"const": value}),
    st.builds(lambda values: {"type": "string", "minLength": 1, "enum": values}, st.lists(SCALARS, min_size=1)),
    st.lists(st.sampled_from(["string", "integer", "null", "object"]), min_size=1, unique=True).map(
        lambda kinds: {"type": kinds, "minLength": 1, "required": ["a"]}
    ),
    st.sampled_from(["A", "B"]).map(lambda name: {"$ref": f"#/$defs/{name}"}),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return of(
        "object",
        properties=st.dictionaries(NAMES, inner, max_size=3),
        required=st.lists(NAMES, max_size=2, unique=True),
        additionalProperties=st.booleans() | inner,
    )


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, min_size=1, max_size=3)
    few = st.integers(0, 3)
    return st.one_of(
        objects(inner),
        of("array", items=inner, minItems=few, maxItems=few),
        of("array", prefixItems=lists, items=st.booleans() | inner, minItems=few, maxItems=few),
        st.just({"type": "array", "uniqueItems": True, "items": {"type": ["string", "integer"]}}),
        lists.map(lambda branches: {"anyOf": branches}),
        lists.map(lambda branches: {"oneOf": branches}),
        st.lists(objects(inner), min_size=1, max_size=3).map(lambda branches: {"allOf": branches}),
        st.builds(
            lambda given, names: {**given, "anyOf": [{"required": [name]} for name in names]},
            objects(inner),
            st.lists(NAMES, min_size=1, max_size=2),
        ),
    )


DEFINED = st.fixed_dictionaries(
    {
        "A": SIMPLE | composed(SIMPLE),
        "B": objects(SIMPLE | st.just({"type": "array", "items": {"$ref": "#/$defs/B"}})),
    }
)


@st.composite
def details(draw: st.DrawFn) -> Schema:
    any_schema = st.recursive(SIMPLE, composed, max_leaves=8)
    # One member is always there, so that most of what is drawn is about something.
    root = draw(objects(any_schema).filter(lambda given: given.get("additionalProperties", True) is True))
    members = {**root.get("properties", {}), "a": draw(SIMPLE | composed(SIMPLE))}
    required = [*{*root.get("required", []), "a"}]
    return {**root, "properties": members, "required": required, "$defs": draw(DEFINED)}


@st.composite
def fitting(draw: st.DrawFn, schema: Any, defs: Schema, depth: int = 0) -> Any:
    """A value that often fits: by the words that decide most, the rest is luck."""
    if not isinstance(schema, dict) or depth > 6:
        return draw(VALUES)
    if "$ref" in schema:
        return draw(fitting(defs[schema["$ref"].rpartition("/")[2]], defs, depth + 1))
    for word in ("enum", "anyOf", "oneOf"):
        if word in schema and "properties" not in schema:
            chosen = draw(st.sampled_from(schema[word]))
            return chosen if word == "enum" else draw(fitting(chosen, defs, depth + 1))
    if "const" in schema:
        return schema["const"]
    if "allOf" in schema:
        parts = [draw(fitting(one, defs, depth + 1)) for one in schema["allOf"]]
        return {name: value for part in parts if isinstance(part, dict) for name, value in part.items()}
    kind = schema.get("type")
    if kind == "object":
        members = schema.get("properties", {})
        names = {*schema.get("required", []), *draw(st.lists(st.sampled_from([*members, "0"]), max_size=3))}
        return {name: draw(fitting(members.get(name), defs, depth + 1)) for name in sorted(names)}
    if kind == "array":
        size = draw(st.integers(schema.get("minItems", 0), max(schema.get("minItems", 0), schema.get("maxItems", 3))))
        heads = schema.get("prefixItems", [])
        items = [*heads[:size], *[schema.get("items")] * (size - len(heads))]
        return [draw(fitting(one, defs, depth + 1)) for one in items]
    return draw({"string": TEXT, "integer": st.integers(-12, 12), "number": NUMBERS}.get(str(kind), VALUES))


# Why a schema may be refused that the strategies make.
REFUSED = ("additionalProperties: false", "refers to itself with nothing", "uniqueItems")


def translated(judge: Judge, schema: Schema) -> str:
    """The event's file, "" for what cannot be expressed."""
    try:
        return judge.text(schema)
    except GeneratorRefused as error:
        if not any(known in str(error) for known in REFUSED):
            raise
        return ""


@given(data=st.data(), schema=details())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_what_fits_the_schema_is_taken_and_nothing_else(judge: Judge, data: st.DataObject, schema: Schema):
    text = translated(judge, schema)
    assume(text)
    made = st.lists(fitting(schema, schema["$defs"]), min_size=6, max_size=6)
    values = [one for one in data.draw(made) if isinstance(one, dict)]
    oracle = jsonschema.Draft202012Validator(schema)
    wanted = [oracle.is_valid(value) for value in values]
    assert judge.ask(text, values)["fits"] == wanted, f"{text}\n{json.dumps(values)}"


@given(schemas=st.lists(details(), min_size=30, max_size=30))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
def test_what_is_written_passes_tsc_strict(judge: Judge, schemas: list[Schema]):
    assert judge.typed([text for schema in schemas if (text := translated(judge, schema))]) == ""


# A format, texts that fit it, and texts that do not.
FORMATS = [
    ("date-time", ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00.123+02:00"], ["2026-01-31", "2026-02-31T10:00:00Z"]),
    ("date", ["2024-02-29"], ["2026-02-29", "29.2.2024"]),
    ("duration", ["P1D", "PT5M", "P2W"], ["5 minutes", "P"]),
    ("uuid", ["7BF73129-1428-4cd3-a780-95db273d1602", "00000000-0000-0000-0000-000000000001"], ["7bf73129", ""]),
    ("email", ["a@b.example", "o'neil+x!y@localhost"], ["a@", "@b", "a b@c.example"]),
    ("uri", ["https://example.com/a?b#c", "urn:isbn:0451450523"], ["/a/b", "example"]),
    ("ipv4", ["192.0.2.1"], ["192.0.2.256", "::1"]),
    ("ipv6", ["2001:db8::1"], ["192.0.2.1", "2001::db8::1"]),
    # Not checked, only noted: JSON Schema leaves it open.
    ("color", ["red", "5"], []),
]


@pytest.mark.parametrize(("name", "right", "wrong"), FORMATS, ids=[name for name, _, _ in FORMATS])
def test_a_format_is_checked_and_exported_again(judge: Judge, name: str, right: list[str], wrong: list[str]):
    text = judge.text({"type": "object", "properties": {"a": {"type": "string", "format": name}}})
    told = judge.ask(text, [{"a": one} for one in [*right, *wrong]])
    assert told["fits"] == [True] * len(right) + [False] * len(wrong)
    assert told["schema"]["properties"]["a"]["format"] == name


# What hypothesis rarely comes by: a schema, values that fit it, and values that do not.
CORNERS: list[tuple[Any, list[Any], list[Any]]] = [
    ({"type": "string", "minLength": 2, "maxLength": 3}, ["😀😀😀", "ab"], ["😀", "abcd"]),
    ({"type": "string", "pattern": "^.$"}, ["😀"], ["ab"]),
    ({"type": "integer", "multipleOf": 2}, [4.0, -2], [3, 4.5, "4"]),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, [0.5, 1], [0, 1.5]),
    ({"enum": [1, "1", None]}, [1, 1.0, "1", None], [True, "", 0]),
    ({"type": "string", "enum": ["a", 1]}, ["a"], [1]),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1.5], [1, "1"]),
    ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, [[], ["a"]], [[1], ["a", "b"]]),
    ({"type": "array", "prefixItems": [True, True], "minItems": 1, "maxItems": 3}, [[1], [1, 2, 3]], [[], [1] * 4]),
    ({"type": "array", "prefixItems": [True], "minItems": 1}, [[1], [None, 2]], [[]]),
    ({"type": "array", "prefixItems": [True], "minItems": 2}, [[1, 2]], [[], [1]]),
    ({"type": "array", "items": {"type": "number"}, "uniqueItems": True}, [[1, 2], []], [[1, 1.0]]),
    ({"type": "object", "required": ["b"], "additionalProperties": {"type": "null"}}, [{"b": None}], [{}, {"b": 1}]),
    ({"type": "object", "properties": {"b": {"default": 3}}}, [{}, {"b": 4}], [None, []]),
    ({"allOf": [{"type": "object", "required": [one]} for one in "bc"]}, [{"b": 1, "c": None}], [{"b": 1}, {}]),
    ({"type": "object", "anyOf": [{"required": ["b"]}, {"required": ["c"]}]}, [{"c": 1}], [{}, "c"]),
]


@pytest.mark.parametrize(("member", "right", "wrong"), CORNERS, ids=range(len(CORNERS)))
def test_so_it_is_in_the_corners(judge: Judge, member: Any, right: list[Any], wrong: list[Any]):
    schema: Schema = {"type": "object", "properties": {"a": member}, "required": ["a"]}
    oracle, values = jsonschema.Draft202012Validator(schema), [{"a": one} for one in [*right, *wrong]]
    assert [oracle.is_valid(value) for value in values] == [True] * len(right) + [False] * len(wrong)
    assert judge.ask(judge.text(schema), values)["fits"] == [True] * len(right) + [False] * len(wrong)


TREE: Schema = {
    "type": "object",
    "description": "A tree.",
    "properties": {"root": {"$ref": "#/$defs/Node"}, "again": {"$ref": "#"}},
    "required": ["root"],
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "left": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "right": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                "leaf": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "left", "right", "leaf"],
        }
    },
}
# Each a member of a detail, as it is exported too.
SAME: list[Any] = [
    {"type": "string", "minLength": 1},
    {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^a/b"},
    {"type": "string", "format": "hostname", "description": "Where it runs", "examples": ["a.example"]},
    {"type": "integer", "minimum": 3, "exclusiveMaximum": 9, "multipleOf": 3},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5, "deprecated": True},
    {"type": ["string", "null"], "default": None},
    {"type": "boolean", "default": True},
    {"type": "string", "enum": ["retail", "wholesale"]},
    {"type": "string", "const": "retail"},
    {"enum": ["a", 1, None]},
    {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2, "maxItems": 2},
    {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "number"}, "maxItems": 9},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "number"}},
    {"type": "object", "additionalProperties": {"type": "number"}},
    {"oneOf": [{"type": "string"}, {"type": "number"}]},
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "null"}}]},
    {},
]


@pytest.mark.parametrize("member", SAME, ids=range(len(SAME)))
def test_what_is_exported_is_the_schema_again(judge: Judge, member: Any):
    schema: Schema = {"type": "object", "properties": {"a": member, "b": {"type": "string"}}, "required": ["b"]}
    told = judge.ask(judge.text(schema))
    assert told["schema"] == schema
    # And once more, of what was exported.
    assert judge.ask(judge.text(told["schema"]))["schema"] == told["schema"]


def test_a_type_that_holds_itself_is_exported_typed_and_its_sample_ends(judge: Judge):
    text = judge.text(TREE, "Tree")
    told = judge.ask(text, [{"root": {"value": 1, "left": [], "right": [], "leaf": None}}, {"root": {"value": 1}}])
    assert told["fits"] == [True, False]
    assert told["sample"] == {"root": {"value": 1, "left": [], "right": [], "leaf": None}}
    assert (told["schema"]["description"], told["schema"]["properties"]["again"]) == ("A tree.", {"$ref": "#"})
    node = "Tree.parse({}).detail.again?.root.left[0]"
    assert judge.typed([f"{text}{node}?.value satisfies number | undefined;\n"]) == ""
    assert "'valeu' does not exist" in judge.typed([f"{text}{node}?.valeu;\n"])


HOSTILE = [*TEXTS, "*/ process.exit(3) /*", "</script>", "'", "`${process.exit(3)}`", "\u2029", "__proto__", "\\"]


def test_texts_of_a_schema_are_literals(judge: Judge):
    """Every text at every place where a schema has one: it comes back as it was, or the schema is refused."""
    came_back, texts = 0, list[str]()
    for text in HOSTILE:
        schema: Schema = {
            "type": "object", "title": text, "description": text, "$comment": text, "examples": [{text: text}],
            "properties": {
                text: {"type": "string", "description": text, "examples": [text], "default": text, "format": text},
                "kind": {"enum": [text, "other"]}, "one": {"const": text},
                "own": {"$ref": f"#/$defs/{pointer(text)}"},
                "inner": {"type": "object", "title": text, "additionalProperties": False, "required": [text]},
            },
            "$defs": {text: {"type": "object", "description": text, "properties": {"a": {"const": text}}}},
        }  # fmt: skip
        try:
            texts.append(judge.text(schema, source=text, detail_type=text))
        except GeneratorRefused:
            assert text == "__proto__"
            continue
        told = judge.ask(texts[-1], [{"one": text, "kind": text, "own": {"a": text}}, {"one": f"{text}."}])
        assert (told["source"], told["detailType"], told["fits"]) == (text, text, [True, False])
        member = told["schema"]["properties"][text]
        assert (member["description"], member["examples"], member["default"]) == (text, [text], text)
        assert (told["schema"]["description"], told["schema"]["examples"]) == (text, [{text: text}])
        came_back += 1
    assert came_back == len(HOSTILE) - 1
    assert judge.typed(texts) == ""


def pointer(name: str) -> str:
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="")


def test_an_exported_schema_makes_the_event_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From Python to TypeScript, by the command line, and what `schema export` says then."""
    new_project(tmp_path / "one", "one")
    fields = parse_fields(
        ["order-id:str=o-1", "total:decimal", "at:datetime?", "tags:list[str]", "n:int", "day:date", "free:object"]
    )
    add_event(tmp_path / "one", EventSpec("OrderPlaced", "com.example.Shop", "Order Placed", fields))
    project = tmp_path / "two"
    new_project(project, "two", language="typescript")
    put_road_packages(project)
    for folder, words in (
        ("one", ["schema", "export", "--out", "../schemas"]),
        ("two", ["add", "event", "OrderPlaced", "--from-schema", "../schemas/OrderPlaced.json"]),
        ("two", ["schema", "export", "--out", "../again"]),
        ("two", ["schema", "check", "--against", "../schemas"]),
    ):
        monkeypatch.chdir(tmp_path / folder)
        assert main(words) == 0
    # A class in Python takes null for what may be missing; so does what was made of its schema.
    first, again = (json.loads((tmp_path / each / "OrderPlaced.json").read_text()) for each in ("schemas", "again"))
    assert again["x-event-source"] == "com.example.Shop"
    assert set(again["required"]) == set(first["required"])
    assert again["properties"]["order-id"] == {"type": "string", "examples": ["o-1"]}
