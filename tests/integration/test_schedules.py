"""A rule on a schedule, made by boto3, on a server whose clock is moved by hand."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from .whole_server import WholeServer, whole_server


def received(server: WholeServer, url: str) -> list[dict[str, object]]:
    # Without waiting: the server's clock stands still.
    answer = server.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_a_schedule_fires_when_the_clock_says_so_and_why_follows_its_event(tmp_path: Path):
    with whole_server(tmp_path, clock="manual") as server:
        events, sqs = server.client("events"), server.client("sqs")
        url = sqs.create_queue(QueueName="nightly")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        rule = events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")["RuleArn"]
        events.put_targets(Rule="nightly", Targets=[{"Id": "q", "Arn": arn}])
        assert events.describe_rule(Name="nightly")["ScheduleExpression"] == "rate(1 day)"
        assert events.list_rules()["Rules"][0]["ScheduleExpression"] == "rate(1 day)"
        with pytest.raises(events.exceptions.ClientError, match="Parameter ScheduleExpression is not valid"):
            events.put_rule(Name="x", ScheduleExpression="rate(1 days)")

        server.busway("clock", "+23h")
        assert received(server, url) == []
        server.busway("clock", "+1h")
        deadline = time.monotonic() + 30
        while not (found := received(server, url)):
            assert time.monotonic() < deadline, "nothing was fired"
        (event,) = found
        assert (event["source"], event["detail-type"]) == ("aws.events", "Scheduled Event")
        assert (event["resources"], event["detail"]) == ([rule], {})
        assert "nightly" in json.dumps(server.busway("why", str(event["id"])))
        assert "rate(1 day)" in json.dumps(server.busway("list", "rules"))
