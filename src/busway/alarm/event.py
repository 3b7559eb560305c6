"""A change of an alarm's state as an event: on the default bus, and for a function that is its action. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from busway.alarm.notice import QueueDigest, alarm_message, timestamp
from busway.alarm.record import AlarmQuery, AlarmRecord, AlarmSettings, Change, is_function
from busway.alarm.state import INSUFFICIENT_DATA, Datapoint, Rule
from busway.arn import parse_arn
from busway.bus.put_events import Announcement
from busway.bus.record import ALARM_SOURCE, ALARM_TYPE

# Ours: the newest data points that are told; all of it has at most 4,000 characters (botocore's model).
POINTS_TOLD_MAX = 30
FIRST_REASON = "Unchecked: Initial alarm creation"


def announcement(record: AlarmRecord, number: int, change: Change) -> Announcement:
    """The event of the alarm's move of this number. The same move is the same event, however often it is put."""
    return Announcement(
        event_id=_id(f"{record.arn}#{record.generation}#{number}"),
        scope=record.scope,
        source=ALARM_SOURCE,
        detail_type=ALARM_TYPE,
        at=change.at,
        resources=[record.arn],
        detail=msgspec.json.encode(_told(record, len(record.history) - 1 - (record.moves - number))),
    )


def message_to(record: AlarmRecord, action_arn: str, digest: QueueDigest) -> bytes:
    """What one action is told of the alarm's newest change."""
    return lambda_event(record) if is_function(parse_arn(action_arn)) else alarm_message(record, digest)


def lambda_event(record: AlarmRecord) -> bytes:
    """The event of a function that is the alarm's action."""
    event = {
        "source": ALARM_SOURCE,
        "alarmArn": record.arn,
        "accountId": record.scope.account,
        "time": timestamp(record.state_at),
        "region": record.scope.region,
        "alarmData": _told(record, len(record.history) - 1),
    }
    return msgspec.json.encode(event)


def _told(record: AlarmRecord, place: int) -> dict[str, Any]:
    """The move that stands at `place` of the history."""
    change = record.history[place]
    before = record.history[place - 1] if place else Change(record.updated_at, "", INSUFFICIENT_DATA, FIRST_REASON)
    return {
        "alarmName": record.settings.name,
        "state": _state(change, change.state),
        "previousState": _state(before, change.before),
        "configuration": {
            **({"description": record.settings.description} if record.settings.description else {}),
            "metrics": _metrics(record),
        },
    }


def reason_data(settings: AlarmSettings, rule: Rule, points: Sequence[Datapoint], now: float) -> str:
    """StateReasonData: what was judged, as JSON."""
    judged = points[-min(rule.evaluation_periods, POINTS_TOLD_MAX) :]
    real = [point for point in points if point.value is not None][-rule.evaluation_periods :][-POINTS_TOLD_MAX:]
    told: dict[str, Any] = {"version": "1.0", "queryDate": timestamp(now)}
    if real:
        told["startDate"] = timestamp(real[0].at)
    if not settings.queries:
        told |= {"statistic": settings.statistic, "period": settings.period_s}
    told |= {
        "recentDatapoints": [point.value for point in real],
        "threshold": rule.threshold,
        "evaluatedDatapoints": [
            {"timestamp": timestamp(point.at), **({} if point.value is None else {"value": point.value})}
            for point in reversed(judged)
        ],
    }
    return msgspec.json.encode(told).decode()


def _state(change: Change, state: str) -> dict[str, Any]:
    data = {} if change.data is None else {"reasonData": change.data}
    return {"value": state, "reason": change.reason, **data, "timestamp": timestamp(change.at)}


def _metrics(record: AlarmRecord) -> list[dict[str, Any]]:
    settings = record.settings
    if settings.queries:
        return [_query(one) for one in settings.queries]
    only = AlarmQuery(
        id=_id(f"{record.arn}#{record.generation}"), namespace=settings.namespace, metric_name=settings.metric_name,
        dimensions=settings.dimensions, statistic=settings.statistic, period_s=settings.period_s,
    )  # fmt: skip
    return [_query(only)]


def _query(query: AlarmQuery) -> dict[str, Any]:
    if query.expression:
        label = {"label": query.label} if query.label else {}
        return {"id": query.id, "expression": query.expression, **label, "returnData": query.returns}
    metric = {"namespace": query.namespace, "name": query.metric_name, "dimensions": query.dimensions}
    stat = {"metric": metric, "period": query.period_s, "stat": query.statistic}
    return {"id": query.id, "metricStat": stat, "returnData": query.returns}


def _id(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))
