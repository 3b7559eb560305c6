"""What a service at the door is: a name, and one coroutine an operation.

    class Events:
        name = "events"                                   # botocore's name of the service
        def __init__(self, buses): self.operations = {"PutRule": self.put_rule, …}
        async def put_rule(self, request, caller): return {"RuleArn": …}

`request` was validated against the model; what is returned is serialised from the model. Members go by their
botocore names, timestamps are float Unix seconds both ways, blobs are bytes, absent members are absent keys
(and None in a result is left out). Errors are raised: an `AwsError`, or a `BuswayError` that has a row in
`aws/errors.py`. A constructor only keeps what it is handed, so that `scripts/coverage.py` can list operations.

A service may also have
    raw       operation name -> RawOperation, for a JSON operation that is worth its own decoder
    partial   operation name -> what is missing, for `docs/coverage.md`
    body_max  bytes of the largest request body it takes (`BODY_MAX` otherwise)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from busway.arn import Scope

# Ours. AWS takes 1 MiB of entries or messages in one request; JSON text in a JSON string grows by up to
# three times (UTF-8 of three bytes escaped as six), and there are names around it.
BODY_MAX = 4 * 1024 * 1024


class Headers(Mapping[str, str]):
    """Request headers by name, in any case of letters; text is decoded when asked for."""

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[bytes, bytes]) -> None:
        """`by_name` has lower-case names, as the server hands them over."""
        self._by_name = by_name

    def __getitem__(self, name: str) -> str:
        return self._by_name[name.lower().encode("latin-1")].decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


@dataclass(slots=True)
class Caller:
    """Who asks, and how: the account and Region to work in, and the request's own facts.

    `endpoint` is the address the client used (`http://127.0.0.1:4566`), for URLs in answers. `trace_header` is the
    request's, in X-Ray's form. `receive` is ASGI's, once the body was read. Not frozen only because that costs a
    microsecond on the hot path.
    """

    scope: Scope
    access_key: str
    request_id: str
    endpoint: str
    trace_header: str | None
    headers: Headers
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]] | None = None

    async def until_gone(self) -> None:
        """Return when the client hung up: for operations that would wait for nobody."""
        if self.receive is None:
            await asyncio.Event().wait()
            return
        while (await self.receive())["type"] != "http.disconnect":
            continue


Operation: TypeAlias = Callable[[dict[str, Any], Caller], Awaitable[dict[str, Any]]]
RawOperation: TypeAlias = Callable[[bytes, Caller], Awaitable[bytes]]


class Service(Protocol):
    """What the gateway needs of a service; see the module's docstring for what is optional."""

    @property
    def name(self) -> str: ...

    @property
    def operations(self) -> Mapping[str, Operation]: ...


class Slow(Exception):
    """Raised by a raw operation, before it changed anything, for a body that its own decoder does not take.

    The gateway then runs the generic operation of that name, which words the error (or does the work).
    """


def raw_operations(service: Service) -> Mapping[str, RawOperation]:
    return cast("Mapping[str, RawOperation]", getattr(service, "raw", {}))


def partial_operations(service: Service) -> Mapping[str, str]:
    return cast("Mapping[str, str]", getattr(service, "partial", {}))


def body_max(service: Service) -> int:
    return int(getattr(service, "body_max", BODY_MAX))
