"""Ids that are the same each time the same delivery is made, so that a repeat can be known for one. Pure."""

from __future__ import annotations

import hashlib

from busway.clock import format_uuid
from busway.delivery import Delivery


def delivery_uuid(delivery: Delivery) -> str:
    """A UUID made of the event's id and the subscriber's name."""
    name = f"{delivery.event_id} {delivery.subscriber}"
    return format_uuid(hashlib.blake2b(name.encode(), digest_size=16).digest())
