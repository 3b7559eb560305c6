from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from busway.alarm.metric_points import asked_of, datapoints
from busway.alarm.record import check
from busway.alarm.state import ALARM, OK, decide
from busway.arn import Scope
from busway.aws.services.cloudwatch_alarms_wire import settings_of
from busway.errors import BrokenProject
from busway.metrics.statistics import of_values
from busway.road.calls import Call
from busway.road.deploy import shipped_files, zip_code
from busway.road.function_plan import Ground
from busway.road.manifest import BatchEntry, HandlerEntry, Manifest
from busway.road.plan import bus_calls, plan, retire
from busway.road.project_files import new_project

ENTRY = HandlerEntry(
    name="send-receipt",
    file="handlers/send_receipt/handler.py",
    entry_point="handlers.send_receipt.handler.send_receipt",
    event="OrderPlaced",
    pattern={"source": ["shop"], "detail-type": ["Order Placed"]},
    retries=1,
    max_age_s=7200,
    timeout_s=30,
    memory_mb=256,
    alert="pagerduty",
    env=["LEVEL"],
)
MANIFEST = Manifest(project="shop", bus="orders", events=[], handlers=[ENTRY])
SCOPE = Scope("123456789012", "eu-west-1")
GROUND = Ground(SCOPE, "python3.11", {"LEVEL": "debug"})
QUEUE_ARN = "arn:aws:sqs:eu-west-1:123456789012:shop-send-receipt-dead-letters"


def calls_of(manifest: Manifest = MANIFEST) -> dict[str, dict[str, Any]]:
    (step,) = plan(manifest, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    return {call.operation: dict(call.parameters) for call in step.calls}


def test_both_dead_letter_queues_are_the_handlers_one_queue():
    calls = calls_of()
    assert calls["CreateFunction"]["DeadLetterConfig"] == {"TargetArn": QUEUE_ARN}
    assert calls["PutTargets"]["Targets"][0]["DeadLetterConfig"] == {"Arn": QUEUE_ARN}


def test_retries_and_age_are_those_of_the_handler():
    calls = calls_of()
    assert calls["PutFunctionEventInvokeConfig"] == {
        "FunctionName": "shop-send-receipt",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 7200,
    }
    assert calls["PutTargets"]["Targets"][0]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 7200


def test_a_secret_is_named_by_the_function_and_not_held_by_it():
    calls = calls_of(structs.replace(MANIFEST, handlers=[structs.replace(ENTRY, secrets=["KEY"])]))
    assert calls["CreateFunction"]["Environment"]["Variables"] == {
        "LEVEL": "debug",
        "KEY": "{{resolve:secretsmanager:shop/KEY}}",
    }


def test_more_retries_than_aws_has_are_a_tag_of_the_function():
    calls = calls_of(structs.replace(MANIFEST, handlers=[structs.replace(ENTRY, retries=5)]))
    assert calls["PutFunctionEventInvokeConfig"]["MaximumRetryAttempts"] == 2
    assert calls["CreateFunction"]["Tags"]["busway:retries"] == "5"
    assert "busway:retries" not in calls_of()["CreateFunction"]["Tags"]


def test_the_rule_is_on_the_projects_bus_with_the_handlers_pattern():
    calls = calls_of()
    assert calls["PutRule"]["EventBusName"] == "orders"
    assert json.loads(calls["PutRule"]["EventPattern"]) == ENTRY.pattern
    assert calls["AddPermission"]["SourceArn"].endswith(":rule/orders/shop-send-receipt")
    assert bus_calls(MANIFEST)[0].operation == "CreateEventBus"


def alarm_calls_of(manifest: Manifest) -> list[tuple[str, dict[str, Any]]]:
    (step,) = plan(manifest, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    return [(call.operation, dict(call.parameters)) for call in step.calls if call.service == "cloudwatch"]


def test_the_alarms_watch_the_queue_and_the_errors_and_tell_the_route_both_ways():
    (put, letters), (_, rate) = alarm_calls_of(MANIFEST)
    route = "arn:aws:sns:eu-west-1:123456789012:busway-alert-pagerduty"
    assert put == "PutMetricAlarm"
    assert letters["Dimensions"] == [{"Name": "QueueName", "Value": "shop-send-receipt-dead-letters"}]
    assert rate["AlarmName"] == "shop-send-receipt-error-rate"
    functions = [one["MetricStat"]["Metric"]["Dimensions"] for one in rate["Metrics"] if "MetricStat" in one]
    assert functions == [[{"Name": "FunctionName", "Value": "shop-send-receipt"}]] * 2
    for alarm in (letters, rate):
        assert (alarm["AlarmActions"], alarm["OKActions"]) == ([route], [route])
    check(settings_of(rate))


@pytest.mark.parametrize(
    ("calls", "errors", "state"),
    [(9, 9, OK), (10, 1, OK), (10, 2, ALARM), (100, 10, OK), (100, 11, ALARM), (0, 0, OK)],
)
def test_the_error_rate_rings_when_more_than_one_in_ten_of_ten_fail(calls: int, errors: int, state: str):
    settings = settings_of(alarm_calls_of(MANIFEST)[1][1])
    counts = {"Invocations": [1.0] * calls, "Errors": [1.0] * errors + [0.0] * (calls - errors)}
    kept = {
        name: {60: {"Count": of_values({one: float(seen.count(one)) for one in seen})}} if seen else {}
        for name, seen in counts.items()
    }
    points = datapoints(asked_of(settings), 300, lambda metric, _: kept[metric.name])
    assert decide(settings.rule, points, OK).state == state


def test_a_project_that_wants_no_alarms_has_none():
    quiet = structs.replace(MANIFEST, handlers=[structs.replace(ENTRY, alarms=False)])
    names = ["shop-send-receipt-dead-letters", "shop-send-receipt-error-rate"]
    assert alarm_calls_of(quiet) == [("DeleteAlarms", {"AlarmNames": [name]}) for name in names]


def test_a_variable_that_is_not_set_is_named_before_anything_is_called():
    with pytest.raises(BrokenProject, match="passes on env 'LEVEL', which is not set here"):
        plan(MANIFEST, {"send-receipt": {}}, Ground(SCOPE, "python3.11", {}))


STREAM = BatchEntry(source="stream", size=100, window_s=5, parallelism=None, bisect=True, order_by=None)
QUEUE = BatchEntry(source="queue", size=100, window_s=5, parallelism=4, bisect=True, order_by=None)


def batched(batch: BatchEntry, **changes: Any) -> Manifest:
    return structs.replace(MANIFEST, handlers=[structs.replace(ENTRY, batch=batch, **changes)])


def test_a_batch_comes_over_a_stream_whose_failures_end_in_the_dead_letters():
    calls = calls_of(batched(structs.replace(STREAM, order_by="$.detail.id"), retries=5))
    stream = "arn:aws:kinesis:eu-west-1:123456789012:stream/shop-send-receipt"
    assert calls["CreateStream"] == {"StreamName": "shop-send-receipt", "ShardCount": 1}
    (target,) = calls["PutTargets"]["Targets"]
    assert (target["Arn"], target["KinesisParameters"]) == (stream, {"PartitionKeyPath": "$.detail.id"})
    assert target["DeadLetterConfig"] == {"Arn": QUEUE_ARN}
    mapping = calls["CreateEventSourceMapping"]
    assert (mapping["EventSourceArn"], mapping["FunctionName"]) == (stream, "shop-send-receipt")
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (100, 5)
    assert (mapping["MaximumRetryAttempts"], mapping["MaximumRecordAgeInSeconds"]) == (5, 7200)
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": QUEUE_ARN}}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert "AddPermission" not in calls and "PutFunctionEventInvokeConfig" not in calls


def test_a_stream_keeps_records_for_as_long_as_they_may_be_tried():
    assert "IncreaseStreamRetentionPeriod" not in calls_of(batched(STREAM))
    calls = calls_of(batched(STREAM, max_age_s=172_801))
    assert calls["IncreaseStreamRetentionPeriod"]["RetentionPeriodHours"] == 49
    assert calls["PutTargets"]["Targets"][0]["RetryPolicy"]["MaximumEventAgeInSeconds"] == 86_400


def test_a_batch_may_come_over_a_queue_whose_redrive_policy_is_the_retries():
    calls = calls_of(batched(QUEUE))
    attributes = calls["CreateQueue"]["Attributes"]
    assert json.loads(attributes["RedrivePolicy"]) == {"deadLetterTargetArn": QUEUE_ARN, "maxReceiveCount": 2}
    assert attributes["VisibilityTimeout"] == "180"
    assert calls["PutTargets"]["Targets"][0]["Arn"].endswith(":sqs:eu-west-1:123456789012:shop-send-receipt")
    mapping = calls["CreateEventSourceMapping"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 4}
    assert not {"StartingPosition", "MaximumRetryAttempts", "DestinationConfig"} & set(mapping)


@pytest.mark.parametrize(
    ("manifest", "ended"),
    [
        (MANIFEST, {"DeleteStream", "DeleteQueue"}),
        (batched(STREAM), {"DeleteQueue"}),
        (batched(QUEUE), {"DeleteStream"}),
    ],
)
def test_a_source_that_the_handler_has_no_more_is_ended_if_its_own_mapping_read_it(
    manifest: Manifest, ended: set[str]
):
    (step,) = plan(manifest, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    sources = ("DeleteStream", "DeleteQueue", "DeleteEventSourceMapping")
    deleted = [call for call in step.calls if call.operation in sources]
    assert {call.operation for call in deleted} - {"DeleteEventSourceMapping"} == ended
    for call in deleted:
        assert call.each is not None
        assert call.each.parameters["FunctionName"] == "shop-send-receipt"
        assert call.each.parameters["EventSourceArn"].rpartition(":")[2] in (
            "stream/shop-send-receipt",
            "shop-send-receipt",
        )


@pytest.mark.parametrize(
    ("manifest", "count"),
    [(MANIFEST, 17), (batched(STREAM), 14), (batched(QUEUE), 14)],
    ids=["one", "stream", "queue"],
)
def test_every_call_is_one_that_aws_would_take(manifest: Manifest, count: int):
    """botocore's own validator accepts the parameters of each call, also of those for what exists already."""
    session: Any = importlib.import_module("botocore.session").get_session()
    validator: Any = importlib.import_module("botocore.validate").ParamValidator()

    def valid(service: str, operation: str, parameters: dict[str, Any]) -> None:
        shape = session.get_service_model(service).operation_model(operation).input_shape
        report = validator.validate(parameters, shape)
        assert not report.has_errors(), (operation, report.generate_report())

    def checked(calls: list[Call] | tuple[Call, ...]) -> int:
        for call in calls:
            valid(call.service, call.operation, {**call.parameters, **({call.named: "u" * 36} if call.named else {})})
            if call.each is not None:
                valid(call.each.service, call.each.operation, dict(call.each.parameters))
            checked(call.then)
        return len(calls)

    (step,) = plan(manifest, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    assert checked(list(step.calls)) == count
    assert checked(bus_calls(manifest)) == 1
    assert checked(retire("shop", "orders", "send-receipt", SCOPE)) == 11


def test_the_zip_holds_what_runs_and_nothing_of_the_developers(tmp_path: Path):
    root = tmp_path / "shop"
    new_project(root, "shop")
    for name in (".venv/x.py", "__pycache__/y.pyc", "handlers/a/handler.py", "handlers/a/test_a.py", "dist/z.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    names = [str(file.relative_to(root)) for file in shipped_files(root)]
    assert "handlers/a/handler.py" in names
    assert not [n for n in names if n.startswith((".", "dist", "__pycache__")) or "test_" in n]


def test_the_same_files_give_the_same_zip(tmp_path: Path):
    new_project(tmp_path / "shop", "shop")
    first = zip_code(tmp_path / "shop")
    (tmp_path / "shop/README.md").touch()
    assert zip_code(tmp_path / "shop") == first


def test_a_rate_is_a_tag_of_the_function_and_follows_the_handler_when_it_changes():
    limited = structs.replace(MANIFEST, handlers=[structs.replace(ENTRY, rate="10/s", retries=5)])
    (step,) = plan(limited, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    create = next(call for call in step.calls if call.operation == "CreateFunction")
    assert create.parameters["Tags"]["busway:rate"] == "10/s"
    tag = next(call for call in step.switch if call.operation == "TagResource")
    assert tag.parameters["Tags"]["busway:rate"] == "10/s"
    (step,) = plan(MANIFEST, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    create = next(call for call in step.calls if call.operation == "CreateFunction")
    assert "busway:rate" not in create.parameters["Tags"]
    untag = next(call for call in step.switch if call.operation == "UntagResource")
    assert untag.parameters["TagKeys"] == ["busway:rate", "busway:retries"]


def test_a_scheduled_handler_has_its_rule_on_the_default_bus_and_none_on_its_own():
    (entry,) = MANIFEST.handlers
    timed = msgspec.structs.replace(MANIFEST, handlers=[msgspec.structs.replace(entry, schedule="rate(1 day)")])
    (step,) = plan(timed, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
    rule = next(call for call in step.calls if call.operation == "PutRule")
    expected = {"Name": "shop-send-receipt", "EventBusName": "default", "ScheduleExpression": "rate(1 day)"}
    assert rule.parameters == {**expected, "Tags": [{"Key": "busway:project", "Value": "shop"}]}
    (ended,) = [call for call in step.calls if call.operation == "DeleteRule"]
    assert ended.parameters["EventBusName"] == MANIFEST.bus != "default"
    (permission,) = [call for call in step.calls if call.operation == "AddPermission"]
    assert permission.parameters["SourceArn"].endswith(":rule/shop-send-receipt")


def test_concurrency_is_reserved_and_is_given_back_when_it_is_asked_for_no_more():
    (entry,) = MANIFEST.handlers
    asked = msgspec.structs.replace(MANIFEST, handlers=[msgspec.structs.replace(entry, concurrency=4)])
    for manifest, operation in ((asked, "PutFunctionConcurrency"), (MANIFEST, "DeleteFunctionConcurrency")):
        (step,) = plan(manifest, {"send-receipt": {"ZipFile": b"zip"}}, GROUND)
        (call,) = [one for one in step.calls if one.operation.endswith("FunctionConcurrency")]
        assert call.operation == operation
