"""AWS's service models, as botocore ships them: data files, read without importing botocore.

Importing botocore costs a fifth of a second and its model classes are built for clients; the files alone
are decoded in a millisecond each. Only `load_model` knows where they are.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from pathlib import Path

import msgspec


class Ref(msgspec.Struct, rename="camel"):
    """A mention of a shape by a member: where on the wire it stands, and under which name."""

    shape: str
    location: str | None = None
    location_name: str | None = None
    timestamp_format: str | None = None
    flattened: bool = False


class ErrorTrait(msgspec.Struct, rename="camel"):
    """What the model says about an exception: its code on the wire, its status, and whose fault it is."""

    code: str | None = None
    http_status_code: int | None = None
    sender_fault: bool = True


class Shape(msgspec.Struct, rename="camel"):
    """A type of the model. `name` is its key in the model, set by `load_model`."""

    type: str
    name: str = ""
    members: dict[str, Ref] = {}
    member: Ref | None = None
    key: Ref | None = None
    value: Ref | None = None
    required: list[str] = []
    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None
    enum: list[str] = []
    sensitive: bool = False
    payload: str | None = None
    flattened: bool = False
    timestamp_format: str | None = None
    error: ErrorTrait | None = None
    eventstream: bool = False


class Http(msgspec.Struct, rename="camel"):
    method: str
    request_uri: str
    response_code: int = 200


class Output(msgspec.Struct, rename="camel"):
    shape: str
    result_wrapper: str | None = None


class OperationModel(msgspec.Struct, rename="camel"):
    name: str
    http: Http
    input: Ref | None = None
    output: Output | None = None
    errors: list[Ref] = []


class Metadata(msgspec.Struct, rename="camel"):
    endpoint_prefix: str
    protocols: list[str]
    service_id: str
    service_full_name: str
    api_version: str
    json_version: str = "1.0"
    target_prefix: str | None = None
    signing_name: str | None = None
    xml_namespace: str | None = None
    aws_query_compatible: dict[str, str] | None = None


class ServiceModel(msgspec.Struct):
    """One service: its operations and shapes by name."""

    metadata: Metadata
    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]

    @property
    def signing_name(self) -> str:
        """The service's name in a signature's scope: sesv2 signs as `ses`, cloudwatch as `monitoring`."""
        return self.metadata.signing_name or self.metadata.endpoint_prefix

    @property
    def protocol(self) -> str:
        """The protocol that we speak for this service: JSON wherever the service offers it."""
        offered = self.metadata.protocols
        return next((name for name in ("json", "rest-json", "query") if name in offered), offered[0])

    def error_shape(self, code: str) -> Shape | None:
        """The modelled exception that goes by `code`: by its name in the model or by its code on the wire."""
        return _errors_by_code(self).get(code)


# A model is loaded once a process, so its identity is a good key.
_by_code: dict[int, dict[str, Shape]] = {}


def _errors_by_code(model: ServiceModel) -> dict[str, Shape]:
    if id(model) not in _by_code:
        errors = [s for s in model.shapes.values() if s.type == "structure" and _is_error(s, model)]
        _by_code[id(model)] = {s.error.code: s for s in errors if s.error and s.error.code} | {
            s.name: s for s in errors
        }
    return _by_code[id(model)]


def _is_error(shape: Shape, model: ServiceModel) -> bool:
    return shape.error is not None or any(
        ref.shape == shape.name for operation in model.operations.values() for ref in operation.errors
    )


def data_folder() -> Path:
    """Where botocore keeps its service models. Raises `LookupError` when botocore is not installed."""
    found = importlib.util.find_spec("botocore")
    if found is None or not found.submodule_search_locations:
        raise LookupError("botocore is not installed; its service models are what the AWS door is built from")
    return Path(found.submodule_search_locations[0]) / "data"


@functools.cache
def load_model(service: str) -> ServiceModel:
    """The newest model of a service by its botocore name (`events`, `sesv2`, …); cached for the process.

    Raises `LookupError` when this botocore has no such service.
    """
    folder = data_folder() / service
    for version in sorted(folder.glob("*/"), reverse=True):
        packed, plain = version / "service-2.json.gz", version / "service-2.json"
        if packed.exists() or plain.exists():
            text = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
            model = msgspec.json.decode(text, type=ServiceModel)
            for name, shape in model.shapes.items():
                shape.name = name
            return model
    raise LookupError(f"botocore has no service model {service!r} under {folder}")
