"""Alarms as CloudWatch's clients write and read them: requests into settings, records into answers. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from busway.alarm.record import AlarmQuery, AlarmRecord, AlarmSettings, Change
from busway.aws.services.cloudwatch_wire import described, dimensions
from busway.errors import AlarmFeatureNotBuilt, InvalidAlarm
from busway.metrics.statistics import SIMPLE, is_statistic

# AWS requires these of a metric alarm; its model does not.
NEEDED = ("EvaluationPeriods", "ComparisonOperator", "Threshold")
NEEDED_OF_ONE = ("MetricName", "Namespace", "Period")
OF_ONE = (*NEEDED_OF_ONE, "Dimensions", "Unit")
NOT_BUILT = (
    "ThresholdMetricId", "EvaluationWindow", "WarmUpConfiguration",
    "EvaluationCriteria", "EvaluationInterval", "ActionConfiguration", "EvaluateLowSampleCountPercentile",
)  # fmt: skip


def settings_of(request: dict[str, Any]) -> AlarmSettings:
    """PutMetricAlarm's request as settings. Raises `AlarmFeatureNotBuilt` and `InvalidAlarm`."""
    asked = [name for name in NOT_BUILT if request.get(name)]
    if asked:
        raise AlarmFeatureNotBuilt(f"{asked[0]} is not built yet.")
    queries = tuple(_query(one) for one in request.get("Metrics", ()))
    missing = [name for name in (*NEEDED, *(() if queries else NEEDED_OF_ONE)) if name not in request]
    statistics = [request[name] for name in ("Statistic", "ExtendedStatistic") if name in request]
    if missing or not (queries or statistics):
        raise InvalidAlarm(f"The parameter {(missing or ['Statistic'])[0]} is required for a metric alarm.")
    if len(statistics) > 1 or (queries and (statistics or any(name in request for name in OF_ONE))):
        raise InvalidAlarm(
            "Metrics, Statistic and ExtendedStatistic are mutually exclusive; Metrics stands alone, also without "
            f"{', '.join(OF_ONE)}."
        )
    return AlarmSettings(
        name=request["AlarmName"],
        namespace=request.get("Namespace", ""),
        metric_name=request.get("MetricName", ""),
        dimensions=dimensions(request),
        queries=queries,
        comparison=request["ComparisonOperator"],
        threshold=request["Threshold"],
        statistic=statistics[0] if statistics else "",
        period_s=request.get("Period") or max((one.period_s for one in queries), default=60),
        evaluation_periods=request["EvaluationPeriods"],
        datapoints_to_alarm=request.get("DatapointsToAlarm"),
        missing=request.get("TreatMissingData"),
        description=request.get("AlarmDescription"),
        unit=request.get("Unit"),
        actions_enabled=request.get("ActionsEnabled", True),
        alarm_actions=tuple(request.get("AlarmActions", ())),
        ok_actions=tuple(request.get("OKActions", ())),
        insufficient_data_actions=tuple(request.get("InsufficientDataActions", ())),
    )


def _query(asked: dict[str, Any]) -> AlarmQuery:
    told, returns = asked.get("MetricStat", {}), asked.get("ReturnData", True)
    if bool(told) == bool(asked.get("Expression")):
        raise InvalidAlarm(f"Query {asked['Id']!r} is to have either MetricStat or Expression.")
    metric = told.get("Metric", {})
    if told and not is_statistic(told["Stat"]):
        raise AlarmFeatureNotBuilt(f"Stat {told['Stat']!r} is not built yet.")
    return AlarmQuery(
        id=asked["Id"],
        expression=asked.get("Expression", ""),
        namespace=metric.get("Namespace", ""),
        metric_name=metric.get("MetricName", ""),
        dimensions=dimensions(metric),
        statistic=told.get("Stat", ""),
        period_s=told.get("Period") or asked.get("Period", 0),
        unit=told.get("Unit", ""),
        label=asked.get("Label", ""),
        returns=returns,
    )


def _described_query(query: AlarmQuery) -> dict[str, Any]:
    told: dict[str, Any] = {"Id": query.id, "Label": query.label or None, "ReturnData": query.returns}
    if query.expression:
        return {**told, "Expression": query.expression, "Period": query.period_s or None}
    metric = {
        "Namespace": query.namespace,
        "MetricName": query.metric_name,
        "Dimensions": described(query.dimensions.items()),
    }
    stat = {"Metric": metric, "Period": query.period_s, "Stat": query.statistic, "Unit": query.unit or None}
    return {**told, "MetricStat": stat}


def _asked(settings: AlarmSettings) -> dict[str, Any]:
    """The metric or the queries of an alarm."""
    if settings.queries:
        return {"Metrics": [_described_query(one) for one in settings.queries]}
    return {
        "MetricName": settings.metric_name,
        "Namespace": settings.namespace,
        "Statistic" if settings.statistic in SIMPLE else "ExtendedStatistic": settings.statistic,
        "Dimensions": described(settings.dimensions.items()),
        "Period": settings.period_s,
        "Unit": settings.unit,
    }


def described_alarm(alarm: AlarmRecord) -> dict[str, Any]:
    """A MetricAlarm as DescribeAlarms gives it."""
    settings = alarm.settings
    return {
        "AlarmName": settings.name,
        "AlarmArn": alarm.arn,
        "AlarmDescription": settings.description,
        "AlarmConfigurationUpdatedTimestamp": alarm.updated_at,
        "ActionsEnabled": settings.actions_enabled,
        "OKActions": list(settings.ok_actions),
        "AlarmActions": list(settings.alarm_actions),
        "InsufficientDataActions": list(settings.insufficient_data_actions),
        "StateValue": alarm.state,
        "StateReason": alarm.reason,
        "StateReasonData": alarm.reason_data,
        "StateUpdatedTimestamp": alarm.state_at,
        "StateTransitionedTimestamp": alarm.state_at,
        **_asked(settings),
        "EvaluationPeriods": settings.evaluation_periods,
        "DatapointsToAlarm": settings.datapoints_to_alarm,
        "Threshold": settings.threshold,
        "ComparisonOperator": settings.comparison,
        "TreatMissingData": settings.missing,
    }


def history_item(alarm: AlarmRecord, change: Change) -> dict[str, Any]:
    told = {
        "version": "1.0",
        "oldState": {"stateValue": change.before},
        "newState": {"stateValue": change.state, "stateReason": change.reason},
    }
    return {
        "AlarmName": alarm.settings.name,
        "AlarmType": "MetricAlarm",
        "Timestamp": change.at,
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from {change.before} to {change.state}",
        "HistoryData": msgspec.json.encode(told).decode(),
    }
