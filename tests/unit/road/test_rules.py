"""Rules of a project: what a file may say, what deploying one asks for, what the generator writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from busway.arn import Scope
from busway.aws.services.events_wire import read_target
from busway.bus.rules import check_target
from busway.errors import BrokenProject, GeneratorRefused, RuleNotOnBus
from busway.road.calls import Call
from busway.road.describe import describe
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generate_rule import JobFlags, RuleSpec, add_rule, rule_targets
from busway.road.generator import HandlerSpec, add_handler
from busway.road.manifest import Manifest
from busway.road.project_files import new_project
from busway.road.regenerate import update
from busway.road.rule_plan import retire_rule, rule_plan
from busway.road.rules import RuleEntry, checked_rule, read_rules
from busway.testing import LocalBus

SCOPE = Scope("123456789012", "eu-west-1")
PLACED = {"source": ["shop"], "detail-type": ["Order Placed"]}
ROLE = "arn:aws:iam::123456789012:role/start"
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:ship"
BATCH = {"JobDefinition": "resize:3", "JobName": "resize"}
EVENT = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["id:str=A-1", "total:int=50"]))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    new_project(root, "shop", bus="orders")
    add_handler(root, HandlerSpec("send_receipt", EVENT))
    return root


def there(root: Path) -> EventSpec:
    return EventSpec("OrderPlaced", "", "", file=root / "events/order_placed.py")


def written(root: Path, rule: object, name: str = "audit") -> Path:
    (root / "rules").mkdir(exist_ok=True)
    file = root / "rules" / f"{name}.json"
    file.write_text(rule if isinstance(rule, str) else json.dumps(rule))
    return file


def calls_of(rule: dict[str, Any], bus: str = "orders") -> list[Call]:
    entry = RuleEntry(name="audit", file="rules/audit.json", rule=checked_rule(json.dumps(rule).encode()))
    (step,) = rule_plan(Manifest(project="shop", bus=bus, events=[], handlers=[], rules=[entry]), SCOPE)
    return list(step.calls)


def the(calls: list[Call], operation: str) -> dict[str, Any]:
    (found,) = [call for call in calls if call.operation == operation]
    return dict(found.parameters)


async def test_a_rule_is_found_by_its_file(shop: Path):
    written(shop, {"EventPattern": PLACED, "Targets": [{"Queue": "audit"}]})
    (rule,) = (await describe(shop)).rules
    assert (rule.name, rule.file, rule.rule.event_pattern) == ("audit", "rules/audit.json", PLACED)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{", "truncated"),
        ({"EventPattern": PLACED}, "missing required field `Targets`"),
        ({"EventPattern": PLACED, "Targets": [], "Target": 1}, "unknown field `Target`"),
        ({"EventPattern": PLACED, "Targets": []}, "0 targets; wanted 1 to 5"),
        ({"EventPattern": PLACED, "Targets": [{"Queue": str(n)} for n in range(6)]}, "6 targets"),
        ({"EventPattern": PLACED, "Targets": [{}]}, "a target has none; wanted one of Queue, Stream"),
        ({"EventPattern": PLACED, "Targets": [{"Queue": "a", "Bus": "b"}]}, "a target has Queue and Bus"),
        ({"EventPattern": PLACED, "Targets": [{"Queue": "a b"}]}, "Queue is 'a b'"),
        ({"EventPattern": PLACED, "Targets": [{"Arn": "audit"}]}, "Arn is 'audit'"),
        ({"EventPattern": PLACED, "Targets": [{"Job": "q"}]}, "Job 'q' has no BatchParameters"),
        (
            {"EventPattern": PLACED, "Targets": [{"Job": "q", "BatchParameters": {}}]},
            "`$.Targets[0].BatchParameters`",
        ),
        ({"EventPattern": PLACED, "Targets": [{"Queue": "q", "BatchParameters": BATCH}]}, "BatchParameters beside"),
        (
            {"EventPattern": PLACED, "Targets": [{"StateMachine": MACHINE.replace("states", "sqs")}]},
            "StateMachine is",
        ),
        ({"EventPattern": PLACED, "Targets": [{"Workflow": "w", "RoleArn": "me"}]}, "RoleArn is 'me'"),
        ({"EventPattern": {"source": "shop"}, "Targets": [{"Queue": "a"}]}, "source"),
        ({"EventPattern": PLACED, "Targets": [{"Handler": "other"}]}, "no handler 'other'; there are send-receipt"),
    ],
)
async def test_what_is_wrong_with_a_rule_is_said_with_its_file(shop: Path, rule: object, said: str):
    written(shop, rule)
    with pytest.raises(BrokenProject) as caught:
        await describe(shop)
    assert str(caught.value).startswith("rules/audit.json: ")
    assert said in str(caught.value)


async def test_a_rule_and_a_handler_have_different_names(shop: Path):
    written(shop, {"EventPattern": PLACED, "Targets": [{"Queue": "audit"}]}, "send-receipt")
    with pytest.raises(BrokenProject, match=r"handlers/send_receipt/handler\.py has the name 'send-receipt' too"):
        await describe(shop)


def test_every_kind_of_target_is_made_if_it_must_be_and_reached():
    kinds = [{"Queue": "q"}, {"Stream": "s"}, {"Bus": "b"}, {"Handler": "pay"}, {"Arn": "arn:aws:sqs:x:1:theirs"}]
    calls = calls_of({"EventPattern": PLACED, "Targets": kinds})
    start = "arn:aws:{}:eu-west-1:123456789012:"
    assert [(target["Id"], target["Arn"]) for target in the(calls, "PutTargets")["Targets"]] == [
        ("1", start.format("sqs") + "q"),
        ("2", start.format("kinesis") + "stream/s"),
        ("3", start.format("events") + "event-bus/b"),
        ("4", start.format("lambda") + "function:shop-pay"),
        ("5", "arn:aws:sqs:x:1:theirs"),
    ]
    made = [call.parameters for call in calls if call.operation in ("CreateQueue", "CreateStream", "CreateEventBus")]
    assert made[1:] == [{"QueueName": "q"}, {"StreamName": "s", "ShardCount": 1}, {"Name": "b"}]
    assert the(calls, "AddPermission")["SourceArn"] == start.format("events") + "rule/orders/shop-audit"
    assert [call for call in calls if call.operation == "RemoveTargets"] == []


def test_jobs_are_put_with_their_parameters_and_a_role_and_nothing_is_made_for_them():
    listed = {"PipelineParameterList": [{"Name": "Day", "Value": "$.detail.day"}]}
    jobs = [
        {"Job": "nightly", "BatchParameters": BATCH},
        {"Workflow": "load", "InputPath": "$.detail"},
        {"Pipeline": "train", "SageMakerPipelineParameters": listed, "RoleArn": ROLE},
        {"StateMachine": MACHINE},
        {"Arn": "arn:aws:states:us-east-1:210987654321:stateMachine:theirs"},
    ]
    calls = calls_of({"EventPattern": PLACED, "Targets": jobs})
    start, ours = "arn:aws:{}:eu-west-1:123456789012:", "arn:aws:iam::123456789012:role/busway-handlers"
    put = the(calls, "PutTargets")["Targets"]
    for target in put:
        assert target.pop("RetryPolicy") and target.pop("DeadLetterConfig")
    assert put == [
        {"Id": "1", "Arn": start.format("batch") + "job-queue/nightly", "RoleArn": ours, "BatchParameters": BATCH},
        {"Id": "2", "Arn": start.format("glue") + "workflow/load", "RoleArn": ours, "InputPath": "$.detail"},
        {
            "Id": "3", "Arn": start.format("sagemaker") + "pipeline/train", "RoleArn": ROLE,
            "SageMakerPipelineParameters": listed,
        },
        {"Id": "4", "Arn": MACHINE, "RoleArn": ours},
        {"Id": "5", "Arn": "arn:aws:states:us-east-1:210987654321:stateMachine:theirs", "RoleArn": ours},
    ]  # fmt: skip
    assert {call.operation for call in calls} == {"CreateQueue", "PutRule", "PutTargets", "PutMetricAlarm"}
    for target in put:
        check_target(read_target(target), "arn:aws:events:eu-west-1:123456789012:event-bus/orders")


def test_what_cannot_be_handed_over_is_kept_and_told():
    calls = calls_of({"EventPattern": PLACED, "Targets": [{"Queue": "q"}], "Alert": "pagerduty"})
    letters = "arn:aws:sqs:eu-west-1:123456789012:shop-audit-dead-letters"
    assert the(calls, "PutTargets")["Targets"][0]["DeadLetterConfig"] == {"Arn": letters}
    alarm = the(calls, "PutMetricAlarm")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": "shop-audit-dead-letters"}]
    assert alarm["AlarmActions"] == ["arn:aws:sns:eu-west-1:123456789012:busway-alert-pagerduty"]


def test_a_target_that_the_file_has_no_more_is_removed():
    calls = calls_of({"EventPattern": PLACED, "Targets": [{"Queue": "q"}, {"Queue": "r"}]})
    assert the(calls, "RemoveTargets")["Ids"] == ["3", "4", "5"]


def test_a_rule_is_marked_as_the_projects_and_ends_with_its_targets_but_not_their_things():
    rule = the(calls_of({"EventPattern": PLACED, "Targets": [{"Queue": "q"}]}), "PutRule")
    assert {tag["Key"]: tag["Value"] for tag in rule["Tags"]} == {"busway:project": "shop", "busway:rule": "audit"}
    ended = [call.operation for call in retire_rule("shop", "orders", "audit")]
    assert ended == ["RemoveTargets", "RemoveTargets", "DeleteRule", "DeleteAlarms", "DeleteAlarms"]


# --- the generator ---


def test_a_rule_is_generated_with_a_test(shop: Path):
    targets = rule_targets(["queue:audit", "arn:aws:sqs:x:1:theirs"], JobFlags())
    files = add_rule(
        shop, RuleSpec("big_orders", there(shop), targets, {"total": [{"numeric": [">", 100]}]}, "pagerduty")
    )
    assert [str(file.relative_to(shop)) for file in files] == ["rules/big-orders.json", "rules/test_big_orders.py"]
    assert json.loads(files[0].read_text()) == {
        "EventPattern": {**PLACED, "detail": {"total": [{"numeric": [">", 100]}]}},
        "Targets": [{"Queue": "audit"}, {"Arn": "arn:aws:sqs:x:1:theirs"}],
        "Alert": "pagerduty",
    }
    assert 'len(bus.sent("big-orders")) == 0' in files[1].read_text()
    with pytest.raises(GeneratorRefused, match="exists; nothing was written"):
        add_rule(shop, RuleSpec("big_orders", there(shop), targets, {}))


@pytest.mark.parametrize("text", ["audit", "queue:", "queue:a b", "topic:x", "arn:x", "Input:x", "", ":"])
def test_what_is_no_target_is_refused(text: str):
    with pytest.raises(GeneratorRefused, match="wanted"):
        rule_targets([text], JobFlags())


def test_a_rule_to_jobs_is_generated_with_what_they_are_started_with(shop: Path):
    flags = JobFlags(
        job_definition="resize",
        job_name="resize",
        array_size=3,
        parameters=["Day=$.detail.day", "Note=a=b"],
        role=ROLE,
    )
    targets = rule_targets(["job:pictures", "pipeline:train", f"state-machine:{MACHINE}", "queue:audit"], flags)
    file, *_ = add_rule(shop, RuleSpec("resize", there(shop), targets, {}))
    batch = {"JobDefinition": "resize", "JobName": "resize", "ArrayProperties": {"Size": 3}}
    listed = [{"Name": "Day", "Value": "$.detail.day"}, {"Name": "Note", "Value": "a=b"}]
    assert json.loads(file.read_text())["Targets"] == [
        {"Job": "pictures", "RoleArn": ROLE, "BatchParameters": batch},
        {"Pipeline": "train", "RoleArn": ROLE, "SageMakerPipelineParameters": {"PipelineParameterList": listed}},
        {"StateMachine": MACHINE, "RoleArn": ROLE},
        {"Queue": "audit"},
    ]
    assert [rule.name for rule in read_rules(shop)] == ["resize"]
    # What the generator remembers of it can be read again.
    assert {outcome.what for outcome in update(shop, ["resize"])} == {"same"}


@pytest.mark.parametrize(
    ("to", "flags", "said"),
    [
        ("job:pictures", JobFlags(), "needs --job-definition and --job-name"),
        ("job:pictures", JobFlags(job_definition="d"), "needs --job-definition and --job-name"),
        ("job:pictures", JobFlags(job_definition="d", job_name="n", array_size=1), "ArrayProperties.Size"),
        ("job:a b", JobFlags(job_definition="d", job_name="n"), "Job is 'a b'"),
        ("queue:audit", JobFlags(job_name="n"), "no target of queue:audit is a Batch job queue"),
        ("state-machine:ship", JobFlags(parameters=["A=1"]), "no target of state-machine:ship is a pipeline"),
        ("pipeline:train", JobFlags(parameters=["A B=1"]), "PipelineParameterList"),
        ("pipeline:train", JobFlags(parameters=["A=$.["]), "the pipeline's parameter A is '$.['"),
        ("workflow:load", JobFlags(role="me"), "RoleArn is 'me'"),
        ("StateMachine:ship", JobFlags(), "is no target; wanted queue:NAME, stream:NAME"),
    ],
)
def test_a_job_that_could_not_be_started_is_not_generated(to: str, flags: JobFlags, said: str):
    with pytest.raises(GeneratorRefused) as caught:
        rule_targets([to], flags)
    assert said in str(caught.value)


# --- the bus of a test ---


def test_a_test_sees_what_a_rule_hands_over_as_it_is_handed_over():
    bus = LocalBus()
    template = {"InputTemplate": '"order <id>"', "InputPathsMap": {"id": "$.detail.id"}}
    targets = [
        {"Queue": "a"},
        {"Arn": "arn:aws:x:y:1:z", "InputTransformer": template},
        {"Bus": "b", "InputPath": "$.detail"},
        {"StateMachine": "ship", "Input": "1"},
    ]
    rule = checked_rule(json.dumps({"EventPattern": PLACED, "Targets": targets}).encode())
    try:
        bus.add_rule("audit", rule)
        bus.put({"Source": "shop", "DetailType": "Order Placed", "Detail": '{"id": "A-1"}'})
        bus.put({"Source": "shop", "DetailType": "Order Cancelled", "Detail": '{"id": "A-1"}'})
        whole, detail, line, job = sorted(bus.sent("audit"), key=lambda one: len(str(one)), reverse=True)
        assert (whole["detail-type"], detail, line, job) == ("Order Placed", {"id": "A-1"}, "order A-1", 1)
        with pytest.raises(RuleNotOnBus, match="no rule 'other'; it has audit"):
            bus.sent("other")
    finally:
        bus.close()


def test_the_rules_of_a_project_are_sorted_by_name(shop: Path):
    for name in ("b", "a"):
        written(shop, {"EventPattern": PLACED, "Targets": [{"Queue": "q"}]}, name)
    assert [rule.name for rule in read_rules(shop)] == ["a", "b"]
    assert structs.asdict(read_rules(shop)[0].rule.targets[0])["queue"] == "q"
