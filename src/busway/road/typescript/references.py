"""What a JSON Schema defines and refers to: how it is called in TypeScript, and what goes in circles. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from busway.errors import GeneratorRefused
from busway.road.naming import pascal

Schema = Mapping[str, Any]

_FOLDERS = ("$defs", "definitions")
# What the text of an event's file uses by its name.
_USED = {"Array", "DetailOf", "RegExp", "Set"}
# Schemas in these hold for the same value as the one that they stand in.
_SAME_VALUE = ("anyOf", "oneOf", "allOf")


class References:
    """By "#" for the schema itself, "#/$defs/Line" for what it defines."""

    def __init__(self, class_name: str, root: Schema) -> None:
        self.schemas: dict[str, Any] = {"#": root}
        for folder in _FOLDERS:
            defined = root.get(folder, {})
            if not isinstance(defined, Mapping):
                raise GeneratorRefused(f"#/{folder} is a {type(defined).__name__}; wanted schemas by their names")
            self.schemas |= {f"#/{folder}/{name}": one for name, one in cast(Schema, defined).items()}
        self.names = self._named(class_name)

    def _named(self, class_name: str) -> dict[str, str]:
        names, taken = {"#": f"{class_name}Detail"}, {class_name, f"{class_name}Detail", *_USED}
        for key in self.schemas:
            # "#" is named already; of a name in another script nothing may be left.
            name = pascal(key.split("/", 2)[-1])
            name = name if name[:1].isalpha() else f"Definition{name}"
            number = 2
            while (unique := name if name not in taken else f"{name}{number}") in taken:
                number += 1
            names.setdefault(key, unique)
            taken.add(names[key])
        return names

    def key(self, reference: Any, at: str = "#") -> str:
        """What a `$ref` names. Raises GeneratorRefused for what is not in the schema."""
        text = unquote(str(reference))
        folder = next((folder for folder in _FOLDERS if text.startswith(f"#/{folder}/")), "")
        name = text.removeprefix(f"#/{folder}/").replace("~1", "/").replace("~0", "~")
        key = f"#/{folder}/{name}" if folder else text
        if key not in self.schemas:
            known = ", ".join(self.schemas)
            raise GeneratorRefused(f"{at} is {text!r}; wanted a definition of the schema", f"there are {known}")
        return key

    def target(self, schema: Any) -> Schema:
        """The schema that one stands for: itself, or what it refers to."""
        seen: set[str] = set()
        while isinstance(schema, Mapping) and "$ref" in schema:
            key = self.key(cast(Schema, schema)["$ref"])
            if key in seen:
                break
            seen.add(key)
            schema = self.schemas[key]
        return cast(Schema, schema) if isinstance(schema, Mapping) else {}

    def is_recursive(self, key: str) -> bool:
        seen, open_ = set[str](), [key]
        while open_:
            for found in self._within(self.schemas[open_.pop()]):
                if found == key:
                    return True
                if found not in seen:
                    seen.add(found)
                    open_.append(found)
        return False

    def _within(self, value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            members = cast(Schema, value)
            if isinstance(members.get("$ref"), str):
                yield self.key(members["$ref"])
            # What the schema defines is no part of it.
            for name, one in members.items():
                if name not in _FOLDERS:
                    yield from self._within(one)
        elif isinstance(value, list):
            for one in cast(list[Any], value):
                yield from self._within(one)

    def check_ends(self, key: str) -> None:
        """Raises GeneratorRefused for what is defined as itself: it could be anything and never be checked."""
        if key in self._same_value(self.schemas[key], set()):
            raise GeneratorRefused(f"{key} refers to itself with nothing between", "leave that reference out")

    def _same_value(self, schema: Any, seen: set[str]) -> set[str]:
        """Add to `seen` the definitions that hold for the very value that a schema is for; return it."""
        for one in self._layers(schema):
            if "$ref" in one and (key := self.key(one["$ref"])) not in seen:
                seen.add(key)
                self._same_value(self.schemas[key], seen)
        return seen

    def _layers(self, schema: Any) -> Iterator[Schema]:
        if isinstance(schema, Mapping):
            found = cast(Schema, schema)
            yield found
            for word in _SAME_VALUE:
                for one in listed(found.get(word)):
                    yield from self._layers(one)

    def is_closed(self, schema: Schema) -> bool:
        """Whether somewhere in what holds for the value itself stands that it has no further members."""
        layers = [schema, *(self.schemas[key] for key in self._same_value(schema, set()))]
        return any(one.get("additionalProperties") is False for layer in layers for one in self._layers(layer))


def listed(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
