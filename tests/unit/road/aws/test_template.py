"""The template of a project: what it says, that nothing in it meets, and that cfn-lint has nothing against it."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs
from hypothesis import HealthCheck, given, settings
from msgspec import structs
from tests.unit.road.aws.manifests import (
    EVERYTHING,
    codes_of,
    handler_entry,
    manifests,
    rule,
)

from busway.errors import BrokenProject
from busway.road.aws.bus_log_group import log_resources
from busway.road.aws.function import Code
from busway.road.aws.names import Names
from busway.road.aws.overlay import overlaid
from busway.road.aws.template import RESOURCES_MAX, _add, make_template, template_hash, template_json
from busway.road.describe import describe
from busway.road.manifest import Manifest
from busway.road.root import AwsSettings
from busway.road.rules import RuleTarget

EXAMPLES = Path(__file__).parents[4] / "examples"


def template_of(manifest: Manifest = EVERYTHING, **changes: Any) -> dict[str, Any]:
    return make_template(manifest, "prod", AwsSettings(**changes), codes_of(manifest))


def resource(name: str, manifest: Manifest = EVERYTHING) -> dict[str, Any]:
    return template_of(manifest)["Resources"][name]["Properties"]


def statements(role: str, manifest: Manifest = EVERYTHING) -> dict[str, Any]:
    """By the first action of each."""
    found = resource(role, manifest)["Policies"][0]["PolicyDocument"]["Statement"]
    return {([one["Action"]] if isinstance(one["Action"], str) else one["Action"])[0]: one for one in found}


def lint(template: dict[str, Any]) -> list[str]:
    """What cfn-lint says of it: errors and warnings."""
    found = cfn_lint(template_json(template), config=ManualArgs(regions=["us-east-1", "eu-west-1"]))
    return [str(match) for match in found]


def references(value: Any) -> set[str]:
    """The logical ids that something names."""
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    if set(value) == {"Ref"}:
        return {value["Ref"]}
    if set(value) == {"Fn::GetAtt"}:
        return {value["Fn::GetAtt"][0]}
    return references(list(value.values()))


def test_cfn_lint_has_nothing_against_a_project_with_everything():
    assert lint(template_of()) == []
    assert lint(template_of(create_bus=False, architecture="x86_64", log_days=7, python="3.11")) == []


@pytest.mark.parametrize("level", ["error", "trace"])
def test_cfn_lint_has_nothing_against_the_log_of_a_bus(level: str):
    assert lint(template_of(bus_logs=level)) == []


def test_the_log_of_a_bus_has_what_its_level_has_and_no_details_of_events():
    made = template_of(bus_logs="info")["Resources"]
    assert made["Bus"]["Properties"]["LogConfig"] == {"Level": "INFO", "IncludeDetail": "NONE"}
    sources = [one["Properties"] for one in made.values() if one["Type"] == "AWS::Logs::DeliverySource"]
    assert [one["LogType"] for one in sources] == ["ERROR_LOGS", "INFO_LOGS"]
    policy = json.loads(made["BusLogsPolicy"]["Properties"]["PolicyDocument"]["Fn::Sub"])
    allowed = policy["Statement"][0]["Condition"]["ArnLike"]["aws:SourceArn"]
    assert [one.rpartition(":")[2] for one in allowed] == [one["Name"] for one in sources]
    assert "LogConfig" not in template_of()["Resources"]["Bus"]["Properties"]


def test_names_of_a_long_project_stay_within_what_a_log_delivery_takes():
    made = log_resources("orders", Names("p" * 40, "e" * 30), AwsSettings(bus_logs="trace")).values()
    found = [one["Properties"]["Name"] for one in made if "Name" in one["Properties"]]
    assert len(found) == len(set(found)) == 4 and all(re.fullmatch(r"[\w-]{1,60}", name) for name in found)


@pytest.mark.parametrize("changes", [{"create_bus": False}, {"bus": "default"}])
def test_the_log_of_a_bus_that_is_somebody_elses_is_refused(changes: dict[str, Any]):
    bus = changes.pop("bus", "orders")
    manifest = structs.replace(EVERYTHING, bus=bus)
    with pytest.raises(BrokenProject, match="bus_logs of 'prod': the bus"):
        template_of(manifest, bus_logs="trace", **changes)


@pytest.mark.parametrize("example", ["customer-notification", "batch"])
def test_cfn_lint_has_nothing_against_the_examples(example: str):
    manifest = asyncio.run(describe(EXAMPLES / example))
    assert lint(template_of(manifest)) == []


# A template takes cfn-lint a second or more.
LINTED = 100 if os.environ.get("BUSWAY_NIGHTLY") else 6


@pytest.mark.slow
@settings(max_examples=LINTED, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifests())
def test_cfn_lint_has_nothing_against_projects_that_nobody_thought_of(manifest: Manifest):
    assert lint(template_of(manifest)) == []


@settings(max_examples=200, deadline=None)
@given(manifests())
def test_no_two_things_of_a_project_have_one_logical_id_and_each_name_leads_somewhere(manifest: Manifest):
    template = template_of(manifest)
    queues = [one for one in template["Resources"].values() if one["Type"] == "AWS::SQS::Queue"]
    letters = [one for one in queues if one["Properties"]["QueueName"].endswith("-dead-letters")]
    assert len(letters) == len(manifest.handlers) + len(manifest.rules)
    types = [one["Type"] for one in template["Resources"].values()]
    assert types.count("AWS::Lambda::Function") == len(manifest.handlers)
    assert types.count("AWS::Events::Rule") == len(manifest.handlers) + len(manifest.rules)
    resources = template["Resources"].values()
    alarms = [one["Properties"]["AlarmName"] for one in resources if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(set(alarms)) == len(alarms) == len(letters) + len(manifest.handlers)
    known = {*template["Resources"], *template["Parameters"]}
    after = {name for one in template["Resources"].values() for name in one.get("DependsOn", [])}
    assert references(template["Resources"]) | after <= known
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in known)


def test_the_same_manifest_gives_the_same_text():
    assert template_json(template_of()) == template_json(template_of())
    shuffled = json.loads(json.dumps(template_of(), sort_keys=True))
    assert template_hash(shuffled) == template_hash(template_of())


def test_both_ways_into_the_dead_letters_lead_to_one_queue_that_this_rule_alone_may_fill():
    queue = {"Fn::GetAtt": ["SendReceiptDeadLetters", "Arn"]}
    assert resource("SendReceiptFunction")["DeadLetterConfig"] == {"TargetArn": queue}
    (target,) = resource("SendReceiptRule")["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": queue}
    (statement,) = resource("SendReceiptDeadLettersPolicy")["PolicyDocument"]["Statement"]
    rule_arn = statement["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert rule_arn.endswith(":rule/orders/shop-prod-send-receipt")


def test_retries_age_time_memory_and_concurrency_are_those_of_the_handler():
    config, function = resource("SendReceiptInvokeConfig"), resource("SendReceiptFunction")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (1, 7200)
    assert (function["Timeout"], function["MemorySize"], function["ReservedConcurrentExecutions"]) == (30, 256, 3)
    (target,) = resource("SendReceiptRule")["Targets"]
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 7200


def test_a_rule_is_made_when_all_that_it_leads_to_is_ready():
    rules = template_of()["Resources"]
    assert rules["SendReceiptRule"]["DependsOn"] == [
        "SendReceiptDeadLettersPolicy", "SendReceiptInvokeConfig", "SendReceiptPermission",
    ]  # fmt: skip
    assert "LedgerBatchMapping" in rules["LedgerRule"]["DependsOn"]
    assert {"AuditTargetQueuePolicy", "BigTarget2Permission"} <= set(rules["BigRule"]["DependsOn"])


def test_a_schedule_is_a_rule_on_the_default_bus_and_an_event_one_on_the_projects():
    assert "EventBusName" not in resource("NightlyRule")
    assert resource("NightlyRule")["ScheduleExpression"] == "cron(0 2 * * ? *)"
    assert resource("SendReceiptRule")["EventBusName"] == {"Ref": "Bus"}
    there = template_of(create_bus=False)["Resources"]
    assert "Bus" not in there and there["SendReceiptRule"]["Properties"]["EventBusName"] == "orders"


def test_a_role_allows_its_own_log_letters_rows_and_secrets_and_nothing_else():
    found = statements("SendReceiptFunctionRole")
    assert set(found) == {
        "logs:CreateLogStream", "sqs:SendMessage", "dynamodb:DeleteItem", "secretsmanager:GetSecretValue",
    }  # fmt: skip
    assert found["logs:CreateLogStream"]["Resource"] == {"Fn::GetAtt": ["SendReceiptLogGroup", "Arn"]}
    rows = found["dynamodb:DeleteItem"]["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
    assert rows == ["shop-prod-send-receipt/*"]
    (secret,) = found["secretsmanager:GetSecretValue"]["Resource"]
    assert secret["Fn::Sub"].endswith(":secret:shop/prod/STRIPE_KEY-??????")
    assert set(statements("NightlyFunctionRole")) == {"logs:CreateLogStream", "sqs:SendMessage"}


def test_a_role_allows_what_the_handler_declares():
    entry = handler_entry(
        permissions={
            "s3:GetObject": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
            "s3:PutObject": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
            "sns:Publish": ["arn:aws:sns:eu-west-1:${AWS::AccountId}:news"],
        }
    )
    found = statements("SendReceiptFunctionRole", Manifest(project="s", bus="default", events=[], handlers=[entry]))
    assert found["s3:GetObject"]["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert found["s3:GetObject"]["Resource"] == ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"]
    assert found["sns:Publish"]["Resource"] == [{"Fn::Sub": "arn:aws:sns:eu-west-1:${AWS::AccountId}:news"}]


def test_the_template_holds_names_of_secrets_and_no_value_of_the_deployers():
    variables = resource("SendReceiptFunction")["Environment"]["Variables"]
    assert variables["LEVEL"] == {"Ref": "EnvLevel"}
    assert json.loads(variables["BUSWAY_SECRETS"]) == {"STRIPE_KEY": "shop/prod/STRIPE_KEY"}
    assert template_of()["Parameters"]["AlertPagerdutyUrl"]["NoEcho"] is True


def test_the_table_of_once_is_there_if_a_handler_needs_it_and_knows_it():
    assert resource("SendReceiptFunction")["Environment"]["Variables"]["BUSWAY_ONCE_TABLE"] == {"Ref": "OnceTable"}
    assert resource("OnceTable")["TimeToLiveSpecification"] == {"AttributeName": "until", "Enabled": True}
    without = structs.replace(EVERYTHING, handlers=[handler_entry(once=False)], rules=[])
    assert "OnceTable" not in template_of(without)["Resources"]
    steps = {"send-receipt": Code("code/a.zip", "a.b", steps=True)}
    assert "OnceTable" in make_template(without, "prod", AwsSettings(), steps)["Resources"]


def test_an_alarm_tells_its_route_when_it_begins_and_when_it_ends():
    for alarm in (resource("SendReceiptAlarm"), resource("SendReceiptErrorRate")):
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlertPagerdutyTopic"}]
    assert resource("AlertPagerdutySubscription")["Protocol"] == "https"
    template = template_of()
    assert template["Resources"]["AlertPagerdutySubscription"]["Condition"] in template["Conditions"]


def test_a_batch_is_bisected_retried_and_given_up_to_the_dead_letters():
    mapping = resource("LedgerBatchMapping")
    assert (mapping["BisectBatchOnFunctionError"], mapping["MaximumRetryAttempts"]) == (True, 1)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    letters = {"Fn::GetAtt": ["LedgerDeadLetters", "Arn"]}
    assert mapping["DestinationConfig"] == {"OnFailure": {"Destination": letters}}
    assert resource("LedgerBatchStream")["RetentionPeriodHours"] == 56
    assert resource("MailAllBatchQueue")["RedrivePolicy"] == {
        "deadLetterTargetArn": letters_of("MailAll"),
        "maxReceiveCount": 2,
    }
    assert resource("LedgerRule")["Targets"][0]["KinesisParameters"] == {"PartitionKeyPath": "$.detail.id"}


def letters_of(logical: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [f"{logical}DeadLetters", "Arn"]}


def test_each_target_that_needs_a_role_has_one_of_its_own():
    assert statements("JobsTarget1Role")["batch:SubmitJob"]["Resource"][0].endswith(":job-queue/jobs")
    assert set(statements("JobsTarget2Role")) == {"glue:NotifyEvent"}
    assert set(statements("JobsTarget3Role")) == {"sagemaker:StartPipelineExecution"}
    assert set(statements("JobsTarget4Role")) == {"states:StartExecution"}
    targets = resource("JobsRule")["Targets"]
    assert targets[3]["RoleArn"] == {"Fn::GetAtt": ["JobsTarget4Role", "Arn"]}
    assert targets[0]["BatchParameters"] == {"JobDefinition": "resize", "JobName": "one"}
    (trust,) = resource("JobsTarget4Role")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"].endswith(":rule/orders/shop-prod-jobs")


def test_a_queue_that_two_rules_fill_has_one_policy_that_names_both():
    (statement,) = resource("AuditTargetQueuePolicy")["PolicyDocument"]["Statement"]
    rules = [one["Fn::Sub"].rpartition("/")[2] for one in statement["Condition"]["ArnEquals"]["aws:SourceArn"]]
    assert rules == ["shop-prod-audit", "shop-prod-big"]


def test_a_target_that_nobody_knows_is_refused_with_its_file():
    manifest = structs.replace(EVERYTHING, rules=[rule("odd", RuleTarget(arn="arn:aws:ecs:eu-west-1:1:cluster/x"))])
    with pytest.raises(BrokenProject, match=r"rules/odd\.json: .*arn:aws:ecs"):
        template_of(manifest)


def test_a_rule_that_leads_past_a_handlers_batches_is_refused():
    manifest = structs.replace(EVERYTHING, rules=[rule("odd", RuleTarget(handler="ledger"))])
    with pytest.raises(BrokenProject, match=r"rules/odd\.json: 'ledger' takes batches"):
        template_of(manifest)


def test_a_name_that_aws_does_not_take_is_refused():
    with pytest.raises(BrokenProject, match="longer than 64"):
        template_of(structs.replace(EVERYTHING, handlers=[handler_entry("a" * 60)]))


def test_more_than_a_stack_takes_is_refused():
    many = [handler_entry(f"h{number}") for number in range(60)]
    with pytest.raises(BrokenProject, match=f"at most {RESOURCES_MAX}"):
        template_of(structs.replace(EVERYTHING, handlers=many, rules=[]))


def test_an_overlay_adds_merges_and_takes_away():
    overlay = {
        "Resources": {
            "SendReceiptFunction": {"Properties": {"MemorySize": 1024, "ReservedConcurrentExecutions": None}},
            "Receipts": {"Type": "AWS::S3::Bucket"},
        }
    }
    template = overlaid(template_of(), overlay)
    function = template["Resources"]["SendReceiptFunction"]["Properties"]
    assert (function["MemorySize"], function["Timeout"]) == (1024, 30)
    assert "ReservedConcurrentExecutions" not in function
    assert template["Resources"]["Receipts"] == {"Type": "AWS::S3::Bucket"}
    assert lint(template) == []


def test_an_overlay_of_a_resource_that_is_not_there_is_told_which_was_meant():
    with pytest.raises(BrokenProject, match="SendReciptFunction") as told:
        overlaid(template_of(), {"Resources": {"SendReciptFunction": {"Properties": {"MemorySize": 1024}}}})
    assert "SendReceiptFunction" in told.value.hint


def test_two_things_that_would_be_one_in_the_template_are_refused():
    with pytest.raises(BrokenProject, match="two things of the project would be 'BusLogs'"):
        _add({"BusLogs": {}}, {"BusLogs": {}})


def test_a_handler_called_bus_has_its_log_and_the_bus_has_its_own():
    made = template_of(structs.replace(EVERYTHING, handlers=[handler_entry("bus")], rules=[]), bus_logs="trace")
    groups = [
        one["Properties"]["LogGroupName"] for one in made["Resources"].values() if one["Type"].endswith("LogGroup")
    ]
    assert sorted(groups) == ["/aws/lambda/shop-prod-bus", "/aws/vendedlogs/events/event-bus/orders"]
