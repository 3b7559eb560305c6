"""AWS JSON 1.0 and 1.1: one POST to `/`, the operation in `X-Amz-Target`, everything in one JSON object.

An answer that the model calls an event stream is one JSON object for each event (`json_events.py`).

https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from busway.aws.errors import QUERY_CODES, AwsError
from busway.aws.protocols import Received, Reply
from busway.aws.protocols.event_stream import CONTENT_TYPE as EVENT_STREAM
from busway.aws.protocols.json_events import JsonEvents, initial_response
from busway.aws.protocols.json_values import JsonValues, parse_json
from busway.aws.shapes import OperationModel, ServiceModel, Shape


class JsonWire:
    """One service in AWS JSON. A service that once spoke the query protocol also says its old error codes."""

    def __init__(self, service: str, model: ServiceModel) -> None:
        self._service = service
        self._model = model
        self._values = JsonValues(model)
        self._query_compatible = model.metadata.aws_query_compatible is not None
        self.content_type = f"application/x-amz-json-{model.metadata.json_version}".encode()
        self._streamed = dict(_stream_members(model))

    def read(self, operation: OperationModel, labels: dict[str, str], received: Received) -> dict[str, Any]:
        value = parse_json(received.body)
        return self._values.read(operation.input.shape, value) if operation.input else {}

    def write(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> Reply:
        if operation.name in self._streamed:
            return self._stream(operation.name, result)
        body = self._values.write(operation.output.shape, result) if operation.output else b""
        return Reply(200, body, self.content_type)

    def _stream(self, operation: str, result: dict[str, Any]) -> Reply:
        member, events = self._streamed[operation]
        shapes = {name: ref.shape for name, ref in events.members.items()}
        stream = JsonEvents(result[member], shapes, self._values.write)
        # Whatever else such an answer could have, no operation that is here has it.
        return Reply(200, initial_response(b"{}"), EVENT_STREAM, stream=stream)

    def refuse(self, error: AwsError, request_id: str) -> Reply:
        shape = self._model.error_shape(error.code)
        modelled = shape is not None and self._model.metadata.json_version == "1.0"
        body = {"__type": f"com.amazonaws.{self._service}#{error.code}" if modelled else error.code}
        status = status_of(error, shape)
        headers: list[tuple[bytes, bytes]] = []
        if self._query_compatible:
            headers.append((b"x-amzn-query-error", self._query_error(error.code, shape, status).encode()))
        return Reply(
            status, msgspec.json.encode(body | error_members(error, shape, self._values)), self.content_type, headers
        )

    def _query_error(self, code: str, shape: Shape | None, status: int) -> str:
        modelled = shape.error.code if shape is not None and shape.error is not None else None
        legacy = QUERY_CODES.get(self._service, {}).get(code) or modelled or code
        return f"{legacy};{'Receiver' if status >= 500 else 'Sender'}"


def _stream_members(model: ServiceModel) -> Iterator[tuple[str, tuple[str, Shape]]]:
    """Of each operation that answers with an event stream: the member that is it, and its shape."""
    for name, operation in model.operations.items():
        members = model.shapes[operation.output.shape].members if operation.output else {}
        for member, ref in members.items():
            if model.shapes[ref.shape].eventstream:
                yield name, (member, model.shapes[ref.shape])


def status_of(error: AwsError, shape: Shape | None) -> int:
    """The error's own status, else the model's, else 400."""
    if error.status is not None:
        return error.status
    modelled = shape.error.http_status_code if shape is not None and shape.error is not None else None
    return modelled or 400


def error_members(error: AwsError, shape: Shape | None, values: JsonValues) -> dict[str, Any]:
    """The members of an error's body: the message under the name that the model gives it, and what else it has."""
    if shape is None:
        return {"message": error.message}
    named = next((name for name in shape.members if name.lower() == "message"), None)
    names = tuple(name for name, ref in shape.members.items() if ref.location is None)
    members = values.structure_writer(shape, names)(error.members)
    return {named or "message": error.message} | members


def refuse_plainly(error: AwsError) -> Reply:
    """An error in a form that both JSON protocols' clients understand, for a request that has no service yet."""
    body = msgspec.json.encode({"__type": error.code, "message": error.message})
    return Reply(
        error.status or 400, body, b"application/x-amz-json-1.1", [(b"x-amzn-errortype", error.code.encode())]
    )
