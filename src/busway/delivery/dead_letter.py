"""Dead letters: what is on the wire (AWS's attributes), and what is kept beside it (where it came from). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from busway.arn import Scope, parse_arn
from busway.delivery import Delivery, Failed, RetryPolicy
from busway.engine import Put

# Message attributes: name → (data type, value).
Attributes = Mapping[str, tuple[str, str]]


class Source(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a dead letter came from: kept in its meta, off the wire, so that `redrive` finds the failed handler.

    `kind` chooses who puts it back: "rule-target" (the delivery to a target failed), "function" (an asynchronous
    invocation failed), "batch" (records of a stream were given up) or "queue" (the consumer of `target_arn` failed).
    `payload` is what the handler would have got. Times are Unix seconds; `attempts` is 0 for what was never tried (no
    such target, no valid payload). `mapping` is the uuid of the mapping that gave records up. `retry` is the rule's
    policy when it was given up. `edited` names what somebody changed in the payload before it was tried, "" for
    nothing.
    """

    kind: str
    payload: bytes
    rule_arn: str = ""
    target_id: str = ""
    target_arn: str = ""
    function_arn: str = ""
    mapping: str = ""
    event_id: str = ""
    request_id: str = ""
    bus_arn: str = ""
    error_code: str = ""
    error_message: str = ""
    attempts: int = 0
    first_at: float = 0.0
    failed_at: float = 0.0
    trace_header: str | None = None
    message_group_id: str | None = None
    partition_key: str | None = None
    parameters: dict[str, Any] = {}
    retry: RetryPolicy = RetryPolicy()
    edited: str = ""


class DeadLetters(Protocol):
    """Who turns a dead letter into queued work; the queue room does."""

    def put(
        self,
        queue_arn: str | None,
        bus_arn: str | None,
        scope: Scope,
        body: bytes,
        attributes: Attributes,
        source: Source,
        now: float,
    ) -> Put:
        """The put of one dead letter, without an origin.

        Goes to `queue_arn`; where that is None or no longer exists, to the undeliverable queue of the bus (ours:
        AWS would drop it).
        """
        ...


def encode_source(source: Source) -> bytes:
    return msgspec.json.encode(source)


def decode_source(data: bytes) -> Source:
    return msgspec.json.decode(data, type=Source)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a delivery ends in the dead letters. `condition` is set only when retries ran out."""

    failed: Failed
    attempts: int = 0
    condition: str | None = None
    first_at: float = 0.0


# Its text is data from anywhere (a target's answer); ours: no longer than what is useful to read.
MESSAGE_CHARS_MAX = 1_000


def attributes_of(delivery: Delivery, verdict: Verdict) -> dict[str, tuple[str, str]]:
    """The message attributes that AWS puts on a dead letter of a rule's target, all of type String.

    The last two exist only when retries ran out, whatever the policy was.
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    """
    words = {
        "RULE_ARN": delivery.rule_arn,
        "TARGET_ARN": delivery.target_arn,
        "ERROR_CODE": verdict.failed.code,
        "ERROR_MESSAGE": verdict.failed.message[:MESSAGE_CHARS_MAX],
    }
    if verdict.condition is not None:
        words["EXHAUSTED_RETRY_CONDITION"] = verdict.condition
        words["RETRY_ATTEMPTS"] = str(max(0, verdict.attempts - 1))
    # SQS takes no empty attribute; an alert has no rule.
    return {name: ("String", value) for name, value in words.items() if value}


def source_of(delivery: Delivery, verdict: Verdict, now: float) -> Source:
    return Source(
        kind="rule-target",
        payload=delivery.payload,
        rule_arn=delivery.rule_arn,
        target_id=delivery.target_id,
        target_arn=delivery.target_arn,
        event_id=delivery.event_id,
        bus_arn=delivery.bus_arn,
        error_code=verdict.failed.code,
        error_message=verdict.failed.message,
        attempts=verdict.attempts,
        first_at=verdict.first_at or now,
        failed_at=now,
        trace_header=delivery.trace_header,
        message_group_id=delivery.message_group_id,
        partition_key=delivery.partition_key,
        parameters=delivery.parameters,
        retry=delivery.retry,
    )


def bury(dead_letters: DeadLetters, delivery: Delivery, verdict: Verdict, now: float) -> Put:
    """The put that makes a dead letter of a delivery; its body is the body that was (to be) attempted."""
    owner = parse_arn(delivery.rule_arn or delivery.bus_arn or delivery.target_arn)
    return dead_letters.put(
        delivery.dead_letter_arn,
        delivery.bus_arn or None,
        owner.scope if owner else Scope(),
        delivery.payload,
        attributes_of(delivery, verdict),
        source_of(delivery, verdict, now),
        now,
    )
