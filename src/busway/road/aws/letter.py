"""One dead letter as SQS gives it: whose it is, how it failed, and the way back to what failed. Pure.

On AWS nobody knows where a letter came from but whoever wrote it: EventBridge and Lambda say it in attributes, a
destination in the body, SQS in an attribute of its own.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from busway.arn import parse_arn
from busway.delivery.letter_groups import LetterGroup, LetterGroups
from busway.errors import InvalidEvent
from busway.pattern import Pattern
from busway.road.aws.read_json import read_json

# What a letter's `kind` says of who wrote it.
RULE, FUNCTION, DESTINATION, QUEUE, STREAM, UNKNOWN = "rule", "function", "destination", "queue", "stream", "unknown"
# Lambda's ErrorCode is an HTTP status; this one says no more than that the function failed.
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
_FAILED = "200"


class AwsLetter(msgspec.Struct, frozen=True, kw_only=True):
    """`failed_at` is when the letter was written, in Unix seconds; `attempts` None where nothing says.

    `handler` is the ARN of what failed, or a function's name; "" where nobody knows. `payload` is what it was given.
    `receipt` is what SQS wants to hear to end it.
    """

    message_id: str
    queue: str
    kind: str
    handler: str
    payload: str
    failed_at: float
    error_code: str = ""
    error_message: str = ""
    attempts: int | None = None
    event_id: str = ""
    request_id: str = ""
    rule_arn: str = ""
    receipt: str = ""
    attributes: dict[str, Any] = {}

    @property
    def identity(self) -> str:
        """The same for a letter of the same thing: its event, or what it holds."""
        return f"{self.handler} {self.event_id or hashlib.sha256(self.payload.encode()).hexdigest()}"


class Wanted(msgspec.Struct, frozen=True):
    """Which letters: of message or event ids, with an error's code, that a pattern matches; None and "" are any."""

    ids: frozenset[str] | None = None
    error_code: str = ""
    pattern: Pattern | None = None

    def takes(self, letter: AwsLetter) -> bool:
        if self.ids is not None and not self.ids & {letter.message_id, letter.event_id or letter.message_id}:
            return False
        if self.error_code and letter.error_code != self.error_code:
            return False
        try:
            return self.pattern is None or self.pattern.matches(letter.payload.encode())
        except InvalidEvent:
            # A target's own input may be any text.
            return False


class _Envelope(msgspec.Struct):
    id: str
    source: str


class _Context(msgspec.Struct, rename="camel"):
    request_id: str = ""
    function_arn: str = ""
    condition: str = ""
    approximate_invoke_count: int = 0


class _Record(msgspec.Struct, rename="camel"):
    request_context: _Context
    request_payload: msgspec.Raw = msgspec.Raw()
    response_payload: msgspec.Raw = msgspec.Raw()
    kinesis_batch_info: dict[str, Any] | None = msgspec.field(default=None, name="KinesisBatchInfo")


class _Error(msgspec.Struct):
    errorType: str = ""
    errorMessage: str = ""


def read_letter(message: Mapping[str, Any], queue: str, function: str) -> AwsLetter:
    """A message of ReceiveMessage, with all its attributes. `function` is whose queue it is: Lambda says no name."""
    words = {name: str(value.get("StringValue", "")) for name, value in message.get("MessageAttributes", {}).items()}
    system: Mapping[str, str] = message.get("Attributes", {})
    body = str(message["Body"])
    about: dict[str, Any] = {
        "message_id": str(message["MessageId"]), "queue": queue, "receipt": str(message["ReceiptHandle"]),
        "failed_at": int(system.get("SentTimestamp", 0)) / 1000, "payload": body,
        "attributes": message.get("MessageAttributes", {}),
    }  # fmt: skip
    about |= {"event_id": event_id_of(body), **_source(words, system, body, function)}
    return AwsLetter(**about)


def _source(words: Mapping[str, str], system: Mapping[str, str], body: str, function: str) -> dict[str, Any]:
    """What differs by who wrote it."""
    if "TARGET_ARN" in words or "RULE_ARN" in words:
        tried = words.get("RETRY_ATTEMPTS", "")
        return {
            "kind": RULE, "handler": words.get("TARGET_ARN", ""), "rule_arn": words.get("RULE_ARN", ""),
            "error_code": words.get("ERROR_CODE", ""), "error_message": words.get("ERROR_MESSAGE", ""),
            "attempts": int(tried) + 1 if tried.isdigit() else None,
        }  # fmt: skip
    if "RequestID" in words:
        code = words.get("ErrorCode", "")
        return {
            "kind": FUNCTION, "handler": function, "request_id": words["RequestID"],
            "error_code": "" if code == _FAILED else code, "error_message": words.get("ErrorMessage", ""),
        }  # fmt: skip
    if source := system.get("DeadLetterQueueSourceArn"):
        # How often it was received is not told: each look counts there too.
        aside = "its redrive policy put it aside"
        return {"kind": QUEUE, "handler": source, "error_code": "ReceivedTooOften", "error_message": aside}
    record = _record(body)
    if record is not None:
        return _recorded(record)
    return {"kind": UNKNOWN, "handler": ""}


def _record(body: str) -> _Record | None:
    """What a destination of Lambda's was told."""
    return read_json(body, _Record)


def _recorded(record: _Record) -> dict[str, Any]:
    # A function may answer with anything; then its condition is all there is to say.
    context, failed = record.request_context, read_json(record.response_payload, _Error) or _Error()
    told: dict[str, Any] = {
        "kind": DESTINATION, "handler": context.function_arn.removesuffix(":$LATEST"),
        "request_id": context.request_id, "attempts": context.approximate_invoke_count,
        "error_code": failed.errorType or context.condition, "error_message": failed.errorMessage,
    }  # fmt: skip
    if record.kinesis_batch_info is not None:
        return {**told, "kind": STREAM, "event_id": ""}
    payload = bytes(record.request_payload).decode()
    return {**told, "payload": payload, "event_id": event_id_of(payload)}


def event_id_of(text: str) -> str:
    """The id of an event, "" for what is none."""
    found = read_json(text, _Envelope)
    return "" if found is None else found.id


def groups_of(letters: Iterable[AwsLetter]) -> list[LetterGroup]:
    """By queue, handler and error, the largest first."""
    found = LetterGroups()
    for letter in letters:
        found.add(letter.handler, letter.queue, letter.error_code, letter.error_message, letter.failed_at)
    return found.ordered()


class WayBack(msgspec.Struct, frozen=True):
    """How a letter gets back: by `service` "lambda" or "sqs" to `to`, or not at all ("") for a reason."""

    service: str
    to: str = ""
    reason: str = ""


def way_back(letter: AwsLetter) -> WayBack:
    """To exactly what failed, and to nothing else."""
    if letter.kind == STREAM:
        return WayBack("", reason="AWS keeps no payload here: the records lie in the stream that the letter names")
    if letter.kind == UNKNOWN or not letter.handler:
        return WayBack("", reason="nothing in it says what failed")
    if letter.kind in (FUNCTION, DESTINATION):
        return WayBack("lambda", letter.handler)
    parsed = parse_arn(letter.handler)
    service = parsed.service if parsed else ""
    if service in ("lambda", "sqs"):
        return WayBack(service, letter.handler)
    return WayBack("", reason=f"what failed is {letter.handler}, which is no function and no queue")


def told(letter: AwsLetter) -> dict[str, Any]:
    """For people and programs: without what only SQS needs."""
    found = cast(dict[str, Any], msgspec.to_builtins(letter))
    return {name: value for name, value in found.items() if name not in ("receipt", "attributes")}
