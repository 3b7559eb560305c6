"""Whose topics and subscriptions a request may name: its own Region's, and its account's where AWS says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from busway.arn import Scope
from busway.aws.errors import AwsError
from busway.aws.service import Caller
from busway.aws.services.sns import Sns
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.topic.topics import Topics
from busway.trail import Trail

HOME = Scope()
TOPIC = HOME.arn("sns", "t")
# What names a topic or a subscription: (operation, the member that has its ARN, the other members).
NAMING: list[tuple[str, str, dict[str, Any]]] = [
    ("TagResource", "ResourceArn", {"Tags": [{"Key": "k", "Value": "v"}]}),
    ("UntagResource", "ResourceArn", {"TagKeys": ["k"]}),
    ("ListTagsForResource", "ResourceArn", {}),
    ("GetSubscriptionAttributes", "SubscriptionArn", {}),
    (
        "SetSubscriptionAttributes",
        "SubscriptionArn",
        {"AttributeName": "RawMessageDelivery", "AttributeValue": "true"},
    ),
    ("Unsubscribe", "SubscriptionArn", {}),
]


def caller(scope: Scope) -> Caller:
    return Caller(scope, "key", "r-1", "http://localhost", None, cast("Any", {}), cast("Any", None))


@pytest.fixture
async def sns() -> AsyncIterator[Sns]:
    clock = ManualClock()
    engine = MemoryEngine(clock)
    entropy = SeededEntropy(1)
    topics = Topics(engine, clock, entropy, Metrics(clock), Trail(clock), cast("Any", None))
    await topics.create(HOME, "t", {}, {})
    yield Sns(topics, clock, entropy)
    await engine.close()


async def subscribed(sns: Sns, by: Scope) -> str:
    request = {"TopicArn": TOPIC, "Protocol": "sqs", "Endpoint": HOME.arn("sqs", "q")}
    return str((await sns.operations["Subscribe"](request, caller(by)))["SubscriptionArn"])


@pytest.mark.parametrize(("operation", "member", "rest"), NAMING)
async def test_what_lies_elsewhere_is_not_reached(sns: Sns, operation: str, member: str, rest: dict[str, Any]):
    arn = TOPIC if member == "ResourceArn" else await subscribed(sns, HOME)
    request = {member: arn, **rest}
    with pytest.raises(AwsError, match=f"InvalidParameter: Invalid parameter: {member}"):
        await sns.operations[operation](request, caller(Scope(region="eu-west-1")))
    with pytest.raises(AwsError) as refused:
        await sns.operations[operation](request, caller(Scope(account="111111111111")))
    assert (refused.value.code, refused.value.status) == ("AuthorizationError", 403)
    await sns.operations[operation](request, caller(HOME))


async def test_a_token_is_for_the_region_of_its_topic(sns: Sns):
    request = {"TopicArn": TOPIC, "Token": "x"}
    with pytest.raises(AwsError, match="Invalid parameter: TopicArn"):
        await sns.operations["ConfirmSubscription"](request, caller(Scope(region="eu-west-1")))


async def test_who_subscribed_to_anothers_topic_may_end_it(sns: Sns):
    other = Scope(account="111111111111")
    arn = await subscribed(sns, other)
    await sns.operations["GetSubscriptionAttributes"]({"SubscriptionArn": arn}, caller(other))
    await sns.operations["Unsubscribe"]({"SubscriptionArn": arn}, caller(other))
