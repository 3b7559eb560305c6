"""Values of the model as JSON has them: compiled readers and writers, shared by the JSON and REST-JSON protocols."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from busway.aws.errors import AwsError, serialization_error
from busway.aws.protocols import timestamps
from busway.aws.shapes import Ref, ServiceModel, Shape

# (JSON value, path) -> value of the request; raises SerializationException.
Reader = Callable[[Any, str], Any]
# value of the result -> JSON value
Writer = Callable[[Any], Any]

_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def parse_json(body: bytes) -> Any:
    """The body's JSON value, `{}` for an empty body. Raises AwsError SerializationException for anything else.

    Depth is bounded by the interpreter's own limit; invalid UTF-8, lone surrogates and NaN are refused.
    """
    if not body:
        return {}
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise serialization_error("The request body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise serialization_error(f"The request body is not JSON: {error}") from None


class JsonValues:
    """The readers and writers of one service, compiled as they are asked for."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._readers: dict[str, Reader] = {}
        self._writers: dict[tuple[str, str | None], Writer] = {}

    def read(self, shape: str, value: Any) -> dict[str, Any]:
        """A request's members from a JSON object; unknown members and nulls are left out."""
        return self.reader(shape)(value, "")

    def write(self, shape: str, value: Mapping[str, Any]) -> bytes:
        """A result as JSON text."""
        return msgspec.json.encode(self.writer(Ref(shape))(value))

    def reader(self, name: str) -> Reader:
        if name not in self._readers:
            # A shape that contains itself finds this while it is being compiled.
            self._readers[name] = lambda value, path: self._readers[name](value, path)
            self._readers[name] = self._compile_reader(self._model.shapes[name])
        return self._readers[name]

    def _compile_reader(self, shape: Shape) -> Reader:
        if shape.type == "structure":
            return self.structure_reader(shape, tuple(shape.members))
        if shape.type == "list" and shape.member is not None:
            return _list_reader(self.reader(shape.member.shape))
        if shape.type == "map" and shape.value is not None:
            return _map_reader(self.reader(shape.value.shape))
        return _SCALAR_READERS.get(shape.type, _read_text)

    def structure_reader(self, shape: Shape, names: tuple[str, ...]) -> Reader:
        """A reader of some members of a structure (those that stand in the body)."""
        members = [(shape.members[n].location_name or n, n, self.reader(shape.members[n].shape)) for n in names]

        def read(value: Any, path: str) -> dict[str, Any]:
            if not isinstance(value, dict):
                raise _mistyped(value, "structure", path)
            found = cast("dict[str, Any]", value)
            request: dict[str, Any] = {}
            for wire_name, name, inner in members:
                item = found.get(wire_name)
                if item is not None:
                    request[name] = inner(item, f"{path}.{name}")
            return request

        return read

    def writer(self, ref: Ref) -> Writer:
        key = (ref.shape, ref.timestamp_format)
        if key not in self._writers:
            self._writers[key] = lambda value: self._writers[key](value)
            self._writers[key] = self._compile_writer(self._model.shapes[ref.shape], ref)
        return self._writers[key]

    def _compile_writer(self, shape: Shape, ref: Ref) -> Writer:
        if shape.type == "structure":
            return self.structure_writer(shape, tuple(shape.members))
        if shape.type == "list" and shape.member is not None:
            item = self.writer(shape.member)
            return lambda value: [item(v) for v in value if v is not None]
        if shape.type == "map" and shape.value is not None:
            item = self.writer(shape.value)
            return lambda value: {str(k): item(v) for k, v in value.items() if v is not None}
        if shape.type == "timestamp":
            return timestamps.writer(ref.timestamp_format or shape.timestamp_format, "unixTimestamp")
        if shape.type == "blob":
            return lambda value: base64.b64encode(value).decode()
        if shape.type in ("double", "float"):
            return _write_double
        return _as_it_is

    def structure_writer(self, shape: Shape, names: tuple[str, ...]) -> Writer:
        """A writer of some members of a structure (those that stand in the body), in the model's order."""
        members = [(n, shape.members[n].location_name or n, self.writer(shape.members[n])) for n in names]

        def write(value: Any) -> dict[str, Any]:
            return {
                wire_name: inner(value[name]) for name, wire_name, inner in members if value.get(name) is not None
            }

        return write


def _as_it_is(value: Any) -> Any:
    return value


def _write_double(value: float) -> float | str:
    """JSON has no word for what is not a finite number; AWS writes it as a string."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _list_reader(inner: Reader) -> Reader:
    def read(value: Any, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _mistyped(value, "list", path)
        items = cast("list[Any]", value)
        return [None if v is None else inner(v, f"{path}.{i}") for i, v in enumerate(items, start=1)]

    return read


def _map_reader(inner: Reader) -> Reader:
    def read(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mistyped(value, "map", path)
        items = cast("dict[str, Any]", value)
        return {k: None if v is None else inner(v, f"{path}.{k}") for k, v in items.items()}

    return read


def _read_text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _mistyped(value, "String", path)
    return value


def _read_boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _mistyped(value, "Boolean", path)
    return value


def _integer_reader(kind: str, bits: int) -> Reader:
    limit = 1 << (bits - 1)

    def read(value: Any, path: str) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -limit <= value < limit:
            raise _mistyped(value, kind, path)
        return value

    return read


def _read_double(value: Any, path: str) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mistyped(value, "Double", path)
    try:
        return float(value)
    except OverflowError:
        raise _mistyped(value, "Double", path) from None


def _read_timestamp(value: Any, path: str) -> float:
    try:
        return timestamps.read_unix(value)
    except ValueError as error:
        raise serialization_error(f"Value at {_place(path)} is no timestamp: {error}.") from None


def _read_blob(value: Any, path: str) -> bytes:
    if not isinstance(value, str):
        raise _mistyped(value, "Blob", path)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise serialization_error(f"Value at {_place(path)} is not base64.") from None


_SCALAR_READERS: dict[str, Reader] = {
    "string": _read_text,
    "character": _read_text,
    "boolean": _read_boolean,
    "integer": _integer_reader("Integer", 32),
    "long": _integer_reader("Long", 64),
    "double": _read_double,
    "float": _read_double,
    "timestamp": _read_timestamp,
    "blob": _read_blob,
}


def _mistyped(value: Any, wanted: str, path: str) -> AwsError:
    """AWS's texts for a value of the wrong type, and where it stands."""
    if isinstance(value, dict | list):
        kind = "structure or map" if isinstance(value, dict) else "list"
        return serialization_error(f"Start of {kind} found where not expected at {_place(path)}.")
    found = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    if isinstance(value, bool):
        found = "TRUE_VALUE" if value else "FALSE_VALUE"
    return serialization_error(f"{found} can not be converted to a {wanted.capitalize()} at {_place(path)}.")


def _place(path: str) -> str:
    return f"'{path.lstrip('.')}'" if path else "the request"
