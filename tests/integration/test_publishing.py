"""`busway.publish` against a real server: what a producer's program sends, and what arrives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from busway import Event, publish
from busway.errors import PublishFailed

from .whole_server import rule_to_queue, whole_server


class Paid(Event, source="shop", detail_type="Paid"):
    number: int


def test_what_is_published_arrives_and_what_is_refused_is_named(tmp_path: Path):
    with whole_server(tmp_path) as server:
        events, sqs = server.client("events"), server.client("sqs")
        url = rule_to_queue(server, "paid", '{"source":["shop"]}')

        ids = publish(*(Paid(number=number) for number in range(25)), client=events)
        broken = {"Source": "shop", "DetailType": "Paid", "Detail": "no JSON"}
        with pytest.raises(PublishFailed, match="MalformedDetail") as caught:
            publish(Paid(number=25), broken, client=events)
        (last, none) = caught.value.event_ids
        assert none is None

        found: dict[str, int] = {}
        while len(found) < 26:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
            bodies = [json.loads(message["Body"]) for message in messages]
            found |= {body["id"]: body["detail"]["number"] for body in bodies}
        assert found == dict(zip([*ids, last], range(26), strict=True))
