"""Metrics of one's own through CloudWatch's API: boto3 and the AWS CLI put them and ask for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .whole_server import ROLE, WholeServer, message_of, rule_to_queue, until, whole_server, zipped

MINUTE = timedelta(minutes=1)
BY_SHOP = [{"Name": "Shop", "Value": "oslo"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def now() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture(scope="module")
def cloudwatch(served: WholeServer, now: datetime) -> Any:
    """With calls in three minutes, of which two had errors."""
    client = served.client("cloudwatch")
    for ago, calls, errors in ((3, 10, 1), (2, 20, 0), (1, 40, 10)):
        when: dict[str, Any] = {"Dimensions": BY_SHOP, "Timestamp": now - ago * MINUTE}
        data = [{**when, "MetricName": "Calls", "Value": calls, "Unit": "Count"}]
        data += [{**when, "MetricName": "Errors", "Value": errors}] if errors else []
        client.put_metric_data(Namespace="Shop", MetricData=data)
    return client


def stat(name: str, **more: Any) -> dict[str, Any]:
    metric = {"Namespace": "Shop", "MetricName": name, "Dimensions": BY_SHOP}
    return {"Metric": metric, "Period": 60, "Stat": "Sum", **more}


def test_an_error_rate_is_an_expression(cloudwatch: Any, now: datetime):
    told = cloudwatch.get_metric_data(
        StartTime=now - 5 * MINUTE, EndTime=now, ScanBy="TimestampAscending",
        MetricDataQueries=[
            {"Id": "rate", "Expression": "100 * FILL(errors, 0) / calls", "Label": "error rate"},
            {"Id": "errors", "MetricStat": stat("Errors"), "ReturnData": False},
            {"Id": "calls", "MetricStat": stat("Calls"), "ReturnData": False},
        ],
    )  # fmt: skip
    (rate,) = told["MetricDataResults"]
    assert (rate["Label"], rate["StatusCode"]) == ("error rate", "Complete")
    assert rate["Timestamps"] == [now - ago * MINUTE for ago in (3, 2, 1)]
    assert rate["Values"] == [10, 0, 25]


def test_statistics_of_what_was_put_as_values_sets_and_single_ones(cloudwatch: Any, now: datetime):
    at = {"MetricName": "Took", "Timestamp": now - MINUTE, "Unit": "Milliseconds"}
    values = {"Values": [10.0, 20.0], "Counts": [1.0, 3.0]}
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{**at, **values}, {**at, "Value": 90}])
    asked = {"Namespace": "Shop", "MetricName": "Took", "StartTime": now - 5 * MINUTE, "EndTime": now, "Period": 60}
    (point,) = cloudwatch.get_metric_statistics(
        **asked, Statistics=["SampleCount", "Average", "Sum", "Minimum", "Maximum"]
    )["Datapoints"]
    assert point == {
        "Timestamp": now - MINUTE, "SampleCount": 5, "Average": 32, "Sum": 160, "Minimum": 10, "Maximum": 90,
        "Unit": "Milliseconds",
    }  # fmt: skip
    (point,) = cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p50"])["Datapoints"]
    assert point["ExtendedStatistics"] == {"p50": 20}
    with pytest.raises(ClientError, match="may not be given together"):
        cloudwatch.get_metric_statistics(**asked, Statistics=["Sum"], ExtendedStatistics=["p50"])
    told = {"SampleCount": 5, "Sum": 100, "Minimum": 1, "Maximum": 80}
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{**at, "StatisticValues": told}])
    (point,) = cloudwatch.get_metric_statistics(**asked, Statistics=["Sum"])["Datapoints"]
    assert point["Sum"] == 260
    assert cloudwatch.get_metric_statistics(**asked, ExtendedStatistics=["p50"])["Datapoints"] == []
    assert cloudwatch.get_metric_statistics(**asked, Statistics=["Sum"], Unit="Bytes")["Datapoints"] == []


def test_metrics_are_listed_by_what_they_are_called_and_by_dimension(cloudwatch: Any):
    found = cloudwatch.list_metrics(Namespace="Shop", Dimensions=[{"Name": "Shop"}], RecentlyActive="PT3H")["Metrics"]
    assert sorted(metric["MetricName"] for metric in found) == ["Calls", "Errors"]
    assert found[0]["Dimensions"] == BY_SHOP
    assert cloudwatch.list_metrics(Namespace="Other")["Metrics"] == []


def test_a_large_request_is_compressed_by_the_client_and_taken(cloudwatch: Any, now: datetime):
    data = [{"MetricName": f"M{number}", "Value": number, "Timestamp": now} for number in range(1_000)]
    cloudwatch.put_metric_data(Namespace="Large", MetricData=data)
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="Large")
    assert len([one for page in pages for one in page["Metrics"]]) == 1_000


def test_a_restart_forgets_nothing(tmp_path: Path):
    with whole_server(tmp_path) as server:
        server.client("cloudwatch").put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Kept", "Value": 3}])
        server.process.kill()
        server.process.wait()
    with whole_server(tmp_path) as server:
        client, now = server.client("cloudwatch"), datetime.now(UTC)
        (point,) = client.get_metric_statistics(
            Namespace="Shop", MetricName="Kept", StartTime=now - 5 * MINUTE, EndTime=now + MINUTE, Period=60,
            Statistics=["Sum"],
        )["Datapoints"]  # fmt: skip
        assert point["Sum"] == 3


OUT_OF_RANGE: list[tuple[dict[str, Any], str, str]] = [
    ({"Value": 1, "Values": [1]}, "InvalidParameterCombination",
     "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have "
     "specified both."),
    ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue",
     "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size."),
    ({"Value": float("nan")}, "InvalidParameterValue", "value nan for parameter MetricData.member.1.Value"),
    ({"Value": 2.0**361}, "InvalidParameterValue", "is invalid"),
    ({}, "MissingParameter", "is required"),
    ({"Value": 1, "Timestamp": 1_000_000_000}, "InvalidParameterValue", "two weeks in the past"),
    ({"StatisticValues": {"SampleCount": 1, "Sum": 1, "Minimum": 2, "Maximum": 1}}, "InvalidParameterValue",
     "a Minimum above its Maximum"),
]  # fmt: skip


@pytest.mark.parametrize(("datum", "code", "message"), OUT_OF_RANGE)
def test_data_out_of_range_is_refused_as_aws_does(cloudwatch: Any, datum: dict[str, Any], code: str, message: str):
    with pytest.raises(ClientError) as caught:
        cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Wrong", **datum}])
    assert caught.value.response["Error"]["Code"] == code
    assert message in caught.value.response["Error"]["Message"]
    assert cloudwatch.list_metrics(MetricName="Wrong")["Metrics"] == []


def test_questions_out_of_range_are_refused_as_aws_does(cloudwatch: Any, now: datetime):
    asked = {"Namespace": "Shop", "MetricName": "Calls", "Period": 60, "Statistics": ["Sum"]}
    with pytest.raises(ClientError, match="up to 86400 datapoints, which exceeds the limit of 1440"):
        cloudwatch.get_metric_statistics(**asked, StartTime=now - 60 * timedelta(days=1), EndTime=now)
    with pytest.raises(ClientError, match="The parameter StartTime must be less than the parameter EndTime"):
        cloudwatch.get_metric_statistics(**asked, StartTime=now, EndTime=now)
    with pytest.raises(ClientError, match="the function NOPE is not built"):
        cloudwatch.get_metric_data(
            StartTime=now - MINUTE, EndTime=now, MetricDataQueries=[{"Id": "a", "Expression": "NOPE(1)"}]
        )
    with pytest.raises(ClientError, match="The value AWS/Lambda for parameter Namespace is invalid"):
        cloudwatch.put_metric_data(Namespace="AWS/Lambda", MetricData=[{"MetricName": "Errors", "Value": 1}])


def test_the_aws_cli_does_the_same(served: WholeServer, now: datetime):
    def aws(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("aws")), "cloudwatch", *words]
        done = subprocess.run(command, env=served.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    at = now.isoformat()
    aws("put-metric-data", "--namespace", "Cli", "--metric-name", "Orders", "--value", "7", "--timestamp", at)
    told = aws(
        "get-metric-statistics", "--namespace", "Cli", "--metric-name", "Orders", "--start-time", at, "--end-time",
        (now + MINUTE).isoformat(), "--period", "60", "--statistics", "Sum", "--output", "json",
    )  # fmt: skip
    assert [point["Sum"] for point in json.loads(told)["Datapoints"]] == [7.0]


HANDLER = """
    def handler(event, context):
        if event["fails"]:
            raise ValueError("as it was asked")
"""


def test_what_the_server_does_is_a_metric_too(tmp_path: Path):
    with whole_server(tmp_path, clock="manual") as server:
        functions, cloudwatch = server.client("lambda"), server.client("cloudwatch")
        functions.create_function(
            FunctionName="shop", Runtime="python3.13", Handler="app.handler", Role=ROLE,
            Code={"ZipFile": zipped(HANDLER)},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName="shop")
        began = datetime.fromtimestamp(server.busway("clock")["now"], UTC)
        for fails in (False, False, True, False):
            functions.invoke(FunctionName="shop", Payload=json.dumps({"fails": fails}))
        url = server.client("sqs").create_queue(QueueName="deep")["QueueUrl"]
        server.client("sqs").send_message(QueueUrl=url, MessageBody="one")
        server.client("events").put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}] * 3)
        server.busway("clock", "+60s")
        span = {"StartTime": began - MINUTE, "EndTime": began + 3 * MINUTE, "Period": 60}

        def told(namespace: str, name: str, **dimensions: str) -> Any:
            asked = [{"Name": key, "Value": value} for key, value in dimensions.items()]
            points = cloudwatch.get_metric_statistics(
                Namespace=namespace, MetricName=name, Dimensions=asked, Statistics=["Sum", "SampleCount"], **span
            )["Datapoints"]
            return [(point["Sum"], point["SampleCount"], point["Unit"]) for point in points]

        # The clock's answer says that what became due has begun, not that it is kept.
        until(lambda: told("AWS/Lambda", "Invocations", FunctionName="shop") != [], "the minute is kept")
        assert told("AWS/Lambda", "Invocations", FunctionName="shop") == [(4, 4, "Count")]
        assert told("AWS/Lambda", "Errors", FunctionName="shop") == [(1, 4, "Count")]
        ((_, samples, unit),) = told("AWS/Lambda", "Duration", FunctionName="shop")
        assert (samples, unit) == (4, "Milliseconds")
        assert told("AWS/Events", "PutEventsEntriesCount") == [(3, 3, "Count")]
        assert told("AWS/SQS", "NumberOfMessagesSent", QueueName="deep") == [(1, 1, "Count")]
        ((deep, _, _),) = told("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName="deep")
        assert deep == 1
        names = {one["MetricName"] for one in cloudwatch.list_metrics(Namespace="AWS/Lambda")["Metrics"]}
        assert {"Invocations", "Errors", "Duration", "ConcurrentExecutions"} <= names


def test_an_error_rate_raises_an_alarm_and_its_end_resolves_it(tmp_path: Path):
    with whole_server(tmp_path, clock="manual") as server:
        cloudwatch = server.client("cloudwatch")

        def state() -> str:
            (alarm,) = cloudwatch.describe_alarms(AlarmNames=["too-many-errors"])["MetricAlarms"]
            return str(alarm["StateValue"])

        def minute(calls: int, errors: int, wanted: str) -> None:
            """A minute with so many calls and errors, and the state after it."""
            data = [{"MetricName": "Calls", "Value": calls}, {"MetricName": "Errors", "Value": errors}]
            cloudwatch.put_metric_data(Namespace="Shop", MetricData=data)
            server.busway("clock", "+60s")
            server.busway("clock", "+4s")
            until(lambda: state() == wanted, f"after {calls} calls with {errors} errors it is {wanted}")

        def of(name: str) -> dict[str, Any]:
            return {"Metric": {"Namespace": "Shop", "MetricName": name}, "Period": 60, "Stat": "Sum"}

        cloudwatch.put_metric_alarm(
            AlarmName="too-many-errors", ComparisonOperator="GreaterThanThreshold", Threshold=10, EvaluationPeriods=2,
            AlarmActions=["arn:aws:sns:us-east-1:123456789012:busway-alert-nobody"],
            Metrics=[
                {"Id": "rate", "Expression": "100 * errors / calls"},
                {"Id": "errors", "MetricStat": of("Errors"), "ReturnData": False},
                {"Id": "calls", "MetricStat": of("Calls"), "ReturnData": False},
            ],
        )  # fmt: skip
        for errors, wanted in ((0, "OK"), (0, "OK"), (5, "OK"), (5, "ALARM"), (5, "ALARM"), (0, "OK")):
            minute(10, errors, wanted)
        history = cloudwatch.describe_alarm_history(AlarmName="too-many-errors", ScanBy="TimestampAscending")
        assert [item["HistorySummary"] for item in history["AlarmHistoryItems"]] == [
            "Alarm updated from INSUFFICIENT_DATA to OK",
            "Alarm updated from OK to ALARM",
            "Alarm updated from ALARM to OK",
        ]
        (alarm,) = cloudwatch.describe_alarms()["MetricAlarms"]
        assert alarm["Metrics"][0]["Expression"] == "100 * errors / calls"
        assert alarm["StateReason"].startswith("Threshold Crossed: 1 out of the last 2 datapoints [0.0")


def test_a_rule_hears_of_an_alarm_and_its_history_is_told(served: WholeServer, cloudwatch: Any):
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["too-many"], "state": {"value": ["ALARM"]}}}
    url = rule_to_queue(served, "rung", json.dumps(pattern))
    cloudwatch.put_metric_alarm(
        AlarmName="too-many", Namespace="Shop", MetricName="Calls", Dimensions=BY_SHOP, Statistic="Sum", Period=60,
        EvaluationPeriods=3, DatapointsToAlarm=1, Threshold=30, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    event = json.loads(message_of(served.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20))["Body"])
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["too-many"])["MetricAlarms"]
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [alarm["AlarmArn"]]
    assert event["detail"]["state"]["reason"] == alarm["StateReason"]
    assert json.loads(event["detail"]["state"]["reasonData"])["threshold"] == 30
    assert event["detail"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    (metric,) = event["detail"]["configuration"]["metrics"]
    assert metric["metricStat"]["metric"] == {"namespace": "Shop", "name": "Calls", "dimensions": {"Shop": "oslo"}}
    (item,) = cloudwatch.describe_alarm_history(AlarmName="too-many")["AlarmHistoryItems"]
    assert item["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to ALARM"


def test_alarms_have_tags(cloudwatch: Any):
    cloudwatch.put_metric_alarm(
        AlarmName="tagged", Namespace="Shop", MetricName="Calls", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=30, ComparisonOperator="GreaterThanThreshold", Tags=[{"Key": "team", "Value": "shop"}],
    )  # fmt: skip
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["tagged"])["MetricAlarms"]
    arn = alarm["AlarmArn"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": "by", "Value": "ada"}, {"Key": "team", "Value": "depot"}])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [
        {"Key": "team", "Value": "depot"},
        {"Key": "by", "Value": "ada"},
    ]
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "by", "Value": "ada"}]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        cloudwatch.list_tags_for_resource(ResourceARN=arn + "x")
    with pytest.raises(ClientError, match="more than 50 tags"):
        cloudwatch.tag_resource(ResourceARN=arn, Tags=[{"Key": f"k{number}", "Value": "v"} for number in range(50)])
