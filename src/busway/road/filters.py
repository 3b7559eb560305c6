"""Whether a handler's filter can ever match its event: by the pattern language, and by the fields of the event.

Kept out of the decorators, which run on AWS Lambda and import no server part.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Union, cast, get_args, get_origin

import msgspec

from busway.errors import BrokenProject, InvalidPattern
from busway.event import Event, names_by_wire
from busway.pattern import parse
from busway.pattern.likeness import nearest_word

Schema = Mapping[str, Any]

_EXAMPLE = 'values stand in lists, for example: {"location": ["Oslo"], "total": [{"numeric": [">", 100]}]}'


def check_filter(file: str, given: Mapping[str, Any], schema: Schema | None) -> None:
    """`schema` is the JSON Schema of the event's detail, None where it is not known. Raises BrokenProject."""
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise BrokenProject(f"{file}: filter={given!r}: wanted a pattern over the detail, a dict", _EXAMPLE)
    if not given:
        return
    try:
        parse(msgspec.json.encode({"detail": given}).decode())
    except (InvalidPattern, TypeError) as error:
        raise BrokenProject(f"{file}: filter={dict(given)!r}: {error}", _EXAMPLE) from error
    for path, known in () if schema is None else _unknown(given, schema, schema):
        name = path.rpartition(".")[2]
        near = nearest_word([name], known)
        meant = f"did you mean {near}?" if near else f"its fields are {', '.join(known)}"
        raise BrokenProject(
            f"{file}: filter={dict(given)!r}: the event has no field {path!r}; {meant}",
            "what only some of its events have is an optional field of the event",
        )


def numbers_of_texts(event_class: type[Event], given: Mapping[str, Any]) -> list[str]:
    """The fields that a filter compares as numbers, and whose values travel as text: such a filter never matches."""
    on_wire = names_by_wire(event_class)
    fields = event_class.model_fields
    return [
        name
        for name, wanted in _members(given)
        if isinstance(wanted, list)
        and any(map(_is_number, cast(list[Any], wanted)))
        and name in on_wire
        and _is_decimal(fields[on_wire[name]].annotation)
    ]


def _is_number(wanted: object) -> bool:
    if isinstance(wanted, dict):
        return "numeric" in wanted
    return isinstance(wanted, int | float) and not isinstance(wanted, bool)


def _is_decimal(annotation: object) -> bool:
    """Also of one that may be missing; not where a float would be taken as well."""
    if get_origin(annotation) in (Union, types.UnionType):
        return {one for one in get_args(annotation) if one is not type(None)} == {Decimal}
    return annotation is Decimal


def _members(pattern: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a pattern asks of the members of an object, also in the branches of `$or`."""
    for name, wanted in pattern.items():
        if name == "$or":
            for branch in wanted:
                yield from _members(branch)
        else:
            yield name, wanted


def _unknown(
    pattern: Mapping[str, Any], schema: Schema, whole: Schema, above: str = ""
) -> Iterator[tuple[str, list[str]]]:
    """The paths that no event of the schema has, each with the names that stand beside it."""
    fields = _fields(schema, whole)
    if fields is None:
        return
    for name, wanted in _members(pattern):
        if name not in fields:
            yield above + name, list(fields)
        elif isinstance(wanted, dict):
            yield from _unknown(cast(dict[str, Any], wanted), fields[name], whole, f"{above}{name}.")


def _fields(schema: Schema, whole: Schema) -> dict[str, Schema] | None:
    """The members that a value may have; None where any may be, or where it may be no object."""
    seen: set[str] = set()
    while (reference := schema.get("$ref")) is not None:
        section, _, name = str(reference).rpartition("/")
        if section not in ("#/$defs", "#/definitions") or name in seen:
            return None
        seen.add(name)
        schema = cast(Schema, whole.get(section[2:], {}).get(name, {}))
    choices = [one for one in cast(list[Schema], schema.get("anyOf", ())) if one.get("type") != "null"]
    if len(choices) == 1:
        return _fields(choices[0], whole)
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        return _fields(cast(Schema, schema["items"]), whole)
    others = {"anyOf", "oneOf", "allOf", "patternProperties", "if"} & set(schema)
    if others or schema.get("additionalProperties") not in (None, False):
        return None
    return cast(dict[str, Schema], schema.get("properties")) or None
