"""Queues as nouns: create, attributes, tags, permissions, delete, purge."""

from __future__ import annotations

import json

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine import Put
from busway.engine.memory import MemoryEngine
from busway.errors import (
    InvalidQueueAttribute,
    InvalidQueueRequest,
    PurgeInProgress,
    QueueNameTaken,
    QueueNotFound,
    UnknownQueueAttribute,
)
from busway.metrics import Metrics
from busway.queue.message import Outgoing
from busway.queue.queues import SqsQueues
from busway.queue.registry import queue_part


def redrive(arn: str, receives: object = 3) -> str:
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})


async def test_a_new_queue_has_aws_defaults(queues: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await queues.create(scope, "orders")
    assert await queues.attributes(queue.arn, ["All"]) == {
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:orders",
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "CreatedTimestamp": "1700000000",
        "LastModifiedTimestamp": "1700000000",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "VisibilityTimeout": "30",
        "SqsManagedSseEnabled": "true",
    }


async def test_only_the_attributes_asked_for_are_given(queues: SqsQueues, scope: Scope):
    queue = await queues.create(scope, "orders", {"DelaySeconds": "5"})
    assert await queues.attributes(queue.arn, []) == {}
    assert await queues.attributes(queue.arn, ["DelaySeconds", "Policy"]) == {"DelaySeconds": "5"}
    with pytest.raises(UnknownQueueAttribute, match=r"Unknown Attribute Colour\."):
        await queues.attributes(queue.arn, ["Colour"])


async def test_creating_again_with_equal_attributes_gives_the_queue(queues: SqsQueues, scope: Scope):
    first = await queues.create(scope, "orders", {"DelaySeconds": "5"})
    assert await queues.create(scope, "orders", {"DelaySeconds": "05", "VisibilityTimeout": "30"}) is first
    assert await queues.create(scope, "orders") is first


async def test_creating_again_with_another_value_is_refused(queues: SqsQueues, scope: Scope):
    await queues.create(scope, "orders", {"DelaySeconds": "5"})
    with pytest.raises(QueueNameTaken) as caught:
        await queues.create(scope, "orders", {"DelaySeconds": "6"})
    assert str(caught.value) == (
        "A queue already exists with the same name and a different value for attribute DelaySeconds"
    )


async def test_equal_redrive_policies_may_be_written_differently(queues: SqsQueues, scope: Scope):
    dead = await queues.create(scope, "dead")
    first = await queues.create(scope, "orders", {"RedrivePolicy": redrive(dead.arn, 3)})
    again = f'{{"maxReceiveCount":"3","deadLetterTargetArn":"{dead.arn}"}}'
    assert await queues.create(scope, "orders", {"RedrivePolicy": again}) is first


@pytest.mark.parametrize("name", ["", "a b", "a" * 81, "a.b", "orders/1"])
async def test_a_bad_name_is_refused(queues: SqsQueues, scope: Scope, name: str):
    with pytest.raises(InvalidQueueRequest, match="Can only include alphanumeric characters"):
        await queues.create(scope, name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DelaySeconds", "901"),
        ("DelaySeconds", "-1"),
        ("MaximumMessageSize", "1023"),
        ("MessageRetentionPeriod", "59"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
        ("VisibilityTimeout", "43201"),
        ("VisibilityTimeout", "soon"),
        ("KmsDataKeyReusePeriodSeconds", "1"),
        ("SqsManagedSseEnabled", "perhaps"),
        ("Policy", "[]"),
        ("Policy", "{"),
    ],
)
async def test_a_value_out_of_range_is_refused(queues: SqsQueues, scope: Scope, name: str, value: str):
    queue = await queues.create(scope, "orders")
    with pytest.raises(InvalidQueueAttribute, match=f"Invalid value for the parameter {name}"):
        await queues.set_attributes(queue.arn, {name: value})


@pytest.mark.parametrize("name", ["FifoQueue", "QueueArn", "ContentBasedDeduplication", "Nonsense"])
async def test_attributes_that_cannot_be_set_are_unknown(queues: SqsQueues, scope: Scope, name: str):
    queue = await queues.create(scope, "orders")
    with pytest.raises(UnknownQueueAttribute, match=rf"Unknown Attribute {name}\."):
        await queues.set_attributes(queue.arn, {name: "false"})


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("{", "not a valid JSON map"),
        ('{"maxReceiveCount":3}', "does not contain mandatory attribute: deadLetterTargetArn"),
        ('{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead"}', "mandatory attribute: maxReceiveCount"),
        ('{"deadLetterTargetArn":"dead","maxReceiveCount":3}', "Invalid value for deadLetterTargetArn"),
        (redrive("arn:aws:sqs:us-east-1:000000000000:none"), "Dead letter target does not exist"),
        (redrive("arn:aws:sqs:us-east-1:000000000000:dead", 0), "valid values are from 1 to 1000 both inclusive"),
        (redrive("arn:aws:sqs:us-east-1:000000000000:dead", True), "valid values are from 1 to 1000 both inclusive"),
    ],
)
async def test_a_bad_redrive_policy_is_refused(queues: SqsQueues, scope: Scope, policy: str, reason: str):
    await queues.create(scope, "dead")
    queue = await queues.create(scope, "orders")
    with pytest.raises(InvalidQueueRequest) as caught:
        await queues.set_attributes(queue.arn, {"RedrivePolicy": policy})
    assert str(caught.value).startswith(f"Value {policy} for parameter RedrivePolicy is invalid. Reason: ")
    assert reason in str(caught.value)


async def test_a_dead_letter_queue_says_who_may_use_it(queues: SqsQueues, scope: Scope):
    orders, other = await queues.create(scope, "orders"), await queues.create(scope, "other")
    by_queue = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [orders.arn]})
    dead = await queues.create(scope, "dead", {"RedriveAllowPolicy": by_queue})
    await queues.set_attributes(orders.arn, {"RedrivePolicy": redrive(dead.arn)})
    with pytest.raises(InvalidQueueRequest, match="RedriveAllowPolicy"):
        await queues.set_attributes(other.arn, {"RedrivePolicy": redrive(dead.arn)})
    await queues.set_attributes(dead.arn, {"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'})
    with pytest.raises(InvalidQueueRequest, match="RedriveAllowPolicy"):
        await queues.set_attributes(orders.arn, {"RedrivePolicy": redrive(dead.arn)})
    assert queues.dead_letter_sources(dead.arn) == [queues.get(orders.arn)]


@pytest.mark.parametrize(
    "policy",
    [
        "7",
        '{"redrivePermission":"some"}',
        '{"redrivePermission":"byQueue"}',
        '{"redrivePermission":"denyAll","sourceQueueArns":["arn:aws:sqs:us-east-1:000000000000:a"]}',
    ],
)
async def test_a_bad_redrive_allow_policy_is_refused(queues: SqsQueues, scope: Scope, policy: str):
    with pytest.raises(InvalidQueueRequest, match="RedriveAllowPolicy is invalid"):
        await queues.create(scope, "dead", {"RedriveAllowPolicy": policy})


async def test_setting_an_empty_policy_takes_it_away(queues: SqsQueues, scope: Scope, clock: ManualClock):
    dead = await queues.create(scope, "dead")
    queue = await queues.create(scope, "orders", {"RedrivePolicy": redrive(dead.arn)})
    await clock.advance(5)
    await queues.set_attributes(queue.arn, {"RedrivePolicy": ""})
    shown = await queues.attributes(queue.arn, ["All"])
    assert "RedrivePolicy" not in shown
    assert shown["LastModifiedTimestamp"] == "1700000005"


async def test_tags_are_added_and_taken_away(queues: SqsQueues, scope: Scope):
    queue = await queues.create(scope, "orders", tags={"team": "a"})
    await queues.tag(queue.arn, {"team": "b", "env": "dev"})
    await queues.untag(queue.arn, ["env", "missing"])
    assert queues.need(queue.arn).tags == {"team": "b"}


async def test_permissions_edit_the_policy(queues: SqsQueues, scope: Scope):
    queue = await queues.create(scope, "orders")
    await queues.add_permission(queue.arn, "send", ["111122223333"], ["SendMessage"])
    shown = await queues.attributes(queue.arn, ["Policy"])
    assert json.loads(shown["Policy"]) == {
        "Version": "2008-10-17",
        "Id": f"{queue.arn}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "send",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                "Action": "SQS:SendMessage",
                "Resource": queue.arn,
            }
        ],
    }
    with pytest.raises(InvalidQueueRequest, match="Already exists"):
        await queues.add_permission(queue.arn, "send", ["111122223333"], ["SendMessage"])
    await queues.remove_permission(queue.arn, "send")
    assert await queues.attributes(queue.arn, ["Policy"]) == {}
    with pytest.raises(InvalidQueueRequest, match="can't find label"):
        await queues.remove_permission(queue.arn, "send")


async def test_a_deleted_queue_is_gone_with_its_messages(queues: SqsQueues, scope: Scope):
    queue = await queues.create(scope, "orders")
    await queues.send(queue.arn, [Outgoing("a")], "me")
    await queues.delete(queue.arn)
    with pytest.raises(QueueNotFound, match=r"The specified queue does not exist\."):
        await queues.receive(queue.arn)
    await queues.create(scope, "orders")
    assert await queues.receive(queue.arn) == []


async def test_a_queue_is_purged_once_a_minute(queues: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await queues.create(scope, "orders")
    await queues.send(queue.arn, [Outgoing("a"), Outgoing("b")], "me")
    await queues.receive(queue.arn)
    assert await queues.purge(queue.arn) == 2
    with pytest.raises(PurgeInProgress, match="Only one PurgeQueue operation on orders is allowed every 60 seconds"):
        await queues.purge(queue.arn)
    await clock.advance(60)
    assert await queues.purge(queue.arn) == 0


async def test_queues_are_listed_by_name_in_their_own_scope(queues: SqsQueues, scope: Scope):
    for name in ("b1", "b2", "a"):
        await queues.create(scope, name)
    await queues.create(Scope(region="eu-west-1"), "b3")
    assert [queue.name for queue in queues.find(scope)] == ["a", "b1", "b2"]
    assert [queue.name for queue in queues.find(scope, "b")] == ["b1", "b2"]


async def test_queues_survive_a_restart(
    queues: SqsQueues, scope: Scope, engine: MemoryEngine, clock: ManualClock, metrics: Metrics
):
    queue = await queues.create(scope, "orders", {"DelaySeconds": "7"}, {"team": "a"})
    again = SqsQueues(engine, clock, SeededEntropy(2), metrics)
    await again.open()
    assert again.get(queue.arn) == queue


async def test_what_a_broken_off_delete_left_behind_ends_at_the_next_start(
    queues: SqsQueues, engine: MemoryEngine, clock: ManualClock, metrics: Metrics
):
    arn = "arn:aws:sqs:us-east-1:000000000000:gone"
    await engine.queues.put([Put(arn, b"left", clock.now())])
    again = SqsQueues(engine, clock, SeededEntropy(2), metrics)
    await again.open()
    assert not again.exists(arn)
    assert await engine.queues.names() == []


@pytest.mark.parametrize("bus", ["orders", "aws.partner/example.com/1", "b" * 200, "a.b", "a-b"])
def test_a_bus_name_becomes_part_of_a_queue_name(bus: str):
    part = queue_part(bus)
    assert len(part) <= 59
    assert set(part) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_buses_that_look_alike_have_queues_of_their_own():
    assert len({queue_part(name) for name in ("a.b", "a/b", "a-b")}) == 3
