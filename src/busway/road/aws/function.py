"""The function of a handler: its role, its log, its code, and how events reach it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from busway.handling import RETRIES_AWS_MAX
from busway.idempotent import TABLE
from busway.road.aws.letters import Resources
from busway.road.aws.names import Ids, Names, arn
from busway.road.aws.roles import EVENTS, LAMBDA, Statement, allow, declared, role
from busway.road.manifest import EVENT_TAG, HANDLER_TAG, PROJECT_TAG, HandlerEntry
from busway.road.root import AwsSettings
from busway.unsealing import SECRETS

ENVIRONMENT_TAG = "busway:environment"
ONCE_TABLE = "OnceTable"
# A stream is read by these; ListStreams is asked for by the check when a mapping is made.
# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
STREAM_READS = (
    "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
    "kinesis:ListShards", "kinesis:ListStreams",
)  # fmt: skip
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
QUEUE_READS = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")


@dataclass(frozen=True, slots=True)
class Code:
    """A handler's code in the bucket. `steps`: it calls `once` itself, whatever becomes of its events."""

    key: str
    entry_point: str
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What all functions of an environment have in common."""

    names: Names
    ids: Ids
    settings: AwsSettings


def function_resources(where: Setting, entry: HandlerEntry, code: Code, source: Any = None) -> Resources:
    """`source`: the logical id of the stream or queue that a handler of batches reads."""
    logical, log = where.ids.entries[entry.name], f"{where.ids.entries[entry.name]}LogGroup"
    runs_once = uses_table(entry, code)
    statements = [
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": [log, "Arn"]}),
        allow("sqs:SendMessage", {"Fn::GetAtt": [f"{logical}DeadLetters", "Arn"]}),
        *_source_statements(entry, source),
        *([_once_statement(where.names.of(entry.name))] if runs_once else []),
        *_secret_statements(where.names, entry),
        *declared(entry.permissions),
    ]
    return {
        log: {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": where.names.log_group(entry.name), "RetentionInDays": where.settings.log_days,
            },
        },
        f"{logical}FunctionRole": role(LAMBDA, "handler", statements),
        f"{logical}Function": _function(where, entry, code, runs_once=runs_once),
    }  # fmt: skip


def uses_table(entry: HandlerEntry, code: Code) -> bool:
    """Whether a handler keeps something in the table of `once`: its events, or steps of its own."""
    return code.steps or (entry.once and entry.batch is None)


def is_node(entry: HandlerEntry) -> bool:
    return entry.runtime.startswith("nodejs")


def _once_statement(function: str) -> Statement:
    """Its own rows alone: `idempotent.Table` begins their keys with the function's name."""
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{function}/*"]}}
    return allow(["dynamodb:DeleteItem", "dynamodb:PutItem"], {"Fn::GetAtt": [ONCE_TABLE, "Arn"]}, own)


def _secret_statements(names: Names, entry: HandlerEntry) -> list[Statement]:
    """Secrets Manager ends a secret's ARN with six letters of its own.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
    """
    secrets = [arn("secretsmanager", f"secret:{names.secret(variable)}-??????") for variable in entry.secrets]
    return [allow("secretsmanager:GetSecretValue", secrets)] if secrets else []


def _source_statements(entry: HandlerEntry, source: Any) -> list[Statement]:
    if entry.batch is None:
        return []
    actions = STREAM_READS if entry.batch.source == "stream" else QUEUE_READS
    return [allow(list(actions), {"Fn::GetAtt": [source, "Arn"]})]


def _function(where: Setting, entry: HandlerEntry, code: Code, *, runs_once: bool) -> dict[str, Any]:
    logical, names = where.ids.entries[entry.name], where.names
    variables: dict[str, Any] = {name: {"Ref": where.ids.variable(name)} for name in entry.env}
    if is_node(entry):
        # A bundle comes with a source map: a stack trace names the lines that were written.
        variables["NODE_OPTIONS"] = "--enable-source-maps"
    if runs_once:
        variables[TABLE] = {"Ref": ONCE_TABLE}
    if entry.secrets:
        named = {variable: names.secret(variable) for variable in entry.secrets}
        variables[SECRETS] = msgspec.json.encode(named, order="sorted").decode()
    of_project = {PROJECT_TAG: names.project, ENVIRONMENT_TAG: names.environment}
    tags = {**of_project, HANDLER_TAG: entry.name, EVENT_TAG: entry.event}
    properties: dict[str, Any] = {
        "FunctionName": names.of(entry.name),
        "Description": entry.schedule or f"{entry.event}, handled by {entry.file}"[:256],
        "Runtime": entry.runtime or f"python{where.settings.python}",
        "Architectures": [where.settings.architecture],
        "Handler": code.entry_point,
        "Code": {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": code.key},
        "Role": {"Fn::GetAtt": [f"{logical}FunctionRole", "Arn"]},
        "Timeout": entry.timeout_s,
        "MemorySize": entry.memory_mb,
        "LoggingConfig": {"LogGroup": {"Ref": f"{logical}LogGroup"}},
        "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": [f"{logical}DeadLetters", "Arn"]}},
        "Tags": [{"Key": key, "Value": tags[key]} for key in sorted(tags)],
    }
    if variables:
        properties["Environment"] = {"Variables": variables}
    if entry.concurrency is not None:
        properties["ReservedConcurrentExecutions"] = entry.concurrency
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def invocation_resources(entry: HandlerEntry, logical: str, rule: Any) -> Resources:
    """How often and how long Lambda tries, and that this rule alone may invoke. `rule`: its ARN."""
    function = {"Ref": f"{logical}Function"}
    return {
        f"{logical}InvokeConfig": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": function,
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": min(entry.retries, RETRIES_AWS_MAX),
                "MaximumEventAgeInSeconds": entry.max_age_s,
            },
        },
        f"{logical}Permission": permission(f"{logical}Function", rule),
    }


def permission(function: str, rule: Any) -> dict[str, Any]:
    """A rule may invoke a function of the template."""
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": function},
            "Action": "lambda:InvokeFunction",
            "Principal": EVENTS,
            "SourceArn": rule,
        },
    }
