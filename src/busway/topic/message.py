"""What is published: checks, size, and the text that each protocol gets. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from busway.errors import InvalidQueueRequest, InvalidTopicAttribute, InvalidTopicRequest, QueueError
from busway.queue.message import (
    AttributeValue,
    Outgoing,
    attribute_fault,
    check_id,
    check_outgoing,
    message_size,
)
from busway.topic.record import MESSAGE_BYTES_MAX, SQS

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_CHARS_MAX = 99
DEFAULT = "default"
# Ours: AWS counts them towards the message's size only.
ATTRIBUTES_MAX = 256


@dataclass(frozen=True, slots=True)
class TopicMessage:
    """One message as it is published. `at` is Unix seconds; `texts` holds what each protocol gets, if they differ."""

    id: str
    body: str
    at: float
    subject: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])
    texts: Mapping[str, str] | None = None
    group_id: str | None = None

    def text(self, protocol: str) -> str:
        """What a subscription of `protocol` is sent."""
        return self.body if self.texts is None else self.texts.get(protocol, self.texts[DEFAULT])

    @property
    def size(self) -> int:
        """Bytes that count towards a topic's limit."""
        return message_size(self.body.encode(), self.attributes)


def texts_of(structure: str | None, body: str) -> Mapping[str, str] | None:
    """The texts by protocol of MessageStructure json, None without it. Raises `InvalidTopicRequest`."""
    if structure is None:
        return None
    if structure != "json":
        raise InvalidTopicRequest(f"Message Structure - found {structure[:40]!r}; wanted json")
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise InvalidTopicRequest("Message Structure - JSON message body failed to parse") from error
    texts = {name: text for name, text in found.items() if isinstance(text, str)}
    if DEFAULT not in texts:
        raise InvalidTopicRequest("Message Structure - No default entry in JSON message body")
    return texts


def check_message(message: TopicMessage) -> None:
    """Raises `InvalidTopicRequest` and `InvalidTopicAttribute` for what nobody could be sent; not for its size."""
    if not message.body:
        raise InvalidTopicRequest("Empty message")
    if message.subject is not None and not _is_subject(message.subject):
        raise InvalidTopicRequest("Subject")
    if len(message.attributes) > ATTRIBUTES_MAX:
        raise InvalidTopicAttribute(f"Found {len(message.attributes)} message attributes; wanted {ATTRIBUTES_MAX}.")
    for name, attribute in message.attributes.items():
        fault = attribute_fault(name, attribute)
        if fault:
            raise InvalidTopicAttribute(fault)
    if message.group_id is not None:
        try:
            check_id("MessageGroupId", message.group_id)
        except InvalidQueueRequest as error:
            raise InvalidTopicRequest(f"MessageGroupId Reason: {error}") from error


def check_raw(message: TopicMessage) -> None:
    """Raises `InvalidTopicRequest` for a text that SendMessage would refuse: for queues that get the text alone.

    Ours, as a queue must not hold what its receivers' XML cannot carry, not as a dead letter either.
    """
    try:
        check_outgoing(Outgoing(message.text(SQS)), MESSAGE_BYTES_MAX)
    except QueueError as error:
        raise InvalidTopicRequest(f"Message Reason: a queue is subscribed with raw delivery: {error}") from error


def _is_subject(subject: str) -> bool:
    return 0 < len(subject) <= SUBJECT_CHARS_MAX and not any(unicodedata.category(c) == "Cc" for c in subject)
