"""Topics over the memory engine, with real queues and the real outbox."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.delivery import Delivered, Delivery, Failed, Outcome, Target
from busway.delivery.hand_over import HandOver
from busway.delivery.outbox import Outbox, Parcel, Parts
from busway.engine import Item, Put
from busway.engine.memory import MemoryEngine
from busway.errors import (
    InvalidTopicAttribute,
    InvalidTopicRequest,
    SubscriptionNotFound,
    TooManySubscriptions,
    TooManyTopics,
    TopicLimitExceeded,
    TopicNotFound,
    UnsubscribeRefused,
)
from busway.metrics import Metrics
from busway.pattern.event_tree import read_event
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.message import AttributeValue, decode_meta
from busway.queue.queues import SqsQueues
from busway.targets.queue import QueueTarget
from busway.targets.topic import SnsTarget
from busway.topic import choice, filter_policy, record as record_module, registry, topics as module
from busway.topic.message import TopicMessage
from busway.topic.record import CONFIRM_S_MAX, SubscriptionRecord
from busway.topic.topics import Asked, Topics
from busway.trail import Trail

SCOPE = Scope()
TOPIC = SCOPE.arn("sns", "t")
URL = "http://127.0.0.1:4566"


def asked(protocol: str, endpoint: str, **attributes: str) -> Asked:
    return Asked(protocol, endpoint, SCOPE.account, URL, attributes)


def message(id: str = "m", body: str = "b", **more: Any) -> TopicMessage:
    return TopicMessage(id, body, 1.0, **more)


class Nobody:
    """A target that is not asked."""

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        raise AssertionError(f"{delivery.target_arn} is not for this one")


@dataclass
class World:
    clock: ManualClock = field(default_factory=ManualClock)

    async def open(self) -> None:
        self.engine, self.metrics, self.trail = MemoryEngine(self.clock), Metrics(self.clock), Trail(self.clock)
        self.queues = SqsQueues(self.engine, self.clock, SeededEntropy(1), self.metrics)
        await self.queues.open()
        await self.start(2)

    async def start(self, seed: int) -> None:
        """The topics of a new process, over the same engine."""
        dead_letters = QueueDeadLetters(self.queues, self.metrics)
        targets: dict[str, Target] = {"sqs": QueueTarget(self.queues), "sns": Nobody()}
        parts = Parts(self.engine, self.clock, SeededEntropy(seed), self.metrics, self.trail, targets, dead_letters)
        hand_over = HandOver(targets, Outbox(parts), dead_letters, self.clock)
        self.topics = Topics(self.engine, self.clock, SeededEntropy(seed), self.metrics, self.trail, hand_over)
        await self.topics.open()

    async def queue(self, name: str, **attributes: str) -> SubscriptionRecord:
        await self.queues.create(SCOPE, name)
        return await self.topics.subscribe(TOPIC, asked("sqs", SCOPE.arn("sqs", name), **attributes))

    async def held(self, queue: str) -> list[Item]:
        return await self.engine.queues.browse(queue, 100)

    async def token(self, subscription: SubscriptionRecord) -> str:
        """Of the newest confirmation that is under way to it."""
        return str(json.loads((await self.held(f"delivery/{subscription.arn}"))[-1].body)["Token"])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    await made.topics.create(SCOPE, "t", {}, {})
    yield made
    await made.engine.close()


async def test_one_put_gives_a_message_to_every_subscription(world: World):
    await world.queue("a", RawMessageDelivery="true")
    await world.queue("b")
    outside = await world.topics.subscribe(TOPIC, asked("http", "http://example.com/"))
    await world.topics.confirm(TOPIC, await world.token(outside), signed=False)
    calls: list[int] = []
    put = world.engine.queues.put

    async def counted(puts: list[Put], **more: Any) -> list[int]:
        calls.append(len(puts))
        return await put(puts, **more)

    world.engine.queues.put = counted  # type: ignore[method-assign]
    await world.topics.publish(TOPIC, [message("1"), message("2")])
    assert calls == [6]
    assert [item.body for item in await world.held(SCOPE.arn("sqs", "a"))] == [b"b", b"b"]
    (*_, item) = await world.held(f"delivery/{outside.arn}")
    assert msgspec.json.decode(item.meta, type=Parcel).delivery.event_id == "2"


async def test_what_would_not_fit_into_memory_is_put_in_several_goes(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PUT_BYTES", 1_000)
    for name in "abc":
        await world.queue(name)
    await world.topics.publish(TOPIC, [message(body="x" * 600)])
    assert [len(await world.held(SCOPE.arn("sqs", name))) for name in "abc"] == [1, 1, 1]
    assert world.metrics.value("AWS/SNS", "NumberOfNotificationsDelivered", TopicName="t") == 3


async def test_a_publish_that_nobody_wants_lets_others_have_their_turn(world: World, monkeypatch: pytest.MonkeyPatch):
    """A large message is matched in a thread, and however many are asked, its body is read once."""
    here, threads, turns = threading.get_ident(), set[int](), [0]
    reads: list[int] = []

    def counted(event: bytes) -> Any:
        reads.append(len(event))
        threads.add(threading.get_ident())
        return read_event(event)

    async def other() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(filter_policy, "read_event", counted)
    for number in range(3 * choice.AT_ONCE):
        await world.queue(f"q{number}", FilterPolicyScope="MessageBody", FilterPolicy='{"k":["v"]}')
    task = asyncio.create_task(other())
    for body in ('{"k":"w"}', json.dumps({"k": "w" * choice.INLINE_BYTES_MAX})):
        turns[0] = 0
        await world.topics.publish(TOPIC, [message(body=body)])
        assert turns[0] >= 3
    task.cancel()
    assert len(reads) == 2
    assert here in threads
    assert len(threads) == 2


async def test_a_put_takes_so_many_rows_and_bytes_of_envelopes_as_said(world: World, monkeypatch: pytest.MonkeyPatch):
    for name in "abcd":
        await world.queue(name)
    calls: list[int] = []
    put = world.engine.queues.put

    async def counted(puts: list[Put], **more: Any) -> list[int]:
        calls.append(len(puts))
        return await put(puts, **more)

    world.engine.queues.put = counted  # type: ignore[method-assign]
    monkeypatch.setattr(module, "PUT_BYTES", 2 * module.ROW_BYTES)
    await world.topics.publish(TOPIC, [message("1")])
    assert calls == [2, 2]
    calls.clear()
    monkeypatch.setattr(module, "PUT_BYTES", 1 << 20)
    # As JSON, six bytes each.
    await world.topics.publish(TOPIC, [message("2", body="\x01" * 100_000)])
    assert calls == [2, 2]


async def test_what_is_published_again_within_the_time_reaches_nobody_twice(world: World):
    await world.queue("a")
    for _ in range(2):
        await world.topics.publish(TOPIC, [message("same")], once_until=world.clock.now() + 10)
    assert len(await world.held(SCOPE.arn("sqs", "a"))) == 1
    for _ in range(2):
        await world.topics.publish(TOPIC, [message("same")])
    assert len(await world.held(SCOPE.arn("sqs", "a"))) == 3


async def test_a_delivery_to_a_topic_that_is_tried_twice_is_published_once(world: World):
    """A crash after the put and before the row of the outbox ended."""
    await world.queue("a")
    target = SnsTarget(world.topics, Nobody(), Nobody(), world.clock)
    delivery = Delivery(
        event_id="e", target_arn=TOPIC, payload=b"text", accepted_at=0.0, subscriber="rule#t#1",
        parameters={"Subject": "s"},
    )  # fmt: skip
    for _ in range(2):
        assert await target.attempt(delivery) == Delivered()
    (item,) = await world.held(SCOPE.arn("sqs", "a"))
    assert json.loads(item.body)["Subject"] == "s"
    missing = await target.attempt(msgspec.structs.replace(delivery, target_arn=TOPIC + "-not"))
    assert isinstance(missing, Failed) and (missing.code, missing.retriable) == ("NO_RESOURCE", False)
    long = await target.attempt(msgspec.structs.replace(delivery, payload=b"x" * 262_145))
    assert isinstance(long, Failed) and (long.code, long.retriable) == ("SDK_CLIENT_ERROR", False)


async def test_an_event_is_nothing_for_an_alert_route(world: World):
    target = SnsTarget(world.topics, Nobody(), Nobody(), world.clock)
    route = SCOPE.arn("sns", "busway-alert-pager")
    delivery = Delivery(
        event_id="e", target_arn=route, payload=b"{}", accepted_at=0.0, rule_arn=SCOPE.rule_arn("b", "r")
    )
    outcome = await target.attempt(delivery)
    assert isinstance(outcome, Failed) and (outcome.code, outcome.retriable) == ("SDK_CLIENT_ERROR", False)


async def test_nobody_gets_anything_before_it_confirmed(world: World):
    pending = await world.topics.subscribe(TOPIC, asked("https", "https://example.com/"))
    await world.topics.publish(TOPIC, [message()])
    (confirming,) = await world.held(f"delivery/{pending.arn}")
    assert json.loads(confirming.body)["Type"] == "SubscriptionConfirmation"


async def test_a_confirmation_is_a_delivery_that_is_never_buried(world: World):
    pending = await world.topics.subscribe(TOPIC, asked("http", "http://example.com/"))
    (item,) = await world.held(f"delivery/{pending.arn}")
    assert msgspec.json.decode(item.meta, type=Parcel).delivery.secret
    await world.topics.confirm(TOPIC, await world.token(pending), signed=False)
    await world.topics.publish(TOPIC, [message()])
    *_, item = await world.held(f"delivery/{pending.arn}")
    assert not msgspec.json.decode(item.meta, type=Parcel).delivery.secret


async def test_a_token_is_in_no_record_is_replaced_by_the_next_and_good_for_two_days(world: World):
    pending = await world.topics.subscribe(TOPIC, asked("email", "jo@example.com"))
    first = await world.token(pending)
    records = await world.engine.records.list("")
    assert not any(first.encode() in value.data for value in records)
    again = await world.topics.subscribe(TOPIC, asked("email", "jo@example.com"))
    second = await world.token(pending)
    assert (again.arn, first != second) == (pending.arn, True)
    with pytest.raises(InvalidTopicRequest, match="Token"):
        await world.topics.confirm(TOPIC, first, signed=False)
    await world.clock.advance(CONFIRM_S_MAX + 1)
    with pytest.raises(InvalidTopicRequest, match="Token"):
        await world.topics.confirm(TOPIC, second, signed=False)
    assert world.topics.subscriptions(TOPIC) == []
    other = await world.topics.subscribe(TOPIC, asked("email", "mo@example.com"))
    assert [value.key for value in await world.engine.records.list("subscription/")] == [f"subscription/{other.arn}"]


async def test_a_second_confirmation_changes_nothing(world: World):
    pending = await world.topics.subscribe(TOPIC, asked("http", "http://example.com/"))
    token = await world.token(pending)
    first = await world.topics.confirm(TOPIC, token, signed=True, guard=True)
    assert await world.topics.confirm(TOPIC, token, signed=False) == first
    with pytest.raises(UnsubscribeRefused):
        await world.topics.unsubscribe(first.arn, signed=False)
    await world.topics.unsubscribe(first.arn, signed=True)
    await world.topics.unsubscribe(first.arn, signed=False)
    assert world.topics.shown(TOPIC)["SubscriptionsDeleted"] == "1"


async def test_everything_but_who_never_confirmed_is_there_after_a_restart(world: World):
    kept = await world.queue("a", FilterPolicy='{"k":["v"]}')
    pending = await world.topics.subscribe(TOPIC, asked("http", "http://example.com/"))
    token = await world.token(pending)
    late = await world.topics.subscribe(TOPIC, asked("http", "http://example.com/late"))
    await world.start(3)
    assert world.topics.subscriptions(TOPIC) == sorted([kept, pending, late], key=lambda one: one.arn)
    await world.topics.confirm(TOPIC, token, signed=False)
    await world.clock.advance(CONFIRM_S_MAX + 1)
    await world.start(4)
    assert {one.arn for one in world.topics.subscriptions(TOPIC)} == {kept.arn, pending.arn}
    assert len(await world.engine.records.list("subscription/")) == 2
    await world.topics.publish(TOPIC, [message()])
    assert await world.held(SCOPE.arn("sqs", "a")) == []


async def test_a_topic_that_was_deleted_takes_its_subscriptions_along(world: World):
    await world.queue("a")
    await world.topics.delete(TOPIC)
    with pytest.raises(TopicNotFound):
        await world.topics.publish(TOPIC, [message()])
    assert await world.engine.records.list("subscription/") == []


async def test_subscriptions_of_a_topic_whose_deletion_was_cut_short_are_cleared_away(world: World):
    await world.queue("a")
    await world.engine.records.delete(f"topic/{TOPIC}")
    await world.start(3)
    assert await world.engine.records.list("subscription/") == []


async def test_what_cannot_be_put_is_a_dead_letter_of_the_subscription(world: World):
    await world.queues.create(SCOPE, "dead")
    policy = json.dumps({"deadLetterTargetArn": SCOPE.arn("sqs", "dead")})
    await world.topics.subscribe(TOPIC, asked("sqs", SCOPE.arn("sqs", "gone"), RedrivePolicy=policy))
    await world.queue("raw", RawMessageDelivery="true", RedrivePolicy=policy)
    many = {f"a{n}": AttributeValue("String", text="x") for n in range(11)}
    await world.topics.publish(TOPIC, [message(attributes=many)])
    letters = await world.held(SCOPE.arn("sqs", "dead"))
    sources = [source for item in letters if (source := decode_meta(item.meta).source)]
    assert [source.error_code for source in sources] == ["NO_RESOURCE", "SDK_CLIENT_ERROR"]
    assert world.metrics.value("AWS/SNS", "NumberOfNotificationsFailed", TopicName="t") == 2


async def test_what_a_topic_does_is_counted_under_snss_names(world: World):
    await world.queue("a")
    await world.queue("b", FilterPolicy='{"k":["v"]}')
    await world.topics.publish(TOPIC, [message("1"), message("2")])
    counted = {
        name: world.metrics.value("AWS/SNS", name, TopicName="t")
        for name in (
            "NumberOfMessagesPublished",
            "NumberOfNotificationsDelivered",
            "NumberOfNotificationsFilteredOut",
        )
    }
    assert counted == {
        "NumberOfMessagesPublished": 2,
        "NumberOfNotificationsDelivered": 2,
        "NumberOfNotificationsFilteredOut": 2,
    }


async def test_one_message_that_cannot_be_published_holds_back_the_whole_batch(world: World):
    await world.queue("a")
    with pytest.raises(InvalidTopicRequest):
        await world.topics.publish(TOPIC, [message("1"), message("2", body="")])
    assert await world.held(SCOPE.arn("sqs", "a")) == []


async def test_a_topic_takes_messages_as_large_as_it_says(world: World):
    large = message(body="x" * 262_145)
    with pytest.raises(InvalidTopicRequest, match="Message too long"):
        await world.topics.publish(TOPIC, [large])
    await world.topics.set_attribute(TOPIC, "MaximumMessageSize", "1048576")
    await world.topics.publish(TOPIC, [large])
    with pytest.raises(InvalidTopicRequest, match="wanted 1024 to 1048576 bytes"):
        await world.topics.set_attribute(TOPIC, "MaximumMessageSize", "1048577")


async def test_attributes_of_a_subscription_are_set_one_by_one_and_taken_away_again(world: World):
    record = await world.queue("a")
    await world.topics.set_subscription_attribute(record.arn, "FilterPolicy", '{"k":["v"]}')
    await world.topics.publish(TOPIC, [message("1")])
    await world.topics.set_subscription_attribute(record.arn, "FilterPolicy", "")
    await world.topics.publish(TOPIC, [message("2")])
    (item,) = await world.held(SCOPE.arn("sqs", "a"))
    assert json.loads(item.body)["MessageId"] == "2"
    for name, value in (
        ("FilterPolicy", "{"),
        ("RedrivePolicy", "{}"),
        ("Nonsense", "x"),
        ("RawMessageDelivery", "x"),
    ):
        with pytest.raises(InvalidTopicRequest):
            await world.topics.set_subscription_attribute(record.arn, name, value)
    with pytest.raises(SubscriptionNotFound):
        await world.topics.set_subscription_attribute(record.arn + "0", "FilterPolicy", "")


async def test_a_scope_that_does_not_go_with_the_policy_is_refused(world: World):
    record = await world.queue("a", FilterPolicyScope="MessageBody", FilterPolicy='{"a":{"b":["c"]}}')
    with pytest.raises(InvalidTopicRequest, match="does not support nested filter policy"):
        await world.topics.set_subscription_attribute(record.arn, "FilterPolicyScope", "MessageAttributes")


async def test_the_same_endpoint_has_one_subscription_and_no_other_attributes(world: World):
    record = await world.queue("a")
    assert await world.topics.subscribe(TOPIC, asked("sqs", record.endpoint)) == record
    with pytest.raises(InvalidTopicRequest, match="Subscription already exists with different attributes"):
        await world.topics.subscribe(TOPIC, asked("sqs", record.endpoint, RawMessageDelivery="true"))


@pytest.mark.parametrize(
    ("protocol", "endpoint", "said"),
    [
        ("http", "https://example.com", "must match the specified protocol"),
        ("https", "https://", "names no host"),
        ("https", "https://[", "Endpoint Reason"),
        ("http", "http://xn--/", "Endpoint Reason"),
        ("http", "http://xn--a.com/", "Endpoint Reason"),
        ("https", "https://me:secret@example.com/", "holds credentials"),
        ("email", "jo", "Email address"),
        ("sqs", "q", "SQS endpoint ARN"),
        ("sqs", SCOPE.arn("sqs", "q.fifo"), "FIFO SQS Queues can not be subscribed"),
        ("lambda", SCOPE.arn("sqs", "q"), "Lambda endpoint ARN"),
        ("application", "x", "does not support this protocol string"),
        ("sqs", "", "Endpoint"),
    ],
)
async def test_an_endpoint_that_is_none_is_refused_and_its_secret_not_told(
    world: World, protocol: str, endpoint: str, said: str
):
    with pytest.raises(InvalidTopicRequest) as refused:
        await world.topics.subscribe(TOPIC, asked(protocol, endpoint))
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_topic_has_a_limit_of_subscriptions_and_tags(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SUBSCRIPTIONS_MAX", 1)
    await world.queue("a")
    with pytest.raises(TooManySubscriptions):
        await world.queue("b")
    with pytest.raises(TopicLimitExceeded):
        await world.topics.tag(TOPIC, {str(n): "" for n in range(51)})


async def test_an_account_has_a_limit_of_topics_in_each_region(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "TOPICS_MAX", 2)
    await world.topics.create(SCOPE, "u", {}, {})
    for _ in range(2):
        with pytest.raises(TooManyTopics, match="2 topics in this Region"):
            await world.topics.create(SCOPE, "v", {}, {})
        await world.start(3)
    assert (await world.topics.create(SCOPE, "u", {}, {})).name == "u"
    elsewhere = Scope(region="eu-west-1")
    await world.topics.create(elsewhere, "v", {}, {})
    await world.topics.delete(TOPIC)
    await world.topics.create(SCOPE, "v", {}, {})
    assert [topic.name for topic in world.topics.of_scope(SCOPE)] == ["u", "v"]
    assert [topic.name for topic in world.topics.of_scope(elsewhere)] == ["v"]
    assert world.topics.of_scope(Scope(account="111111111111")) == []


async def test_a_list_of_topics_parses_no_arn(world: World, monkeypatch: pytest.MonkeyPatch):
    await world.queue("a")

    def parsed(arn: str) -> Scope:
        raise AssertionError(f"{arn} was parsed")

    monkeypatch.setattr(record_module, "scope_of", parsed)
    assert len(world.topics.of_scope(SCOPE)) == len(world.topics.subscriptions_of_scope(SCOPE)) == 1


async def test_one_digest_is_made_of_a_token_whoever_is_asked(world: World, monkeypatch: pytest.MonkeyPatch):
    for number in range(3):
        await world.topics.subscribe(TOPIC, asked("email", f"jo{number}@example.com"))
    pending = await world.topics.subscribe(TOPIC, asked("email", "last@example.com"))
    digests: list[str] = []

    def counted(token: str) -> str:
        digests.append(token)
        return record_module.digest_of(token)

    monkeypatch.setattr(module, "digest_of", counted)
    assert world.topics.opened_by(TOPIC, await world.token(pending)).arn == pending.arn
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Policy", json.dumps({"x": "y" * 30_720})),
        ("DeliveryPolicy", json.dumps({"x": "y" * 30_720})),
        ("KmsMasterKeyId", "y" * 30_721),
        ("DisplayName", "y" * 101),
        ("DisplayName", "a\nb"),
    ],
)
async def test_an_attribute_that_is_too_long_is_refused(world: World, name: str, value: str):
    with pytest.raises(InvalidTopicRequest, match=name):
        await world.topics.set_attribute(TOPIC, name, value)
    with pytest.raises(InvalidTopicRequest, match=name):
        await world.topics.create(SCOPE, "u", {name: value}, {})
    await world.topics.set_attribute(TOPIC, "DisplayName", "é" * 100)


async def test_an_attribute_of_a_subscription_has_a_length(world: World):
    record = await world.queue("a")
    long = json.dumps({"deadLetterTargetArn": SCOPE.arn("sqs", "q" * 30_720)})
    for name in ("DeliveryPolicy", "RedrivePolicy"):
        with pytest.raises(InvalidTopicRequest, match=f"{name}: longer than 30720 bytes"):
            await world.topics.set_subscription_attribute(record.arn, name, long)


@pytest.mark.parametrize("texts", [{"default": "a\0b"}, {"default": "x", "sqs": ""}, {"default": "x", "sqs": "\x1b"}])
async def test_a_raw_queue_is_sent_nothing_that_sqs_refuses(world: World, texts: dict[str, str]):
    await world.queue("enveloped")
    bad = message(body=json.dumps(texts), texts=texts)
    await world.topics.publish(TOPIC, [bad])
    await world.queue("raw", RawMessageDelivery="true")
    with pytest.raises(InvalidTopicRequest, match="raw delivery"):
        await world.topics.publish(TOPIC, [message(), bad])
    assert len(await world.held(SCOPE.arn("sqs", "enveloped"))) == 1
    assert await world.held(SCOPE.arn("sqs", "raw")) == []


@pytest.mark.parametrize(
    "both", [AttributeValue("String", text="x", binary=b"y"), AttributeValue("Binary", text="x", binary=b"y")]
)
async def test_an_attribute_with_two_values_is_refused(world: World, both: AttributeValue):
    with pytest.raises(InvalidTopicAttribute, match="must contain one value"):
        await world.topics.publish(TOPIC, [message(attributes={"k": both})])
