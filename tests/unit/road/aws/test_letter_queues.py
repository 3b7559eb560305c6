"""Looking into and emptying dead-letter queues on AWS, with moto in its place: what a death or a refusal leaves."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from busway.errors import AwsRefused
from busway.road.aws.access import Aws, open_aws
from busway.road.aws.letter import Wanted
from busway.road.aws.letter_queues import LetterQueue, Sent, letter_queues, look, look_all, send_back
from busway.road.aws.names import Names
from busway.road.root import AwsSettings

NAMES = Names("shop", "prod")
SOURCE_QUEUE = "shop-prod-work"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Generator[Aws]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-west-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("busway.road.aws.letter_queues.POLL_S", 0)
    with mock_aws():
        yield open_aws(AwsSettings(), "prod")


def letters(count: int, entry: str = "one") -> LetterQueue:
    """A queue whose letters go back to another queue, where they can be counted."""
    sqs = boto3.client("sqs")
    sqs.create_queue(QueueName=SOURCE_QUEUE)
    url = sqs.create_queue(QueueName=f"shop-prod-{entry}-dead-letters")["QueueUrl"]
    target = f"arn:aws:sqs:eu-west-1:123456789012:{SOURCE_QUEUE}"
    attributes = {"TARGET_ARN": {"DataType": "String", "StringValue": target}}
    for number in range(count):
        body = json.dumps({"id": f"e-{number}", "source": "shop", "detail": {"n": number}})
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    return LetterQueue(f"shop-prod-{entry}-dead-letters", url, entry, f"shop-prod-{entry}")


def depth(name: str) -> int:
    sqs, number = boto3.client("sqs"), "ApproximateNumberOfMessages"
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[number])["Attributes"][number])


class Dying:
    """AWS until an operation is asked for the n-th time: then whoever asks dies."""

    def __init__(self, aws: Aws, operation: str, at: int) -> None:
        self.aws, self.operation, self.left = aws, operation, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.aws, name)

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation == self.operation:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self.aws.call(service, operation, **parameters)


def test_a_look_sees_all_and_leaves_each_visible(aws: Aws):
    queue = letters(25)
    found, more = look(aws, queue, Wanted(), 100)
    assert ([one.event_id for one in found], more) == ([f"e-{number}" for number in range(25)], False)
    assert depth(queue.name) == 25
    found, more = look(aws, queue, Wanted(), 7)
    assert (len(found), more, depth(queue.name)) == (7, True, 25)


def test_the_queues_of_a_project_are_found_by_name_also_of_handlers_that_are_gone(aws: Aws):
    letters(1, "one"), letters(2, "gone")
    boto3.client("sqs").create_queue(QueueName="shop-prod-one")
    boto3.client("sqs").create_queue(QueueName="shop-test-one-dead-letters")
    queues = letter_queues(aws, NAMES)
    assert [(queue.entry, queue.function) for queue in queues] == [
        ("gone", "shop-prod-gone"), ("one", "shop-prod-one"),
    ]  # fmt: skip
    assert [queue.entry for queue in letter_queues(aws, NAMES, "one")] == ["one"]
    assert letter_queues(aws, NAMES, "nope") == []
    found, _ = look_all(aws, queues, Wanted(), 10)
    assert len(found) == 3


@pytest.mark.parametrize("at", [1, 5, 12])
def test_a_death_between_sending_and_deleting_repeats_one_letter_and_loses_none(aws: Aws, at: int):
    queue = letters(12)
    dying: Any = Dying(aws, "DeleteMessage", at)
    with pytest.raises(KeyboardInterrupt):
        send_back(dying, queue, Wanted(), Sent())
    assert depth(SOURCE_QUEUE) == at
    # The one that was sent, and is not deleted, is still a letter.
    assert depth(queue.name) == 12 - (at - 1)
    sent = Sent()
    send_back(aws, queue, Wanted(), sent)
    assert sent.redriven == 12 - (at - 1)
    assert (depth(queue.name), depth(SOURCE_QUEUE)) == (0, 13)


def test_a_death_before_anything_is_sent_leaves_every_letter(aws: Aws):
    queue = letters(12)
    dying: Any = Dying(aws, "SendMessage", 3)
    with pytest.raises(KeyboardInterrupt):
        send_back(dying, queue, Wanted(), Sent())
    assert (depth(queue.name), depth(SOURCE_QUEUE)) == (10, 2)


def test_what_aws_refuses_stays_with_its_reason_and_the_others_go(aws: Aws):
    queue = letters(3)

    class Refusing(Dying):
        def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
            if operation == "SendMessage" and '"e-1"' in parameters["MessageBody"]:
                raise AwsRefused("sqs:SendMessage", "AccessDenied", "not yours")
            return self.aws.call(service, operation, **parameters)

    refusing: Any = Refusing(aws, "", 0)
    sent, seen = Sent(), list[int]()
    send_back(refusing, queue, Wanted(), sent, progress=seen.append)
    assert (sent.redriven, sent.sent, seen) == (2, ["e-0", "e-2"], [1, 2])
    (stayed,) = sent.refused
    assert "AccessDenied: not yours" in stayed.reason
    assert [letter.event_id for letter in look(aws, queue, Wanted(), 10)[0]] == ["e-1"]


def test_only_what_is_wanted_goes_and_the_others_are_visible_at_once(aws: Aws):
    queue = letters(12)
    send_back(aws, queue, Wanted(frozenset({"e-3"})), sent := Sent())
    assert (sent.sent, depth(queue.name), depth(SOURCE_QUEUE)) == (["e-3"], 11, 1)
