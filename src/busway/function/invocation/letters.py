"""What leaves an asynchronous invocation when it ends: the dead letter, and the record for a destination. Pure.

The two differ, as on AWS: a dead letter's body is the event itself with three attributes; a destination gets a record
of what happened. Members stand in the order in which AWS writes them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from busway.function.record import LATEST

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html: the first KB of the error
MESSAGE_BYTES_MAX = 1_024

SUCCESS = "Success"


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept beside a queued invocation, off the wire. Times are Unix seconds.

    `qualifier` is the version or alias that is invoked, "" for the function itself. `errors` counts the function's
    errors so far; `error` is the last one's body. `reports`: it is a batch, and the answer may say that it failed.
    `again`: it is a redriven dead letter. `letters_to` is the queue that gets it when it fails again, for a record of
    the mapping `mapping`; "" leaves it to the function. `anew`: it is run though its event may have been handled.
    `edited` names what somebody changed in the payload before it was sent back.
    """

    request_id: str
    received_at: float
    event_id: str = ""
    bus_arn: str = ""
    rule_arn: str = ""
    trace_header: str = ""
    errors: int = 0
    first_at: float = 0.0
    error: bytes = b""
    qualifier: str = ""
    reports: bool = False
    again: bool = False
    letters_to: str = ""
    mapping: str = ""
    anew: bool = False
    edited: str = ""


class _Context(msgspec.Struct, frozen=True, rename="camel"):
    request_id: str
    function_arn: str
    condition: str
    approximate_invoke_count: int


class _Record(msgspec.Struct, frozen=True, rename="camel"):
    version: str
    timestamp: str
    request_context: _Context
    request_payload: msgspec.Raw
    response_context: dict[str, Any] | msgspec.UnsetType
    response_payload: msgspec.Raw | msgspec.UnsetType


def destination_record(
    work: Work, function: str, payload: bytes, answer: bytes | None, *, condition: str, attempts: int, at: float,
    version: str = LATEST,
) -> bytes:  # fmt: skip
    """The record of an invocation that ended. `answer` is the result or the error; None when it was never tried.

    `function` is its ARN without a qualifier, `version` the one that ran.
    """
    tried: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    if answer is not None:
        tried = {"statusCode": 200, "executedVersion": version}
        if condition != SUCCESS:
            tried["functionError"] = "Unhandled"
    context = _Context(work.request_id, f"{function}:{work.qualifier or LATEST}", condition, attempts)
    return msgspec.json.encode(
        _Record("1.0", iso_ms(at), context, _raw(payload), tried, msgspec.UNSET if answer is None else _raw(answer))
    )


def dead_letter_attributes(work: Work, error: bytes) -> dict[str, tuple[str, str]]:
    """AWS's attributes of a function's dead letter: name to (type, value)."""
    message = error_message(error).encode()[:MESSAGE_BYTES_MAX].decode(errors="ignore")
    return {
        "RequestID": ("String", work.request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", message or "Unknown"),
    }


class _Error(msgspec.Struct):
    errorMessage: str = ""
    errorType: str = ""


def error_message(body: bytes) -> str:
    """The errorMessage of an error object, or the whole text when it is none."""
    return _error(body).errorMessage or body.decode(errors="replace")


def error_type(body: bytes) -> str:
    return _error(body).errorType


def _error(body: bytes) -> _Error:
    try:
        return msgspec.json.decode(body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Error()


def iso_ms(at: float) -> str:
    """Unix seconds as `2026-11-23T17:05:09.123Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _raw(data: bytes) -> msgspec.Raw:
    """The text as it is; what a handler's runtime wrote that is no JSON becomes a string."""
    return msgspec.Raw(data if is_json(data) else msgspec.json.encode(data.decode(errors="replace")))
