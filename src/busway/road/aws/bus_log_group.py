"""The log of the project's own bus, for an environment that wants one: `busway why` and `trace` read it. Pure.

    bus  ->  a source for each level  ->  a delivery  ->  one destination  ->  the log group

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus-logs.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS
from busway.errors import BrokenProject
from busway.road.aws.bus_log import GROUP_PREFIX
from busway.road.aws.names import Names, arn
from busway.road.root import AwsSettings

# A level has what those before it have, and each comes from a source of its own.
LEVELS = ("error", "info", "trace")
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutDeliverySource.html
NAME_LENGTH_MAX = 60


def log_config(settings: AwsSettings) -> dict[str, Any]:
    """What the bus itself must say. Details of events stay out: they may be anything, and are nobody's business."""
    if settings.bus_logs is None:
        return {}
    return {"LogConfig": {"Level": settings.bus_logs.upper(), "IncludeDetail": "NONE"}}


def log_resources(bus: str, names: Names, settings: AwsSettings) -> dict[str, dict[str, Any]]:
    """None for an environment that wants no log. Raises BrokenProject for a bus that is not the stack's."""
    if settings.bus_logs is None:
        return {}
    if bus == DEFAULT_BUS or not settings.create_bus:
        raise BrokenProject(
            f"bus_logs of {names.environment!r}: the bus {bus!r} is not made by the project's stack",
            "where it is made, its log can be turned on; `busway why --profile` reads it then: docs/aws.md",
        )
    levels = LEVELS[: LEVELS.index(settings.bus_logs) + 1]
    sources = {level: _name(names, f"bus-{level}") for level in levels}
    found: dict[str, dict[str, Any]] = {
        "BusLogs": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": GROUP_PREFIX + bus, "RetentionInDays": settings.log_days},
        },
        "BusLogsPolicy": _policy(bus, names, list(sources.values())),
        "BusLogsDestination": {
            "Type": "AWS::Logs::DeliveryDestination",
            "Properties": {
                "Name": _name(names, "bus-log"),
                "DestinationResourceArn": {"Fn::GetAtt": ["BusLogs", "Arn"]},
            },
        },
    }
    after = ["BusLogsPolicy"]
    for level, name in sources.items():
        source, delivery = f"BusLogs{level.title()}Source", f"BusLogs{level.title()}Delivery"
        found[source] = {
            "Type": "AWS::Logs::DeliverySource",
            "Properties": {
                "Name": name,
                "LogType": f"{level.upper()}_LOGS",
                "ResourceArn": {"Fn::GetAtt": ["Bus", "Arn"]},
            },
        }
        found[delivery] = {
            "Type": "AWS::Logs::Delivery",
            # Two at once to one destination are a conflict.
            "DependsOn": after,
            "Properties": {
                "DeliverySourceName": {"Ref": source},
                "DeliveryDestinationArn": {"Fn::GetAtt": ["BusLogsDestination", "Arn"]},
            },
        }
        after = [delivery]
    return found


def _policy(bus: str, names: Names, sources: list[str]) -> dict[str, Any]:
    """The service that delivers logs may write into the group, for these sources alone."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "delivery.logs.amazonaws.com"},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": _text(arn("logs", f"log-group:{GROUP_PREFIX}{bus}:log-stream:*")),
        "Condition": {
            "StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"},
            "ArnLike": {"aws:SourceArn": [_text(arn("logs", f"delivery-source:{name}")) for name in sources]},
        },
    }
    document = msgspec.json.encode({"Version": "2012-10-17", "Statement": [statement]}).decode()
    return {
        "Type": "AWS::Logs::ResourcePolicy",
        "Properties": {"PolicyName": _name(names, "bus-log"), "PolicyDocument": {"Fn::Sub": document}},
    }


def _text(made: dict[str, Any]) -> str:
    """What is filled in by the `Fn::Sub` around it."""
    return str(made["Fn::Sub"])


def _name(names: Names, what: str) -> str:
    """Letters, digits, hyphens and underscores; of one that would be too long, or has others, a part is its hash."""
    whole = f"{names.project}-{names.environment}"
    name = f"{whole}-{what}"
    if re.fullmatch(rf"[A-Za-z0-9_-]{{1,{NAME_LENGTH_MAX}}}", name):
        return name
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    plain = re.sub("[^A-Za-z0-9_-]+", "-", whole)
    return f"{plain[: NAME_LENGTH_MAX - len(what) - len(digest) - 2]}-{digest}-{what}"
