"""Subscribe, confirm, publish.

    Publish  →  the subscriptions that are confirmed and want it  →  one put for all of them  →  the answer

Queues and functions of this server have their message with that put. A row of the outbox stands for every other
subscription, under the subscription's own ARN: one lane of attempts each, so that a slow endpoint delays no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from busway.clock import Clock, Entropy, uuids
from busway.delivery import Delivery, Failed, RetryPolicy
from busway.delivery.hand_over import Handed, HandOver
from busway.delivery.outbox import count_end, note_dead_letter
from busway.engine import Engine, Once, Put
from busway.errors import InvalidTopicRequest, TooManySubscriptions, UnsubscribeRefused
from busway.metrics import Metrics
from busway.queue.message import ATTRIBUTES_MAX
from busway.topic import envelope
from busway.topic.attributes import check_endpoint, check_subscription_attributes, normalized
from busway.topic.choice import Choice
from busway.topic.message import TopicMessage, check_message, check_raw
from busway.topic.record import (
    CONFIRMED_PROTOCOLS,
    HTTP,
    HTTPS,
    LAMBDA,
    SQS,
    SubscriptionRecord,
    TopicRecord,
    digest_of,
)
from busway.topic.registry import TopicRegistry
from busway.trail import Trail

NAMESPACE = "AWS/SNS"
# Ours: a message is written once for each; AWS takes 12,500,000.
SUBSCRIPTIONS_MAX = 500
# Ours: messages for more than this are put in several goes, so that what is made at once fits into memory.
PUT_BYTES = 16 << 20
# Ours: what a message of one subscription counts beside its bytes, for the time that a row takes.
ROW_BYTES = 16 << 10
# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html: HTTP is never tried for longer than an
# hour, mail 50 times in more than six. The times between are the outbox's, and no DeliveryPolicy changes them: ours.
HTTP_RETRY = RetryPolicy(age_s_max=3_600.0)
MAIL_RETRY = RetryPolicy(retries_max=49, age_s_max=6.5 * 3_600.0)
# What a delivery carries for `targets/topic`, beside the payload.
TYPE, RAW, ATTRIBUTES = "Type", "Raw", "MessageAttributes"


@dataclass(frozen=True, slots=True)
class Asked:
    """What Subscribe gives. `server_url` is the address under which the caller reached this server."""

    protocol: str
    endpoint: str
    owner: str
    server_url: str
    attributes: Mapping[str, str]


class Topics(TopicRegistry):
    """Topics, and what can be done with them."""

    def __init__(
        self, engine: Engine, clock: Clock, entropy: Entropy, metrics: Metrics, trail: Trail, hand_over: HandOver
    ) -> None:
        super().__init__(engine, clock)
        self._entropy, self._metrics, self._trail, self._hand_over = entropy, metrics, trail, hand_over
        self._choice = Choice()

    async def subscribe(self, arn: str, asked: Asked) -> SubscriptionRecord:
        """A new subscription, or the one that this endpoint has. Whoever is to confirm it is sent a token, again too.

        Raises `TopicNotFound`, `InvalidTopicRequest`, `TooManySubscriptions`.
        """
        check_endpoint(asked.protocol, asked.endpoint)
        try:
            check_subscription_attributes(asked.protocol, asked.attributes)
        except InvalidTopicRequest as error:
            raise InvalidTopicRequest(f"Attributes Reason: {error.fault}") from error
        attributes = normalized(asked.attributes)
        async with self._writing:
            self.need(arn)
            await self._forget_expired(arn)
            record = self._same_endpoint(arn, asked.protocol, asked.endpoint)
            if record is None:
                record = self._new_subscription(arn, asked, attributes)
            elif any(record.attributes.get(name) != value for name, value in attributes.items()):
                raise InvalidTopicRequest("Attributes Reason: Subscription already exists with different attributes")
            elif record.confirmed:
                return record
            if asked.protocol not in CONFIRMED_PROTOCOLS:
                record = msgspec.structs.replace(record, confirmed=True, authenticated=True, guarded=True)
                await self._save_subscription(record)
                return record
            return await self._ask(record)

    def _new_subscription(self, arn: str, asked: Asked, attributes: dict[str, str]) -> SubscriptionRecord:
        if len(self._subscriptions[arn]) >= SUBSCRIPTIONS_MAX:
            raise TooManySubscriptions(f"Topic {arn} has {SUBSCRIPTIONS_MAX} subscriptions, the most there may be.")
        return SubscriptionRecord(
            arn=f"{arn}:{uuids(self._entropy, 1)[0]}",
            topic_arn=arn,
            protocol=asked.protocol,
            endpoint=asked.endpoint,
            owner=asked.owner,
            created_at=self._clock.now(),
            server_url=asked.server_url,
            attributes=attributes,
        )

    async def _ask(self, record: SubscriptionRecord) -> SubscriptionRecord:
        """Send its endpoint a new token. A crash in between leaves a subscription that is asked again."""
        token, now = self._entropy.token(32).hex(), self._clock.now()
        record = msgspec.structs.replace(record, token_digest=digest_of(token), token_at=now)
        await self._save_subscription(record)
        message_id = uuids(self._entropy, 1)[0]
        payload = envelope.confirmation(record, message_id, token, now)
        delivery = _delivery(record, message_id, payload, now, {TYPE: envelope.CONFIRMATION})
        delivery = msgspec.structs.replace(delivery, secret=True)
        await self._engine.queues.put([self._hand_over(delivery, now).put])
        return record

    async def confirm(self, arn: str, token: str, *, signed: bool, guard: bool = False) -> SubscriptionRecord:
        """The endpoint wants it. `guard`: from now on, only a signed request ends it. A second time changes nothing.

        Raises `TopicNotFound`, `InvalidTopicRequest`.
        """
        async with self._writing:
            record = self.opened_by(arn, token)
            if not record.confirmed:
                record = msgspec.structs.replace(
                    record, confirmed=True, authenticated=signed, guarded=signed and guard
                )
                await self._save_subscription(record)
        return record

    def opened_by(self, arn: str, token: str) -> SubscriptionRecord:
        """The subscription whose endpoint was sent `token`. Raises `TopicNotFound`, `InvalidTopicRequest`."""
        self.need(arn)
        now, digest = self._clock.now(), digest_of(token)
        found = next((one for one in self._subscriptions[arn].values() if one.opens(digest, now)), None)
        if found is None:
            raise InvalidTopicRequest("Token")
        return found

    async def unsubscribe(self, subscription_arn: str, *, signed: bool) -> None:
        """End a subscription; one that is not there is no error. Raises `UnsubscribeRefused`."""
        async with self._writing:
            record = self.subscription(subscription_arn)
            if record is None:
                return
            if record.guarded and not signed:
                raise UnsubscribeRefused(subscription_arn)
            await self._remove_subscription(record)

    async def set_subscription_attribute(self, subscription_arn: str, name: str, value: str) -> None:
        """Raises `SubscriptionNotFound`, `InvalidTopicRequest`."""
        async with self._writing:
            record = self.need_subscription(subscription_arn)
            attributes = {**record.attributes, name: value}
            check_subscription_attributes(record.protocol, attributes if value else {name: ""})
            await self._save_subscription(msgspec.structs.replace(record, attributes=normalized(attributes)))

    async def publish(
        self,
        arn: str,
        messages: Sequence[TopicMessage],
        *,
        trace_header: str | None = None,
        once_until: float | None = None,
    ) -> None:
        """Give messages to all who want them; durable before return.

        With `once_until` (Unix seconds) the same message published again until then reaches nobody twice, and a full
        disk's reserve may be used: for what was accepted before and is tried again.
        Raises `TopicNotFound`, `InvalidTopicRequest`, `InvalidTopicAttribute`, `StorageFull`.
        """
        topic, now = self.need(arn), self._clock.now()
        for message in messages:
            check_message(message)
            if message.size > topic.message_bytes_max:
                raise InvalidTopicRequest("Message too long")
        waiting = [(one, self._filters[one.arn]) for one in self._subscriptions[arn].values() if one.confirmed]
        if any(record.protocol == SQS and record.raw for record, _ in waiting):
            for message in messages:
                check_raw(message)
        done: list[tuple[Delivery, Handed]] = []
        size, filtered = 0, len(waiting) * len(messages)
        async for chosen in self._choice.of(waiting, messages):
            filtered -= len(chosen)
            for record, message in chosen:
                done.append(self._handed(record, message, now, trace_header))
                put = done[-1][1].put
                size += len(put.body) + len(put.meta) + ROW_BYTES
                if size > PUT_BYTES:
                    await self._put(done, once_until)
                    done, size = [], 0
        await self._put(done, once_until)
        self._count(topic, messages, filtered)

    def _handed(
        self, record: SubscriptionRecord, message: TopicMessage, now: float, trace_header: str | None
    ) -> tuple[Delivery, Handed]:
        delivery = msgspec.structs.replace(delivery_of(record, message, now), trace_header=trace_header)
        too_many = record.protocol == SQS and record.raw and len(message.attributes) > ATTRIBUTES_MAX
        # https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html calls it a client-side error.
        failed = Failed("SDK_CLIENT_ERROR", f"More than {ATTRIBUTES_MAX} message attributes, and raw delivery", False)
        return delivery, self._hand_over(delivery, now, failed if too_many else None)

    async def _put(self, done: Sequence[tuple[Delivery, Handed]], once_until: float | None) -> None:
        """Make it durable, then tell what is over with it."""
        if done:
            puts = [_once(delivery, handed.put, once_until) for delivery, handed in done]
            await self._engine.queues.put(puts, accepted=once_until is not None)
        for delivery, handed in done:
            if not handed.sent_on:
                count_end(self._metrics, delivery, handed.verdict)
            if handed.verdict is not None:
                note_dead_letter(self._trail, delivery, handed.verdict, handed.put.queue)

    def _count(self, topic: TopicRecord, messages: Sequence[TopicMessage], filtered: int) -> None:
        metrics, of, name = self._metrics, topic.arn, topic.name
        for message in messages:
            metrics.count(NAMESPACE, "NumberOfMessagesPublished", of=of, TopicName=name)
            metrics.observe(NAMESPACE, "PublishSize", float(message.size), of=of, TopicName=name)
        if filtered:
            metrics.count(NAMESPACE, "NumberOfNotificationsFilteredOut", filtered, of=of, TopicName=name)


def delivery_of(record: SubscriptionRecord, message: TopicMessage, now: float) -> Delivery:
    """One message on its way to one subscription."""
    if record.protocol == LAMBDA:
        return _delivery(record, message.id, envelope.lambda_event(record, message), now, {})
    if record.raw:
        attributes = {ATTRIBUTES: envelope.queue_attributes(message.attributes)} if record.protocol == SQS else {}
        payload, carried = message.text(record.protocol).encode(), {TYPE: envelope.NOTIFICATION, RAW: True}
        return _delivery(record, message.id, payload, now, attributes or carried, message.group_id)
    payload = envelope.notification(record, message)
    carried = {} if record.protocol == SQS else {TYPE: envelope.NOTIFICATION}
    return _delivery(record, message.id, payload, now, carried, message.group_id)


def _delivery(
    record: SubscriptionRecord,
    message_id: str,
    payload: bytes,
    now: float,
    carried: dict[str, Any],
    group_id: str | None = None,
) -> Delivery:
    """`rule_arn` is where it comes from: a dead letter says so, and metrics go by it."""
    retry = HTTP_RETRY if record.protocol in (HTTP, HTTPS) else MAIL_RETRY
    here = record.protocol in (SQS, LAMBDA)
    return Delivery(
        event_id=message_id,
        target_arn=record.endpoint if here else record.arn,
        payload=payload,
        accepted_at=now,
        subscriber=record.arn,
        rule_arn=record.arn,
        target_id=record.protocol,
        retry=RetryPolicy() if here else retry,
        dead_letter_arn=record.dead_letter_arn,
        # https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: to standard queues only.
        message_group_id=group_id if record.protocol == SQS else None,
        parameters=carried,
    )


def _once(delivery: Delivery, put: Put, until: float | None) -> Put:
    if until is None:
        return put
    return msgspec.structs.replace(put, once=Once(f"{delivery.subscriber}/{delivery.event_id}", until))
