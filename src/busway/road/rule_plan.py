"""What deploying a project's rules asks of a server: AWS calls as plain data, in order. Pure.

A queue, stream or bus that a rule names is made if it is not there, and never deleted: others read from it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS, Scope
from busway.road.alarms import alarm_calls, end_alarm_calls
from busway.road.batches import SHARDS
from busway.road.calls import Call
from busway.road.function_plan import MISSING, function_arn, permission_call, role_arn
from busway.road.manifest import Manifest, dead_letter_queue, function_name
from busway.road.plan import Step, alarms_said, dead_letters_call, end_rule, retry_policy, rule_tags
from busway.road.rule_jobs import job_arn, service_of
from busway.road.rules import TARGETS_MAX, RuleEntry, RuleTarget

# On every rule that a project deploys, so that what is gone from the project can be found.
RULE_TAG = "busway:rule"
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
MAX_AGE_S = 86_400


def rule_plan(manifest: Manifest, scope: Scope, qualifier: str = "") -> list[Step]:
    """The calls for each rule; handlers, of which it invokes the alias `qualifier`, are there before."""
    return [_step(manifest, entry, scope, qualifier) for entry in manifest.rules]


def retire_rule(project: str, bus: str, rule: str) -> list[Call]:
    """The calls that end a rule whose file is gone. Its targets and its dead letters stay."""
    name = function_name(project, rule)
    ids = _ids(TARGETS_MAX)
    return [
        Call("events", "RemoveTargets", {"Rule": name, "EventBusName": bus, "Ids": ids}, exists=MISSING),
        *end_rule(name, bus),
        *end_alarm_calls(name),
    ]


def _says(entry: RuleEntry) -> str:
    goals = ", ".join(" ".join(target.place) for target in entry.rule.targets)
    return f"rule {entry.name} -> {goals} (dead letters{alarms_said(entry.alarms, entry.rule.alert)})"


def _step(manifest: Manifest, entry: RuleEntry, scope: Scope, qualifier: str) -> Step:
    name, bus = function_name(manifest.project, entry.name), manifest.bus
    rule_arn = scope.rule_arn(bus, name)
    letters = scope.arn("sqs", dead_letter_queue(name))
    rule = {
        "Name": name,
        "EventBusName": bus,
        "EventPattern": msgspec.json.encode(entry.rule.event_pattern).decode(),
        "Description": entry.rule.description,
        "Tags": rule_tags(manifest, {RULE_TAG: entry.name}),
    }
    targets = [
        {
            "Id": number,
            **put_target(manifest.project, target, scope, qualifier),
            "RetryPolicy": retry_policy(MAX_AGE_S),
            "DeadLetterConfig": {"Arn": letters},
        }
        for number, target in zip(_ids(TARGETS_MAX), entry.rule.targets, strict=False)
    ]
    less = _ids(TARGETS_MAX)[len(targets) :]
    of_rule = {"Rule": name, "EventBusName": bus}
    return Step(
        entry.name,
        _says(entry),
        prepare=[
            dead_letters_call(dead_letter_queue(name)),
            *(call for target in entry.rule.targets for call in _made(target)),
        ],
        switch=[
            *(call for target in entry.rule.targets for call in _let(manifest, target, qualifier, name, rule_arn)),
            Call("events", "PutRule", rule),
            Call("events", "PutTargets", {**of_rule, "Targets": targets}),
            # The file may have named more of them before.
            *([Call("events", "RemoveTargets", {**of_rule, "Ids": less})] if less else []),
            *alarm_calls(entry.alarms, entry.rule.alert, entry.name, name, scope, rule=True),
        ],
    )


def _ids(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def put_target(project: str, target: RuleTarget, scope: Scope, qualifier: str) -> dict[str, Any]:
    """A target as PutTargets takes it, but for its Id, retries and dead letters; `qualifier` is of handlers.

    Where AWS wants a role and the file names none, it is the project's.
    """
    kind, name = target.place
    role = {"RoleArn": role_arn(scope)} if kind in ("Stream", "Bus") or service_of(kind, name) else {}
    return {"Arn": target_arn(project, target, scope, qualifier), **role, **target.shaped}


def target_arn(project: str, target: RuleTarget, scope: Scope, qualifier: str) -> str:
    kind, name = target.place
    match kind:
        case "Queue":
            return scope.arn("sqs", name)
        case "Stream":
            return scope.arn("kinesis", f"stream/{name}")
        case "Bus":
            return scope.arn("events", f"event-bus/{name}")
        case "Handler":
            return function_arn(scope, function_name(project, name), qualifier)
        case "Arn":
            return name
        case _:
            return job_arn(kind, name, scope)


def _made(target: RuleTarget) -> list[Call]:
    """What the target needs to be there."""
    kind, name = target.place
    if kind == "Queue":
        return [Call("sqs", "CreateQueue", {"QueueName": name}, exists=("QueueAlreadyExists", "QueueNameExists"))]
    if kind == "Stream":
        stream = {"StreamName": name, "ShardCount": SHARDS}
        return [Call("kinesis", "CreateStream", stream, exists=("ResourceInUseException",))]
    if kind == "Bus" and name != DEFAULT_BUS:
        return [Call("events", "CreateEventBus", {"Name": name}, exists=("ResourceAlreadyExistsException",))]
    return []


def _let(manifest: Manifest, target: RuleTarget, qualifier: str, rule: str, rule_arn: str) -> list[Call]:
    """What lets the rule reach the target."""
    kind, name = target.place
    if kind != "Handler":
        return []
    return [permission_call(function_name(manifest.project, name), qualifier, f"busway-{rule}", rule_arn)]
