"""Targets of rules that nothing can be delivered to. PutTargets takes them, as AWS does, so somebody must tell."""

from __future__ import annotations

from busway.arn import Arn, parse_arn
from busway.bus.job_targets import JOB_KINDS
from busway.errors import InvalidFunction
from busway.function.record import resolve
from busway.inspect.ports import Inspection


def problem_of(server: Inspection, target_arn: str) -> str:
    """Why a target gets nothing, "" where it does, or where only AWS knows whether it is there."""
    arn = parse_arn(target_arn)
    if arn is None:
        return ""
    if arn.service in JOB_KINDS:
        return server.jobs_closed
    kinds = {"sqs": "queue", "kinesis": "stream", "lambda": "function", "events": "event bus", "sns": "topic"}
    kind = kinds.get(arn.service)
    return f"there is no {kind} {arn.name}" if kind and not _is_there(server, arn) else ""


def _is_there(server: Inspection, arn: Arn) -> bool:
    match arn.service:
        case "sqs":
            return server.queues.exists(str(arn))
        case "kinesis":
            return server.streams.get(str(arn)) is not None
        case "sns":
            return server.topic_exists(str(arn))
        case "events":
            return server.buses.by_arn(str(arn)) is not None
        case _:
            return _has_function(server, arn)


def _has_function(server: Inspection, arn: Arn) -> bool:
    try:
        function, _ = resolve(str(arn), arn.scope)
    except InvalidFunction:
        return False
    return server.functions.get(function) is not None
