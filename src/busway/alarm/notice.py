"""The notification of an alarm's state change, in the shape in which CloudWatch tells SNS. Pure.

What is ours stands in the member `Busway`: what the queue holds, and which handlers failed how.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from busway.alarm.record import AlarmQuery, AlarmRecord, AlarmSettings, Notice, is_function, is_route
from busway.alarm.region_names import region_name
from busway.arn import parse_arn
from busway.delivery import Delivery
from busway.engine import Origin
from busway.metrics.statistics import SIMPLE

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: "less than 100 characters long"
SUBJECT_CHARS_MAX = 99


class Failure(msgspec.Struct, frozen=True):
    """Dead letters of one handler with one error. `handler` is a function's or target's ARN."""

    handler: str
    error_code: str
    error_message: str
    count: int
    event_id: str = ""


class QueueDigest(msgspec.Struct, frozen=True):
    """What a dead-letter queue holds, the most frequent failures first; `queue_arn` is "" for another alarm."""

    queue_arn: str
    depth: int
    failures: tuple[Failure, ...] = ()


class AlarmMessage(msgspec.Struct, frozen=True, kw_only=True):
    """CloudWatch's names of members; times as `2019-10-02T17:04:40.989+0000`.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """

    AlarmName: str
    AlarmDescription: str | None
    AWSAccountId: str
    AlarmConfigurationUpdatedTimestamp: str
    NewStateValue: str
    NewStateReason: str
    StateChangeTime: str
    Region: str
    AlarmArn: str
    OldStateValue: str
    OKActions: tuple[str, ...]
    AlarmActions: tuple[str, ...]
    InsufficientDataActions: tuple[str, ...]
    Trigger: dict[str, Any]
    Busway: QueueDigest


def alarm_message(record: AlarmRecord, digest: QueueDigest) -> bytes:
    """JSON of the alarm's newest change, for one route or many."""
    settings = record.settings
    message = AlarmMessage(
        AlarmName=settings.name,
        AlarmDescription=settings.description,
        AWSAccountId=record.scope.account,
        AlarmConfigurationUpdatedTimestamp=timestamp(record.updated_at),
        NewStateValue=record.state,
        NewStateReason=record.reason,
        StateChangeTime=timestamp(record.state_at),
        # CloudWatch puts the long name ("US East (N. Virginia)") here; ours is the Region's code.
        Region=record.scope.region,
        AlarmArn=record.arn,
        OldStateValue=record.history[-1].before if record.history else record.state,
        OKActions=settings.ok_actions,
        AlarmActions=settings.alarm_actions,
        InsufficientDataActions=settings.insufficient_data_actions,
        Trigger={
            **_asked(settings),
            "Period": settings.period_s,
            "EvaluationPeriods": settings.evaluation_periods,
            "DatapointsToAlarm": settings.rule.datapoints_to_alarm,
            "ComparisonOperator": settings.comparison,
            "Threshold": settings.threshold,
            "TreatMissingData": settings.missing or "",
            "EvaluateLowSampleCountPercentile": "",
        },
        Busway=digest,
    )
    return msgspec.json.encode(message)


def subject_of(name: str, state: str, region: str) -> str:
    """`ALARM: "orders" in US East (N. Virginia)`, cut to what a topic takes."""
    return f'{state}: "{name}" in {region_name(region)}'[:SUBJECT_CHARS_MAX]


def _asked(settings: AlarmSettings) -> dict[str, Any]:
    """The metric, or the list of queries, as CloudWatch tells SNS."""
    if settings.queries:
        return {"Metrics": [_query(one) for one in settings.queries]}
    simple = settings.statistic in SIMPLE
    return {
        "MetricName": settings.metric_name,
        "Namespace": settings.namespace,
        "StatisticType": "Statistic" if simple else "ExtendedStatistic",
        "Statistic" if simple else "ExtendedStatistic": settings.statistic.upper() if simple else settings.statistic,
        "Unit": settings.unit,
        "Dimensions": _dimensions(settings.dimensions),
    }


def _query(query: AlarmQuery) -> dict[str, Any]:
    told: dict[str, Any] = {"Id": query.id, "Label": query.label, "ReturnData": query.returns}
    if query.expression:
        return {**told, "Expression": query.expression}
    metric = {
        "Dimensions": _dimensions(query.dimensions), "MetricName": query.metric_name, "Namespace": query.namespace,
    }  # fmt: skip
    return {**told, "MetricStat": {"Metric": metric, "Period": query.period_s, "Stat": query.statistic}}


def _dimensions(dimensions: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "name": name} for name, value in dimensions.items()]


def notice_delivery(record: AlarmRecord, route_arn: str, notice: Notice, now: float) -> Delivery:
    """The work of telling `route_arn`; the same notice gives the same origin, however often it is asked for."""
    return Delivery(
        event_id=f"{record.arn}#{record.generation}#{notice.number}",
        target_arn=route_arn,
        target_id=record.settings.name,
        # An alert that nobody took ends in the undeliverable queue of the scope's default bus.
        bus_arn=record.scope.arn("events", "event-bus/default"),
        subscriber=record.subscriber(route_arn),
        rule_arn=record.arn,
        payload=notice.message.encode(),
        parameters=_for_topics(record, route_arn, notice),
        accepted_at=now,
        origin=Origin(record.subscriber(route_arn), notice.number),
    )


def _for_topics(record: AlarmRecord, route_arn: str, notice: Notice) -> dict[str, Any]:
    arn = parse_arn(route_arn)
    if is_function(arn) or is_route(arn):
        return {}
    return {"Subject": subject_of(record.settings.name, notice.state, record.scope.region)}


def timestamp(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}.{int(at * 1000) % 1000:03d}+0000"
