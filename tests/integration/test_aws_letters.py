"""Dead letters and the doctor of a project on AWS: a second server of ours stands in for AWS, reached as AWS is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .deployed import LETTERS, NAME, Deployed, alarm, deployed_project, permit
from .whole_server import REGION, arn, zipped

SOURCE = """
def handler(event, context):
    total = event["detail"]["total"]
    if total > 100:
        raise ValueError(f"{total} is too much")
"""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed_project(tmp_path_factory.mktemp("home"), SOURCE) as project:
        yield project


def test_letters_are_grouped_by_handler_and_error_and_stay_where_they_are(deployed: Deployed):
    ids = deployed.failed(500, 500, 600)
    found = deployed.json("dlq")
    assert [(group["error_message"], group["count"]) for group in found["groups"]] == [
        ("500 is too much", 2), ("600 is too much", 1),
    ]  # fmt: skip
    assert {item["event_id"] for item in found["items"]} == set(ids)
    assert {item["handler"] for item in found["items"]} == {NAME}
    assert deployed.waiting() == 3
    (letter,) = deployed.json("dlq", "one", "--event", ids[2])
    assert json.loads(letter["payload"])["detail"]["total"] == 600
    shown = deployed.run("dlq", "--profile", "ops", "--event", ids[2]).stdout
    assert "600 is too much" in shown and '"total": 600' in shown
    pattern = '{"detail": {"total": [600]}}'
    assert deployed.json("dlq", "--matching", pattern)["total"] == 1
    assert deployed.waiting() == 3
    deployed.emptied()


def test_only_what_is_chosen_goes_back_and_only_to_the_function_that_failed(deployed: Deployed):
    ids = deployed.failed(500, 600)
    plan = deployed.run("redrive", "one", "--profile", "ops", "--dry-run")
    assert "2 would be sent back; nothing was" in plan.stderr
    code = {"ZipFile": zipped("def handler(event, context): pass")}
    functions = deployed.server.client("lambda")
    functions.update_function_code(FunctionName=NAME, **code)
    assert deployed.json("redrive", "--event", ids[1])["redriven"] == 1
    assert [item["event_id"] for item in deployed.json("dlq")["items"]] == [ids[0]]
    done = deployed.run("redrive", "one", "--profile", "ops")
    assert (done.returncode, done.stdout) == (0, "1 sent back\n")
    assert deployed.json("dlq")["total"] == 0
    assert deployed.json("redrive", "--event", ids[1], code=1)["redriven"] == 0
    functions.update_function_code(FunctionName=NAME, ZipFile=zipped(SOURCE))


def test_what_fails_again_meanwhile_is_sent_back_once(deployed: Deployed):
    deployed.failed(*range(500, 530))
    assert deployed.json("redrive", "--all")["redriven"] == 30
    deployed.until(lambda: deployed.waiting() == 30, "the letters of what failed again")
    deployed.emptied()


def test_an_event_is_edited_and_checked_before_it_is_sent(deployed: Deployed):
    (event_id,) = deployed.failed(500)
    words = ["redrive", "--profile", "ops", "--event", event_id, "--set"]
    refused = deployed.run(*words, "total=many")
    assert refused.returncode == 1 and "does not fit OrderPlaced" in refused.stderr
    assert deployed.waiting() == 1
    assert deployed.run(*words, "total=7").stdout == "1 sent back\n"
    assert deployed.json("dlq")["total"] == 0


def test_what_has_no_way_back_stays_and_says_why(deployed: Deployed):
    sqs = deployed.server.client("sqs")
    url = sqs.get_queue_url(QueueName=LETTERS)["QueueUrl"]
    gone = {"TARGET_ARN": arn("lambda", "function:gone"), "ERROR_CODE": "NO_RESOURCE", "ERROR_MESSAGE": "gone"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in gone.items()}
    sqs.send_message(QueueUrl=url, MessageBody="{}", MessageAttributes=attributes)
    sqs.send_message(QueueUrl=url, MessageBody="by hand")
    (group, other) = sorted(deployed.json("dlq")["groups"], key=lambda one: -len(one["error_code"]))
    assert (group["error_code"], group["handler"]) == ("NO_RESOURCE", gone["TARGET_ARN"])
    assert other["handler"] == ""
    done = deployed.json("redrive", "--all", code=1)
    assert done["redriven"] == 0
    reasons = sorted(one["reason"] for one in done["refused"])
    assert "Function not found" in reasons[0] and "nothing in it says what failed" in reasons[1]
    assert deployed.waiting() == 2
    deployed.emptied()


def test_the_doctor_finds_nothing_in_what_is_deployed_and_each_thing_that_was_broken(deployed: Deployed):
    server = deployed.server
    assert deployed.json("doctor") == {"environment": "prod", "region": REGION, "findings": []}
    sqs, events = server.client("sqs"), server.client("events")
    url = sqs.get_queue_url(QueueName=LETTERS)["QueueUrl"]
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": "", "MessageRetentionPeriod": "3600"})
    server.client("lambda").remove_permission(FunctionName=NAME, StatementId="rule")
    alarm(server, [])
    events.put_rule(Name="shop-prod-bare", EventPattern='{"source": ["none"]}')
    events.put_targets(Rule="shop-prod-bare", Targets=[{"Id": "t", "Arn": arn("sqs", LETTERS)}])
    codes = [one["code"] for one in deployed.json("doctor", code=1)["findings"]]
    assert sorted(codes) == [
        "alarm-without-actions", "dead-letter-queue-drops", "no-invoke-permission", "retention-too-short",
        "target-without-dead-letters",
    ]  # fmt: skip
    told = deployed.run("doctor", "--profile", "ops")
    assert told.returncode == 1 and "error: rule shop-prod-bare, target t:" in told.stdout
    assert "3 errors, 2 warnings" in told.stderr
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy, "MessageRetentionPeriod": "1209600"})
    permit(server)
    alarm(server, [arn("sns", "busway-alert-ops")])
    events.remove_targets(Rule="shop-prod-bare", Ids=["t"])
    events.delete_rule(Name="shop-prod-bare")


def test_what_is_missing_is_said_before_anything_is_asked(deployed: Deployed):
    told = deployed.run("dlq", "--profile", "nobody-s")
    assert told.returncode == 1 and "nobody-s" in told.stderr and "aws configure list-profiles" in told.stderr
    told = deployed.run("redrive", "--all", "--env", "prod")
    assert told.returncode == 2 and "--profile is missing" in told.stderr
    told = deployed.run("dlq", "nope", "--profile", "ops")
    assert told.returncode == 1 and "has no handler 'nope'; it has one" in told.stderr
    told = deployed.run("redrive", "one", "--profile", "ops", "--wait", "5")
    assert told.returncode == 2 and "--wait is for a server" in told.stderr
