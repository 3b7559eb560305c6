"""What CloudWatch's history of an alarm says since a moment: when it rang, and who was told. Asked, not kept.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_AlarmHistoryItem.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from busway.road.aws.access import Aws
from busway.road.aws.read_json import read_json

ALARM = "ALARM"
# How the summary of an action that worked begins, and of one that did not; no page of AWS says so.
_TOLD, _NOT_TOLD = "Successfully executed action ", "Failed to execute action "


class Alert(msgspec.Struct, frozen=True):
    """One action of an alarm: `route` is the ARN of who was to be told."""

    route: str
    delivered: bool
    at: float
    error_message: str = ""


class Rung(msgspec.Struct, frozen=True):
    """An alarm as it is, and since `at` (Unix seconds) in ALARM for what is asked about; None where it never was."""

    alarm: str
    state: str
    at: float | None
    alerts: list[Alert]


def rung_since(aws: Aws, name: str, came_at: float) -> Rung | None:
    """None for an alarm that is not there. Raises AwsUnusable, AwsRefused."""
    found = aws.call("cloudwatch", "DescribeAlarms", AlarmNames=[name]).get("MetricAlarms", [])
    if not found:
        return None
    state, at, alerts = str(found[0]["StateValue"]), None, list[Alert]()
    for item in _history(aws, name, came_at):
        if item["HistoryItemType"] == "StateUpdate" and at is None and _new_state(item) == ALARM:
            at = _seconds(item["Timestamp"])
        elif item["HistoryItemType"] == "Action" and at is not None and (alert := _alert(item)) is not None:
            alerts.append(alert)
    since = found[0].get("StateTransitionedTimestamp", found[0].get("StateUpdatedTimestamp"))
    if at is None and state == ALARM and since is not None:
        # It was ringing already: for a letter that lies there still.
        at = _seconds(since)
    return Rung(name, state, at, alerts)


def _history(aws: Aws, name: str, since: float) -> Iterator[Mapping[str, Any]]:
    begin = datetime.fromtimestamp(since, UTC)
    return aws.paged(
        "cloudwatch", "DescribeAlarmHistory", "AlarmHistoryItems",
        AlarmName=name, StartDate=begin, ScanBy="TimestampAscending",
    )  # fmt: skip


class _State(msgspec.Struct):
    stateValue: str = ""


class _Data(msgspec.Struct):
    newState: _State = msgspec.field(default_factory=_State)


def _new_state(item: Mapping[str, Any]) -> str:
    told = read_json(str(item.get("HistoryData", "")), _Data)
    return str(item.get("HistorySummary", "")).rpartition(" to ")[2] if told is None else told.newState.stateValue


def _alert(item: Mapping[str, Any]) -> Alert | None:
    """None for what tells of no action that ran."""
    told, at = str(item.get("HistorySummary", "")), _seconds(item["Timestamp"])
    if told.startswith(_TOLD):
        return Alert(told.removeprefix(_TOLD).strip(), True, at)
    if told.startswith(_NOT_TOLD):
        route, _, problem = told.removeprefix(_NOT_TOLD).partition(". ")
        return Alert(route.strip(), False, at, problem)
    return None


def _seconds(at: Any) -> float:
    """What botocore reads as a moment."""
    return at.timestamp() if isinstance(at, datetime) else float(at)
