"""What deploying a manifest asks of a server: AWS calls as plain data, in order. Pure.

Each call is one that may be made again. Where AWS answers "exists already", the call says what to do instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS, Scope
from busway.road.alarms import alarm_calls, end_alarm_calls
from busway.road.batches import end_calls, mapping_calls, source_calls, target as source_target
from busway.road.calls import Call
from busway.road.function_plan import (
    MISSING,
    Ground,
    function_arn,
    function_call,
    invocation_calls,
    role_arn,
    tag_calls,
)
from busway.road.manifest import (
    DEAD_LETTER_RETENTION_S,
    PROJECT_TAG,
    HandlerEntry,
    Manifest,
    dead_letter_queue,
    function_name,
)
from busway.road.rules import RuleEntry

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_RetryPolicy.html
TARGET_AGE_S_MAX = 86_400


# By handler: the function's Code as Lambda takes it (a zip, or a folder's place).
Codes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """All calls that make one handler or rule live, and what is told when they are done.

    What `prepare` makes is reached by no event yet, where events go to an alias; `switch` lets them go there. `end`
    ends what its batches came from and come from no more.
    """

    name: str
    says: str
    prepare: Sequence[Call]
    switch: Sequence[Call]
    end: Sequence[Call] = ()

    @property
    def calls(self) -> list[Call]:
        return [*self.prepare, *self.switch, *self.end]


def plan(manifest: Manifest, codes: Codes, ground: Ground) -> list[Step]:
    """The calls for each handler. Raises BrokenProject when one passes on a variable that is not set."""
    return [_handler_step(manifest, entry, codes[entry.name], ground) for entry in manifest.handlers]


def bus_calls(manifest: Manifest) -> list[Call]:
    """What must be there before any handler: the bus, unless it is the default one, which always is."""
    if manifest.bus == DEFAULT_BUS:
        return []
    return [Call("events", "CreateEventBus", {"Name": manifest.bus}, exists=("ResourceAlreadyExistsException",))]


def bus_of(manifest: Manifest, entry: HandlerEntry | RuleEntry) -> str:
    """Where its rule is: schedules belong to the default bus."""
    return DEFAULT_BUS if isinstance(entry, HandlerEntry) and entry.schedule else manifest.bus


def retire(project: str, bus: str, handler: str, scope: Scope, qualifier: str = "") -> list[Call]:
    """The calls that end a handler whose folder is gone. Its dead letters stay: somebody may need them."""
    return [
        *cut_off(project, bus, handler),
        *end_calls(None, function_name(project, handler), scope, qualifier),
        *forget(project, handler),
    ]


def cut_off(project: str, bus: str, handler: str) -> list[Call]:
    """The calls after which a handler gets no more events; it goes on with those that it has."""
    name = function_name(project, handler)
    # What it was triggered by is not known any more: an event, or a schedule.
    return [call for one in dict.fromkeys((bus, DEFAULT_BUS)) for call in end_rule(name, one)]


def forget(project: str, handler: str) -> list[Call]:
    """The calls that end a handler's function, and what is still in its queue."""
    name = function_name(project, handler)
    return [
        Call("lambda", "DeleteFunction", {"FunctionName": name}, exists=MISSING),
        *end_alarm_calls(name),
    ]


def end_rule(name: str, bus: str) -> list[Call]:
    return [
        Call("events", "RemoveTargets", {"Rule": name, "EventBusName": bus, "Ids": [name]}, exists=MISSING),
        Call("events", "DeleteRule", {"Name": name, "EventBusName": bus}, exists=MISSING),
    ]


def _says(entry: HandlerEntry) -> str:
    batch = entry.batch
    how = f"{batch.source}, batches of {batch.size} or {batch.window_s} s, " if batch is not None else ""
    trigger = entry.schedule or entry.event
    retries = f"{entry.retries} retr{'y' if entry.retries == 1 else 'ies'}"
    return f"{trigger} -> {entry.name} ({how}{retries}, dead letters{alarms_said(entry.alarms, entry.alert)})"


def alarms_said(wanted: bool, alert: str | None) -> str:
    """For a person, after other things."""
    if not wanted:
        return ", no alarms"
    return f", alarms, alert {alert}" if alert else ", alarms"


def _handler_step(manifest: Manifest, entry: HandlerEntry, code: Mapping[str, Any], ground: Ground) -> Step:
    name, scope = function_name(manifest.project, entry.name), ground.scope
    queue = dead_letter_queue(name)
    queue_arn = scope.arn("sqs", queue)
    bus = bus_of(manifest, entry)
    rule_arn = scope.rule_arn(bus, name)
    function = function_call(manifest, entry, code, ground, queue_arn)
    if entry.batch is None:
        source: list[Call] = []
        way = invocation_calls(entry, name, ground.qualifier, rule_arn)
        goal: Mapping[str, Any] = {"Arn": function_arn(scope, name, ground.qualifier)}
    else:
        source = source_calls(entry, entry.batch, name, scope, dead_letters=queue_arn, rule=rule_arn)
        way = mapping_calls(entry, entry.batch, name, scope, queue_arn, ground.qualifier)
        goal = source_target(entry.batch, name, scope, role_arn(scope))
    return Step(
        entry.name,
        _says(entry),
        prepare=[dead_letters_call(queue), *source, function],
        switch=[
            *tag_calls(manifest, entry, code, scope),
            *way,
            *_rule_calls(manifest, entry, name, goal, queue_arn),
            *alarm_calls(entry.alarms, entry.alert, entry.name, name, scope, rule=False),
        ],
        end=end_calls(entry.batch, name, scope, ground.qualifier),
    )


def dead_letters_call(queue: str) -> Call:
    return Call(
        "sqs",
        "CreateQueue",
        {"QueueName": queue, "Attributes": {"MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_S)}},
        # Somebody changed its attributes: theirs stay.
        exists=("QueueAlreadyExists", "QueueNameExists"),
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
    bus = bus_of(manifest, entry)
    trigger = (
        {"ScheduleExpression": entry.schedule}
        if entry.schedule
        else {"EventPattern": msgspec.json.encode(entry.pattern).decode()}
    )
    other = next((one for one in (manifest.bus, DEFAULT_BUS) if one != bus), None)
    return [
        Call("events", "PutRule", {"Name": name, "EventBusName": bus, **trigger, "Tags": rule_tags(manifest, {})}),
        Call("events", "PutTargets", {"Rule": name, "EventBusName": bus, "Targets": [target]}),
        # It may have been triggered by the other kind before.
        *(end_rule(name, other) if other else ()),
    ]


def rule_tags(manifest: Manifest, more: Mapping[str, str]) -> list[dict[str, str]]:
    """By these a rule is known to be the project's."""
    return [{"Key": name, "Value": value} for name, value in {PROJECT_TAG: manifest.project, **more}.items()]


def retry_policy(max_age_s: int) -> dict[str, int]:
    """How long and how often the bus tries to hand an event over."""
    return {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": min(max_age_s, TARGET_AGE_S_MAX)}
