"""Doors beside the services: paths and hosts that answer requests which no AWS signature need stand on.

A door says by a request's head whether there is such a place and who may come in; only then is the body read. The
gate's rule about hosts holds for it all the same, and its rule about web pages unless the door says that pages may
ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from busway.aws.gate import Identity
from busway.aws.protocols import Reply


@dataclass(frozen=True, slots=True)
class Visit:
    """One request at a door. Path and query are as they were sent; header names are in lower case.

    `body` is empty while the door is only asked whether to admit it. `identity` is who signed, where that was wanted.
    """

    method: str
    scheme: str
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    request_id: str
    client: str
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Permission:
    """What a caller must have signed for: a service as signatures name it, and the operation as IAM does."""

    service: str
    operation: str


class Door(Protocol):
    """See the module."""

    @property
    def body_max(self) -> int:
        """Bytes of the largest request body it takes."""
        ...

    def takes(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        """Whether the request is for this door. Asked for every request: it must be quick."""
        ...

    def open_to_pages(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        """Whether a page in a browser may ask this."""
        ...

    def admit(self, visit: Visit) -> Permission | None:
        """What the caller needs, None for anybody. Raises `AwsError` for who need not come in at all."""
        ...

    async def answer(self, visit: Visit) -> Reply:
        """Raises `AwsError`, and `BuswayError`s that have a row for Lambda."""
        ...
