"""The fixture for code that uses boto3 already: a real server, and nothing of another test's in it."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.exceptions import ClientError

from busway.testing import BuswayServer

PATTERN = json.dumps({"source": ["shop"]})


def place_order(number: int) -> None:
    """As a program of yours, which knows nothing of a test."""
    entry = {"Source": "shop", "DetailType": "Placed", "Detail": json.dumps({"n": number})}
    boto3.client("events").put_events(Entries=[entry])


@pytest.mark.parametrize("number", [1, 2])
def test_code_that_uses_boto3_meets_a_real_bus_in_an_account_of_its_own(busway_server: BuswayServer, number: int):
    sqs, events = boto3.client("sqs"), boto3.client("events")
    assert events.list_rules()["Rules"] == []
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    arn = f"arn:aws:sqs:{busway_server.region}:{busway_server.account}:orders"
    rule = events.put_rule(Name="orders", EventPattern=PATTERN)["RuleArn"]
    policy = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
        ]
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    events.put_targets(Rule="orders", Targets=[{"Id": "q", "Arn": arn}])
    place_order(number)
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    assert json.loads(message["Body"])["detail"] == {"n": number}
    assert boto3.client("sts").get_caller_identity()["Account"] == busway_server.account


def test_what_another_test_made_is_not_there(busway_server: BuswayServer):
    with pytest.raises(ClientError, match="NonExistentQueue"):
        boto3.client("sqs").get_queue_url(QueueName="orders")
