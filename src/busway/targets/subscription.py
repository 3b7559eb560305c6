"""The subscriptions of a topic that are outside: an HTTP endpoint or a mailbox. One attempt, one outcome.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine import Put
from busway.errors import InvalidMail, MailRefused, MailServerUnavailable, StorageFull
from busway.mail.compose import Letter, Recipients
from busway.targets.identity import delivery_uuid
from busway.topic.envelope import CONFIRMATION, NOTIFICATION
from busway.topic.record import EMAIL, MAIL_PROTOCOLS, SubscriptionRecord
from busway.topic.topics import RAW, TYPE

# https://docs.aws.amazon.com/sns/latest/dg/http-header.html
TEXT = "text/plain; charset=UTF-8"
USER_AGENT = "Amazon Simple Notification Service Agent"


class Posting(Protocol):
    """Whoever sends an HTTP request once; `Poster` does."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome: ...


class Mailing(Protocol):
    """The part of the mail room that this needs."""

    async def send(self, letter: Letter, message_id: str = "") -> str: ...


class SubscriptionTarget:
    """`sender` is the address that mail comes from."""

    def __init__(
        self,
        subscription: Callable[[str], SubscriptionRecord | None],
        posting: Posting,
        mailing: Mailing,
        sender: str,
    ) -> None:
        self._subscription, self._posting, self._mailing, self._sender = subscription, posting, mailing, sender

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        record = self._subscription(delivery.target_arn)
        if record is None:
            # It was ended after the message was published: nobody wants it any more.
            return Delivered("dropped")
        if record.protocol in MAIL_PROTOCOLS:
            return await self._mail(letter_of(record, delivery, self._sender), delivery_uuid(delivery))
        return await self._posting.post(record.endpoint, headers_of(record, delivery), delivery.payload)

    async def _mail(self, letter: Letter, message_id: str) -> Outcome:
        """A repeat has the id of the first."""
        try:
            await self._mailing.send(letter, message_id)
        except (InvalidMail, MailRefused) as error:
            return Failed("SDK_CLIENT_ERROR", str(error), False)
        except MailServerUnavailable as error:
            return Failed("CONNECTION_FAILURE", str(error), True)
        except StorageFull as error:
            return Failed("INTERNAL_ERROR", str(error), True)
        return Delivered()


def headers_of(record: SubscriptionRecord, delivery: Delivery) -> dict[str, str]:
    kind = delivery.parameters.get(TYPE, NOTIFICATION)
    headers = {
        "content-type": TEXT,
        "user-agent": USER_AGENT,
        "x-amz-sns-message-type": kind,
        "x-amz-sns-message-id": delivery.event_id,
        "x-amz-sns-topic-arn": record.topic_arn,
    }
    if kind == NOTIFICATION:
        headers["x-amz-sns-subscription-arn"] = record.arn
    if delivery.parameters.get(RAW):
        headers["x-amz-sns-rawdelivery"] = "true"
    return headers


def letter_of(record: SubscriptionRecord, delivery: Delivery, sender: str) -> Letter:
    """The mail; its words are ours. For `email-json` the text is the envelope itself, a confirmation too."""
    told: dict[str, Any] = msgspec.json.decode(delivery.payload)
    topic = record.topic_arn.rsplit(":", 1)[-1]
    if told["Type"] == CONFIRMATION:
        subject = f"Confirm your subscription to {topic}"
        text = (
            f"Somebody asked that this address gets what is published to the topic\n{record.topic_arn}\n\n"
            f"To confirm it, open this page and press the button:\n{told['SubscribeURL']}\n\n"
            "If it was not you, do nothing: nothing more is sent.\n"
        )
    else:
        subject = told.get("Subject") or f"Notification from {topic}"
        text = f"{told['Message']}\n\n--\nTo end this subscription:\n{told['UnsubscribeURL']}\n"
    if record.protocol != EMAIL:
        text = delivery.payload.decode()
    return Letter(sender, Recipients((record.endpoint,)), subject, text=text)
