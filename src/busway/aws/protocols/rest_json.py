"""AWS REST-JSON: operations by method and path; members in the path, the query, headers and the body.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from busway.aws.errors import AwsError, serialization_error
from busway.aws.protocols import Received, Reply, timestamps
from busway.aws.protocols.json import error_members, status_of
from busway.aws.protocols.json_values import JsonValues, Reader, Writer, parse_json
from busway.aws.shapes import OperationModel, Ref, ServiceModel, Shape

# The payload of these services is JSON text, also where the model has a blob (Lambda's Invoke).
CONTENT_TYPE = b"application/json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class RestRoutes:
    """The operations of one service by method and path."""

    def __init__(self, model: ServiceModel) -> None:
        self._by_size: dict[tuple[str, int], list[tuple[list[str], bytes, OperationModel]]] = {}
        for operation in model.operations.values():
            path, _, query = operation.http.request_uri.partition("?")
            parts = _parts(path)
            routes = self._by_size.setdefault((operation.http.method, len(parts)), [])
            routes.append((parts, query.encode(), operation))
        for routes in self._by_size.values():
            # Literal parts win over labels, and a route that wants a query over one that does not.
            routes.sort(key=lambda route: ([part.startswith("{") for part in route[0]], not route[1]))

    def find(self, method: str, path: bytes, query: bytes) -> tuple[OperationModel, dict[str, str]] | None:
        """The operation and the path's labels, decoded; None when no route fits.

        Raises AwsError SerializationException for a label that is not UTF-8.
        """
        parts = _parts(path.decode("ascii", "replace"))
        for wanted, wanted_query, operation in self._by_size.get((method, len(parts)), ()):
            if wanted_query and wanted_query not in query.split(b"&"):
                continue
            if all(part and (want.startswith("{") or part == want) for want, part in zip(wanted, parts, strict=True)):
                pairs = zip(wanted, parts, strict=True)
                return operation, {w[1:-1]: decoded(p.encode()) for w, p in pairs if w.startswith("{")}
        return None


def _parts(path: str) -> list[str]:
    return path.removeprefix("/").removesuffix("/").split("/")


def decoded(text: bytes) -> str:
    """A part of a path or query, percent-decoded; `+` is a plus sign, as the signature has it."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise serialization_error(f"{text[:200]!r} in the path or query is not UTF-8.") from None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where an operation's members stand: (member, its name on the wire, how to read or write it)."""

    labels: list[tuple[str, str, Reader]]
    query: dict[str, tuple[str, Reader]]
    headers: list[tuple[str, bytes, Reader]]
    payload: str | None
    body: Reader | None


class RestJsonWire:
    """One service in REST-JSON."""

    def __init__(self, service: str, model: ServiceModel) -> None:
        self._model = model
        self._values = JsonValues(model)
        self._plans: dict[str, _Plan] = {}
        self.routes = RestRoutes(model)

    def read(self, operation: OperationModel, labels: dict[str, str], received: Received) -> dict[str, Any]:
        if operation.input is None:
            return {}
        plan = self._plan(self._model.shapes[operation.input.shape])
        request: dict[str, Any] = {}
        if plan.payload is not None:
            self._read_payload(plan.payload, self._model.shapes[operation.input.shape], received, request)
        elif plan.body is not None:
            request = plan.body(parse_json(received.body), "")
        for name, wire_name, reader in plan.labels:
            request[name] = reader(labels[wire_name], f".{name}")
        for name, wire_bytes, reader in plan.headers:
            value = received.headers.get(wire_bytes)
            if value is not None:
                request[name] = reader(value.decode("latin-1"), f".{name}")
        if received.query and plan.query:
            _read_query(plan.query, received.query, request)
        return request

    def _read_payload(self, name: str, shape: Shape, received: Received, request: dict[str, Any]) -> None:
        if not received.body:
            return
        ref = shape.members[name]
        if self._model.shapes[ref.shape].type == "structure":
            request[name] = self._values.read(ref.shape, parse_json(received.body))
        else:
            request[name] = received.body

    def _plan(self, shape: Shape) -> _Plan:
        if shape.name not in self._plans:
            named = [(n, ref.location_name or n, ref) for n, ref in shape.members.items()]
            body = tuple(n for n, _, ref in named if ref.location is None)
            self._plans[shape.name] = _Plan(
                [(n, wire, self._text_reader(ref)) for n, wire, ref in named if ref.location == "uri"],
                {wire: (n, self._text_reader(ref)) for n, wire, ref in named if ref.location == "querystring"},
                [
                    (n, wire.lower().encode(), self._text_reader(ref))
                    for n, wire, ref in named
                    if ref.location == "header"
                ],
                shape.payload,
                self._values.structure_reader(shape, body) if body else None,
            )
        return self._plans[shape.name]

    def _text_reader(self, ref: Ref) -> Reader:
        shape = self._model.shapes[ref.shape]
        if shape.type == "list" and shape.member is not None:
            item = self._text_reader(shape.member)
            return lambda value, path: [item(v, path) for v in ([value] if isinstance(value, str) else value)]
        return _TEXT_READERS.get(shape.type, _as_text)

    def write(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> Reply:
        status = operation.http.response_code
        if operation.output is None:
            return Reply(status, b"", CONTENT_TYPE)
        shape = self._model.shapes[operation.output.shape]
        headers: list[tuple[bytes, bytes]] = []
        for name, ref in shape.members.items():
            value = result.get(name)
            if value is None:
                continue
            if ref.location == "statusCode":
                status = int(value)
            elif ref.location == "header":
                headers.append(self._header(name, ref, value))
        return Reply(status, self._body(shape, result), CONTENT_TYPE, headers)

    def _header(self, name: str, ref: Ref, value: Any) -> tuple[bytes, bytes]:
        return (ref.location_name or name).lower().encode(), header_text(self._text_writer(ref)(value))

    def _text_writer(self, ref: Ref) -> Writer:
        shape = self._model.shapes[ref.shape]
        if shape.type == "timestamp":
            return timestamps.writer(ref.timestamp_format or shape.timestamp_format, "rfc822")
        if shape.type == "boolean":
            return lambda value: "true" if value else "false"
        return str

    def _body(self, shape: Shape, result: dict[str, Any]) -> bytes:
        if shape.payload is not None:
            ref, value = shape.members[shape.payload], result.get(shape.payload)
            if value is None:
                return b""
            if isinstance(value, bytes):
                return value
            return self._values.write(ref.shape, value)
        names = tuple(name for name, ref in shape.members.items() if ref.location is None)
        return msgspec.json.encode(self._values.structure_writer(shape, names)(result))

    def refuse(self, error: AwsError, request_id: str) -> Reply:
        shape = self._model.error_shape(error.code)
        status = status_of(error, shape)
        headers = [(b"x-amzn-errortype", header_text(error.code))]
        members = error_members(error, shape, self._values)
        if shape is not None:
            if "Type" in shape.members:
                members.setdefault("Type", "Server" if status >= 500 else "User")
            for name, ref in shape.members.items():
                if ref.location == "header" and error.members.get(name) is not None:
                    headers.append(self._header(name, ref, error.members[name]))
        return Reply(status, msgspec.json.encode(members), CONTENT_TYPE, headers)


def header_text(value: Any) -> bytes:
    """A header's value: control characters, line ends among them, become a space."""
    return _CONTROL.sub(" ", str(value)).encode()


def _read_query(plan: dict[str, tuple[str, Reader]], query: bytes, request: dict[str, Any]) -> None:
    found: dict[str, list[str]] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        found.setdefault(decoded(name), []).append(decoded(value))
    for wire_name, values in found.items():
        if wire_name in plan:
            name, reader = plan[wire_name]
            request[name] = reader(values if len(values) > 1 else values[0], f".{name}")


def _as_text(value: Any, path: str) -> str:
    return value if isinstance(value, str) else value[0]


def _converter(kind: str, convert: Callable[[str], Any]) -> Reader:
    def read(value: Any, path: str) -> Any:
        text = _as_text(value, path)
        try:
            return convert(text)
        except (ValueError, OverflowError):
            raise serialization_error(
                f"'{text[:200]}' can not be converted to {kind} at '{path.lstrip('.')}'."
            ) from None

    return read


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("wanted true or false")
    return text.lower() == "true"


def _integer(bits: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text) or not -(1 << (bits - 1)) <= int(text) < 1 << (bits - 1):
            raise ValueError(f"wanted a whole number of {bits} bits")
        return int(text)

    return convert


_TEXT_READERS: dict[str, Reader] = {
    "string": _as_text,
    "boolean": _converter("a Boolean", _boolean),
    "integer": _converter("an Integer", _integer(32)),
    "long": _converter("a Long", _integer(64)),
    "double": _converter("a Double", float),
    "float": _converter("a Double", float),
    "timestamp": _converter("a timestamp", timestamps.read_text),
}
