"""JSON Schema (draft 2020-12) as the text of zod schemas. Pure.

What zod cannot say is refused with its place in the schema, never left out. Whatever a schema holds reaches the text
as a literal, or as an identifier made here. Whole numbers are those that JavaScript has: beyond 2**53 it rounds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, cast

from busway.errors import GeneratorRefused
from busway.road.typescript.layout import block, member_text, value_text
from busway.road.typescript.made import ANYTHING, NOTHING, Made, both, grouped, nullable, union
from busway.road.typescript.references import References, listed
from busway.road.typescript.scalars import count_of, literals_made, number_made, string_made

Schema = Mapping[str, Any]

# Say nothing about which values fit, and are left out; so is whatever begins with x-.
_SKIPPED = {"title", "$comment", "$schema", "$defs", "definitions", "discriminator"}
# Say nothing about which values fit either, and are kept.
_NOTES = ("description", "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding", "contentMediaType")
_OF_TYPE = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "object": {"properties", "required", "additionalProperties", "propertyNames"},
    "boolean": set[str](),
    "null": set[str](),
}
_TYPED = set[str]().union(*_OF_TYPE.values())
# `nullable` is OpenAPI's.
_GENERAL = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "default", "nullable"}
_KNOWN = _GENERAL | _TYPED | _SKIPPED | set(_NOTES)
# A member that an object lacks is read from these, by zod as by anybody: `constructor` is always there.
_INHERITED = {
    "constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
    "__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Detail:
    """A detail's schema: statements that stand before the event, its members, and what is noted of all of it."""

    definitions: list[str]
    members: list[str]
    notes: str


def detail_text(class_name: str, schema: Schema) -> Detail:
    """The schema of an event's detail, as `defineEvent` takes it. Raises GeneratorRefused."""
    translation = _Translation(class_name, References(class_name, schema))
    more = schema.get("additionalProperties", True)
    if more not in (True, {}):
        raise GeneratorRefused(
            f"#/additionalProperties is {value_text(more)}: what else an event has in its detail stays in it",
            "leave it out",
        )
    for word in schema:
        if word in _GENERAL - {"type"}:
            raise GeneratorRefused(
                f"#/{word}: a detail is one object", "put it on a member, or write its members out"
            )
    _check_known(schema, "#")
    members, _ = translation.members(schema, "#")
    notes = {word: schema[word] for word in _NOTES if word in schema}
    return Detail(translation.definitions, members, value_text(notes) if notes else "")


class _Translation:
    """One schema's way into text. What it refers to becomes a definition of its own, in the order needed."""

    def __init__(self, class_name: str, references: References) -> None:
        self.class_name, self.references = class_name, references
        self.definitions: list[str] = []
        self._defined: dict[str, Made] = {}

    def made(self, schema: Any, at: str) -> Made:
        if isinstance(schema, bool):
            return ANYTHING if schema else NOTHING
        if not isinstance(schema, Mapping):
            raise GeneratorRefused(f"{at} is {value_text(schema)}; wanted a schema")
        schema = cast(Schema, schema)
        _check_known(schema, at)
        parts = [*self._of_itself(schema, at), *self._of_others(schema, at)]
        if len(parts) > 1 and self.references.is_closed(schema):
            # zod takes a member that one side of an intersection knows, also where the other knows no further ones.
            raise GeneratorRefused(
                f"{at}: several schemas hold for one value, and one of them has additionalProperties: false",
                "leave that out, or write all members into one schema",
            )
        whole = parts[0] if len(parts) == 1 else reduce(both, parts) if parts else ANYTHING
        if schema.get("nullable") is True:
            whole = nullable(whole)
        notes = {word: schema[word] for word in (*_NOTES, "default") if word in schema}
        return replace(whole, notes={**whole.notes, **notes})

    def _of_itself(self, schema: Schema, at: str) -> list[Made]:
        kinds, parts = _kinds(schema, at), list[Made]()
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        constrained = _TYPED & set(schema)
        if constrained and not kinds:
            first = sorted(constrained)[0]
            kind = next(kind for kind, words in _OF_TYPE.items() if first in words)
            raise GeneratorRefused(f"{at} has {first} and no type", f'for example: "type": "{kind}"')
        if kinds and (values is None or constrained) and not self._is_said_by_others(schema, kinds):
            parts.append(self._of_kinds(schema, kinds, at))
        if values is not None:
            parts.append(literals_made(values, kinds, at))
        return parts

    def _is_said_by_others(self, schema: Schema, kinds: Sequence[str]) -> bool:
        """Whether the type is what one of allOf has too, and nothing stands beside it."""
        others = [self.references.target(one) for one in listed(schema.get("allOf"))]
        return not _TYPED & set(schema) and any(one.get("type") == kinds[0] for one in others) and len(kinds) == 1

    def _of_kinds(self, schema: Schema, kinds: Sequence[str], at: str) -> Made:
        makers = {
            "string": string_made,
            "integer": number_made,
            "number": number_made,
            "array": self._array,
            "object": self._object,
        }
        simple = {"boolean": Made("z.boolean()", "boolean"), "null": Made("z.null()", "null")}
        values = [kind for kind in kinds if kind != "null"] or ["null"]
        made = [simple.get(kind) or makers[kind]({**schema, "type": kind}, at) for kind in values]
        one = made[0] if len(made) == 1 else union("z.union", made)
        return nullable(one) if "null" in kinds and values != ["null"] else one

    def _of_others(self, schema: Schema, at: str) -> list[Made]:
        parts = [self._reference(schema["$ref"], f"{at}/$ref")] if "$ref" in schema else []
        for word, head in (("anyOf", "z.union"), ("oneOf", "z.xor")):
            if word in schema:
                branches = self._branches(schema, word, at)
                parts.append(branches[0] if len(branches) == 1 else union(head, branches))
        return parts + (self._branches(schema, "allOf", at) if "allOf" in schema else [])

    def _branches(self, schema: Schema, word: str, at: str) -> list[Made]:
        if not listed(schema[word]):
            raise GeneratorRefused(f"{at}/{word} is {value_text(schema[word])}; wanted a list of schemas")
        return [
            self.made(_inheriting(schema, each), f"{at}/{word}/{number}") for number, each in enumerate(schema[word])
        ]

    def _array(self, schema: Schema, at: str) -> Made:
        least, most = count_of(schema, "minItems", at) or 0, count_of(schema, "maxItems", at)
        items: Any = schema.get("items", True)
        if isinstance(items, list):
            raise GeneratorRefused(f"{at}/items is a list", "draft 2020-12 calls it prefixItems")
        if "prefixItems" in schema:
            made = self._tuple(schema, items, least, most, at)
        else:
            inner = self.made(items, f"{at}/items")
            made = Made(f"z.array({inner})", f"{grouped(inner.type)}[]")
            made = replace(made, zod=made.zod + (f".min({least})" if least else ""))
            made = replace(made, zod=made.zod + (f".max({most})" if most is not None else ""))
        if schema.get("uniqueItems") not in (True, False, None):
            raise GeneratorRefused(f"{at}/uniqueItems is {value_text(schema['uniqueItems'])}; wanted true or false")
        return self._unique(made, items, at) if schema.get("uniqueItems") else made

    def _unique(self, made: Made, items: Any, at: str) -> Made:
        target = self.references.target(items)
        values, kinds = listed(target.get("enum")), _kinds(target, at)
        if (
            not (values or kinds)
            or {"array", "object"} & set(kinds)
            or any(isinstance(v, dict | list) for v in values)
        ):
            raise GeneratorRefused(
                f"{at}/uniqueItems: JavaScript compares texts, numbers and true or false, and no lists or objects",
                "leave it out, or give items a type that is compared",
            )
        zod = f"{made.zod}.refine((items) => new Set<unknown>(items).size === items.length)"
        return replace(made, zod=zod, notes={**made.notes, "uniqueItems": True})

    def _tuple(self, schema: Schema, items: Any, least: int, most: int | None, at: str) -> Made:
        made = self._branches({"prefixItems": schema["prefixItems"]}, "prefixItems", at)
        members = made if most is None else made[:most]
        # JSON Schema says what stands at a place, not that something stands there; for zod, anything may be nothing.
        something = [".nonoptional()" if "unknown" in one.type else "" for one in members]
        tails = [*something[:least], *[".optional()"] * (len(members) - least)]
        shown = [f"{one}{tail}" for one, tail in zip(members, tails, strict=True)]
        types = [one.type if number < least else f"({one.type} | undefined)?" for number, one in enumerate(members)]
        rest = None if items is False or most == len(members) else self.made(items, f"{at}/items")
        zod = block("z.tuple([", shown, "]") + (")" if rest is None else f", {rest})")
        type_ = f"[{', '.join([*types, *([f'...{grouped(rest.type)}[]'] if rest else [])])}]"
        notes: dict[str, int] = {}
        if least > len(members):
            zod, notes = f"{zod}.refine((items) => items.length >= {least})", {"minItems": least}
        if rest and most is not None:
            zod, notes = f"{zod}.refine((items) => items.length <= {most})", {**notes, "maxItems": most}
        return Made(zod, type_, notes)

    def _object(self, schema: Schema, at: str) -> Made:
        more: Any = schema.get("additionalProperties", True)
        if schema.get("propertyNames", {"type": "string"}) not in ({"type": "string"}, {}, True):
            raise GeneratorRefused(f"{at}/propertyNames: what members are called cannot be checked", "leave it out")
        members, types = self.members(schema, at)
        if more is False:
            return Made(block("z.strictObject({", members, "})"), block("{", types, "}", ";"))
        if more in (True, {}):
            # Whatever else is in it stays in it.
            loose = Made(block("z.looseObject({", members, "})"), block("{", types, "}", ";"))
            return loose if members else Made("z.record(z.string(), z.unknown())", "{ [name: string]: unknown }")
        rest = self.made(more, f"{at}/additionalProperties")
        if not members:
            return Made(f"z.record(z.string(), {rest})", f"{{ [name: string]: {rest.type} }}")
        return Made(block("z.looseObject({", members, f"}}).catchall({rest})"), block("{", types, "}", ";"))

    def members(self, schema: Schema, at: str) -> tuple[list[str], list[str]]:
        """An object's members, and those of its type."""
        given: Any = schema.get("properties", {})
        required: Any = schema.get("required", [])
        if not isinstance(given, Mapping):
            raise GeneratorRefused(f"{at}/properties is {value_text(given)}; wanted schemas by their names")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in listed(required)):
            raise GeneratorRefused(f"{at}/required is {value_text(schema['required'])}; wanted a list of names")
        # What is required and not described is a further member.
        more = schema.get("additionalProperties", True)
        properties = {**cast(Schema, given), **{name: more for name in listed(required) if name not in given}}
        members, types = list[str](), list[str]()
        for name, each in properties.items():
            place = f"{at}/properties/{name}"
            if name in _INHERITED:
                raise GeneratorRefused(f"{place}: zod cannot tell whether a member of this name is there")
            made, may_lack = self.made(each, place), name not in required
            default = made.notes.get("default")
            if may_lack and "default" in made.notes:
                made = replace(made, notes={word: one for word, one in made.notes.items() if word != "default"})
                tail = f".default({value_text(default)})"
            else:
                tail = ".optional()" if may_lack else ""
            members.append(f"{member_text(name)}: {made}{tail}")
            types.append(f"{member_text(name)}{f'?: {made.type} | undefined' if may_lack else f': {made.type}'}")
        return members, types

    def _reference(self, reference: Any, at: str) -> Made:
        """What a definition is called; it is written when it is first asked for."""
        key = self.references.key(reference, at)
        if key in self._defined:
            return self._defined[key]
        name = self.references.names[key]
        self._defined[key] = made = Made(name, name)
        if not self.references.is_recursive(key):
            inner = self.made(self.references.schemas[key], key)
            self._defined[key] = made = replace(made, type=inner.type)
            self.definitions.append(f"const {name} = {inner};")
            return made
        self.references.check_ends(key)
        # TypeScript cannot infer what refers to itself, so its type is written out.
        head = f"const {name}: z.ZodType<{name}, {name}> = z.lazy(() => "
        if key == "#":
            _, types = self.members(self.references.schemas[key], key)
            shape = f"{self.class_name}.schema as z.ZodType<{name}, {name}>"
            self.definitions += [f"type {name} = {block('{', types, '}', ';')};", f"{head}{shape});"]
        else:
            inner = self.made(self.references.schemas[key], key)
            self.definitions += [f"type {name} = {inner.type};", f"{head}{inner});"]
        return made


def _check_known(schema: Schema, at: str) -> None:
    for word in schema:
        if word not in _KNOWN and not word.startswith("x-"):
            raise GeneratorRefused(f"{at}/{word}: zod has no word for it", "leave it out, or write the event by hand")


def _inheriting(schema: Schema, branch: Any) -> Any:
    """A branch of a schema that has a type has that type too, where it names none."""
    if "type" not in schema or not isinstance(branch, Mapping):
        return cast(object, branch)
    given = cast(Schema, branch)
    return given if {"type", "$ref", "enum", "const"} & set(given) else {"type": schema["type"], **given}


def _kinds(schema: Schema, at: str) -> list[str]:
    """The types that a schema names, [] for none."""
    given: Any = schema.get("type", [])
    kinds: list[Any] = [given] if isinstance(given, str) else listed(given)
    if ("type" in schema and not kinds) or any(kind not in _OF_TYPE for kind in kinds):
        raise GeneratorRefused(f"{at}/type is {value_text(given)}; wanted of {', '.join(_OF_TYPE)}")
    return kinds
