"""What is kept with the letter of a stream's batch that was given up, off the wire, so that it can be redriven. Pure.

AWS's letter names the records and leaves them in the stream, which forgets them in time; ours has them with it.
"""

from __future__ import annotations

import hashlib

import msgspec

from busway.clock import format_uuid
from busway.delivery.dead_letter import Source
from busway.function.invocation.letters import error_message, error_type
from busway.function.mapping.retry import EXHAUSTED, GivenUp
from busway.function.mapping.runner import Result


class _Event(msgspec.Struct):
    """What an event of a bus has, and hardly anything else."""

    id: str
    source: str
    detail: msgspec.Raw


def batch_source(
    lost: GivenUp, function_arn: str, payload: bytes, result: Result | None, *, request_id: str, now: float,
    mapping: str = "",
) -> Source:  # fmt: skip
    """`payload` is the batch of these records as the function would get it, `result` its last answer, if any."""
    code, message = words_of(lost, result)
    return Source(
        kind="batch", payload=payload, function_arn=function_arn, mapping=mapping, event_id=_event_id(lost),
        request_id=request_id, error_code=code, error_message=message, attempts=lost.invocations,
        first_at=lost.entries[0].arrived_at, failed_at=now,
    )  # fmt: skip


def redriven_id(request_id: str, record_event_id: str) -> str:
    """The request id of a record that is run again by itself: made of its letter's and the record's own `eventID`."""
    return format_uuid(hashlib.blake2b(f"{request_id} {record_event_id}".encode(), digest_size=16).digest())


def words_of(lost: GivenUp, result: Result | None) -> tuple[str, str]:
    """(code, message) of why records were given up."""
    if lost.condition != EXHAUSTED or result is None:
        return lost.condition, f"{len(lost.entries)} records were given up untried, or grew too old between two tries"
    if result.function_error is not None:
        return error_type(result.payload) or lost.condition, error_message(result.payload)
    return lost.condition, "The handler reported failures (batchItemFailures)"


def _event_id(lost: GivenUp) -> str:
    """The id of the event, where one event of a bus is all that was given up."""
    first, *others = lost.entries
    try:
        return "" if others else msgspec.json.decode(first.data, type=_Event).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
