"""What each protocol is sent of a message, in SNS's shapes. Pure.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html

Messages are not signed: SNS's verifiers take only certificates from `sns.<region>.amazonaws.com`, which nobody but
AWS can offer. The members stand there, because their readers expect them, and say so: `Signature` is "unsigned", and
`SigningCertURL` leads to a page of this server that explains it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from busway.queue.message import AttributeValue
from busway.topic.message import TopicMessage
from busway.topic.record import SubscriptionRecord

NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
UNSIGNED = "unsigned"
# Ours: links that need no signature (`aws/topic_door.py`). On AWS they are at the service's own address.
LINK_PREFIX = "/_sns/"
CERTIFICATE_PATH = f"{LINK_PREFIX}unsigned.pem"


def notification(subscription: SubscriptionRecord, message: TopicMessage) -> bytes:
    """The envelope for queues, HTTP and email-json."""
    attributes = shown_attributes(message.attributes) or None
    return _json({**_notified(subscription, message, "URL"), "MessageAttributes": attributes})


def lambda_event(subscription: SubscriptionRecord, message: TopicMessage) -> bytes:
    """The event of a function. Its members are always there, and two are spelled `Url`, as AWS sends them."""
    attributes = shown_attributes(message.attributes)
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": {**_notified(subscription, message, "Url"), "MessageAttributes": attributes},
    }
    return msgspec.json.encode({"Records": [record]})


def _notified(subscription: SubscriptionRecord, message: TopicMessage, url: str) -> dict[str, Any]:
    """`url` is how that word is spelled at the end of two members."""
    return {
        "Type": NOTIFICATION,
        "MessageId": message.id,
        "TopicArn": subscription.topic_arn,
        "Subject": message.subject,
        "Message": message.text(subscription.protocol),
        "Timestamp": timestamp(message.at),
        "SignatureVersion": "1",
        "Signature": UNSIGNED,
        f"SigningCert{url}": subscription.server_url + CERTIFICATE_PATH,
        f"Unsubscribe{url}": unsubscribe_url(subscription),
    }


def confirmation(subscription: SubscriptionRecord, message_id: str, token: str, at: float) -> bytes:
    """What an endpoint is sent first; the token confirms that it wants more."""
    return _json(
        {
            "Type": CONFIRMATION,
            "MessageId": message_id,
            "Token": token,
            "TopicArn": subscription.topic_arn,
            "Message": f"You have chosen to subscribe to the topic {subscription.topic_arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message.",
            "SubscribeURL": subscribe_url(subscription, token),
            "Timestamp": timestamp(at),
            "SignatureVersion": "1",
            "Signature": UNSIGNED,
            "SigningCertURL": subscription.server_url + CERTIFICATE_PATH,
        }
    )


def subscribe_url(subscription: SubscriptionRecord, token: str) -> str:
    asked = {"Action": "ConfirmSubscription", "TopicArn": subscription.topic_arn, "Token": token}
    return f"{subscription.server_url}{LINK_PREFIX}?{urlencode(asked)}"


def unsubscribe_url(subscription: SubscriptionRecord) -> str:
    asked = {"Action": "Unsubscribe", "SubscriptionArn": subscription.arn}
    return f"{subscription.server_url}{LINK_PREFIX}?{urlencode(asked)}"


def shown_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, dict[str, str]]:
    return {name: {"Type": one.data_type, "Value": _value(one)} for name, one in attributes.items()}


def queue_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, dict[str, str]]:
    """As a delivery carries them to a queue that gets the message alone (`targets/queue.py`)."""
    return {
        name: {"DataType": one.data_type, "BinaryValue" if one.binary is not None else "StringValue": _value(one)}
        for name, one in attributes.items()
    }


def _value(attribute: AttributeValue) -> str:
    return attribute.text or "" if attribute.binary is None else base64.b64encode(attribute.binary).decode()


def timestamp(at: float) -> str:
    """`2012-04-25T21:49:25.719Z`"""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.{int(at * 1000) % 1000:03d}Z"


def _json(members: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in members.items() if value is not None})
