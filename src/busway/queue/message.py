"""A message: what is kept beside its body, its checksums, its size and its receipt handle. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import msgspec

from busway.delivery.dead_letter import Source
from busway.errors import InvalidMessage, InvalidQueueRequest, InvalidReceiptHandle, MissingQueueParameter

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
ATTRIBUTES_MAX = 10
ATTRIBUTE_NAME_MAX = 256
DELAY_S_MAX = 900
BATCH_BYTES_MAX = 1_048_576
# Everything but these: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF
_NOT_CARRIED = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws\.|amazon\.))(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]+(?<!\.)")
_ID = re.compile(r"""[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}""")


class AttributeValue(msgspec.Struct, frozen=True, omit_defaults=True):
    """A typed value beside a body: `text` for String and Number, `binary` for Binary."""

    data_type: str
    text: str | None = None
    binary: bytes | None = None

    @property
    def value(self) -> bytes:
        return self.binary if self.binary is not None else (self.text or "").encode()


Attributes = Mapping[str, AttributeValue]


class MessageMeta(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is kept beside a body, in `Put.meta`. Times are Unix milliseconds, as on AWS's wire.

    A message that moves to a dead-letter queue keeps its id and brings along how often it was received before. In a
    standard queue it keeps `sent_ms` too, so its retention counts from the first queue. `message_id` is "" where it
    is made of the engine's number (`fifo.read_meta`). `source` is ours and never shown to a consumer.
    """

    message_id: str
    sent_ms: int
    sender: str
    attributes: dict[str, AttributeValue] = {}
    trace_header: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    source_queue_arn: str | None = None
    received_before: int = 0
    first_received_ms: int | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that a client asks to send."""

    body: str
    delay_s: int | None = None
    attributes: Attributes | None = None
    trace_header: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None


_META_ENCODER = msgspec.json.Encoder()
_META_DECODER = msgspec.json.Decoder(MessageMeta)


def encode_meta(meta: MessageMeta) -> bytes:
    return _META_ENCODER.encode(meta)


def decode_meta(data: bytes) -> MessageMeta:
    return _META_DECODER.decode(data)


def md5_of_body(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Attributes) -> str | None:
    """AWS's checksum over attributes in the order of their names; None when there are none.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    if not attributes:
        return None
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        for part in (name.encode(), attribute.data_type.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update(b"\x02" if attribute.data_type.startswith("Binary") else b"\x01")
        digest.update(len(attribute.value).to_bytes(4, "big") + attribute.value)
    return digest.hexdigest()


def trace_attributes(trace_header: str | None) -> dict[str, AttributeValue]:
    """The system attributes that a sender may set, as the attributes that their checksum covers."""
    return {} if trace_header is None else {"AWSTraceHeader": AttributeValue("String", text=trace_header)}


def message_size(body: bytes, attributes: Attributes | None) -> int:
    """Bytes that count towards the limit: the body, and each attribute's name, type and value."""
    size = len(body)
    for name, attribute in (attributes or {}).items():
        size += len(name.encode()) + len(attribute.data_type.encode()) + len(attribute.value)
    return size


def check_outgoing(message: Outgoing, bytes_max: int) -> bytes:
    """The body as it is stored. Raises a `QueueError` in AWS's words for what cannot be sent."""
    if not message.body:
        raise MissingQueueParameter("MessageBody")
    # What is printable is carried; that is the cheap test, and it settles nearly every body.
    if not message.body.isprintable() and _NOT_CARRIED.search(message.body):
        raise InvalidMessage(
            "Invalid characters found. Valid unicode characters are "
            "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
        )
    if message.delay_s is not None and not 0 <= message.delay_s <= DELAY_S_MAX:
        raise InvalidQueueRequest(
            f"Value {message.delay_s} for parameter DelaySeconds is invalid. "
            f"Reason: DelaySeconds must be >= 0 and <= {DELAY_S_MAX}."
        )
    if message.group_id is not None:
        check_id("MessageGroupId", message.group_id)
    check_message_attributes(message.attributes or {})
    body = message.body.encode()
    if message_size(body, message.attributes) > bytes_max:
        raise InvalidQueueRequest(
            f"One or more parameters are invalid. Reason: Message must be shorter than {bytes_max} bytes."
        )
    return body


def check_id(parameter: str, value: str) -> str:
    """A group's id, one that deduplicates, or one of an attempt. Raises `InvalidQueueRequest`."""
    if not _ID.fullmatch(value):
        raise InvalidQueueRequest(
            f"Value {value} for parameter {parameter} is invalid. Reason: {parameter} can only include alphanumeric "
            "and punctuation characters. 1 to 128 in length."
        )
    return value


def check_message_attributes(attributes: Attributes) -> None:
    """Raises `InvalidQueueRequest` for too many, a bad name, an unknown type, or an empty or wrong value."""
    if len(attributes) > ATTRIBUTES_MAX:
        raise InvalidQueueRequest(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )
    for name, attribute in attributes.items():
        fault = attribute_fault(name, attribute)
        if fault:
            raise InvalidQueueRequest(fault)


def attribute_fault(name: str, attribute: AttributeValue) -> str | None:
    """What is wrong with an attribute, in AWS's words; None when nothing is."""
    if len(name) > ATTRIBUTE_NAME_MAX or not _ATTRIBUTE_NAME.fullmatch(name):
        return (
            f"The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore "
            "(_), hyphen (-), and period (.) characters, does not start with AWS. or Amazon., and does not have "
            "a period first, last or twice in a row."
        )
    kind = attribute.data_type.split(".", 1)[0]
    if not attribute.data_type:
        return f"The message attribute '{name}' must contain non-empty message attribute type."
    if kind not in ("String", "Number", "Binary") or len(attribute.data_type) > ATTRIBUTE_NAME_MAX:
        return (
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    held, other = attribute.binary, attribute.text
    if kind != "Binary":
        held, other = other, held
    if other is not None:
        # Ours: which of the two a receiver gets, and what its checksum is of, would be a guess.
        return f"The message attribute '{name}' must contain one value, that of message attribute type '{kind}'."
    if not held:
        return (
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute "
            f"type '{kind}'."
        )
    if kind == "Number" and not _is_number(attribute.text or ""):
        return f"Can't cast the value of message (user) attribute '{name}' to a number."
    if attribute.text is not None and _NOT_CARRIED.search(attribute.text):
        return f"The message attribute '{name}' has characters in its value that a message cannot carry."
    return None


def _is_number(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def chosen_attributes(attributes: dict[str, AttributeValue], names: Iterable[str]) -> dict[str, AttributeValue]:
    """The attributes that a receiver asked for: by name, by prefix (`order.*`), or all (`All`, `.*`)."""
    wanted = set(names)
    if not wanted or not attributes:
        return {}
    if "All" in wanted or ".*" in wanted:
        return attributes
    prefixes = tuple(name.removesuffix(".*") for name in wanted if name.endswith(".*"))
    return {
        name: attribute
        for name, attribute in attributes.items()
        if name in wanted or (prefixes and name.startswith(prefixes))
    }


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receive of one message; `received_ms` is Unix milliseconds."""

    queue_arn: str
    item_id: int
    token: int
    received_ms: int

    def handle(self) -> str:
        """The opaque text that a client gives back."""
        text = f"{self.item_id} {self.token} {self.received_ms} {self.queue_arn}"
        return base64.b64encode(text.encode()).decode()


def read_receipt(handle: str, queue_arn: str) -> Receipt:
    """What a handle stands for. Raises `InvalidReceiptHandle` if it is none, or of another queue."""
    try:
        item_id, token, received_ms, arn = base64.b64decode(handle, validate=True).decode().split(" ", 3)
        receipt = Receipt(arn, int(item_id), int(token), int(received_ms))
    except (binascii.Error, ValueError):
        raise InvalidReceiptHandle(handle) from None
    if receipt.queue_arn != queue_arn:
        raise InvalidReceiptHandle(handle)
    return receipt
