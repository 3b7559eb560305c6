"""Doors beside the services: paths and hosts that answer requests which no AWS signature need stand on.

A door judges its callers itself. The gate's rule about hosts holds for it all the same, and its rule about web pages
unless the door says that pages may ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from busway.aws.protocols import Reply


@dataclass(frozen=True, slots=True)
class Visit:
    """One request at a door. Path and query are as they were sent; header names are in lower case."""

    method: str
    scheme: str
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    request_id: str
    client: str


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

    async def answer(self, visit: Visit) -> Reply:
        """Raises `AwsError`, and `BuswayError`s that have a row for Lambda."""
        ...
