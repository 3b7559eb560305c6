"""TypeScript types of events, from their JSON Schemas. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from busway.road.manifest import EventEntry

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SIMPLE = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_HEAD = """\
// Made by `busway schema export` from the events of the project; do not edit.

/** An event as a rule's target gets it. */
export interface EventBridgeEvent<DetailType extends string, Source extends string, Detail> {
  version: string;
  id: string;
  "detail-type": DetailType;
  source: Source;
  account: string;
  time: string;
  region: string;
  resources: string[];
  detail: Detail;
}
"""

Schema = Mapping[str, Any]


def declarations(events: Sequence[EventEntry]) -> str:
    """One file with the types of all events: `X` is the event, `XDetail` its detail."""
    return _HEAD + "".join(f"\n{text}" for event in events for text in _event(event))


def _event(event: EventEntry) -> Iterator[str]:
    prefix = event.name
    for name, schema in cast(dict[str, Schema], event.json_schema.get("$defs", {})).items():
        yield f"export type {_def_name(prefix, name)} = {type_of(schema, prefix)};\n"
    yield f"export type {prefix}Detail = {type_of(event.json_schema, prefix)};\n"
    words = ", ".join((literal(event.detail_type), literal(event.source), f"{prefix}Detail"))
    yield f"export type {prefix} = EventBridgeEvent<{words}>;\n"


def type_of(schema: Schema | bool, prefix: str, indent: str = "") -> str:
    """The type of what fits a schema; `unknown` for what has no type in TypeScript."""
    if isinstance(schema, bool):
        return "unknown" if schema else "never"
    if "$ref" in schema:
        return _def_name(prefix, str(schema["$ref"]).rpartition("/")[2])
    if "const" in schema:
        return literal(schema["const"])
    if "enum" in schema:
        return " | ".join(literal(value) for value in schema["enum"]) or "never"
    for word, joint in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if word in schema:
            return joint.join(dict.fromkeys(_within(each, prefix, indent) for each in schema[word]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": each}, prefix, indent) for each in cast(list[str], kind))
    if kind == "array":
        return _array(schema, prefix, indent)
    if kind == "object":
        return _object(schema, prefix, indent)
    return _SIMPLE.get(str(kind), "unknown")


def _within(schema: Schema | bool, prefix: str, indent: str) -> str:
    """As a part of a union or intersection, or of an array."""
    text = type_of(schema, prefix, indent)
    return f"({text})" if " | " in text and not text.startswith("{") else text


def _array(schema: Schema, prefix: str, indent: str) -> str:
    if "prefixItems" in schema:
        return "[" + ", ".join(type_of(each, prefix, indent) for each in schema["prefixItems"]) + "]"
    inner = _within(schema.get("items", True), prefix, indent)
    return f"{inner}[]" if not inner.startswith("{") else f"Array<{inner}>"


def _object(schema: Schema, prefix: str, indent: str) -> str:
    members = cast(dict[str, Schema], schema.get("properties", {}))
    more = schema.get("additionalProperties", False)
    if not members:
        return f"Record<string, {type_of(more, prefix, indent)}>" if more is not False else "Record<string, unknown>"
    required, inner = set(schema.get("required", ())), indent + "  "
    lines = [
        f"{inner}{_member(name)}{'' if name in required else '?'}: {type_of(member, prefix, inner)};"
        for name, member in members.items()
    ]
    return "{\n" + "\n".join(lines) + f"\n{indent}}}"


def _member(name: str) -> str:
    return name if _NAME.fullmatch(name) else literal(name)


def _def_name(prefix: str, name: str) -> str:
    return prefix + re.sub(r"[^A-Za-z0-9_]", "_", name)


def literal(value: object) -> str:
    """A value as TypeScript writes it: JSON, but for the two characters that end a line there."""
    text = msgspec.json.encode(value).decode()
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
