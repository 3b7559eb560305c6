"""An unmodified boto3 script against a whole server: buses, rules, targets, events, dead letters."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from busway.config import Settings
from busway.server import Server

ACCOUNT, REGION = "123456789012", "eu-central-1"


class Served:
    """A server in a thread of its own, and clients of it."""

    def __init__(self, data: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = Server(Settings(port=0, data=str(data)), lambda error: None)
        self._call(self._server.start())

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._server.url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key="secret",
            # What the client would refuse by itself is ours to refuse here.
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )

    def close(self) -> None:
        self._call(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("data"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def events(served: Served) -> Any:
    return served.client("events")


@pytest.fixture(scope="module")
def sqs(served: Served) -> Any:
    return served.client("sqs")


def queue(sqs: Any, name: str) -> tuple[str, str]:
    """(URL, ARN) of a new queue."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def receive(sqs: Any, url: str, count: int = 1) -> list[dict[str, Any]]:
    """`count` messages, waiting for each."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        more = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10, MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])  # fmt: skip
        assert more, f"{len(found)} of {count} messages arrived"
        for message in more:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found += more
    return found


def refusal(call: Any, **members: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as refused:
        call(**members)
    response = refused.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_event_arrives_byte_for_byte(events: Any, sqs: Any):
    url, arn = queue(sqs, "exact")
    made = events.create_event_bus(Name="exact", Description="d", Tags=[{"Key": "k", "Value": "v"}])
    assert made["EventBusArn"] == f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/exact"
    events.put_rule(
        Name="r", EventBusName="exact", EventPattern='{"source":["shop"],"detail":{"n":[{"exists":true}]}}'
    )
    assert (
        events.put_targets(Rule="r", EventBusName="exact", Targets=[{"Id": "q", "Arn": arn}])["FailedEntryCount"] == 0
    )
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    put = events.put_events(
        Entries=[
            {
                "Source": "shop", "DetailType": "Örder", "Detail": '{ "n": 1.000,\n "a": [ "é", "\\u00e9" ] }',
                "EventBusName": made["EventBusArn"], "Time": datetime(2026, 11, 23, 16, 30, 5, 999_000, UTC),
                "Resources": ["arn:x"], "TraceHeader": trace,
            },
            {"Source": "shop", "DetailType": "t", "Detail": "[]", "EventBusName": "exact"},
        ]
    )  # fmt: skip
    assert put["FailedEntryCount"] == 1
    assert put["Entries"][1] == {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    [message] = receive(sqs, url)
    assert message["Body"] == (
        f'{{"version":"0","id":"{put["Entries"][0]["EventId"]}","detail-type":"Örder","source":"shop",'
        f'"account":"{ACCOUNT}","time":"2026-11-23T16:30:05Z","region":"{REGION}","resources":["arn:x"],'
        '"detail":{"n":1.000,"a":["é","\\u00e9"]}}'
    )
    assert message["Attributes"]["AWSTraceHeader"] == trace


def test_the_default_bus_and_an_input_transformer(events: Any, sqs: Any):
    url, arn = queue(sqs, "transformed")
    events.put_rule(Name="t", EventPattern='{"detail-type":["Transformed"]}')
    transformer = {"InputPathsMap": {"who": "$.detail.who"}, "InputTemplate": '"Hello <who>"'}
    events.put_targets(Rule="t", Targets=[{"Id": "q", "Arn": arn, "InputTransformer": transformer}])
    events.put_events(Entries=[{"Source": "s", "DetailType": "Transformed", "Detail": '{"who":"you"}'}] * 10)
    assert {message["Body"] for message in receive(sqs, url, 10)} == {'"Hello you"'}
    [target] = events.list_targets_by_rule(Rule="t")["Targets"]
    assert target["InputTransformer"] == transformer


def test_a_dead_letter_has_awss_attributes(events: Any, sqs: Any):
    url, arn = queue(sqs, "letters")
    gone = arn.replace("letters", "gone")
    rule = events.put_rule(Name="dead", EventPattern='{"detail-type":["Dead"]}')["RuleArn"]
    policy = {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}
    events.put_targets(
        Rule="dead",
        Targets=[{"Id": "q", "Arn": gone, "DeadLetterConfig": {"Arn": arn}, "RetryPolicy": policy, "Input": '"x"'}],
    )
    events.put_events(Entries=[{"Source": "s", "DetailType": "Dead", "Detail": "{}"}])
    [message] = receive(sqs, url)
    attributes = message["MessageAttributes"]
    assert message["Body"] == '"x"'
    assert {value["DataType"] for value in attributes.values()} == {"String"}
    assert set(attributes) == {"RULE_ARN", "TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE"}
    assert attributes["RULE_ARN"]["StringValue"] == rule and attributes["TARGET_ARN"]["StringValue"] == gone
    assert attributes["ERROR_CODE"]["StringValue"] == "NO_RESOURCE"


def test_one_bus_feeds_another(events: Any, sqs: Any):
    url, arn = queue(sqs, "fed")
    other = events.create_event_bus(Name="other")["EventBusArn"]
    events.put_rule(Name="feed", EventPattern='{"detail-type":["Fed"]}')
    events.put_targets(Rule="feed", Targets=[{"Id": "b", "Arn": other, "RoleArn": "arn:aws:iam::1:role/r"}])
    events.put_rule(Name="keep", EventBusName="other", EventPattern='{"source":["s"]}')
    events.put_targets(Rule="keep", EventBusName="other", Targets=[{"Id": "q", "Arn": arn}])
    put = events.put_events(Entries=[{"Source": "s", "DetailType": "Fed", "Detail": "{}"}])
    [message] = receive(sqs, url)
    assert json.loads(message["Body"])["id"] == put["Entries"][0]["EventId"]


def test_a_rule_can_be_read_listed_disabled_tagged_and_deleted(events: Any, sqs: Any):
    _, arn = queue(sqs, "life")
    bus = events.create_event_bus(Name="life")["EventBusArn"]
    rule = events.put_rule(
        Name="a", EventBusName="life", EventPattern='{"a":[1]}', Description="d", Tags=[{"Key": "k", "Value": "v"}]
    )["RuleArn"]
    events.put_rule(Name="b", EventBusName=bus, EventPattern='{"a":[2]}', State="DISABLED")
    described = events.describe_rule(Name="a", EventBusName="life")
    described.pop("ResponseMetadata")
    assert described == {
        "Name": "a", "Arn": rule, "EventPattern": '{"a":[1]}', "State": "ENABLED", "Description": "d",
        "EventBusName": "life", "CreatedBy": ACCOUNT,
    }  # fmt: skip
    page = events.list_rules(EventBusName="life", Limit=1)
    assert [r["Name"] for r in page["Rules"]] == ["a"] and "CreatedBy" not in page["Rules"][0]
    page = events.list_rules(EventBusName="life", Limit=1, NextToken=page["NextToken"])
    assert [r["Name"] for r in page["Rules"]] == ["b"] and "NextToken" not in page
    events.disable_rule(Name="a", EventBusName="life")
    assert events.describe_rule(Name="a", EventBusName="life")["State"] == "DISABLED"
    events.enable_rule(Name="a", EventBusName="life")
    events.tag_resource(ResourceARN=rule, Tags=[{"Key": "x", "Value": "y"}])
    events.untag_resource(ResourceARN=rule, TagKeys=["k"])
    assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "x", "Value": "y"}]
    events.put_targets(Rule="a", EventBusName="life", Targets=[{"Id": "q", "Arn": arn}])
    assert events.list_rule_names_by_target(TargetArn=arn, EventBusName="life")["RuleNames"] == ["a"]
    assert refusal(events.delete_rule, Name="a", EventBusName="life") == (
        "ValidationException", "Rule can't be deleted since it has targets.", 400,
    )  # fmt: skip
    events.remove_targets(Rule="a", EventBusName="life", Ids=["q"])
    events.delete_rule(Name="a", EventBusName="life")
    events.delete_rule(Name="b", EventBusName="life")
    events.delete_event_bus(Name="life")
    assert "life" not in [b["Name"] for b in events.list_event_buses()["EventBuses"]]


def test_a_bus_can_be_described_updated_and_shared(events: Any):
    events.create_event_bus(Name="shared")
    events.update_event_bus(Name="shared", Description="new", DeadLetterConfig={"Arn": "arn:aws:sqs:r:1:q"})
    events.put_permission(EventBusName="shared", Action="events:PutEvents", Principal="111122223333", StatementId="s")
    bus = events.describe_event_bus(Name="shared")
    assert bus["Description"] == "new" and bus["DeadLetterConfig"] == {"Arn": "arn:aws:sqs:r:1:q"}
    assert bus["CreationTime"] <= bus["LastModifiedTime"]
    assert json.loads(bus["Policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "s", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": "events:PutEvents", "Resource": bus["Arn"],
            }
        ],
    }  # fmt: skip
    events.remove_permission(EventBusName="shared", StatementId="s")
    assert "Policy" not in events.describe_event_bus(Name="shared")
    events.put_permission(EventBusName="shared", Policy='{"Version":"2012-10-17","Statement":[]}')
    events.remove_permission(EventBusName="shared", RemoveAllPermissions=True)


def test_a_pattern_is_tested_against_an_event(events: Any):
    event = dict.fromkeys(("id", "account", "source", "time", "region", "detail-type"), "x") | {"resources": []}
    test = events.test_event_pattern
    assert test(EventPattern='{"source":["x"]}', Event=json.dumps(event))["Result"] is True
    assert test(EventPattern='{"source":["y"]}', Event=json.dumps(event))["Result"] is False
    for bad in ("[]", "text", '"text"', "{"):
        assert refusal(test, EventPattern='{"source":["x"]}', Event=bad) == (
            "ValidationException", "Parameter Event is not valid.", 400,
        )  # fmt: skip
    code, message, _ = refusal(test, EventPattern="[]", Event=json.dumps(event))
    assert code == "InvalidEventPatternException" and "Filter is not an object" in message


def test_a_request_that_asks_too_much_is_refused_whole(events: Any):
    entry = {"Source": "s", "DetailType": "t", "Detail": "{}"}
    code, message, status = refusal(events.put_events, Entries=[entry] * 11)
    assert (code, status) == ("ValidationException", 400)
    assert message.startswith("1 validation error detected: Value '[PutEventsRequestEntry(time=null, source=s, ")
    big = {**entry, "Detail": json.dumps({"x": "y" * 1_048_576})}
    assert refusal(events.put_events, Entries=[big]) == (
        "ValidationException", "Total size of the entries in the request is over the limit.", 400,
    )  # fmt: skip
    almost = {**entry, "Detail": json.dumps({"x": "y" * 1_048_000})}
    assert events.put_events(Entries=[almost])["FailedEntryCount"] == 0
    code, message, _ = refusal(events.put_events, Entries=[])
    assert code == "ValidationException" and "at 'entries' failed to satisfy constraint" in message


@pytest.mark.parametrize(
    ("operation", "members", "code", "message"),
    [
        ("describe_event_bus", {"Name": "no"}, "ResourceNotFoundException", "Event bus no does not exist."),
        ("create_event_bus", {"Name": "default"}, "ResourceAlreadyExistsException",
         "Event bus default already exists."),
        ("delete_event_bus", {"Name": "default"}, "ValidationException", "Cannot delete event bus default."),
        ("describe_rule", {"Name": "no"}, "ResourceNotFoundException", "Rule no does not exist on EventBus default."),
        ("list_rules", {"EventBusName": "no"}, "ResourceNotFoundException", "Event bus no does not exist."),
        ("remove_permission", {"StatementId": "no"}, "ResourceNotFoundException",
         "Statement with the provided id does not exist."),
        ("put_targets", {"Rule": "no", "Targets": [{"Id": "a", "Arn": "arn:aws:sqs:r:1:q"}]},
         "ResourceNotFoundException", "Rule no does not exist on EventBus default."),
        ("put_targets", {"Rule": "no", "Targets": [{"Id": "!", "Arn": "arn:aws:sqs:r:1:q"}]}, "ValidationException",
         "1 validation error detected: Value '!' at 'targets.1.member.id' failed to satisfy constraint: "
         r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"),
        ("put_rule", {"Name": "x", "ScheduleExpression": "rate(1 days)"}, "ValidationException",
         "Parameter ScheduleExpression is not valid."),
    ],
)  # fmt: skip
def test_errors_have_awss_code_and_words(events: Any, operation: str, members: dict, code: str, message: str):
    assert refusal(getattr(events, operation), **members) == (code, message, 400)


def test_what_is_not_built_says_so(events: Any):
    _, message, status = refusal(
        events.create_archive, ArchiveName="a", EventSourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    )
    assert status == 501 and "CreateArchive" in message
