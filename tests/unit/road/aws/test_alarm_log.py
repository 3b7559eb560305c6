"""An alarm's history as CloudWatch has it: state updates, and actions, which a server of ours does not list."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from busway.road.aws.access import Aws
from busway.road.aws.alarm_log import Alert, rung_since

CAME_AT = 1_700_000_000.0
TOPIC = "arn:aws:sns:eu-west-1:123456789012:shop-prod-alert-pagerduty"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(CAME_AT + seconds, UTC)


def update(seconds: float, before: str, now: str) -> dict[str, Any]:
    data = {"version": "1.0", "oldState": {"stateValue": before}, "newState": {"stateValue": now, "stateReason": "x"}}
    return {
        "Timestamp": at(seconds), "HistoryItemType": "StateUpdate", "HistoryData": json.dumps(data),
        "HistorySummary": f"Alarm updated from {before} to {now}",
    }  # fmt: skip


def action(seconds: float, summary: str) -> dict[str, Any]:
    return {"Timestamp": at(seconds), "HistoryItemType": "Action", "HistorySummary": summary, "HistoryData": "{}"}


class CloudWatch:
    """One alarm; its history one item a page."""

    def __init__(self, state: str, *items: dict[str, Any]) -> None:
        self.alarm = {"StateValue": state, "StateUpdatedTimestamp": at(-500)}
        self.items = items

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        return {"MetricAlarms": [self.alarm] if AlarmNames == ["letters"] else []}

    def describe_alarm_history(self, StartDate: datetime, NextToken: str = "0", **_: Any) -> dict[str, Any]:
        found = [item for item in self.items if item["Timestamp"] >= StartDate]
        place = int(NextToken)
        more = {"NextToken": str(place + 1)} if place + 1 < len(found) else {}
        return {"AlarmHistoryItems": found[place : place + 1], **more}

    def aws(self) -> Aws:
        return Aws("eu-west-1", lambda _: self)


def test_who_was_told_when_the_alarm_rang_for_a_letter():
    cloud = CloudWatch(
        "OK",
        update(-3_000, "OK", "ALARM"),
        update(30, "OK", "ALARM"),
        action(31, f"Successfully executed action {TOPIC}"),
        action(32, f'Failed to execute action {TOPIC}2. Received error: "Topic does not exist"'),
        update(600, "ALARM", "OK"),
    )
    rung = rung_since(cloud.aws(), "letters", CAME_AT)
    assert rung is not None and (rung.state, rung.at) == ("OK", CAME_AT + 30)
    assert rung.alerts == [
        Alert(TOPIC, True, CAME_AT + 31),
        Alert(TOPIC + "2", False, CAME_AT + 32, 'Received error: "Topic does not exist"'),
    ]


def test_an_alarm_that_rang_already_has_rung_since_then():
    rung = rung_since(CloudWatch("ALARM").aws(), "letters", CAME_AT)
    assert rung is not None and (rung.at, rung.alerts) == (CAME_AT - 500, [])


def test_an_alarm_that_did_not_ring_is_told_so():
    rung = rung_since(CloudWatch("OK").aws(), "letters", CAME_AT)
    assert rung is not None and rung.at is None


def test_there_need_be_no_alarm():
    assert rung_since(CloudWatch("OK").aws(), "other", CAME_AT) is None
