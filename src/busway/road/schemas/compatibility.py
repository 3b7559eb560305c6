"""Whether events that fit one schema can be read by who knows another one, and if not, where and why. Pure.

A writer is taken to write only the members that its schema names: a member that is new in the reader's schema is
absent from the writer's events, not anything at all. What is not understood here counts as a break when it differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

Schema = Mapping[str, Any]

# Say nothing about which values fit.
_NOTES = {
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id", "$defs",
}  # fmt: skip
_KNOWN = {
    "type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems", "anyOf",
    "oneOf", "$ref", "discriminator",
}  # fmt: skip
# Bounds: the word, and whether a larger number takes fewer values.
_BOUNDS = {
    "minimum": True, "exclusiveMinimum": True, "minLength": True, "minItems": True, "minProperties": True,
    "maximum": False, "exclusiveMaximum": False, "maxLength": False, "maxItems": False, "maxProperties": False,
}  # fmt: skip
# Words that stand for other schemas; beside them stand only notes in what pydantic makes.
_UNIONS = {"$ref", "anyOf", "oneOf"}
_SAME = ("pattern", "format", "multipleOf", "uniqueItems", "contentEncoding")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a writer may write and a reader doesn't take. `path` is as in `detail.items[].price`."""

    path: str
    reason: str


def gaps(reader: Schema, writer: Schema) -> list[Gap]:
    """Why not every value of the writer's is one of the reader's; empty: each is."""
    return list(dict.fromkeys(_Comparison(reader, writer).compare(reader, writer, "detail", frozenset())))


@dataclass(frozen=True, slots=True)
class _Comparison:
    reader_root: Schema
    writer_root: Schema

    def compare(self, reader: Any, writer: Any, path: str, seen: frozenset[tuple[str, str]]) -> Iterator[Gap]:
        both = (_ref(reader), _ref(writer))
        if both[0] and both[1]:
            if both in seen:
                return
            seen |= {both}
        if _mixed(reader) and reader != writer:
            yield Gap(
                path, f"differs in {', '.join(sorted(cast(Schema, reader)))}, which together are not understood"
            )
            return
        reader, writer = _resolved(self.reader_root, reader), _resolved(self.writer_root, writer)
        if reader is True or writer is False or not set(reader or {"x"}) - _NOTES:
            return
        if reader is False:
            yield Gap(path, "nothing is taken there")
            return
        if writer is True:
            writer = {}
        yield from self._choices(reader, writer, path, seen)

    def _choices(self, reader: Schema, writer: Schema, path: str, seen: frozenset[tuple[str, str]]) -> Iterator[Gap]:
        """Unions first: each of the writer's must fit, into one of the reader's."""
        branches = _branches(writer)
        if len(branches) > 1:
            for branch in branches:
                yield from self.compare(reader, branch, path, seen)
            return
        options = _branches(reader)
        if len(options) > 1:
            found = [list(self.compare(option, branches[0], path, seen)) for option in options]
            if all(found):
                kind, alike = _kind(branches[0]), zip(options, found, strict=True)
                nearest = next((each for option, each in alike if _kind(option) == kind), None)
                yield from nearest or [Gap(path, f"{told(branches[0])} is not one of {_listed(options)}")]
            return
        yield from self._plain(options[0], branches[0], path, seen)

    def _plain(self, reader: Any, writer: Any, path: str, seen: frozenset[tuple[str, str]]) -> Iterator[Gap]:
        if _UNIONS & set(reader) or _UNIONS & set(writer):
            yield from self.compare(reader, writer, path, seen)
            return
        values = _values(writer)
        if values is not None:
            yield from _fit(reader, values, path)
            return
        wanted = _values(reader)
        if wanted is not None:
            yield Gap(path, f"may be any {told(writer)}, wanted {_shown(wanted)}")
            return
        kinds = (_kind(reader), _kind(writer))
        if "type" in reader and kinds[0] != kinds[1] and kinds != ("number", "integer"):
            yield Gap(path, f"is {told(writer)}, wanted {told(reader)}")
            return
        yield from _bounds(reader, writer, path)
        yield from _rest(reader, writer, path)
        if _kind(writer) == "object":
            yield from self._members(reader, writer, path, seen)
        if _kind(writer) == "array":
            yield from self._items(reader, writer, path, seen)

    def _members(self, reader: Schema, writer: Schema, path: str, seen: frozenset[tuple[str, str]]) -> Iterator[Gap]:
        theirs, ours = _properties(writer), _properties(reader)
        always = set(writer.get("required", ()))
        for name in reader.get("required", ()):
            if name not in theirs:
                yield Gap(f"{path}.{name}", "is not there, and is required")
            elif name not in always:
                yield Gap(f"{path}.{name}", "may be missing, and is required")
        more: Any = reader.get("additionalProperties", True)
        for name, member in theirs.items():
            yield from self.compare(ours.get(name, more), member, f"{path}.{name}", seen)
        extra: Any = writer.get("additionalProperties", False)
        if extra is not False:
            yield from self.compare(more, extra, f"{path}.*", seen)
            for name, member in ours.items():
                if name not in theirs:
                    yield from self.compare(member, extra, f"{path}.{name}", seen)

    def _items(self, reader: Schema, writer: Schema, path: str, seen: frozenset[tuple[str, str]]) -> Iterator[Gap]:
        if "prefixItems" in reader or "prefixItems" in writer:
            one, other = reader.get("prefixItems", []), writer.get("prefixItems", [])
            if len(one) != len(other) or reader.get("items") != writer.get("items"):
                yield Gap(path, f"is {told(writer)}, wanted {told(reader)}")
                return
            for place, (wanted, given) in enumerate(zip(one, other, strict=True)):
                yield from self.compare(wanted, given, f"{path}[{place}]", seen)
            return
        yield from self.compare(reader.get("items", True), writer.get("items", True), f"{path}[]", seen)


def told(schema: Schema) -> str:
    """A schema in a few words."""
    values = _values(schema)
    if values is not None:
        return _shown(values)
    form = f" ({schema['format']})" if "format" in schema else ""
    return f"{_kind(schema) or 'anything'}{form}"


def _resolved(root: Schema, schema: Any) -> Any:
    while isinstance(schema, Mapping) and "$ref" in schema:
        place: Any = root
        for part in str(cast(Schema, schema)["$ref"]).removeprefix("#/").split("/"):
            place = place[part.replace("~1", "/").replace("~0", "~")]
        schema = place
    return cast(Any, schema)


def _mixed(schema: Any) -> bool:
    """Whether words that say more stand beside one that stands for other schemas."""
    words = set(cast(Schema, schema)) if isinstance(schema, Mapping) else set[str]()
    more = {word for word in words - _UNIONS - _NOTES - {"discriminator"} if not word.startswith("x-")}
    return bool(words & _UNIONS) and (bool(more) or len(words & _UNIONS) > 1)


def _ref(schema: Any) -> str:
    return str(cast(Schema, schema).get("$ref", "")) if isinstance(schema, Mapping) else ""


def _branches(schema: Schema) -> list[Any]:
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return list(schema[word])
    kind = schema.get("type")
    if isinstance(kind, list):
        return [{**schema, "type": each} for each in cast(list[str], kind)]
    return [schema]


def _kind(schema: Any) -> str:
    return str(cast(Schema, schema).get("type", "")) if isinstance(schema, Mapping) else ""


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return list(schema["enum"]) if "enum" in schema else None


def _properties(schema: Schema) -> dict[str, Any]:
    return dict(schema.get("properties", {}))


def _fit(reader: Schema, values: list[Any], path: str) -> Iterator[Gap]:
    """Whether each of some values fits; bounds on single values are not looked at, so they count against it."""
    wanted, kind = _values(reader), _kind(reader)
    for value in values:
        if wanted is not None:
            fits = any(_equal(value, each) for each in wanted)
        else:
            # Arrays and objects among the values of an enum are not looked into.
            fits = _is_a(value, kind) and not set(reader) & {*_BOUNDS, *_SAME}
        if not fits:
            yield Gap(path, f"may be {_shown([value])}, wanted {told(reader)}")


def _equal(one: Any, other: Any) -> bool:
    """In JSON true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_a(value: Any, kind: str) -> bool:
    match kind:
        case "":
            return True
        case "boolean" | "integer" | "number" if isinstance(value, bool):
            return kind == "boolean"
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int)
        case "number":
            return isinstance(value, int | float)
        case _:
            return kind == "null" and value is None


def _bounds(reader: Schema, writer: Schema, path: str) -> Iterator[Gap]:
    for word, larger_is_narrower in _BOUNDS.items():
        if word not in reader:
            continue
        given, wanted = writer.get(word), reader[word]
        enough = given is not None and (given >= wanted if larger_is_narrower else given <= wanted)
        if not enough:
            yield Gap(path, f"has {word} {'none' if given is None else given}, wanted {wanted}")


def _rest(reader: Schema, writer: Schema, path: str) -> Iterator[Gap]:
    for word in _SAME:
        if word in reader and reader[word] != writer.get(word):
            yield Gap(path, f"has {word} {writer.get(word, 'none')!s}, wanted {reader[word]}")
    unknown = {word for word in (*reader, *writer) if not word.startswith("x-")}
    for word in sorted(unknown - _NOTES - _KNOWN - set(_BOUNDS) - set(_SAME)):
        if reader.get(word) != writer.get(word):
            yield Gap(path, f"differs in {word!r}, which is not understood")


def _shown(values: list[Any]) -> str:
    return " or ".join(msgspec.json.encode(value).decode() for value in values)


def _listed(options: list[Any]) -> str:
    return ", ".join(told(cast(Schema, one)) if isinstance(one, Mapping) else "anything" for one in options)
