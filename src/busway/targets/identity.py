"""Ids that are the same each time the same delivery is made, so that a repeat can be known for one. Pure."""

from __future__ import annotations

import functools
import hashlib

from busway.clock import format_uuid
from busway.delivery import Delivery


def delivery_uuid(delivery: Delivery) -> str:
    """A UUID made of the subscriber's name and the event's id."""
    digest = _of_subscriber(delivery.subscriber).copy()
    digest.update(delivery.event_id.encode())
    return format_uuid(digest.digest())


@functools.lru_cache(maxsize=4096)
def _of_subscriber(name: str) -> hashlib.blake2b:
    """The digest as far as it is the same for all events."""
    return hashlib.blake2b(f"{name} ".encode(), digest_size=16)
