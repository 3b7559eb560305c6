"""What deploying a manifest asks of a server: AWS calls as plain data, in order. Pure.

Each call is one that may be made again. Where AWS answers "exists already", the call says what to do instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from busway.arn import Scope
from busway.bus.record import DEFAULT_BUS
from busway.errors import BrokenProject
from busway.handling import ONCE_EVENT, ONCE_TAG, RATE_TAG, RETRIES_AWS_MAX, RETRIES_TAG
from busway.road.batches import end_calls, mapping_calls, source_calls, target as source_target
from busway.road.calls import Call
from busway.road.manifest import (
    DEAD_LETTER_RETENTION_S,
    EVENT_TAG,
    FOLDER_TAG,
    HANDLER_TAG,
    PROJECT_TAG,
    HandlerEntry,
    Manifest,
    alarm_name,
    dead_letter_queue,
    function_name,
    route_arn,
)
from busway.secret.reference import reference, secret_name

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
ALARM_PERIOD_S = 60
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
TARGET_AGE_S_MAX = 86_400
# A function that is being put is given this role; on AWS it must exist, Busway keeps it and asks nothing of it.
ROLE = "busway-handlers"


# By folder below the project's: the function's Code as Lambda takes it (a zip, or a folder's place).
Codes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """All calls that make one handler or rule live, and what is told when they are done."""

    name: str
    says: str
    calls: Sequence[Call]


def plan(manifest: Manifest, codes: Codes, scope: Scope, runtime: str, environment: Mapping[str, str]) -> list[Step]:
    """The calls for each handler. `runtime` is that of handlers which name none.

    Raises BrokenProject when a handler passes on a variable that `environment` has not.
    """
    return [
        Step(
            entry.name, _says(entry), _handler_calls(manifest, entry, codes[entry.code], scope, runtime, environment)
        )
        for entry in manifest.handlers
    ]


def bus_calls(manifest: Manifest) -> list[Call]:
    """What must be there before any handler: the bus, unless it is the default one, which always is."""
    if manifest.bus == DEFAULT_BUS:
        return []
    return [Call("events", "CreateEventBus", {"Name": manifest.bus}, exists=("ResourceAlreadyExistsException",))]


def _bus_of(manifest: Manifest, entry: HandlerEntry) -> str:
    """Where its rule is: schedules belong to the default bus."""
    return DEFAULT_BUS if entry.schedule else manifest.bus


def retire(project: str, bus: str, handler: str, scope: Scope) -> list[Call]:
    """The calls that end a handler whose folder is gone. Its dead letters stay: somebody may need them."""
    name = function_name(project, handler)
    return [
        # What it was triggered by is not known any more: an event, or a schedule.
        *(call for one in dict.fromkeys((bus, DEFAULT_BUS)) for call in end_rule(name, one)),
        *end_calls(None, name, scope),
        Call("lambda", "DeleteFunction", {"FunctionName": name}, exists=MISSING),
        Call("cloudwatch", "DeleteAlarms", {"AlarmNames": [alarm_name(name)]}, exists=MISSING),
    ]


def end_rule(name: str, bus: str) -> list[Call]:
    return [
        Call("events", "RemoveTargets", {"Rule": name, "EventBusName": bus, "Ids": [name]}, exists=MISSING),
        Call("events", "DeleteRule", {"Name": name, "EventBusName": bus}, exists=MISSING),
    ]


MISSING = ("ResourceNotFoundException", "ResourceNotFound")


def _says(entry: HandlerEntry) -> str:
    alert, batch = f", alert {entry.alert}" if entry.alert else "", entry.batch
    how = f"{batch.source}, batches of {batch.size} or {batch.window_s} s, " if batch is not None else ""
    trigger = entry.schedule or entry.event
    return f"{trigger} -> {entry.name} ({how}{entry.retries} retries, dead letters, alarm{alert})"


def _handler_calls(
    manifest: Manifest,
    entry: HandlerEntry,
    code: Mapping[str, Any],
    scope: Scope,
    runtime: str,
    environment: Mapping[str, str],
) -> list[Call]:
    name = function_name(manifest.project, entry.name)
    queue = dead_letter_queue(name)
    queue_arn, function_arn = scope.arn("sqs", queue), scope.arn("lambda", f"function:{name}")
    settings = _function_settings(manifest, entry, scope, runtime, queue_arn, environment)
    function = _function_call(manifest, entry, code, settings, scope)
    bus = _bus_of(manifest, entry)
    rule_arn = scope.arn("events", f"rule/{name}" if bus == DEFAULT_BUS else f"rule/{bus}/{name}")
    if entry.batch is None:
        way = [function, *_invocation_calls(entry, name, rule_arn)]
        goal = {"Arn": function_arn}
    else:
        source = source_calls(entry, entry.batch, name, scope, dead_letters=queue_arn, rule=rule_arn)
        way = [*source, function, *mapping_calls(entry, entry.batch, name, scope, queue_arn)]
        goal = source_target(entry.batch, name, scope, role_arn(scope))
    return [
        dead_letters_call(queue),
        *way,
        *_rule_calls(manifest, entry, name, goal, queue_arn),
        alarm_call(entry.alert, entry.name, name, scope),
        *end_calls(entry.batch, name, scope),
    ]


def dead_letters_call(queue: str) -> Call:
    return Call(
        "sqs",
        "CreateQueue",
        {"QueueName": queue, "Attributes": {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_S)}},
        # Somebody changed its attributes: theirs stay.
        exists=("QueueAlreadyExists", "QueueNameExists"),
    )


def permission_call(function: str, statement: str, rule_arn: str) -> Call:
    """A rule may invoke a function."""
    permission = {
        "FunctionName": function,
        "StatementId": statement,
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": rule_arn,
    }
    return Call("lambda", "AddPermission", permission, exists=("ResourceConflictException",))


def _invocation_calls(entry: HandlerEntry, name: str, rule_arn: str) -> list[Call]:
    """How the function is invoked by its rule."""
    config = {
        "FunctionName": name,
        "MaximumRetryAttempts": min(entry.retries, RETRIES_AWS_MAX),
        "MaximumEventAgeInSeconds": entry.max_age_s,
    }
    of_function = {"FunctionName": name}
    reserve = (
        Call("lambda", "DeleteFunctionConcurrency", of_function, exists=MISSING)
        if entry.concurrency is None
        else Call(
            "lambda",
            "PutFunctionConcurrency",
            {**of_function, "ReservedConcurrentExecutions": entry.concurrency},
        )
    )
    return [
        reserve,
        Call("lambda", "PutFunctionEventInvokeConfig", config),
        permission_call(name, "busway-rule", rule_arn),
    ]


def role_arn(scope: Scope) -> str:
    return f"arn:aws:iam::{scope.account}:role/{ROLE}"


def _function_settings(
    manifest: Manifest,
    entry: HandlerEntry,
    scope: Scope,
    runtime: str,
    queue_arn: str,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    for variable in entry.env:
        if variable not in environment:
            raise BrokenProject(
                f"{entry.file} passes on env {variable!r}, which is not set here",
                f"set it where you deploy: export {variable}=...",
            )
    # A bundle comes with a source map: a stack trace names the lines that were written.
    traced = {"NODE_OPTIONS": "--enable-source-maps"} if entry.runtime.startswith("nodejs") else {}
    variables = {variable: environment[variable] for variable in entry.env}
    sealed = {variable: reference(secret_name(manifest.project, variable)) for variable in entry.secrets}
    return {
        "FunctionName": function_name(manifest.project, entry.name),
        "Runtime": entry.runtime or runtime,
        "Role": role_arn(scope),
        "Handler": entry.entry_point,
        "Description": entry.schedule or f"{entry.event} on bus {manifest.bus}",
        "Timeout": entry.timeout_s,
        "MemorySize": entry.memory_mb,
        "Environment": {"Variables": {**traced, **variables, **sealed}},
        "DeadLetterConfig": {"TargetArn": queue_arn},
    }


def _function_call(
    manifest: Manifest, entry: HandlerEntry, code: Mapping[str, Any], settings: Mapping[str, Any], scope: Scope
) -> Call:
    tags = {PROJECT_TAG: manifest.project, HANDLER_TAG: entry.name, EVENT_TAG: entry.event}
    if "S3Bucket" in code:
        tags[FOLDER_TAG] = str(code["S3Key"]).removesuffix(f"/{entry.code}")
    # What a handler may ask for, and may ask for no more when it is deployed again.
    more = entry.batch is None and entry.retries > RETRIES_AWS_MAX
    asked = {
        RATE_TAG: entry.rate,
        ONCE_TAG: ONCE_EVENT if entry.once else None,
        RETRIES_TAG: str(entry.retries) if more else None,
    }
    tags |= {tag: value for tag, value in asked.items() if value}
    name, arn = settings["FunctionName"], scope.arn("lambda", f"function:{settings['FunctionName']}")
    gone = sorted(set(asked) - set(tags))
    untag = [Call("lambda", "UntagResource", {"Resource": arn, "TagKeys": gone})] if gone else []
    return Call(
        "lambda",
        "CreateFunction",
        {**settings, "Code": code, "Tags": tags},
        exists=("ResourceConflictException",),
        then=(
            Call("lambda", "UpdateFunctionConfiguration", settings, after=name),
            Call("lambda", "UpdateFunctionCode", {"FunctionName": name, **code}, after=name, builds=name),
            Call("lambda", "TagResource", {"Resource": arn, "Tags": tags}),
            *untag,
        ),
        builds=name,
    )


def _rule_calls(
    manifest: Manifest, entry: HandlerEntry, name: str, goal: Mapping[str, Any], queue_arn: str
) -> list[Call]:
    target = {
        "Id": name,
        **goal,
        "RetryPolicy": retry_policy(entry.max_age_s),
        "DeadLetterConfig": {"Arn": queue_arn},
    }
    bus = _bus_of(manifest, entry)
    trigger = (
        {"ScheduleExpression": entry.schedule}
        if entry.schedule
        else {"EventPattern": msgspec.json.encode(entry.pattern).decode()}
    )
    other = next((one for one in (manifest.bus, DEFAULT_BUS) if one != bus), None)
    return [
        Call("events", "PutRule", {"Name": name, "EventBusName": bus, **trigger}),
        Call("events", "PutTargets", {"Rule": name, "EventBusName": bus, "Targets": [target]}),
        # It may have been triggered by the other kind before.
        *(end_rule(name, other) if other else ()),
    ]


def retry_policy(max_age_s: int) -> dict[str, int]:
    """How long and how often the bus tries to hand an event over."""
    return {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": min(max_age_s, TARGET_AGE_S_MAX)}


def alarm_call(alert: str | None, name: str, deployed: str, scope: Scope) -> Call:
    """The alarm on the dead letters of a handler, or of a rule (`name` ""); `deployed`: its name on the server."""
    actions = [route_arn(scope, alert)] if alert else []
    return Call(
        "cloudwatch",
        "PutMetricAlarm",
        {
            "AlarmName": alarm_name(deployed),
            "AlarmDescription": f"Dead letters of {deployed}: see them with `{f'busway dlq {name}'.strip()}`",
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [{"Name": "QueueName", "Value": dead_letter_queue(deployed)}],
            "Statistic": "Maximum",
            "Period": ALARM_PERIOD_S,
            "EvaluationPeriods": 1,
            "Threshold": 0.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": actions,
            "OKActions": actions,
        },
    )
