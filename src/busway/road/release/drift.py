"""What is on the server against what a plan puts there: somebody may have changed it by hand since.

Each call of a plan that says how something is to be has a reading: the AWS call that tells how it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from busway.errors import ServerRefused
from busway.road.calls import Call
from busway.road.function_plan import MISSING
from busway.road.manifest import Manifest, function_name
from busway.road.plan import Step
from busway.road.release.history import Released
from busway.road.release.plan import LIVE

Settings = Mapping[str, Any]
TARGET = "rule target"
GONE = (*MISSING, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


class Server(Protocol):
    """The part of a connection that is asked."""

    def call(self, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any]: ...


class Drift(msgspec.Struct, frozen=True):
    """One setting that is not what was deployed. `name` is the handler's or rule's; None for what is not there."""

    name: str
    thing: str
    setting: str
    found: Any
    wanted: Any


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read what a call puts: the operation, its parameters, and the settings of either side."""

    thing: str
    operation: str
    asks: Callable[[Settings], dict[str, Any]]
    found: Callable[[dict[str, Any]], Settings]
    wanted: Callable[[Settings], Settings]


def drift(server: Server, steps: Sequence[Step], manifest: Manifest, released: Mapping[str, Released]) -> list[Drift]:
    """Of handlers and rules as they were deployed. Raises ServerUnreachable, ServerRefused."""
    handlers = {entry.name for entry in manifest.handlers}
    found: list[Drift] = []
    for step in steps:
        if step.name in handlers and step.name in released:
            found += _alias(server, step.name, function_name(manifest.project, step.name), released[step.name])
        for call in step.calls:
            found += _read(server, step.name, call)
    return found


def strays(found: Sequence[Drift]) -> dict[str, list[str]]:
    """Targets that were not deployed, by the handler or rule whose rule has them. Pure."""
    ids: dict[str, list[str]] = {}
    for one in found:
        if one.thing == TARGET and one.setting and one.wanted is None:
            ids.setdefault(one.name, []).append(one.setting)
    return ids


def _alias(server: Server, name: str, function: str, released: Released) -> list[Drift]:
    answer = _asked(server, "lambda", "GetAlias", {"FunctionName": function, "Name": LIVE})
    version = answer and answer.get("FunctionVersion")
    if version == released.version:
        return []
    return [Drift(name, f"alias {LIVE}", "version", version, released.version)]


def _read(server: Server, name: str, call: Call) -> Iterator[Drift]:
    reading = READINGS.get(call.operation)
    if reading is None:
        return
    answer = _asked(server, call.service, reading.operation, reading.asks(call.parameters))
    found = None if answer is None else reading.found(answer)
    wanted = reading.wanted(call.parameters)
    if not found and wanted:
        yield Drift(name, reading.thing, "", None, "there")
        return
    for setting in sorted(set(found or {}) | set(wanted)):
        is_now = (found or {}).get(setting)
        if is_now != wanted.get(setting):
            yield Drift(name, reading.thing, setting, is_now, wanted.get(setting))


def _asked(server: Server, service: str, operation: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    """None for what is not there."""
    try:
        return server.call(service, operation, parameters)
    except ServerRefused as refusal:
        if refusal.code in GONE:
            return None
        raise


def _only(*names: str) -> Callable[[Settings], dict[str, Any]]:
    return lambda given: {name: given[name] for name in names if name in given}


def _function(given: Settings) -> Settings:
    """Not the runtime, which is the Python of whoever deploys, and no variables: nobody can change a version's."""
    letters = given.get("DeadLetterConfig", {}).get("TargetArn")
    return {**_only("Handler", "Timeout", "MemorySize")(given), "DeadLetterConfig": letters}


def _rule(given: Settings) -> Settings:
    pattern = given.get("EventPattern")
    read = {"EventPattern": msgspec.json.decode(pattern)} if pattern else {}
    return {**read, **_only("ScheduleExpression")(given), "State": given.get("State", "ENABLED")}


def _targets(given: Settings) -> Settings:
    return {target["Id"]: target for target in given.get("Targets", [])}


_MAPPED = (
    "BatchSize", "MaximumBatchingWindowInSeconds", "ParallelizationFactor", "BisectBatchOnFunctionError",
    "MaximumRetryAttempts", "MaximumRecordAgeInSeconds", "ScalingConfig",
)  # fmt: skip


def _mapping(given: Settings) -> Settings:
    return {name: value for name, value in _only(*_MAPPED)(given).items() if value not in (None, {})}


def _first_mapping(answer: dict[str, Any]) -> Settings:
    found = answer["EventSourceMappings"]
    if not found:
        return {}
    return {**_mapping(found[0]), "Enabled": found[0]["State"] not in ("Disabled", "Disabling")}


_ALARM = ("Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "Threshold", "ComparisonOperator")


def _alarm(given: Settings) -> Settings:
    asked = {
        one["Id"]: one.get("Expression") or [one["MetricStat"][name] for name in ("Metric", "Period", "Stat")]
        for one in given.get("Metrics", [])
    }
    return {**_only(*_ALARM)(given), **asked, "actions": sorted(given.get("AlarmActions", []))}


def _first_alarm(answer: dict[str, Any]) -> Settings:
    return _alarm(answer["MetricAlarms"][0]) if answer["MetricAlarms"] else {}


def _there(given: Settings) -> Settings:
    return {"there": True}


# By the operation that puts it.
READINGS: Mapping[str, Reading] = {
    "CreateFunction": Reading(
        "function", "GetFunctionConfiguration",
        lambda given: {"FunctionName": given["FunctionName"], "Qualifier": LIVE}, _function, _function,
    ),
    "PutFunctionEventInvokeConfig": Reading(
        "asynchronous invocation", "GetFunctionEventInvokeConfig", _only("FunctionName", "Qualifier"),
        _only("MaximumRetryAttempts", "MaximumEventAgeInSeconds"),
        _only("MaximumRetryAttempts", "MaximumEventAgeInSeconds"),
    ),
    "PutFunctionConcurrency": Reading(
        "concurrency", "GetFunctionConcurrency", _only("FunctionName"), _only("ReservedConcurrentExecutions"),
        _only("ReservedConcurrentExecutions"),
    ),
    "DeleteFunctionConcurrency": Reading(
        "concurrency", "GetFunctionConcurrency", _only("FunctionName"), _only("ReservedConcurrentExecutions"),
        lambda _: {},
    ),
    "PutRule": Reading("rule", "DescribeRule", _only("Name", "EventBusName"), _rule, _rule),
    "PutTargets": Reading(
        TARGET, "ListTargetsByRule", _only("Rule", "EventBusName"), _targets, _targets,
    ),
    "PutMetricAlarm": Reading(
        "alarm", "DescribeAlarms", lambda given: {"AlarmNames": [given["AlarmName"]]}, _first_alarm, _alarm,
    ),
    "CreateQueue": Reading("queue", "GetQueueUrl", _only("QueueName"), _there, _there),
    "CreateStream": Reading("stream", "DescribeStreamSummary", _only("StreamName"), _there, _there),
    "CreateEventSourceMapping": Reading(
        "mapping", "ListEventSourceMappings", _only("FunctionName", "EventSourceArn"), _first_mapping,
        lambda given: {**_mapping(given), "Enabled": given["Enabled"]},
    ),
}  # fmt: skip
