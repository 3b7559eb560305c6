"""From a message that somebody sends to the engine's put, for both kinds of queue. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from busway.delivery.dead_letter import Source
from busway.engine import Origin, Put
from busway.errors import InvalidQueueRequest
from busway.queue import fifo
from busway.queue.message import (
    AttributeValue,
    MessageMeta,
    Outgoing,
    check_outgoing,
    encode_meta,
    md5_of_attributes,
    md5_of_body,
    trace_attributes,
)
from busway.queue.record import QueueRecord

Attributes = Mapping[str, tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender is told of a message; the checksums are there to be compared. FIFO messages have a sequence."""

    message_id: str
    md5_of_body: str
    md5_of_attributes: str | None
    md5_of_system_attributes: str | None
    sequence_number: str | None = None


def sent_answer_of(queue: QueueRecord, message: Outgoing, put: Put, message_id: str, item_id: int) -> Sent:
    """`item_id` is the engine's answer to the put: negative for a duplicate, which is told what the first one was."""
    number = abs(item_id)
    return Sent(
        fifo.message_id_of(queue.arn, number) if queue.fifo else message_id,
        md5_of_body(put.body),
        md5_of_attributes(message.attributes or {}),
        md5_of_attributes(trace_attributes(message.trace_header)),
        fifo.sequence_number(number) if queue.fifo else None,
    )


def outgoing_put(queue: QueueRecord, message: Outgoing, message_id: str, sender: str, now: float) -> Put:
    """Raises a `QueueError` in AWS's words for what this queue doesn't take."""
    body = check_outgoing(message, queue.message_bytes_max)
    if not queue.fifo and message.deduplication_id is not None:
        raise _not_of_this_type("MessageDeduplicationId", message.deduplication_id)
    # Zero is what a FIFO message may say.
    if queue.fifo and message.delay_s:
        raise _not_of_this_type("DelaySeconds", message.delay_s)
    meta = MessageMeta(
        message_id=message_id,
        sent_ms=int(now * 1000),
        sender=sender,
        attributes=dict(message.attributes or {}),
        trace_header=message.trace_header,
        group_id=message.group_id,
        deduplication_id=message.deduplication_id,
    )
    delay_s = queue.delay_s if message.delay_s is None or queue.fifo else message.delay_s
    return put_of(queue, body, meta, now + delay_s, now)


def put_of(
    queue: QueueRecord, body: bytes, meta: MessageMeta, due_at: float, now: float, origin: Origin | None = None
) -> Put:
    """The put of a message. Raises `MissingQueueParameter`, `InvalidQueueRequest` for what a FIFO queue needs."""
    if not queue.fifo:
        return Put(queue.arn, body, due_at, encode_meta(meta), origin)
    group = fifo.group_of(meta.group_id)
    duplicates = fifo.deduplication_id(queue, meta.deduplication_id, body)
    kept = MessageMeta(
        # The engine's number makes the id.
        message_id="",
        sent_ms=meta.sent_ms,
        sender=meta.sender,
        attributes=meta.attributes,
        trace_header=meta.trace_header,
        group_id=group,
        deduplication_id=duplicates,
        source=meta.source,
    )
    return Put(queue.arn, body, due_at, encode_meta(kept), origin, group, fifo.once(queue, group, duplicates, now))


def plain_meta(
    message_id: str,
    sender: str,
    now: float,
    *,
    attributes: Attributes | None,
    trace_header: str | None,
    group_id: str | None,
    source: Source | None,
) -> MessageMeta:
    """What is kept beside a message that another room puts; `attributes` are (data type, value) by name."""
    return MessageMeta(
        message_id=message_id,
        sent_ms=int(now * 1000),
        sender=sender,
        attributes={name: _attribute(kind, value) for name, (kind, value) in (attributes or {}).items()},
        trace_header=trace_header,
        group_id=group_id,
        source=source,
    )


def _attribute(kind: str, value: str | bytes) -> AttributeValue:
    return AttributeValue(kind, text=value) if isinstance(value, str) else AttributeValue(kind, binary=value)


def _not_of_this_type(parameter: str, value: object) -> InvalidQueueRequest:
    return InvalidQueueRequest(
        f"Value {value} for parameter {parameter} is invalid. Reason: The request include parameter that is not "
        "valid for this queue type."
    )
