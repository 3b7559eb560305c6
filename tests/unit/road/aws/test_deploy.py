"""Deploying to AWS, with moto in its place: what is made, what a second deploy finds, and the way back."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Generator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.unit.road.aws.manifests import codes_of, handler_entry

from busway.errors import AwsUnusable, BrokenProject, StackUnusable
from busway.road.aws.access import Aws, open_aws
from busway.road.aws.bucket import Past, before, line_with
from busway.road.aws.compare import compare
from busway.road.aws.deploy import Deployed, deploy, rollback
from busway.road.aws.names import Names
from busway.road.aws.packages import Package, zipped
from busway.road.aws.parameters import parameters_of
from busway.road.aws.release import Release, Site
from busway.road.aws.stack import Progress
from busway.road.aws.status import site_status
from busway.road.aws.template import make_template, template_hash
from busway.road.manifest import Manifest
from busway.road.root import AwsSettings

# Moto's CloudFormation knows no alarms, queue policies and invoke configs; what it passes over, it says.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

MANIFEST = Manifest(
    project="shop",
    bus="default",
    events=[],
    handlers=[handler_entry(env=["LEVEL"], alert="pagerduty", secrets=["KEY"]), handler_entry("ledger")],
)
ENVIRON = {"LEVEL": "debug", "KEY": "sk_1"}
BUCKET = "busway-123456789012-eu-west-1"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Generator[Aws]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield open_aws(AwsSettings(), "prod")


def release(memory_mb: int = 256, code: bytes = b"pass", **settings: Any) -> Release:
    names, on_aws = Names("shop", "prod"), AwsSettings(**settings)
    packages = {
        entry.name: Package(
            zipped({"app.py": code}), (entry.name + code.decode()).ljust(64, "0"), "app.handle", False
        )
        for entry in MANIFEST.handlers
    }
    codes = {name: package.code for name, package in packages.items()} or codes_of(MANIFEST)
    template = copy.deepcopy(make_template(MANIFEST, "prod", on_aws, codes))
    template["Resources"]["LedgerFunction"]["Properties"]["MemorySize"] = memory_mb
    return Release(Site(names, on_aws), template, packages, {"KEY": "handlers/send-receipt/handler.py"})


def deployed(aws: Aws, what: Release | None = None, said: list[Progress] | None = None, **environ: str) -> Deployed:
    say = (lambda _: None) if said is None else said.append
    return deploy(what or release(), aws, {**ENVIRON, **environ}, say, lambda _: None)


def function(name: str) -> dict[str, Any]:
    return boto3.client("lambda").get_function_configuration(FunctionName=f"shop-prod-{name}")


def stack_parameters() -> dict[str, str]:
    (stack,) = boto3.client("cloudformation").describe_stacks(StackName="shop-prod")["Stacks"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}


def test_a_project_is_deployed_with_code_variables_and_secrets(aws: Aws):
    said: list[Progress] = []
    assert deployed(aws, said=said).changed
    assert function("send-receipt")["Environment"]["Variables"]["LEVEL"] == "debug"
    assert boto3.client("secretsmanager").get_secret_value(SecretId="shop/prod/KEY")["SecretString"] == "sk_1"
    assert [str(one) for one in said][:4] == [
        "secret shop/prod/KEY: sealed (taken from the environment)",
        f"{BUCKET}: made (for code and templates: private, encrypted, versioned)",
        "ledger code: uploaded (116 bytes)",
        "send-receipt code: uploaded (116 bytes)",
    ]
    assert "shop-prod: CREATE_COMPLETE" in [str(one) for one in said]


def test_the_bucket_is_private_encrypted_and_keeps_versions(aws: Aws):
    deployed(aws)
    s3 = boto3.client("s3")
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_a_bucket_of_ones_own_is_used_as_it_is(aws: Aws):
    where = {"LocationConstraint": "eu-west-1"}
    boto3.client("s3").create_bucket(Bucket="mine", CreateBucketConfiguration=where)
    deployed(aws, release(bucket="mine"))
    assert [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]] == ["mine"]
    assert stack_parameters()["CodeBucket"] == "mine"


def test_a_second_deploy_of_the_same_changes_nothing(aws: Aws):
    address = {"BUSWAY_ALERT_PAGERDUTY_URL": "https://events.pagerduty.com/x"}
    first, said = deployed(aws, **address), []
    again = deployed(aws, said=said, **address)
    assert not again.changed and again.template == first.template
    assert Progress("ledger code", "as before", "116 bytes") in said
    assert Progress("shop-prod", "as before", "nothing to change") in said


def test_what_the_shell_does_not_say_stays_as_it_was(aws: Aws):
    deployed(aws, BUSWAY_ALERT_PAGERDUTY_URL="https://events.pagerduty.com/integration/k/enqueue")
    deploy(release(512), aws, {}, lambda _: None, lambda _: None)
    assert function("send-receipt")["Environment"]["Variables"]["LEVEL"] == "debug"
    assert function("ledger")["MemorySize"] == 512


def test_a_route_without_an_address_is_told(aws: Aws):
    said: list[Progress] = []
    deployed(aws, said=said)
    assert "BUSWAY_ALERT_PAGERDUTY_URL" in [one.what for one in said]
    said.clear()
    deployed(aws, release(512), said=said, BUSWAY_ALERT_PAGERDUTY_URL="https://events.pagerduty.com/x")
    assert "BUSWAY_ALERT_PAGERDUTY_URL" not in [one.what for one in said]


@pytest.mark.parametrize(
    ("address", "said", "hint"),
    [
        (
            "https://hooks.slack.com/services/T0/B0/canary",
            "a Slack webhook",
            "Amazon Q Developer in chat",
        ),
        ("canary@example.com", "no https address", "aws/overlay.json"),
        ("http://canary.example/", "no https address", "aws/overlay.json"),
    ],
)
def test_an_address_that_sns_cannot_tell_is_refused_with_the_way_that_works(address: str, said: str, hint: str):
    with pytest.raises(BrokenProject, match=said) as told:
        parameters_of(release().template, {}, {**ENVIRON, "BUSWAY_ALERT_PAGERDUTY_URL": address}, "bucket")
    assert hint in told.value.hint
    assert "canary" not in str(told.value) + told.value.hint


def test_all_that_is_missing_is_told_at_once():
    template = {"Parameters": {"One": {"Type": "String"}, "Two": {"Type": "String", "Description": "the second"}}}
    with pytest.raises(BrokenProject, match="One; the second are not set here") as told:
        parameters_of(template, {}, {}, "bucket")
    assert told.value.hint.endswith("export BUSWAY_PARAMETER_One=… BUSWAY_PARAMETER_Two=…")


@pytest.mark.parametrize(("missing", "said"), [("LEVEL", "export LEVEL="), ("KEY", "export KEY=")])
def test_what_is_missing_is_told_before_anything_is_made(aws: Aws, missing: str, said: str):
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    with pytest.raises(BrokenProject, match=missing) as told:
        deploy(release(), aws, environ, lambda _: None, lambda _: None)
    assert said in told.value.hint
    assert boto3.client("s3").list_buckets()["Buckets"] == []


def test_rollback_brings_back_template_and_code_and_the_next_one_goes_further_back(aws: Aws):
    one, two, three = release(128, b"one"), release(256, b"two"), release(512, b"three")
    for each in (one, two, three):
        deployed(aws, each)
    back = rollback(one.site, aws, lambda _: None, lambda _: None)
    assert back.template == template_hash(two.template)
    assert function("ledger")["MemorySize"] == 256
    back = rollback(one.site, aws, lambda _: None, lambda _: None)
    assert (back.template, function("ledger")["MemorySize"]) == (template_hash(one.template), 128)
    with pytest.raises(StackUnusable, match="nothing was deployed to shop-prod before"):
        rollback(one.site, aws, lambda _: None, lambda _: None)
    deployed(aws, three)
    assert rollback(one.site, aws, lambda _: None, lambda _: None).template == template_hash(one.template)


def test_rollback_brings_back_a_variable_that_alone_was_changed(aws: Aws):
    deployed(aws, LEVEL="debug")
    found = compare(release(), aws, {**ENVIRON, "LEVEL": "info"}, lambda _: None)
    assert (found.changes, found.variables) == ([], ["LEVEL"])
    assert compare(release(), aws, ENVIRON, lambda _: None).variables == []
    deployed(aws, LEVEL="info")
    assert function("send-receipt")["Environment"]["Variables"]["LEVEL"] == "info"
    rollback(release().site, aws, lambda _: None, lambda _: None)
    assert function("send-receipt")["Environment"]["Variables"]["LEVEL"] == "debug"


def test_the_line_of_what_was_deployed_ends_where_one_went_back_to():
    a, b, c = Past("a"), Past("b"), Past("a", {"LEVEL": "info"})
    assert line_with([], a) == [a]
    assert line_with([a, b], c) == [a, b, c]
    assert line_with([a, b, a, c], a) == [a, b, a]
    assert (before([], a), before([a], a), before([a], b), before([a, b], b)) == (None, None, a, a)


def test_a_difference_names_each_property_and_what_cloudformation_would_do(aws: Aws):
    new = compare(release(), aws, ENVIRON, lambda _: None)
    assert new.new and "+ LedgerFunction (AWS::Lambda::Function)" in [str(one) for one in new.resources]
    assert boto3.client("cloudformation").describe_stacks()["Stacks"] == []
    deployed(aws)
    found = compare(release(512), aws, ENVIRON, lambda _: None)
    assert [str(one) for one in found.changes] == ["~ Resources.LedgerFunction.Properties.MemorySize: 256 -> 512"]
    assert [str(one) for one in found.resources] == ["~ LedgerFunction (AWS::Lambda::Function)"]
    assert function("ledger")["MemorySize"] == 256
    left = boto3.client("cloudformation").list_change_sets(StackName="shop-prod")["Summaries"]
    assert not [one for one in left if one["ChangeSetName"].startswith("busway-diff")]
    assert compare(release(), aws, ENVIRON, lambda _: None).changes == []


def test_status_tells_the_stack_and_of_each_handler_function_letters_and_alarm(aws: Aws):
    assert site_status(release().site, aws).stack.status == ""
    deployed(aws)
    deployed(aws, release(512))
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="shop-prod-ledger-dead-letters")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    boto3.client("lambda").delete_function(FunctionName="shop-prod-send-receipt")
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName="shop-prod-ledger-dead-letters", EvaluationPeriods=1, ComparisonOperator="GreaterThanThreshold",
        Threshold=0, MetricName="m", Namespace="n", Period=60, Statistic="Maximum",
    )  # fmt: skip
    boto3.client("cloudwatch").set_alarm_state(
        AlarmName="shop-prod-ledger-dead-letters", StateValue="ALARM", StateReason="letters"
    )
    status = site_status(release().site, aws)
    assert (status.stack.status, status.before) == ("UPDATE_COMPLETE", 1)
    shown = {one.name: (one.function, one.dead_letters, one.alarm) for one in status.handlers}
    assert shown == {"ledger": ("Active", 1, "ALARM"), "send-receipt": ("missing", 0, "missing")}


# A deploy makes some thirty calls, of which each interruption tries one.
STEP = 1 if os.environ.get("BUSWAY_NIGHTLY") else 5


class Interrupted(Exception):
    """Somebody pressed Ctrl+C."""


def interrupting(aws: Aws, after: int, *, done: bool) -> Aws:
    """AWS that is asked `after` times, and then no more: before the call is made, or (`done`) after."""

    class Until(Aws):
        calls = 0

        def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
            Until.calls += 1
            if Until.calls > after and not done:
                raise Interrupted
            answer = Aws.call(self, service, operation, **parameters)
            if Until.calls > after:
                raise Interrupted
            return answer

    return Until(aws.region, aws.client_of)


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True])
def test_a_deploy_that_is_interrupted_anywhere_is_finished_by_the_next(aws: Aws, done: bool):
    deployed(aws, release(128, b"one"))
    wanted = release(512, b"two")
    for after in range(0, 100, STEP):
        try:
            deployed(interrupting(aws, after, done=done), wanted)
        except Interrupted:
            deployed(aws, wanted)
            assert function("ledger")["MemorySize"] == 512
            rollback(wanted.site, aws, lambda _: None, lambda _: None)
            assert function("ledger")["MemorySize"] == 128
        else:
            break
    assert after > 15


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True])
def test_a_first_deploy_that_is_interrupted_anywhere_is_finished_by_the_next(aws: Aws, done: bool):
    for after in range(0, 100, STEP):
        try:
            deployed(interrupting(aws, after, done=done))
        except Interrupted:
            deployed(aws)
            assert function("ledger")["State"] == "Active"
        else:
            break
        boto3.client("cloudformation").delete_stack(StackName="shop-prod")
        s3 = boto3.resource("s3").Bucket(BUCKET)
        s3.object_versions.delete()
        s3.delete()
    assert after > 15


def test_deploying_to_another_account_than_the_environments_is_refused(aws: Aws):
    with pytest.raises(AwsUnusable, match="of account 123456789012; 'prod' is in 999999999999"):
        open_aws(AwsSettings(account="999999999999"), "prod")


def test_a_template_that_was_deployed_is_known_by_what_it_says(aws: Aws):
    deployed(aws)
    body = boto3.client("cloudformation").get_template(StackName="shop-prod")["TemplateBody"]
    assert template_hash(json.loads(json.dumps(body))) == template_hash(release().template)
