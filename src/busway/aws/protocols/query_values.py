"""Values of the model as forms and XML have them: readers of a form's names, writers of elements. Pure.

    Entries.member.2.Id=b      a list of the model           Entry.2.Id=b         a flattened one
    Tags.entry.1.key=k         a map of the model            Tag.1.Key=k          a flattened one

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from busway.aws.errors import AwsError, serialization_error
from busway.aws.protocols import timestamps
from busway.aws.protocols.query_names import QueryNames
from busway.aws.shapes import Ref, ServiceModel, Shape

# Ours: a form of the largest batch with every attribute there can be has fewer names, and none is nested deeper.
FIELDS_MAX = 10_000
DEPTH_MAX = 32
# What an XML reader would change or refuse, if it stood there as it is.
_ESCAPES = {"\r": "&#xD;", '"': "&quot;"}
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BITS = {"integer": 32, "long": 64}


class Node:
    """A part of a form: the value that stands under its name, and what is under longer names."""

    __slots__ = ("inner", "value")

    def __init__(self) -> None:
        self.value: str | None = None
        self.inner: dict[str, Node] = {}

    def numbered(self) -> Iterator[Node]:
        """The parts under 1, 2, 3 …, in the order of the numbers."""
        # A number of thousands of digits is none that anybody counts with.
        names = [name for name in self.inner if name.isascii() and name.isdigit() and len(name) < 10]
        numbers = sorted((int(name), self.inner[name]) for name in names)
        return (node for _, node in numbers)


def read_form(body: bytes) -> Node:
    """A form by the parts of its names. Raises AwsError SerializationException for what is none, or too large."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict", encoding="utf-8"
        )
    except ValueError as error:
        raise serialization_error(f"The request body is not a form: {error}.") from None
    root = Node()
    for name, value in pairs:
        parts = name.split(".", DEPTH_MAX)
        node = root
        for part in parts:
            node = node.inner.setdefault(part, Node())
        node.value = value
    return root


class QueryValues:
    """The readers and writers of one service."""

    def __init__(self, model: ServiceModel, names: QueryNames) -> None:
        self._model = model
        self._names = names

    # --- a form to a request ---

    def read(self, shape: str, form: Node) -> dict[str, Any]:
        """A request's members; unknown names are left out."""
        return self._read_structure(self._model.shapes[shape], form, "")

    def _read_structure(self, shape: Shape, node: Node, path: str) -> dict[str, Any]:
        request: dict[str, Any] = {}
        for name, ref in shape.members.items():
            # An empty flattened list has no elements to be called by their name: it comes under its own.
            found = node.inner.get(self._wire_name(name, ref)) or node.inner.get(ref.location_name or name)
            if found is not None:
                request[name] = self._read(ref, found, f"{path}.{name}")
        return request

    def _read(self, ref: Ref, node: Node, path: str) -> Any:
        shape = self._model.shapes[ref.shape]
        if shape.type == "structure":
            return self._read_structure(shape, node, path)
        if shape.type == "list" and shape.member is not None:
            member = shape.member
            holder = node if self._flat(ref) else node.inner.get(self._element(shape), Node())
            return [self._read(member, item, f"{path}.{n}") for n, item in enumerate(holder.numbered(), start=1)]
        if shape.type == "map" and shape.key is not None and shape.value is not None:
            return self._read_map(ref, shape, node, path)
        return _read_scalar(shape.type, node.value or "", path)

    def _read_map(self, ref: Ref, shape: Shape, node: Node, path: str) -> dict[str, Any]:
        entry_name, key_name, value_name = self._map_names(shape)
        holder = node if self._flat(ref) else node.inner.get(entry_name, Node())
        found: dict[str, Any] = {}
        for entry in holder.numbered():
            key = entry.inner.get(key_name, Node()).value or ""
            if shape.value is not None and value_name in entry.inner:
                found[key] = self._read(shape.value, entry.inner[value_name], f"{path}.{key}")
        return found

    # --- a result to XML ---

    def write(self, shape: str, result: dict[str, Any]) -> str:
        """The elements of a result's members; those that are None are left out."""
        return "".join(self._structure(self._model.shapes[shape], result))

    def _structure(self, shape: Shape, value: dict[str, Any]) -> Iterable[str]:
        for name, ref in shape.members.items():
            if value.get(name) is not None:
                yield from self._element_of(self._wire_name(name, ref), ref, value[name])

    def _element_of(self, name: str, ref: Ref, value: Any) -> Iterable[str]:
        shape = self._model.shapes[ref.shape]
        flat = self._flat(ref)
        if shape.type in ("list", "map") and not flat:
            yield f"<{name}>"
        if shape.type == "structure":
            yield f"<{name}>"
            yield from self._structure(shape, value)
            yield f"</{name}>"
        elif shape.type == "list" and shape.member is not None:
            element = name if flat else self._element(shape)
            for item in value:
                yield from self._element_of(element, shape.member, item)
        elif shape.type == "map" and shape.key is not None and shape.value is not None:
            yield from self._entries(name if flat else "entry", shape, value)
        else:
            yield f"<{name}>{_text(shape, ref, value)}</{name}>"
        if shape.type in ("list", "map") and not flat:
            yield f"</{name}>"

    def _entries(self, name: str, shape: Shape, value: dict[str, Any]) -> Iterable[str]:
        _, key_name, value_name = self._map_names(shape)
        for key, item in value.items():
            if item is not None and shape.value is not None:
                yield f"<{name}><{key_name}>{xml_text(key)}</{key_name}>"
                yield from self._element_of(value_name, shape.value, item)
                yield f"</{name}>"

    # --- names ---

    def _wire_name(self, name: str, ref: Ref) -> str:
        """What stands for a member; for a flattened list or map, what each of its elements is called."""
        shape = self._model.shapes[ref.shape]
        if shape.type == "map" and self._flat(ref):
            return self._names.maps.get(shape.name, (ref.location_name or name,))[0]
        if shape.type == "list" and self._flat(ref) and shape.member is not None:
            own = self._names.elements.get(shape.name) or shape.member.location_name
            return own or ref.location_name or name
        return ref.location_name or name

    def _element(self, shape: Shape) -> str:
        named = shape.member.location_name if shape.member is not None else None
        return self._names.elements.get(shape.name) or named or "member"

    def _map_names(self, shape: Shape) -> tuple[str, str, str]:
        """What an entry, its key and its value are called."""
        if shape.name in self._names.maps:
            return self._names.maps[shape.name]
        key = shape.key.location_name if shape.key is not None else None
        value = shape.value.location_name if shape.value is not None else None
        return "entry", key or "key", value or "value"

    def _flat(self, ref: Ref) -> bool:
        return ref.flattened or self._model.shapes[ref.shape].flattened


def xml_text(text: str) -> str:
    """Text as it stands in an element; characters that XML has no way to say become U+FFFD."""
    return _NOT_XML.sub("\ufffd", escape(text, _ESCAPES)) if not text.isalnum() else text


def _text(shape: Shape, ref: Ref, value: Any) -> str:
    if shape.type == "timestamp":
        return str(timestamps.writer(ref.timestamp_format or shape.timestamp_format, "iso8601")(value))
    if shape.type == "blob":
        return base64.b64encode(value).decode()
    if shape.type == "boolean":
        return "true" if value else "false"
    return xml_text(str(value))


def _read_scalar(kind: str, text: str, path: str) -> Any:
    read = _SCALARS.get(kind)
    if read is None:
        return text
    try:
        return read(text)
    except (ValueError, OverflowError, binascii.Error):
        raise _mistyped(text, kind, path) from None


def _mistyped(text: str, kind: str, path: str) -> AwsError:
    return serialization_error(
        f"'{text[:200]}' can not be converted to a {kind.capitalize()} at '{path.lstrip('.')}'."
    )


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("wanted true or false")
    return text.lower() == "true"


def _integer(bits: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not -(1 << (bits - 1)) <= int(text) < 1 << (bits - 1):
            raise ValueError(f"wanted a whole number of {bits} bits")
        return int(text)

    return read


_SCALARS: dict[str, Callable[[str], Any]] = {
    "boolean": _boolean,
    **{kind: _integer(bits) for kind, bits in _BITS.items()},
    "double": float,
    "float": float,
    "timestamp": timestamps.read_text,
    "blob": lambda text: base64.b64decode(text, validate=True),
}
