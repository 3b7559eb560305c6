"""The attributes of a queue: their names, ranges, defaults and AWS's words for what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from busway.arn import parse_arn
from busway.errors import (
    InvalidQueueAttribute,
    InvalidQueueRequest,
    UnknownQueueAttribute,
)
from busway.queue.permissions import check_policy


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from `low` to `high`, both inclusive."""

    low: int
    high: int
    default: int


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
# The size limit is 1 MiB since August 2025.
NUMBERS: Mapping[str, Range] = {
    "DelaySeconds": Range(0, 900, 0),
    "MaximumMessageSize": Range(1_024, 1_048_576, 1_048_576),
    "MessageRetentionPeriod": Range(60, 1_209_600, 345_600),
    "ReceiveMessageWaitTimeSeconds": Range(0, 20, 0),
    "VisibilityTimeout": Range(0, 43_200, 30),
}
KMS_REUSE_S = Range(60, 86_400, 300)
RECEIVES_MAX = Range(1, 1_000, 10)
# Stored and given back, and no more: nothing is encrypted, and any account may do anything in one server.
TEXTS = frozenset({"Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"})
POLICIES = frozenset({"RedrivePolicy", "RedriveAllowPolicy"})
# What a FIFO queue has besides: the values that each may have, the default first.
FIFO: Mapping[str, tuple[str, ...]] = {
    "FifoQueue": ("true",),
    "ContentBasedDeduplication": ("false", "true"),
    "DeduplicationScope": ("queue", "messageGroup"),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
}
COUNTS = {
    "ApproximateNumberOfMessages": "ready",
    "ApproximateNumberOfMessagesDelayed": "delayed",
    "ApproximateNumberOfMessagesNotVisible": "leased",
}
READ_ONLY = frozenset({*COUNTS, "CreatedTimestamp", "LastModifiedTimestamp", "QueueArn"})
EVERY_NAME = frozenset({*NUMBERS, *TEXTS, *POLICIES, *FIFO, *READ_ONLY})
SOURCE_QUEUES_MAX = 10
PERMISSIONS = ("allowAll", "denyAll", "byQueue")
# Given as "", these are taken away.
CLEARABLE = frozenset({"Policy", "KmsMasterKeyId", *POLICIES})


@dataclass(frozen=True, slots=True)
class Redrive:
    """Where a message goes that was received `receives_max` times and not deleted."""

    dead_letter_arn: str
    receives_max: int


@dataclass(frozen=True, slots=True)
class RedriveAllow:
    """Which queues may name this one as their dead-letter queue."""

    permission: str = "allowAll"
    source_arns: frozenset[str] = frozenset()

    def allows(self, source_arn: str) -> bool:
        if self.permission == "byQueue":
            return source_arn in self.source_arns
        return self.permission == "allowAll"


def check_attributes(given: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """What is to be stored of attributes that a user sets on such a queue; "" stays for those to be taken away.

    Raises `UnknownQueueAttribute`, `InvalidQueueAttribute`, `InvalidQueueRequest` (a redrive policy).
    """
    return {name: _checked(name, value, fifo) for name, value in given.items()}


def check_throughput(attributes: Mapping[str, str]) -> None:
    """High throughput is by group, so duplicates must be looked for by group too. Raises `InvalidQueueAttribute`."""
    by_group = attributes.get("DeduplicationScope") == "messageGroup"
    if attributes.get("FifoThroughputLimit") == "perMessageGroupId" and not by_group:
        raise InvalidQueueAttribute(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        )


def _checked(name: str, value: str, fifo: bool) -> str:
    if name in FIFO:
        return _of_fifo(name, value, fifo)
    if name in NUMBERS:
        return _number(name, value, NUMBERS[name])
    if name == "KmsDataKeyReusePeriodSeconds":
        return _number(name, value, KMS_REUSE_S)
    if name == "SqsManagedSseEnabled" and value.lower() not in ("true", "false"):
        raise InvalidQueueAttribute(name)
    if name not in TEXTS and name not in POLICIES:
        raise UnknownQueueAttribute(name)
    if value and name == "Policy":
        check_policy(value)
    elif value and name == "RedrivePolicy":
        parse_redrive(value)
    elif value and name == "RedriveAllowPolicy":
        parse_redrive_allow(value)
    return value.lower() if name == "SqsManagedSseEnabled" else value


def _of_fifo(name: str, value: str, fifo: bool) -> str:
    if not fifo:
        raise UnknownQueueAttribute(name)
    if name == "FifoQueue" and value.lower() != "true":
        raise InvalidQueueAttribute(name, "Modifying queue type is not supported.")
    if name in ("FifoQueue", "ContentBasedDeduplication"):
        value = value.lower()
    if value not in FIFO[name]:
        raise InvalidQueueAttribute(name)
    return value


def _number(name: str, value: str, allowed: Range) -> str:
    number = _whole(value)
    if number is None or not allowed.low <= number <= allowed.high:
        raise InvalidQueueAttribute(name)
    return str(number)


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _json_object(text: str, error: Exception) -> dict[str, Any]:
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise error from None
    if not isinstance(value, dict):
        raise error
    return cast(dict[str, Any], value)


def parse_redrive(text: str) -> Redrive:
    """A RedrivePolicy's JSON. Raises `InvalidQueueRequest` in AWS's words."""
    where = f"Value {text} for parameter RedrivePolicy is invalid. Reason: "
    policy = _json_object(text, InvalidQueueRequest(f"{where}Redrive policy is not a valid JSON map."))
    for member in ("deadLetterTargetArn", "maxReceiveCount"):
        if policy.get(member) in (None, ""):
            raise InvalidQueueRequest(f"{where}Redrive policy does not contain mandatory attribute: {member}.")
    target, wanted = policy["deadLetterTargetArn"], policy["maxReceiveCount"]
    arn = parse_arn(target) if isinstance(target, str) else None
    if arn is None or arn.service != "sqs":
        raise InvalidQueueRequest(f"{where}Invalid value for deadLetterTargetArn.")
    receives = _whole(wanted)
    if receives is None or not RECEIVES_MAX.low <= receives <= RECEIVES_MAX.high:
        raise InvalidQueueRequest(
            f"{where}Invalid value for maxReceiveCount: {wanted}, valid values are from 1 to 1000 both inclusive."
        )
    return Redrive(str(arn), receives)


def parse_redrive_allow(text: str) -> RedriveAllow:
    """A RedriveAllowPolicy's JSON. Raises `InvalidQueueRequest` in AWS's words."""
    where = f"Value {text} for parameter RedriveAllowPolicy is invalid. Reason: "
    policy = _json_object(text, InvalidQueueRequest(f"{where}RedriveAllowPolicy is not a valid JSON map."))
    permission = policy.get("redrivePermission")
    if permission not in PERMISSIONS:
        raise InvalidQueueRequest(f"{where}redrivePermission must be one of {', '.join(PERMISSIONS)}.")
    sources: object = policy.get("sourceQueueArns", [])
    arns = cast(list[object], sources) if isinstance(sources, list) else [None]
    if not all(isinstance(source, str) and parse_arn(source) for source in arns):
        raise InvalidQueueRequest(f"{where}sourceQueueArns must be a list of queue ARNs.")
    if (permission == "byQueue") != bool(arns) or len(arns) > SOURCE_QUEUES_MAX:
        raise InvalidQueueRequest(
            f"{where}sourceQueueArns must have 1 to {SOURCE_QUEUES_MAX} queue ARNs with byQueue, and none otherwise."
        )
    return RedriveAllow(permission, frozenset(cast(list[str], arns)))
