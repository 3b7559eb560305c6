"""AWS JSON 1.1 with CBOR in the place of JSON, as the SDKs for Java speak it to Kinesis; and Smithy RPC v2 CBOR, as
far as saying no in its own words: the services that speak that come later.

The request is told by its content type; what differs from JSON is how blobs and timestamps stand on the wire.
https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.aws.errors import AwsError, serialization_error
from busway.aws.protocols import Received, Reply, timestamps
from busway.aws.protocols.cbor_values import Moment, NotCbor, decode, encode
from busway.aws.protocols.json import error_members, status_of
from busway.aws.protocols.json_values import JsonValues, Reader, Writer
from busway.aws.shapes import OperationModel, Ref, ServiceModel, Shape

CONTENT_TYPE = b"application/x-amz-cbor-1.1"
HEADER = (b"smithy-protocol", b"rpc-v2-cbor")


class CborWire:
    """One service of AWS JSON, in CBOR."""

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._values = CborValues(model)

    def read(self, operation: OperationModel, labels: dict[str, str], received: Received) -> dict[str, Any]:
        if not operation.input:
            return {}
        try:
            value: Any = decode(received.body) if received.body else {}
        except NotCbor as fault:
            raise serialization_error(f"The request body is not CBOR: {fault}.") from None
        return self._values.read(operation.input.shape, value)

    def write(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> Reply:
        body = self._values.write(operation.output.shape, result) if operation.output else b""
        return Reply(200, body, CONTENT_TYPE)

    def refuse(self, error: AwsError, request_id: str) -> Reply:
        shape = self._model.error_shape(error.code)
        body = {"__type": error.code} | error_members(error, shape, self._values)
        return Reply(status_of(error, shape), encode(body), CONTENT_TYPE)


class CborValues(JsonValues):
    """Blobs are byte strings, timestamps whole milliseconds; all else is as in JSON."""

    def write(self, shape: str, value: Mapping[str, Any]) -> bytes:
        return encode(self.writer(Ref(shape))(value))

    def _compile_reader(self, shape: Shape) -> Reader:
        own = {"blob": _read_blob, "timestamp": _read_ms}.get(shape.type)
        return own or super()._compile_reader(shape)

    def _compile_writer(self, shape: Shape, ref: Ref) -> Writer:
        if shape.type == "blob":
            return bytes
        if shape.type == "timestamp":
            return lambda at: Moment(round(at * 1000))
        return super()._compile_writer(shape, ref)


def _read_blob(value: Any, path: str) -> bytes:
    if not isinstance(value, bytes):
        raise serialization_error(f"Value at '{path.lstrip('.')}' is no byte string.")
    return value


def _read_ms(value: Any, path: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return timestamps.read_unix(value / 1000 if number else value)
    except (ValueError, OverflowError):
        raise serialization_error(f"Value at '{path.lstrip('.')}' is no number of milliseconds.") from None


def refuse_in_cbor(error: AwsError) -> Reply:
    """An error as Smithy RPC v2 CBOR has it."""
    body = encode({"__type": error.code, "message": error.message})
    return Reply(error.status or 400, body, b"application/cbor", [HEADER])
