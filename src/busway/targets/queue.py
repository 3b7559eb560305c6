"""An SQS queue of this server as a target: the delivery is one message, put by the router."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from busway.delivery import Delivery, Failed, Outcome
from busway.delivery.dead_letter import Source
from busway.engine import Origin, Put
from busway.errors import QueueError, QueueNotFound
from busway.targets.identity import delivery_uuid
from busway.tracing import of_event

# Under what a topic hands on its message's attributes, in SQS's shape with Binary as base64.
ATTRIBUTES = "MessageAttributes"


class Messages(Protocol):
    """The part of the queue room that this needs."""

    def message_put(
        self,
        arn: str,
        body: bytes,
        *,
        now: float,
        attributes: Mapping[str, tuple[str, str | bytes]] | None = None,
        origin: Origin | None = None,
        trace_header: str | None = None,
        message_id: str | None = None,
        group_id: str | None = None,
        source: Source | None = None,
    ) -> Put: ...


class QueueTarget:
    """Delivers the payload as a message body."""

    def __init__(self, queues: Messages) -> None:
        self._queues = queues

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        try:
            return self._queues.message_put(
                delivery.target_arn,
                delivery.payload,
                now=now,
                attributes=attributes_of(delivery),
                origin=delivery.origin,
                trace_header=of_event(delivery.event_id, delivery.trace_header),
                message_id=delivery_uuid(delivery),
                group_id=delivery.message_group_id,
            )
        except QueueNotFound as error:
            return Failed("NO_RESOURCE", str(error), False)
        except QueueError as error:
            # A FIFO queue takes only what has a group, and deduplicates an event by its content.
            return Failed("SDK_CLIENT_ERROR", str(error), False)

    async def attempt(self, delivery: Delivery) -> Outcome:
        """Never needed: `local` finishes every delivery. Asked all the same, it says so."""
        return Failed("INTERNAL_ERROR", f"{delivery.target_arn} is delivered to by the router", False)


def attributes_of(delivery: Delivery) -> dict[str, tuple[str, str | bytes]] | None:
    """The attributes that a delivery brings along; none but those of topics do."""
    given: dict[str, dict[str, Any]] | None = delivery.parameters.get(ATTRIBUTES)
    if given is None:
        return None
    return {
        name: (one["DataType"], one["StringValue"] if "StringValue" in one else base64.b64decode(one["BinaryValue"]))
        for name, one in given.items()
    }
