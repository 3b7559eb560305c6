"""Wire protocols: bytes to a request by the model, and a result or an error to bytes.

A protocol is a file with a class like `Wire`; the gateway's table names it. What differs between protocols is only
how a value stands on the wire; its constraints are checked by `validation` for all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from busway.aws.errors import AwsError
from busway.aws.shapes import OperationModel


@dataclass(slots=True)
class Received:
    """A whole request, authenticated and not parsed. Path and query are as on the wire, header names lower case."""

    method: str
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes


class Stream(Protocol):
    """The pieces of a body whose end is not known. `aclose` frees what stands behind, also before the first piece."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. `headers` are this reply's own; the gateway adds the request id and the length.

    With a `stream` the body goes on by its pieces, and there is no length.
    """

    status: int
    body: bytes
    content_type: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    stream: Stream | None = None


class Wire(Protocol):
    """One service's way of speaking."""

    def read(self, operation: OperationModel, labels: dict[str, str], received: Received) -> dict[str, Any]:
        """The request by botocore's member names; `labels` are the parts of the path that the route named.

        Raises AwsError SerializationException for what is not of the model's types.
        """
        ...

    def write(self, operation: OperationModel, result: dict[str, Any], request_id: str) -> Reply:
        """A result; members that are None are left out."""
        ...

    def refuse(self, error: AwsError, request_id: str) -> Reply:
        """An error, as this protocol's clients expect it."""
        ...
