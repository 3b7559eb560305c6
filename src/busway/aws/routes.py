"""Which service and which operation a request is for, once it is authenticated.

X-Amz-Target: AWSEvents.PutEvents            JSON (to some services also CBOR): one look-up
POST / with a form                            query: Action, and the service that the signature names
smithy-protocol: rpc-v2-cbor                  refused in CBOR: not there yet
any other path                                REST-JSON: the service that the signature names
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from busway.aws.absent import absent, operation_named, refuse_absent
from busway.aws.errors import COVERAGE, AwsError, not_implemented, unknown_operation
from busway.aws.protocols import Received, Reply, Wire
from busway.aws.protocols.cbor import CONTENT_TYPE as CBOR, HEADER as CBOR_HEADER, CborWire, refuse_in_cbor
from busway.aws.protocols.json import JsonWire
from busway.aws.protocols.query import FORM, QueryWire, form_action
from busway.aws.protocols.rest_json import RestJsonWire
from busway.aws.service import Operation, RawOperation, Service, body_max, raw_operations
from busway.aws.shapes import OperationModel, ServiceModel, load_model
from busway.aws.validation import Dialect, Validator, dialect_of

# Services whose clients (those for Java) may put CBOR in the place of JSON.
CBOR_SERVICES = ("kinesis",)
WIRES = {"json": JsonWire, "rest-json": RestJsonWire, "query": QueryWire}
NO_LABELS: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Bound:
    """A service with all that is compiled from its model."""

    name: str
    signing_name: str
    service: Service
    model: ServiceModel
    wire: Wire
    validator: Validator
    dialect: Dialect
    body_max: int
    cbor: Wire | None = None
    query: QueryWire | None = None

    def wire_for(self, headers: dict[bytes, bytes]) -> Wire:
        """The way in which this request speaks."""
        if self.cbor is not None and headers.get(b"content-type", b"").startswith(CBOR):
            return self.cbor
        if self.query is not None and is_form(headers):
            return self.query
        return self.wire


@dataclass(frozen=True, slots=True)
class Route:
    """One operation, ready to run."""

    bound: Bound
    model: OperationModel
    run: Operation
    raw: RawOperation | None
    signing_name: str
    content_type: bytes


class Routes:
    """Every operation of every registered service."""

    def __init__(self, services: Iterable[Service]) -> None:
        """Raises LookupError for a service without a model, ValueError for an operation that is not in it."""
        self._bound = [_bind(service) for service in services]
        self._by_signing_name: dict[str, list[Bound]] = {}
        self._by_prefix: dict[bytes, Bound] = {}
        self._by_target: dict[bytes, Route] = {}
        self._by_operation: dict[tuple[str, str], Route] = {}
        for bound in self._bound:
            self._by_signing_name.setdefault(bound.signing_name, []).append(bound)
            prefix = (bound.model.metadata.target_prefix or "").encode()
            if isinstance(bound.wire, JsonWire):
                self._by_prefix[prefix] = bound
            for route in _routes_of(bound):
                self._by_operation[(bound.name, route.model.name)] = route
                self._by_target[prefix + b"." + route.model.name.encode()] = route

    @property
    def names(self) -> list[str]:
        """The registered services, by botocore's names."""
        return sorted(bound.name for bound in self._bound)

    def body_max(self, signing_name: str) -> int | None:
        """The largest body for a service in bytes, None for a service that is not here."""
        found = self._by_signing_name.get(signing_name)
        return max(bound.body_max for bound in found) if found else None

    def by_target(self, target: bytes) -> Route | None:
        """The JSON operation of an `X-Amz-Target`, if it is implemented: the hot look-up."""
        return self._by_target.get(target)

    def find(self, received: Received, signing_name: str) -> tuple[Route, dict[str, str]]:
        """The operation and the labels of its path.

        Raises AwsError: UnknownOperationException for what AWS does not have, UnsupportedOperationException (501)
        for what it has and Busway has not.
        """
        headers = received.headers
        target = headers.get(b"x-amz-target")
        services = self._by_signing_name.get(signing_name, [])
        if not services and (target is None or target.rpartition(b".")[0] not in self._by_prefix):
            form = received.body if is_form(headers) else None
            operation = operation_named(received.method, received.path, headers, form)
            raise absent(signing_name, operation, self.names)
        if target is not None:
            return self._find_target(target), NO_LABELS
        if headers.get(CBOR_HEADER[0]) == CBOR_HEADER[1]:
            raise AwsError(
                "UnsupportedOperationException",
                f"Busway does not speak smithy-rpc-v2-cbor yet "
                f"({services[0].name} {operation_named('', received.path, headers, None)[:200]}); {COVERAGE}.",
                501,
            )
        if _speaks_query(headers, received.path, services):
            return self._find_action(received.body, services), NO_LABELS
        return self._find_rest(received, services)

    def _find_target(self, target: bytes) -> Route:
        route = self._by_target.get(target)
        if route is not None:
            return route
        prefix, _, name = target.rpartition(b".")
        bound = self._by_prefix.get(prefix)
        shown = target[:200].decode("latin-1")
        if bound is None:
            wanted = " or ".join(sorted(p.decode() for p in self._by_prefix)) or "none of the JSON protocol"
            raise unknown_operation(f"X-Amz-Target '{shown}'", f"an operation of {wanted}")
        raise self._missing(bound, name.decode("latin-1"), f"X-Amz-Target '{shown}'")

    def _missing(self, bound: Bound, name: str, found: str) -> AwsError:
        if name in bound.model.operations:
            return not_implemented(bound.name, name)
        return unknown_operation(found, f"an operation of {bound.model.metadata.service_full_name}")

    def _find_action(self, body: bytes, services: list[Bound]) -> Route:
        action = form_action(body) or ""
        for bound in services:
            route = self._by_operation.get((bound.name, action))
            if route is not None and bound.query is not None:
                return route
        here = services[0]
        if here.query is None:
            # SES v1 speaks it, and signs like the newer one that is here.
            raise AwsError(
                "UnsupportedOperationException",
                f"Busway does not speak the query protocol for {here.name} (Action '{action[:200]}'); "
                f"use {here.name}'s API; {COVERAGE}.",
                501,
            )
        raise self._missing(here, action[:200], f"Action '{action[:200]}'")

    def _find_rest(self, received: Received, services: list[Bound]) -> tuple[Route, dict[str, str]]:
        for bound in services:
            if not isinstance(bound.wire, RestJsonWire):
                continue
            found = bound.wire.routes.find(received.method, received.path, received.query)
            if found is None:
                continue
            operation, labels = found
            route = self._by_operation.get((bound.name, operation.name))
            if route is None:
                raise not_implemented(bound.name, operation.name)
            return route, labels
        shown = f"{received.method} {received.path.decode('latin-1')[:200]}"
        names = ", ".join(bound.name for bound in services)
        raise unknown_operation(shown, f"an operation of {names}", 404)

    def refuse(
        self, error: AwsError, headers: dict[bytes, bytes], path: bytes, signing_name: str, request_id: str
    ) -> Reply:
        """An error in the form that the request's client understands, whatever is known of the request."""
        target = headers.get(b"x-amz-target")
        bound = self._by_prefix.get(target.rpartition(b".")[0]) if target is not None else None
        if bound is not None:
            return bound.wire_for(headers).refuse(error, request_id)
        if target is None and headers.get(CBOR_HEADER[0]) == CBOR_HEADER[1]:
            return refuse_in_cbor(error)
        services = self._by_signing_name.get(signing_name, [])
        form = _speaks_query(headers, path, services)
        wires = [b.query if form else b.wire for b in services if form or isinstance(b.wire, RestJsonWire)]
        wire = next((wire for wire in wires if wire is not None), None)
        if target is None and wire is not None:
            return wire.refuse(error, request_id)
        return refuse_absent(error, headers, path, signing_name, request_id, form=form)


def is_form(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").startswith(FORM) and b"x-amz-target" not in headers


def _speaks_query(headers: dict[bytes, bytes], path: bytes, services: Iterable[Bound]) -> bool:
    """Whether this is a form of the query protocol. curl calls every body a form: at a REST path it is none."""
    return is_form(headers) and (path == b"/" or not any(isinstance(bound.wire, RestJsonWire) for bound in services))


def _bind(service: Service) -> Bound:
    model = load_model(service.name)
    wire = WIRES.get(model.protocol)
    if wire is None:
        raise LookupError(
            f"service {service.name}: Busway does not speak {model.protocol}; it speaks {', '.join(WIRES)}"
        )
    dialect = dialect_of(service.name)
    speaks_query = "query" in model.metadata.protocols or model.metadata.aws_query_compatible is not None
    return Bound(
        service.name,
        model.signing_name,
        service,
        model,
        wire(service.name, model),
        Validator(model, dialect),
        dialect,
        body_max(service),
        CborWire(model) if service.name in CBOR_SERVICES else None,
        QueryWire(service.name, model) if speaks_query else None,
    )


def _routes_of(bound: Bound) -> Iterable[Route]:
    raw = raw_operations(bound.service)
    unknown = (set(bound.service.operations) | set(raw)) - set(bound.model.operations)
    unknown |= set(raw) - set(bound.service.operations)
    if unknown:
        raise ValueError(
            f"service {bound.name}: {', '.join(sorted(unknown))}: wanted names of AWS operations, and a generic "
            "operation beside each raw one"
        )
    if raw and not isinstance(bound.wire, JsonWire):
        raise ValueError(
            f"service {bound.name}: raw operations are for the JSON protocol, not {bound.model.protocol}"
        )
    content_type = bound.wire.content_type if isinstance(bound.wire, JsonWire) else b""
    for name, run in bound.service.operations.items():
        yield Route(bound, bound.model.operations[name], run, raw.get(name), bound.signing_name, content_type)
