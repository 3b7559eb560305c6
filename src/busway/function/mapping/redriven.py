"""A stream's record that is run again by itself, and its letter when it is given up again. Pure.

The letter is like the first one: AWS's record of the batch on the wire, and beside it the record itself.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from busway.delivery.dead_letter import Source
from busway.function.invocation.letters import Work
from busway.function.mapping.payload import Place, batch_letter
from busway.function.mapping.retry import EXHAUSTED, TOO_OLD, GivenUp
from busway.function.mapping.runner import event_id_of
from busway.function.record import LATEST, qualified
from busway.stream.record import StreamEntry


class _Kinesis(msgspec.Struct):
    partitionKey: str
    sequenceNumber: str
    data: str
    approximateArrivalTimestamp: float


class _Record(msgspec.Struct):
    kinesis: _Kinesis
    eventID: str
    eventSourceARN: str


class _Raws(msgspec.Struct):
    Records: list[msgspec.Raw]


class _Records(msgspec.Struct):
    Records: list[_Record]


@dataclass(frozen=True, slots=True)
class Single:
    """One record as a batch of its own. `event_id` is that of the event in it, "" for none."""

    payload: bytes
    record_event_id: str
    event_id: str


def single_records(payload: bytes) -> Iterator[Single]:
    """The records of a batch, one by one."""
    for raw in msgspec.json.decode(payload, type=_Raws).Records:
        record = msgspec.json.decode(raw, type=_Record)
        data = binascii.a2b_base64(record.kinesis.data)
        yield Single(msgspec.json.encode(_Raws([raw])), record.eventID, event_id_of(data))


def single_contents(payload: bytes) -> Iterator[bytes]:
    """What each record of a batch carries. Raises msgspec's DecodeError, or ValueError for data that is no base64."""
    for record in msgspec.json.decode(payload, type=_Records).Records:
        yield binascii.a2b_base64(record.kinesis.data)


def letter_again(
    work: Work, function_arn: str, payload: bytes, words: tuple[str, str], now: float, version: str
) -> tuple[bytes, Source]:
    """What the on-failure queue is told of a redriven record that is given up, and what is kept beside it.

    `function_arn` has no qualifier; `words` are (code, message) of why.
    """
    (record,) = msgspec.json.decode(payload, type=_Records).Records
    arrived_at = record.kinesis.approximateArrivalTimestamp
    entry = StreamEntry(0, record.kinesis.sequenceNumber, record.kinesis.partitionKey, b"", arrived_at)
    place = Place(
        qualified(function_arn, work.qualifier or LATEST), record.eventSourceARN, record.eventID.split(":")[0]
    )
    lost = GivenUp((entry,), EXHAUSTED if work.errors else TOO_OLD, work.errors)
    letter = batch_letter(
        lost, place, request_id=work.request_id, executed_version=version,
        function_error="Unhandled" if work.error else None, now=now,
    )  # fmt: skip
    code, message = words
    source = Source(
        kind="batch", payload=payload, function_arn=qualified(function_arn, work.qualifier), mapping=work.mapping,
        event_id=work.event_id, request_id=work.request_id, error_code=code, error_message=message,
        attempts=work.errors, first_at=arrived_at, failed_at=now, trace_header=work.trace_header or None,
    )  # fmt: skip
    return letter, source
