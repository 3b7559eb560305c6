"""The road to AWS, walked to its end on an AWS that is not ours: MiniStack's CloudFormation and Lambda."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from tests.conftest import PEERS
from tests.unit.road.aws.manifests import EVERYTHING

from busway.road.aws.access import Aws, open_aws
from busway.road.aws.compare import compare
from busway.road.aws.deploy import deploy, rollback
from busway.road.aws.doctor import gather
from busway.road.aws.findings import findings
from busway.road.aws.function import Code
from busway.road.aws.letter import Wanted
from busway.road.aws.letter_queues import Sent, letter_queues, look, send_back
from busway.road.aws.names import Names
from busway.road.aws.packages import Package, zipped
from busway.road.aws.release import Release, Site, make_release
from busway.road.aws.stack import Progress
from busway.road.aws.status import site_status
from busway.road.aws.template import Template, make_template
from busway.road.manifest import Manifest
from busway.road.root import AwsSettings

from .whole_server import until

pytestmark = pytest.mark.needs("ministack")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
LOOK_S = 0.05
FUNCTION = "customer-notification-prod-notify-customer"


def asked(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder, url = tmp_path_factory.mktemp("ministack"), f"http://127.0.0.1:{port}"
    # On loopback only.
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PEERS / "ministack"], cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        until(lambda: asked(f"{url}/_ministack/health"), "MiniStack")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def aws(ministack: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in {
        "AWS_ENDPOINT_URL": ministack, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return open_aws(AwsSettings(), "prod")


def example(folder: Path) -> Path:
    """The example for the machine that runs the tests, as MiniStack's functions run on it too."""
    left_out = shutil.ignore_patterns(".busway", "__pycache__")
    root = shutil.copytree(ROOT / "examples" / "customer-notification", folder / "example", ignore=left_out)
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    settings = f'target = "aws"\narchitecture = "{architecture}"\npython = "3.{sys.version_info.minor}"'
    text = (root / "pyproject.toml").read_text().replace('target = "aws"', settings)
    (root / "pyproject.toml").write_text(text)
    # MiniStack knows no metric math: as its user would, take out what needs it.
    (root / "aws").mkdir()
    (root / "aws" / "overlay.json").write_text('{"Resources": {"NotifyCustomerErrorRate": null}}')
    return root


def taken(manifest: Manifest, settings: AwsSettings, codes: Mapping[str, Code]) -> Template:
    """A template but for the alarms that are metric math."""
    template = make_template(manifest, "prod", settings, codes)
    resources = template["Resources"]
    return {
        **template,
        "Resources": {name: one for name, one in resources.items() if "Metrics" not in one.get("Properties", {})},
    }


def sample_of(root: Path) -> dict[str, Any]:
    return json.loads((root / "handlers" / "notify_customer" / "sample.json").read_text())


def fired(root: Path) -> None:
    sample = sample_of(root)
    entry = {
        "Source": sample["source"], "DetailType": sample["detail-type"], "Resources": sample["resources"],
        "Detail": json.dumps(sample["detail"]),
    }  # fmt: skip
    (answer,) = boto3.client("events").put_events(Entries=[entry])["Entries"]
    assert "EventId" in answer


def test_the_example_is_deployed_fired_changed_and_brought_back(aws: Aws, ministack: str, tmp_path: Path):
    root = example(tmp_path)
    handler = root / "handlers" / "notify_customer" / "handler.py"
    first = asyncio.run(make_release(root, "prod"))
    said: list[Progress] = []
    done = deploy(first, aws, {}, said.append, lambda _: time.sleep(LOOK_S))
    assert done.changed and done.outputs["Bus"] == "default"
    created = {one.what for one in said if one.status == "CREATE_COMPLETE"}
    assert created == {*first.template["Resources"], "customer-notification-prod"}
    boto3.client("sesv2").create_email_identity(EmailIdentity="notifications@example.com")

    fired(root)
    sent = f"{ministack}/_ministack/ses/messages"
    until(lambda: "user@example.com" in json.dumps(asked(sent)), "the mail")
    (row,) = until(
        lambda: boto3.client("dynamodb").scan(TableName="customer-notification-prod-once")["Items"], "its row"
    )
    assert row["state"] == {"S": "done"}

    handler.write_text(handler.read_text().replace("retries=2", "retries=1, memory_mb=512"))
    second = asyncio.run(make_release(root, "prod"))
    changed = {change.where.split(".")[1] for change in compare(second, aws, {}, said.append).changes}
    assert changed == {"NotifyCustomerFunction", "NotifyCustomerInvokeConfig"}
    assert deploy(second, aws, {}, said.append, lambda _: time.sleep(LOOK_S)).changed
    assert memory() == 512
    assert rollback(first.site, aws, said.append, lambda _: time.sleep(LOOK_S)).template == done.template
    assert memory() == 256
    until(lambda: site_status(first.site, aws).handlers[0].function == "Active", "the function")


def test_the_doctor_and_the_dead_letters_of_what_is_deployed(aws: Aws, ministack: str, tmp_path: Path):
    root = example(tmp_path)
    release = asyncio.run(make_release(root, "prod"))
    deploy(release, aws, {}, lambda _: None, lambda _: time.sleep(LOOK_S))
    names, handlers = release.site.names, ["notify-customer"]
    # The template has the function's dead letters; this CloudFormation does not set them.
    assert {one.code for one in findings(gather(aws, names, ["default"], handlers))} == {
        "function-without-dead-letters", "alarm-without-actions",
    }  # fmt: skip
    boto3.client("lambda").remove_permission(FunctionName=FUNCTION, StatementId=_statement())
    assert "no-invoke-permission" in {one.code for one in findings(gather(aws, names, ["default"], handlers))}

    boto3.client("sesv2").create_email_identity(EmailIdentity="notifications@example.com")
    (queue,) = letter_queues(aws, names)
    event = json.dumps(
        {**sample_of(root), "id": "5f1f4c3a-0000-4000-8000-000000000001", "resources": ["late@example.com"]}
    )
    words = {"RequestID": "r", "ErrorCode": "200", "ErrorMessage": "no post today"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in words.items()}
    boto3.client("sqs").send_message(QueueUrl=queue.url, MessageBody=event, MessageAttributes=attributes)
    ((letter,), more) = look(aws, queue, Wanted(), 10)
    assert (letter.handler, letter.error_message, more) == (FUNCTION, "no post today", False)
    assert len(look(aws, queue, Wanted(), 10)[0]) == 1
    sent = Sent()
    send_back(aws, queue, Wanted(), sent)
    assert (sent.redriven, sent.refused, sent.sent) == (1, [], [letter.event_id])
    until(lambda: "late@example.com" in json.dumps(asked(f"{ministack}/_ministack/ses/messages")), "the mail")
    assert look(aws, queue, Wanted(), 10)[0] == []


def _statement() -> str:
    policy = json.loads(boto3.client("lambda").get_policy(FunctionName=FUNCTION)["Policy"])
    return policy["Statement"][0]["Sid"]


def memory() -> int:
    return boto3.client("lambda").get_function_configuration(FunctionName=FUNCTION)["MemorySize"]


def test_a_project_with_everything_is_taken_whole(aws: Aws):
    code = zipped({"app.py": b"def handle(event, context): return event"})
    packages = {
        entry.name: Package(code, entry.name.ljust(64, "0"), "app.handle", False) for entry in EVERYTHING.handlers
    }
    codes = {name: package.code for name, package in packages.items()}
    settings = AwsSettings()
    template = taken(EVERYTHING, settings, codes)
    release = Release(Site(Names("shop", "prod"), settings), template, packages, {"STRIPE_KEY": "handlers/x.py"})
    environ = {"LEVEL": "debug", "STRIPE_KEY": "sk", "BUSWAY_ALERT_PAGERDUTY_URL": "https://127.0.0.1:9/enqueue"}
    assert deploy(release, aws, environ, lambda _: None, lambda _: time.sleep(LOOK_S)).changed
    assert len(template["Resources"]) == 77
    there = boto3.client("cloudformation").describe_stack_resources(StackName="shop-prod")["StackResources"]
    # No address for this route was given, so that nobody is subscribed.
    assert {one["LogicalResourceId"] for one in there} == set(template["Resources"]) - {"AlertDatadogSubscription"}
    assert {one["ResourceStatus"] for one in there} == {"CREATE_COMPLETE"}
    assert {one.function for one in site_status(release.site, aws).handlers} == {"Active"}
    again = replace(release, template=taken(EVERYTHING, settings, codes))
    assert not deploy(again, aws, environ, lambda _: None, lambda _: time.sleep(LOOK_S)).changed
    # A handler that went and comes back finds its dead letters, which stayed.
    fewer = msgspec.structs.replace(EVERYTHING, handlers=EVERYTHING.handlers[1:])
    less = replace(release, template=taken(fewer, settings, codes))
    gone = compare(less, aws, environ, lambda _: None, lambda _: time.sleep(LOOK_S)).resources
    kept = {one.name for one in gone if one.kept}
    assert {template["Resources"][name]["Type"] for name in kept} >= {"AWS::SQS::Queue"}
    deploy(less, aws, environ, lambda _: None, lambda _: time.sleep(LOOK_S))
    said: list[Progress] = []
    assert deploy(again, aws, environ, said.append, lambda _: time.sleep(LOOK_S)).changed
    assert "there already" in {one.status for one in said}
