"""CloudWatch: its metric alarms, names in, names out, and beside them its metrics (`cloudwatch_metrics.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from busway.alarm.evaluator import Evaluator
from busway.alarm.record import AlarmQuery, AlarmRecord, AlarmSettings, Change
from busway.alarm.registry import Alarms, alarm_arn
from busway.alarm.state import Decision
from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.aws.services.cloudwatch_metrics import CloudWatchMetrics
from busway.aws.services.cloudwatch_wire import described, dimensions, page_of
from busway.clock import Clock
from busway.errors import AlarmFeatureNotBuilt, AlarmNotFound, InvalidAlarm
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import SIMPLE, is_statistic

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
RECORDS_DEFAULT = 50
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html
HISTORY_MAX = 100

# AWS requires these of a metric alarm; its model does not.
NEEDED = ("EvaluationPeriods", "ComparisonOperator", "Threshold")
NEEDED_OF_ONE = ("MetricName", "Namespace", "Period")
NOT_BUILT = (
    "ThresholdMetricId", "EvaluationWindow", "WarmUpConfiguration",
    "EvaluationCriteria", "EvaluationInterval", "ActionConfiguration", "EvaluateLowSampleCountPercentile",
)  # fmt: skip


class CloudWatch:
    """Alarms here, metrics in the other file."""

    name = "cloudwatch"
    partial: Mapping[str, str] = {
        "PutMetricAlarm": "actions are alert routes; no anomaly bands; periods under a minute of queues only",
        "DescribeAlarms": "metric alarms only",
        "DescribeAlarmHistory": "the newest 20 state changes of each alarm, in one answer",
        "PutMetricData": "points are kept by the minute; entities are passed over",
        "GetMetricData": "all in one answer; percentiles, no trimmed means; the metric math of docs/metrics.md",
        "GetMetricStatistics": "periods of a minute and longer; percentiles, no trimmed means",
        "ListMetrics": "RecentlyActive is known to a day",
    }

    def __init__(self, alarms: Alarms, evaluator: Evaluator, series: TimeSeries, clock: Clock) -> None:
        self._alarms, self._evaluator = alarms, evaluator
        self.operations: Mapping[str, Operation] = {
            "PutMetricAlarm": self.put_metric_alarm,
            "DescribeAlarms": self.describe_alarms,
            "DeleteAlarms": self.delete_alarms,
            "DescribeAlarmHistory": self.describe_alarm_history,
            "SetAlarmState": self.set_alarm_state,
            "EnableAlarmActions": self.enable_alarm_actions,
            "DisableAlarmActions": self.disable_alarm_actions,
            **CloudWatchMetrics(series, clock).operations,
        }

    async def put_metric_alarm(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
        record = await self._alarms.put(caller.scope, settings_of(request), tags)
        self._evaluator.changed(record.arn)
        return {}

    async def describe_alarms(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        for name in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
            if name in request:
                raise AlarmFeatureNotBuilt(f"{name}: composite alarms are not built yet.")
        if request.get("AlarmNames") and "AlarmNamePrefix" in request:
            raise AwsError("InvalidParameterCombination", "AlarmNames and AlarmNamePrefix cannot both be given.", 400)
        if "MetricAlarm" not in request.get("AlarmTypes", ["MetricAlarm"]):
            return {"CompositeAlarms": [], "MetricAlarms": []}
        found = [alarm for alarm in self._alarms.of_scope(caller.scope) if _wanted(alarm, request)]
        found.sort(key=lambda alarm: alarm.settings.name)
        limit = request.get("MaxRecords", RECORDS_DEFAULT)
        page, more = page_of(found, lambda alarm: alarm.settings.name, request.get("NextToken"), limit)
        return {"MetricAlarms": [described_alarm(alarm) for alarm in page], "CompositeAlarms": [], **more}

    async def describe_alarm_history(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        """State changes, of which each alarm keeps the newest."""
        if request.get("HistoryItemType", "StateUpdate") != "StateUpdate":
            return {"AlarmHistoryItems": []}
        start, end = request.get("StartDate", 0.0), request.get("EndDate", float("inf"))
        wanted = request.get("AlarmName")
        items = [
            _history_item(alarm, change)
            for alarm in self._alarms.of_scope(caller.scope)
            if wanted in (None, alarm.settings.name)
            for change in alarm.history
            if start <= change.at <= end
        ]
        oldest_first = request.get("ScanBy") == "TimestampAscending"
        items.sort(key=lambda item: item["Timestamp"], reverse=not oldest_first)
        return {"AlarmHistoryItems": items[: request.get("MaxRecords", HISTORY_MAX)]}

    async def delete_alarms(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        arns = [alarm_arn(caller.scope, name) for name in request["AlarmNames"]]
        missing = [arn for arn in arns if self._alarms.get(arn) is None]
        # AWS passes over a single name that isn't there, and refuses a list with one.
        if missing and len(arns) > 1:
            raise AlarmNotFound(missing[0])
        for arn in arns:
            await self._alarms.delete(arn)
        return {}

    async def set_alarm_state(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        decision = Decision(request["StateValue"], request["StateReason"])
        arn = alarm_arn(caller.scope, request["AlarmName"])
        await self._evaluator.set_state(arn, decision, request.get("StateReasonData"))
        return {}

    async def enable_alarm_actions(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return await self._switch_actions(request["AlarmNames"], caller, True)

    async def disable_alarm_actions(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return await self._switch_actions(request["AlarmNames"], caller, False)

    async def _switch_actions(self, names: list[str], caller: Caller, enabled: bool) -> dict[str, Any]:
        for name in names:
            alarm = self._alarms.get(alarm_arn(caller.scope, name))
            if alarm is not None:
                settings = msgspec.structs.replace(alarm.settings, actions_enabled=enabled)
                await self._alarms.put(caller.scope, settings, {})
        return {}


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
    if len(statistics) > 1 or (queries and (statistics or "MetricName" in request)):
        raise InvalidAlarm("Metrics, Statistic and ExtendedStatistic are mutually exclusive.")
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


def _history_item(alarm: AlarmRecord, change: Change) -> dict[str, Any]:
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


def _wanted(alarm: AlarmRecord, request: dict[str, Any]) -> bool:
    name = alarm.settings.name
    actions = (
        *alarm.settings.alarm_actions, *alarm.settings.ok_actions, *alarm.settings.insufficient_data_actions
    )  # fmt: skip
    return (
        (not request.get("AlarmNames") or name in request["AlarmNames"])
        and name.startswith(request.get("AlarmNamePrefix", ""))
        and request.get("StateValue", alarm.state) == alarm.state
        and ("ActionPrefix" not in request or any(action.startswith(request["ActionPrefix"]) for action in actions))
    )
