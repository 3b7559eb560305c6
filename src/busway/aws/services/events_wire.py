"""EventBridge's members to and from ours. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from busway.aws.errors import AwsError
from busway.bus.record import BusRecord, RuleDefinition, TargetSpec
from busway.delivery import InputTransformer, RetryPolicy
from busway.errors import InvalidBusRequest

T = TypeVar("T")

Members = dict[str, Any]

# AWS's; a page holds this many when the caller doesn't say.
PAGE_MAX = 100
# Parameters of targets that Busway has no kind for; taking them in silence would promise something.
_FOREIGN_PARAMETERS = (
    "RunCommandParameters",
    "EcsParameters",
    "HttpParameters",
    "RedshiftDataParameters",
    "AppSyncParameters",
)
# Parameters of jobs, kept as they are.
_JOB_PARAMETERS = ("BatchParameters", "SageMakerPipelineParameters")
# What TestEventPattern asks of an event (the model's own words).
_ENVELOPE = ("id", "account", "source", "time", "region", "resources", "detail-type")


def page_of(items: Sequence[T], request: Members, name: Callable[[T], str]) -> tuple[list[T], str | None]:
    """The items after NextToken, at most Limit, and the token of the next page. `items` are sorted by name."""
    after = _read_token(request.get("NextToken"))
    rest = [item for item in items if after is None or name(item) > after]
    limit = request.get("Limit") or PAGE_MAX
    shown = rest[:limit]
    more = len(rest) > limit
    return shown, base64.urlsafe_b64encode(name(shown[-1]).encode()).decode() if more else None


def _read_token(token: str | None) -> str | None:
    if token is None:
        return None
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise AwsError("ValidationException", "Parameter NextToken is not valid. Reason: Invalid token.") from None


def bus_answer(record: BusRecord) -> Members:
    return {
        "Name": record.name,
        "Arn": record.arn,
        "Description": record.description,
        "Policy": msgspec.json.encode(record.policy).decode() if record.policy else None,
        "CreationTime": record.created_at,
        "LastModifiedTime": record.modified_at,
    }


def rule_answer(rule: RuleDefinition, bus_name: str) -> Members:
    return {
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern,
        "ScheduleExpression": rule.schedule,
        "State": rule.state,
        "Description": rule.description,
        "RoleArn": rule.role_arn,
        "EventBusName": bus_name,
    }


def read_target(target: Members) -> TargetSpec:
    """A member of PutTargets. Raises `InvalidBusRequest` for parameters of a kind that Busway doesn't have."""
    for name in _FOREIGN_PARAMETERS:
        if name in target:
            raise InvalidBusRequest(f"{name} of target {target['Id']}: Busway has no targets of that kind yet.")
    transformer = target.get("InputTransformer")
    retry = target.get("RetryPolicy")
    return TargetSpec(
        id=target["Id"],
        arn=target["Arn"],
        role_arn=target.get("RoleArn"),
        input=target.get("Input"),
        input_path=target.get("InputPath"),
        input_transformer=None
        if transformer is None
        else InputTransformer(transformer["InputTemplate"], transformer.get("InputPathsMap") or {}),
        retry=None if retry is None else _read_retry(retry),
        dead_letter_arn=_inner(target, "DeadLetterConfig", "Arn"),
        message_group_id=_inner(target, "SqsParameters", "MessageGroupId"),
        partition_key_path=_inner(target, "KinesisParameters", "PartitionKeyPath"),
        parameters={name: target[name] for name in _JOB_PARAMETERS if name in target},
    )


def _inner(members: Members, structure: str, name: str) -> str | None:
    inner: Members = members.get(structure) or {}
    return inner.get(name)


def _read_retry(retry: Members) -> RetryPolicy:
    default = RetryPolicy()
    return RetryPolicy(
        retries_max=retry.get("MaximumRetryAttempts", default.retries_max),
        age_s_max=float(retry.get("MaximumEventAgeInSeconds", default.age_s_max)),
    )


def target_answer(target: TargetSpec) -> Members:
    transformer = target.input_transformer
    return {
        "Id": target.id,
        "Arn": target.arn,
        "RoleArn": target.role_arn,
        "Input": target.input,
        "InputPath": target.input_path,
        "InputTransformer": None
        if transformer is None
        else {"InputPathsMap": transformer.paths or None, "InputTemplate": transformer.template},
        "SqsParameters": {"MessageGroupId": target.message_group_id} if target.message_group_id else None,
        "KinesisParameters": {"PartitionKeyPath": target.partition_key_path} if target.partition_key_path else None,
        **target.parameters,
        "DeadLetterConfig": {"Arn": target.dead_letter_arn} if target.dead_letter_arn else None,
        "RetryPolicy": None
        if target.retry is None
        else {
            "MaximumRetryAttempts": target.retry.retries_max,
            "MaximumEventAgeInSeconds": int(target.retry.age_s_max),
        },
    }


def read_test_event(text: str) -> bytes:
    """The event of TestEventPattern. Raises `InvalidBusRequest` unless it is an object with an envelope's members."""
    try:
        event = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidBusRequest("Parameter Event is not valid.") from None
    missing = [name for name in _ENVELOPE if name not in event]
    if missing:
        raise InvalidBusRequest(f"Parameter Event is not valid. Reason: {', '.join(missing)} is missing.")
    return text.encode()


def read_policy(text: str) -> Members:
    try:
        policy = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidBusRequest(f"Parameter Policy is not valid. Reason: {error}.") from None
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        return {**policy, "Statement": [statements]}
    if not isinstance(statements, list):
        raise InvalidBusRequest("Parameter Policy is not valid. Reason: it has no Statement.")
    return policy


def read_statement(request: Mapping[str, Any]) -> Members:
    """The statement that PutPermission's single members stand for."""
    missing = [name for name in ("Action", "Principal", "StatementId") if name not in request]
    if missing:
        raise InvalidBusRequest(f"Parameter {missing[0]} is required unless Policy is given.")
    principal = request["Principal"]
    statement: Members = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": principal if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": request["Action"],
    }
    condition = request.get("Condition")
    if condition is not None:
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return statement
