"""An event's class from a JSON Schema, by datamodel-code-generator; what it wrote is read before anything runs it.

A schema may come from somebody else: it must not name files or addresses, and what is made of it holds classes,
fields and literals only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

from busway.errors import GeneratorRefused
from busway.road.event_files import EventSpec
from busway.road.layout import LINE_LENGTH, call, literal
from busway.road.naming import field_name

_MODULES = {
    "__future__",
    "typing",
    "datetime",
    "decimal",
    "enum",
    "ipaddress",
    "pathlib",
    "uuid",
    "pydantic",
}
_CALLS = {"Field", "ConfigDict"}
_NODES = (
    ast.Module, ast.ClassDef, ast.AnnAssign, ast.Assign, ast.Expr, ast.ImportFrom, ast.Pass, ast.alias, ast.keyword,
    ast.Name, ast.Constant, ast.Subscript, ast.Tuple, ast.List, ast.Dict, ast.Call, ast.BinOp, ast.BitOr, ast.UnaryOp,
    ast.USub, ast.expr_context,
)  # fmt: skip
_HEADER = '"""The event {name}, as producers put it and handlers get it."""'


def read_schema(text: bytes, name: str) -> dict[str, Any]:
    """A JSON Schema of an object that refers to nothing but itself. Raises GeneratorRefused."""
    try:
        schema = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise GeneratorRefused(f"{name} is no JSON Schema: {error}", "wanted a JSON object") from error
    if schema.get("type") != "object":
        raise GeneratorRefused(f'{name} is of type {schema.get("type")!r}; wanted "object": a detail is one')
    for reference in _references(schema):
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise GeneratorRefused(
                f"{name} refers to {reference!r}; wanted a schema in one file",
                "copy it into $defs, and refer to that",
            )
    return schema


def _references(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        members = cast(Mapping[str, object], value)
        yield from (one for word, one in members.items() if word in ("$ref", "$dynamicRef", "$id", "$recursiveRef"))
        for one in members.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in cast(list[object], value):
            yield from _references(one)


def class_text(event: EventSpec, schema: Mapping[str, Any]) -> str:
    """The text of the event's file. Raises GeneratorRefused."""
    # What says something of the schema itself is no part of what fits it.
    kept = {word: value for word, value in schema.items() if word not in ("$schema", "title", "$comment")}
    kept = cast(dict[str, Any], _without_emails(kept))
    text = _generated(event.class_name, kept)
    tree = ast.parse(text)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    root = classes.get(event.class_name)
    if root is None or "Event" in classes:
        raise GeneratorRefused(
            f"the schema makes the classes {', '.join(classes)}; wanted {event.class_name}, and none called Event",
            "what is called event in it may refer to another name in $defs",
        )
    check_harmless(tree)
    lines = text.splitlines()
    bases = ["Event", f"source={literal(event.source)}", f"detail_type={literal(event.detail_type)}"]
    lines[root.lineno - 1] = call(f"class {event.class_name}(", bases, "):")
    return _formatted("\n".join(lines))


def _without_emails(value: object) -> object:
    """A class that checks addresses of mail would need a package more wherever it is used: they are text."""
    if isinstance(value, Mapping):
        members = cast(Mapping[str, object], value)
        mail = members.get("type") == "string" and members.get("format") in ("email", "idn-email")
        return {word: _without_emails(one) for word, one in members.items() if not (mail and word == "format")}
    if isinstance(value, list):
        return [_without_emails(one) for one in cast(list[object], value)]
    return value


def _generated(class_name: str, schema: Mapping[str, Any]) -> str:
    try:
        import datamodel_code_generator as generator
        from datamodel_code_generator.enums import DataModelType
    except ImportError as error:
        raise GeneratorRefused(
            "datamodel-code-generator, which makes classes of schemas, is not installed",
            "pip install 'busway[schema]'",
        ) from error
    names = cast(Mapping[str, Any], schema.get("properties") or {})
    try:
        made = generator.generate(
            msgspec.json.encode(schema).decode(),
            input_file_type=generator.InputFileType.JsonSchema,
            output_model_type=DataModelType.PydanticV2BaseModel,
            class_name=class_name,
            aliases={name: field_name(name) for name in names if field_name(name) != name},
            snake_case_field=True,
            use_annotated=True,
            field_constraints=True,
            use_standard_collections=True,
            use_union_operator=True,
            use_double_quotes=True,
            use_schema_description=True,
            field_extra_keys={"examples"},
            enum_field_as_literal=generator.LiteralType.All,
            target_python_version=generator.PythonVersion.PY_311,
            custom_file_header=_HEADER.format(name=class_name),
            allow_remote_refs=False,
            formatters=[],
        )
    except Exception as error:
        raise GeneratorRefused(f"no class can be made of the schema: {type(error).__name__}: {error}") from error
    if not isinstance(made, str):
        raise GeneratorRefused("no class can be made of the schema: it makes more than one module")
    return made


def check_harmless(tree: ast.Module) -> None:
    """Raises GeneratorRefused for anything but imports that are known, classes, fields and literals.

    `Node.model_rebuild()` of one of the classes may stand too: it finds what a type that holds itself refers to.
    """
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    rebuilt = {f"{name}.model_rebuild()" for name in classes}
    body = [node for node in tree.body if not (isinstance(node, ast.Expr) and ast.unparse(node) in rebuilt)]
    for node in (inner for outer in body for inner in ast.walk(outer)):
        if not isinstance(node, _NODES):
            raise GeneratorRefused(f"what was made of the schema has a {type(node).__name__}")
        if isinstance(node, ast.ImportFrom) and node.module not in _MODULES:
            raise GeneratorRefused(f"what was made of the schema imports {node.module}")
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _CALLS):
            raise GeneratorRefused(f"what was made of the schema calls {ast.unparse(node.func)}")
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            raise GeneratorRefused(f"what was made of the schema does something: {ast.unparse(node)[:100]}")


def _formatted(text: str) -> str:
    """As ruff would: black and isort come with the generator. What nothing uses any more is not imported."""
    import black
    import isort

    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("from pydantic import "):
            names = [name.strip() for name in line.removeprefix("from pydantic import ").split(",")]
            rest = "\n".join(lines[number + 1 :])
            used = [name for name in names if re.search(rf"\b{name}\b", rest)]
            lines[number] = f"from pydantic import {', '.join(used)}" if used else ""
            break
    first = next(number for number, line in enumerate(lines) if line.startswith(("from ", "class ")))
    lines.insert(first, "from busway import Event")
    # Only in a type that holds itself an annotation refers to a class below it by its bare name.
    if not any(line.endswith(".model_rebuild()") for line in lines):
        lines = [line for line in lines if line != "from __future__ import annotations"]
    ordered = isort.code("\n".join(lines), profile="black", line_length=LINE_LENGTH, known_third_party=["busway"])
    return black.format_str(ordered, mode=black.Mode(line_length=LINE_LENGTH))
