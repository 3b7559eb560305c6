"""A JSON Schema of details that were seen: what all of them have is required, types are those found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

Schema = dict[str, Any]

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def schema_of(details: Sequence[Mapping[str, Any]]) -> Schema:
    """The narrowest schema that all of them fit, but for values: two texts make a string, not a choice of two."""
    return _objects(details)


def _schema(values: Sequence[Any]) -> Schema:
    objects = [cast(Mapping[str, Any], value) for value in values if isinstance(value, Mapping)]
    arrays = [cast(list[Any], value) for value in values if isinstance(value, list)]
    others = [value for value in values if not isinstance(value, Mapping | list)]
    branches = [_objects(objects)] if objects else []
    branches += [_arrays(arrays)] if arrays else []
    branches += _simple(others)
    if not branches or branches == [{"type": "null"}]:
        # Nobody has seen what it is when it is something.
        return {}
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def _objects(values: Sequence[Mapping[str, Any]]) -> Schema:
    names = list(dict.fromkeys(name for value in values for name in value))
    properties = {name: _schema([value[name] for value in values if name in value]) for name in names}
    required = [name for name in names if all(name in value for value in values)]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _arrays(values: Sequence[list[Any]]) -> Schema:
    items = _schema([item for value in values for item in value])
    return {"type": "array", **({"items": items} if items else {})}


def _simple(values: Sequence[Any]) -> list[Schema]:
    """A whole number beside another number is a number; the first value found stands as the example."""
    kinds: dict[str, Any] = {}
    for value in values:
        kinds.setdefault(_NAMES[type(value)], value)
    if "number" in kinds:
        kinds.pop("integer", None)
    return [
        {"type": kind} if example is None else {"type": kind, "examples": [example]}
        for kind, example in kinds.items()
    ]
