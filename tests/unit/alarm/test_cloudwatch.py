"""CloudWatch's alarm operations, without the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from busway.alarm.evaluator import Evaluator
from busway.alarm.queues import DeadLetterQueues
from busway.alarm.registry import Alarms
from busway.arn import Scope
from busway.aws.errors import AwsError, aws_error
from busway.aws.service import Caller, Headers
from busway.aws.services.cloudwatch import CloudWatch
from busway.bus.put_events import Announcement
from busway.clock import ManualClock, SeededEntropy
from busway.engine import Put
from busway.engine.memory import MemoryEngine
from busway.errors import AlarmFeatureNotBuilt, AlarmNotFound, InvalidAlarm
from busway.metrics import Metrics
from busway.metrics.series import TimeSeries
from busway.trail import Trail

SCOPE = Scope()
CALLER = Caller(SCOPE, "key", "request", "http://127.0.0.1:4566", None, Headers({}))
ROUTE = SCOPE.arn("sns", "busway-alert-oncall")
REQUEST: dict[str, Any] = {
    "AlarmName": "mail-dlq-not-empty",
    "Namespace": "AWS/SQS",
    "MetricName": "ApproximateNumberOfMessagesVisible",
    "Dimensions": [{"Name": "QueueName", "Value": "mail-dlq"}],
    "Statistic": "Maximum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "AlarmActions": [ROUTE],
    "OKActions": [ROUTE],
}


async def unheard(_: Announcement) -> None:
    """The bus is no part of these tests."""


@pytest.fixture
async def cloudwatch() -> AsyncIterator[CloudWatch]:
    clock = ManualClock()
    engine = MemoryEngine(clock)
    alarms = Alarms(engine, clock, SeededEntropy(1))
    evaluator = Evaluator(
        alarms, DeadLetterQueues(engine, lambda _: True), engine, clock,
        notice_put=lambda d: Put("outbox", msgspec.json.encode(d), clock.now(), origin=d.origin),
        announce=unheard, metrics=Metrics(clock), trail=Trail(clock),
        series=TimeSeries(engine, clock, SeededEntropy(3)),
    )  # fmt: skip
    series = TimeSeries(engine, clock, SeededEntropy(2))
    yield CloudWatch(alarms, evaluator, series, clock)
    await evaluator.close()


async def described(cloudwatch: CloudWatch, **request: Any) -> list[dict[str, Any]]:
    return (await cloudwatch.describe_alarms(request, CALLER))["MetricAlarms"]


async def test_an_alarm_is_described_as_it_was_put(cloudwatch: CloudWatch):
    await cloudwatch.put_metric_alarm(REQUEST, CALLER)
    (alarm,) = await described(cloudwatch)
    assert {name: alarm[name] for name in REQUEST} == REQUEST
    assert alarm["AlarmArn"] == "arn:aws:cloudwatch:us-east-1:000000000000:alarm:mail-dlq-not-empty"
    assert alarm["StateValue"] == "INSUFFICIENT_DATA"
    assert alarm["StateReason"] == "Unchecked: Initial alarm creation"


async def test_putting_it_again_keeps_its_state(cloudwatch: CloudWatch):
    await cloudwatch.put_metric_alarm(REQUEST, CALLER)
    state = {"AlarmName": REQUEST["AlarmName"], "StateValue": "ALARM", "StateReason": "a drill"}
    await cloudwatch.set_alarm_state(state, CALLER)
    await cloudwatch.put_metric_alarm({**REQUEST, "Threshold": 5.0}, CALLER)
    (alarm,) = await described(cloudwatch)
    assert (alarm["StateValue"], alarm["StateReason"], alarm["Threshold"]) == ("ALARM", "a drill", 5.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"MetricName": "NumberOfMessagesSent", "Period": 10}, "points are kept by the minute"),
        ({"Statistic": "tm90"}, "Statistic tm90 is not built yet"),
        ({"ComparisonOperator": "LessThanLowerThreshold"}, "anomaly bands"),
        (
            {"AlarmActions": ["arn:aws:automate:us-east-1:ec2:stop"]},
            "only SNS topics, Lambda functions and alert routes",
        ),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "EvaluateLowSampleCountPercentile is not built yet"),
    ],
)
async def test_what_only_aws_has_is_refused_in_words(cloudwatch: CloudWatch, change: dict[str, Any], said: str):
    with pytest.raises(AlarmFeatureNotBuilt, match=said) as caught:
        await cloudwatch.put_metric_alarm({**REQUEST, **change}, CALLER)
    answered = aws_error("cloudwatch", caught.value)
    assert answered is not None
    assert answered.code == "ValidationError"
    assert await described(cloudwatch) == []


@pytest.mark.parametrize(
    "change",
    [{"Period": 7}, {"EvaluationPeriods": 2, "DatapointsToAlarm": 3}, {"EvaluationPeriods": 5_000},
     {"TreatMissingData": "maybe"}, {"ExtendedStatistic": "p99"}, {"Metrics": [{"Id": "m"}]},
     {"Metrics": [{"Id": "m", "Expression": "1"}]}],
)  # fmt: skip
async def test_settings_that_contradict_are_refused(cloudwatch: CloudWatch, change: dict[str, Any]):
    with pytest.raises(InvalidAlarm):
        await cloudwatch.put_metric_alarm({**REQUEST, **change}, CALLER)


METRIC = {"Metric": {"Namespace": "Shop", "MetricName": "Calls", "Dimensions": []}, "Period": 60, "Stat": "Sum"}
OF_QUERIES = {
    name: value for name, value in REQUEST.items()
    if name not in ("MetricName", "Namespace", "Statistic", "Dimensions", "Period")
}  # fmt: skip


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([{"Id": "a", "Expression": "b"}], "there is no query 'b'"),
        ([{"Id": "a", "MetricStat": METRIC}, {"Id": "b", "MetricStat": METRIC}], "Exactly one element"),
        ([{"Id": "a", "MetricStat": METRIC}, {"Id": "a", "Expression": "1", "ReturnData": False}], "all different"),
        ([{"Id": "a", "Expression": "b +", "ReturnData": True}], "is not expected"),
    ],
)
async def test_queries_that_ask_nothing_are_refused(cloudwatch: CloudWatch, metrics: list[Any], said: str):
    with pytest.raises(InvalidAlarm, match=said):
        await cloudwatch.put_metric_alarm({**OF_QUERIES, "Metrics": metrics}, CALLER)


async def test_an_alarm_of_queries_is_described_as_it_was_put(cloudwatch: CloudWatch):
    metrics = [
        {"Id": "rate", "Expression": "m * 2", "Label": "twice", "ReturnData": True},
        {"Id": "m", "MetricStat": METRIC, "ReturnData": False},
    ]
    await cloudwatch.put_metric_alarm({**OF_QUERIES, "Metrics": metrics}, CALLER)
    (alarm,) = await described(cloudwatch)
    told = [{name: value for name, value in one.items() if value is not None} for one in alarm["Metrics"]]
    told[1]["MetricStat"].pop("Unit")
    assert told == metrics
    assert "MetricName" not in alarm and "Statistic" not in alarm


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
async def test_a_threshold_that_nothing_can_meet_is_refused(cloudwatch: CloudWatch, threshold: float):
    with pytest.raises(InvalidAlarm, match="for parameter Threshold"):
        await cloudwatch.put_metric_alarm({**REQUEST, "Threshold": threshold}, CALLER)


@pytest.mark.parametrize("period", [2_147_483_640, 7])
async def test_the_periods_of_queries_are_held_to_the_same_limits(cloudwatch: CloudWatch, period: int):
    metric = {"Namespace": "Shop", "MetricName": "Calls"}
    query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": period, "Stat": "Sum"}}
    asked = {
        "AlarmName": "a",
        "EvaluationPeriods": 1_440,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    with pytest.raises(InvalidAlarm, match=r"multiple of 60|more than"):
        await cloudwatch.put_metric_alarm({**asked, "Metrics": [query]}, CALLER)
    with pytest.raises(InvalidAlarm, match="Metrics stands alone"):
        await cloudwatch.put_metric_alarm({**asked, "Period": 60, "Metrics": [query]}, CALLER)


async def test_an_alarm_that_cannot_be_read_keeps_no_server_from_its_start():
    clock = ManualClock()
    engine = MemoryEngine(clock)
    await engine.records.put("alarm/arn:broken", b'{"settings": {"threshold": null}}')
    alarms = Alarms(engine, clock, SeededEntropy(1))
    await alarms.open()
    assert alarms.all() == []


async def test_a_parameter_that_is_missing_is_named(cloudwatch: CloudWatch):
    request = {name: value for name, value in REQUEST.items() if name != "Threshold"}
    with pytest.raises(InvalidAlarm, match="Threshold is required"):
        await cloudwatch.put_metric_alarm(request, CALLER)


async def test_alarms_are_filtered_and_paged_by_name(cloudwatch: CloudWatch):
    for name in ("b", "a", "c"):
        await cloudwatch.put_metric_alarm({**REQUEST, "AlarmName": name}, CALLER)
    first = await cloudwatch.describe_alarms({"MaxRecords": 2}, CALLER)
    second = await cloudwatch.describe_alarms({"MaxRecords": 2, "NextToken": first["NextToken"]}, CALLER)
    assert [alarm["AlarmName"] for alarm in first["MetricAlarms"] + second["MetricAlarms"]] == ["a", "b", "c"]
    assert "NextToken" not in second
    assert [alarm["AlarmName"] for alarm in await described(cloudwatch, AlarmNames=["c", "a"])] == ["a", "c"]
    assert [alarm["AlarmName"] for alarm in await described(cloudwatch, AlarmNamePrefix="b")] == ["b"]
    assert await described(cloudwatch, StateValue="OK") == []
    assert len(await described(cloudwatch, ActionPrefix=ROUTE)) == 3
    assert await described(cloudwatch, AlarmTypes=["CompositeAlarm"]) == []
    with pytest.raises(AwsError, match="InvalidNextToken"):
        await described(cloudwatch, NextToken="§")


async def test_deleted_alarms_are_gone(cloudwatch: CloudWatch):
    await cloudwatch.put_metric_alarm(REQUEST, CALLER)
    with pytest.raises(AlarmNotFound):
        await cloudwatch.delete_alarms({"AlarmNames": [REQUEST["AlarmName"], "other"]}, CALLER)
    await cloudwatch.delete_alarms({"AlarmNames": [REQUEST["AlarmName"]]}, CALLER)
    await cloudwatch.delete_alarms({"AlarmNames": [REQUEST["AlarmName"]]}, CALLER)
    assert await described(cloudwatch) == []


async def test_actions_are_switched_off_and_on(cloudwatch: CloudWatch):
    await cloudwatch.put_metric_alarm(REQUEST, CALLER)
    names = {"AlarmNames": [REQUEST["AlarmName"]]}
    await cloudwatch.disable_alarm_actions(names, CALLER)
    assert (await described(cloudwatch))[0]["ActionsEnabled"] is False
    await cloudwatch.enable_alarm_actions(names, CALLER)
    assert (await described(cloudwatch))[0]["ActionsEnabled"] is True
