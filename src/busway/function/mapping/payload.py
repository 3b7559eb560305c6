"""Batches as handlers get them, and the record of a stream's batch that was given up. Pure.

Records are put together from bytes: thousands a second go by here, and a tree of dicts would cost more than all else.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from busway.arn import parse_arn
from busway.function.invocation.letters import iso_ms
from busway.function.mapping.retry import EXHAUSTED, GivenUp
from busway.function.record import LATEST
from busway.pattern.event_tree import Tree
from busway.queue.fifo import sequence_number
from busway.queue.message import md5_of_attributes, md5_of_body
from busway.queue.receiving import Received
from busway.stream.record import StreamEntry

# What a function takes at once.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
BYTES_MAX = 6_291_456
HEAD, TAIL = b'{"Records":[', b"]}"

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def batch(records: Iterable[bytes]) -> bytes:
    return HEAD + b",".join(records) + TAIL


# --- queues ---


class _Attribute(msgspec.Struct, frozen=True, rename="camel"):
    string_value: str | msgspec.UnsetType
    binary_value: bytes | msgspec.UnsetType
    string_list_values: tuple[str, ...]
    binary_list_values: tuple[bytes, ...]
    data_type: str


class _Message(msgspec.Struct, frozen=True):
    messageId: str
    receiptHandle: str
    body: str
    attributes: dict[str, str]
    messageAttributes: dict[str, _Attribute]
    md5OfMessageAttributes: str | None
    md5OfBody: str
    eventSource: str
    eventSourceARN: str
    awsRegion: str


def message_record(received: Received, region: str) -> bytes:
    """A queue's message as one member of `Records`; its members stand in the order in which AWS writes them."""
    item, meta = received.item, received.meta
    attributes = {
        name: _Attribute(_or_unset(value.text), _or_unset(value.binary), (), (), value.data_type)
        for name, value in meta.attributes.items()
    }
    return _encode(
        _Message(
            meta.message_id,
            received.receipt.handle(),
            item.body.decode(),
            system_attributes(received),
            attributes,
            md5_of_attributes(meta.attributes),
            md5_of_body(item.body),
            "aws:sqs",
            item.queue,
            region,
        )
    )


def _or_unset(value: T | None) -> T | msgspec.UnsetType:
    return msgspec.UNSET if value is None else value


def system_attributes(received: Received) -> dict[str, str]:
    item, meta = received.item, received.meta
    shown = {
        "ApproximateReceiveCount": str(received.receive_count),
        "SentTimestamp": str(meta.sent_ms),
        "SenderId": meta.sender,
        "ApproximateFirstReceiveTimestamp": str(received.first_received_ms),
        "SequenceNumber": sequence_number(item.id) if item.queue.endswith(".fifo") else None,
        "MessageGroupId": meta.group_id,
        "MessageDeduplicationId": meta.deduplication_id,
        "AWSTraceHeader": meta.trace_header,
        "DeadLetterQueueSourceArn": meta.source_queue_arn,
    }
    return {name: value for name, value in shown.items() if value is not None}


def message_facts(received: Received, region: str) -> dict[str, Tree]:
    """What filters may look at beside the body."""
    facts: dict[str, Any] = msgspec.json.decode(message_record(received, region))
    return facts


# --- streams ---


@dataclass(frozen=True, slots=True)
class StreamWriter:
    """Writes the records of one shard. `bytes_of` is never less than what a record takes in a payload."""

    record: Callable[[StreamEntry], bytes]
    bytes_of: Callable[[StreamEntry], int]
    facts: Callable[[StreamEntry], dict[str, Tree]]


def stream_writer(stream_arn: str, shard_id: str, role: str) -> StreamWriter:
    arn = parse_arn(stream_arn)
    region = arn.region if arn is not None else ""
    tail = (
        b'"eventName":"aws:kinesis:record","invokeIdentityArn":%b,"awsRegion":%b,"eventSourceARN":%b}'
        % (_encode(role), _encode(region), _encode(stream_arn))
    )  # fmt: skip
    shape = (
        b'{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":%b,"sequenceNumber":"%b","data":"%b",'
        b'"approximateArrivalTimestamp":%.3f},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"'
        + shard_id.encode()
        + b':%b",'
        + tail.replace(b"%", b"%%")
    )
    b2a = binascii.b2a_base64
    # With room for the comma, the key's quotes and a time of any length.
    fixed = len(shape) + 32

    def record(entry: StreamEntry) -> bytes:
        number = entry.sequence_number.encode()
        data = b2a(entry.data, newline=False)
        return shape % (_text(entry.partition_key), number, data, entry.arrived_at, number)

    def bytes_of(entry: StreamEntry) -> int:
        # A character of the key takes at most six bytes, escaped.
        return fixed + (len(entry.data) + 2) // 3 * 4 + 6 * len(entry.partition_key) + 2 * len(entry.sequence_number)

    def facts(entry: StreamEntry) -> dict[str, Tree]:
        return {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": entry.partition_key,
            "sequenceNumber": entry.sequence_number,
            "approximateArrivalTimestamp": msgspec.Raw(b"%.3f" % entry.arrived_at),
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard_id}:{entry.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role,
            "awsRegion": region,
            "eventSourceARN": stream_arn,
        }

    return StreamWriter(record, bytes_of, facts)


def _text(key: str) -> bytes:
    try:
        return _encode(key)
    except UnicodeEncodeError:
        # Half a surrogate pair, which no JSON in UTF-8 can carry.
        return _encode(key.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))


# --- a batch that was given up ---


@dataclass(frozen=True, slots=True)
class Place:
    """Whose batch it was: the function's ARN as the mapping has it, and the shard."""

    function_arn: str
    stream_arn: str
    shard_id: str


class _Context(msgspec.Struct, frozen=True, rename="camel"):
    request_id: str
    function_arn: str
    condition: str
    approximate_invoke_count: int


class _Response(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    status_code: int
    executed_version: str
    function_error: str | None = None


class _Batch(msgspec.Struct, frozen=True, rename="camel"):
    shard_id: str
    start_sequence_number: str
    end_sequence_number: str
    approximate_arrival_of_first_record: str
    approximate_arrival_of_last_record: str
    batch_size: int
    stream_arn: str


class _GivenUp(msgspec.Struct, frozen=True):
    requestContext: _Context
    responseContext: _Response | msgspec.UnsetType
    version: str
    timestamp: str
    KinesisBatchInfo: _Batch


def batch_letter(
    lost: GivenUp, place: Place, *, request_id: str, executed_version: str, function_error: str | None, now: float
) -> bytes:
    """What a destination is told, in AWS's members and order (recorded). The records stay in the stream."""
    first, last = lost.entries[0], lost.entries[-1]
    told = lost.condition == EXHAUSTED
    return _encode(
        _GivenUp(
            _Context(request_id, place.function_arn, lost.condition, lost.invocations),
            _Response(200, executed_version or LATEST, function_error) if told else msgspec.UNSET,
            "1.0",
            iso_ms(now),
            _Batch(
                place.shard_id,
                first.sequence_number,
                last.sequence_number,
                iso_ms(first.arrived_at),
                iso_ms(last.arrived_at),
                len(lost.entries),
                place.stream_arn,
            ),
        )
    )
