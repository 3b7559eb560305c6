"""CloudWatch: its metric alarms, names in, names out, and beside them its metrics (`cloudwatch_metrics.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from busway.alarm.evaluator import Evaluator
from busway.alarm.record import AlarmRecord
from busway.alarm.registry import Alarms, alarm_arn
from busway.alarm.state import Decision
from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.aws.services.cloudwatch_alarms_wire import described_alarm, history_item, settings_of
from busway.aws.services.cloudwatch_metrics import CloudWatchMetrics
from busway.aws.services.cloudwatch_wire import page_of
from busway.clock import Clock
from busway.errors import AlarmFeatureNotBuilt, AlarmNotFound
from busway.metrics.series import TimeSeries

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
RECORDS_DEFAULT = 50
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarmHistory.html
HISTORY_MAX = 100
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_TagResource.html
TAGS_MAX = 50


class CloudWatch:
    """Alarms here, metrics in the other file."""

    name = "cloudwatch"
    partial: Mapping[str, str] = {
        "PutMetricAlarm": "actions are SNS topics, functions and alert routes; no anomaly bands; periods under a "
        "minute of queues only",
        "DescribeAlarms": "metric alarms only",
        "DescribeAlarmHistory": "the newest 20 state changes of each alarm, in one answer",
        "PutMetricData": "points are kept by the minute; entities are passed over",
        "GetMetricData": "all in one answer; percentiles, no trimmed means; the metric math of docs/metrics.md; "
        "labels of an array are numbered, none is dynamic",
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
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTagsForResource": self.list_tags_for_resource,
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
            history_item(alarm, change)
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

    async def tag_resource(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        more = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        await self._retag(request["ResourceARN"], lambda tags: {**tags, **more})
        return {}

    async def untag_resource(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        gone = set(request["TagKeys"])
        await self._retag(request["ResourceARN"], lambda tags: {k: v for k, v in tags.items() if k not in gone})
        return {}

    async def list_tags_for_resource(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        tags = self._tagged(request["ResourceARN"]).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    async def _retag(self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        async with self._alarms.changing:
            record = self._tagged(arn)
            tags = change(record.tags)
            if len(tags) > TAGS_MAX:
                raise AwsError("InvalidParameterValueException", f"{arn} would have more than {TAGS_MAX} tags.", 400)
            await self._alarms.store(msgspec.structs.replace(record, tags=tags))

    def _tagged(self, arn: str) -> AlarmRecord:
        record = self._alarms.get(arn)
        if record is None:
            raise AwsError("ResourceNotFoundException", f"{arn} does not exist.", 404)
        return record

    async def _switch_actions(self, names: list[str], caller: Caller, enabled: bool) -> dict[str, Any]:
        for name in names:
            await self._alarms.switch_actions(alarm_arn(caller.scope, name), enabled)
        return {}


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
