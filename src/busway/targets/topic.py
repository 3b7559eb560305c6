"""What an ARN of `sns` stands for as a target: a topic of this server, a subscription of one, or an alert route."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from busway.alarm.record import is_route
from busway.arn import parse_arn
from busway.clock import Clock
from busway.delivery import Delivered, Delivery, Failed, Outcome, Target
from busway.engine import Put
from busway.errors import StorageFull, TopicError, TopicNotFound
from busway.targets.identity import delivery_uuid
from busway.topic.message import TopicMessage
from busway.topic.record import is_subscription

# Ours: for how long a topic knows a message that is published to it once more. No delivery is tried for so long.
KNOWN_S = 2 * 86_400.0
SUBJECT = "Subject"


class Publishing(Protocol):
    """The part of the topic room that this needs."""

    async def publish(
        self, arn: str, messages: Sequence[TopicMessage], *, trace_header: str | None = None,
        once_until: float | None = None,
    ) -> None: ...  # fmt: skip


class SnsTarget:
    """Publishes to topics; hands over what is for a subscription or a route."""

    def __init__(self, topics: Publishing, subscriptions: Target, routes: Target, clock: Clock) -> None:
        self._topics, self._subscriptions, self._routes, self._clock = topics, subscriptions, routes, clock

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        """Never finished here: a topic makes many puts of one delivery."""
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        if is_subscription(delivery.target_arn):
            return await self._subscriptions.attempt(delivery)
        if is_route(parse_arn(delivery.target_arn)):
            if delivery.rule_arn.split(":", 3)[2:3] == ["events"]:
                return Failed("SDK_CLIENT_ERROR", "An alert route tells people of alarms, not of events", False)
            return await self._routes.attempt(delivery)
        return await self._publish(delivery)

    async def _publish(self, delivery: Delivery) -> Outcome:
        """The payload is the message. Its id is made of the delivery's, so that a repeat reaches nobody twice."""
        now = self._clock.now()
        body = delivery.payload.decode(errors="replace")
        subject = delivery.parameters.get(SUBJECT)
        message = TopicMessage(delivery_uuid(delivery), body, now, subject=subject)
        try:
            await self._topics.publish(
                delivery.target_arn, [message], trace_header=delivery.trace_header, once_until=now + KNOWN_S
            )
        except TopicNotFound as error:
            return Failed("NO_RESOURCE", f"{error}: {delivery.target_arn}", False)
        except TopicError as error:
            return Failed("SDK_CLIENT_ERROR", str(error), False)
        except StorageFull as error:
            return Failed("INTERNAL_ERROR", str(error), True)
        return Delivered()
