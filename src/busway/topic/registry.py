"""Which topics and subscriptions there are: their records, in memory and in the engine."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from busway.arn import Scope
from busway.clock import Clock
from busway.engine import Engine
from busway.errors import (
    InvalidTopicRequest,
    SubscriptionNotFound,
    TaggedTopicNotFound,
    TooManyTopics,
    TopicLimitExceeded,
    TopicNotFound,
)
from busway.topic.attributes import check_topic_attribute, filter_of, normalized, shown_topic
from busway.topic.filter_policy import FilterPolicy
from busway.topic.record import SubscriptionRecord, TopicRecord, check_topic_name, topic_arn

# https://docs.aws.amazon.com/sns/latest/dg/sns-tags.html
TAGS_MAX = 50
# Ours, of one account and Region: all of them are in memory; AWS takes 100,000.
TOPICS_MAX = 10_000
_TOPIC, _SUBSCRIPTION = "topic/", "subscription/"


class TopicRegistry:
    """Topics by ARN, and their subscriptions. Lookups are answered from memory; every change is durable before it
    returns."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._topics: dict[str, TopicRecord] = {}
        self._by_scope: defaultdict[Scope, dict[str, TopicRecord]] = defaultdict(dict)
        self._subscriptions: dict[str, dict[str, SubscriptionRecord]] = {}
        self._filters: dict[str, FilterPolicy | None] = {}
        # One change at a time: each is built on what the one before it left.
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Load every record; once. What a delete that was cut short left behind, and who never confirmed, goes."""
        for value in await self._engine.records.list(_TOPIC):
            topic = msgspec.json.decode(value.data, type=TopicRecord)
            self._topics[topic.arn] = self._by_scope[topic.scope][topic.arn] = topic
            self._subscriptions[topic.arn] = {}
        for value in await self._engine.records.list(_SUBSCRIPTION):
            record = msgspec.json.decode(value.data, type=SubscriptionRecord)
            if record.topic_arn in self._topics and (record.confirmed or record.pending(self._clock.now())):
                self._keep(record)
            else:
                await self._engine.records.delete(value.key)

    # Topics.

    def exists(self, arn: str) -> bool:
        return arn in self._topics

    def need(self, arn: str) -> TopicRecord:
        """Raises `TopicNotFound`."""
        topic = self._topics.get(arn)
        if topic is None:
            raise TopicNotFound(arn)
        return topic

    def of_scope(self, scope: Scope) -> list[TopicRecord]:
        """The topics of one account and Region, by name."""
        return [topic for _, topic in sorted(self._by_scope.get(scope, {}).items())]

    async def create(
        self, scope: Scope, name: str, attributes: Mapping[str, str], tags: Mapping[str, str]
    ) -> TopicRecord:
        """A new topic, or the one that is there if all that is given is the same there.

        Raises `InvalidTopicRequest`, `TopicLimitExceeded`, `TooManyTopics`.
        """
        check_topic_name(name, dict(attributes))
        kept = normalized({name: value for name, value in attributes.items() if name != "FifoTopic"})
        for attribute, value in kept.items():
            try:
                check_topic_attribute(attribute, value)
            except InvalidTopicRequest as error:
                raise InvalidTopicRequest(f"Attributes Reason: {error.fault}") from error
        arn = topic_arn(scope, name)
        async with self._writing:
            present = self._topics.get(arn)
            if present is not None:
                return self._same(present, kept, tags)
            if len(self._by_scope.get(scope, ())) >= TOPICS_MAX:
                raise TooManyTopics(f"This account has {TOPICS_MAX} topics in this Region, the most there may be.")
            record = TopicRecord(
                arn=arn, created_at=self._clock.now(), attributes=kept, tags=_checked_tags(dict(tags))
            )
            self._subscriptions[arn] = {}
            await self._save_topic(record)
        return record

    def _same(self, present: TopicRecord, attributes: Mapping[str, str], tags: Mapping[str, str]) -> TopicRecord:
        shown = shown_topic(present, 0, 0)
        if any(shown.get(name) != value for name, value in attributes.items()):
            raise InvalidTopicRequest("Attributes Reason: Topic already exists with different attributes")
        if any(present.tags.get(key) != value for key, value in tags.items()):
            raise InvalidTopicRequest("Tags Reason: Topic already exists with different tags")
        return present

    async def delete(self, arn: str) -> None:
        """Forget a topic and its subscriptions; one that is not there is no error. What is under way is dropped."""
        async with self._writing:
            topic = self._topics.pop(arn, None)
            if topic is None:
                return
            self._by_scope[topic.scope].pop(arn, None)
            # The topic first: what a crash leaves behind of the others, `open` clears away.
            await self._engine.records.delete(_TOPIC + arn)
            for subscription in self._subscriptions.pop(arn):
                self._filters.pop(subscription, None)
                await self._engine.records.delete(_SUBSCRIPTION + subscription)

    def shown(self, arn: str) -> dict[str, str]:
        """Its attributes as the API gives them. Raises `TopicNotFound`."""
        topic, now = self.need(arn), self._clock.now()
        subscriptions = list(self._subscriptions[arn].values())
        confirmed = sum(one.confirmed for one in subscriptions)
        return shown_topic(topic, confirmed, sum(one.pending(now) for one in subscriptions))

    async def set_attribute(self, arn: str, name: str, value: str) -> None:
        """Raises `TopicNotFound`, `InvalidTopicRequest`."""
        check_topic_attribute(name, value)
        async with self._writing:
            topic = self.need(arn)
            attributes = normalized({**topic.attributes, name: value})
            await self._save_topic(msgspec.structs.replace(topic, attributes=attributes))

    def tags(self, arn: str) -> dict[str, str]:
        """Raises `TaggedTopicNotFound`."""
        return self._tagged(arn).tags

    async def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Raises `TaggedTopicNotFound`, `TopicLimitExceeded`."""
        async with self._writing:
            topic = self._tagged(arn)
            await self._save_topic(msgspec.structs.replace(topic, tags=_checked_tags({**topic.tags, **tags})))

    async def untag(self, arn: str, keys: Sequence[str]) -> None:
        """Raises `TaggedTopicNotFound`."""
        async with self._writing:
            topic = self._tagged(arn)
            left = {key: value for key, value in topic.tags.items() if key not in keys}
            await self._save_topic(msgspec.structs.replace(topic, tags=left))

    def _tagged(self, arn: str) -> TopicRecord:
        topic = self._topics.get(arn)
        if topic is None:
            raise TaggedTopicNotFound(arn)
        return topic

    # Subscriptions.

    def subscription(self, arn: str) -> SubscriptionRecord | None:
        return self._subscriptions.get(arn.rpartition(":")[0], {}).get(arn)

    def need_subscription(self, arn: str) -> SubscriptionRecord:
        """Raises `SubscriptionNotFound`."""
        record = self.subscription(arn)
        if record is None:
            raise SubscriptionNotFound(arn)
        return record

    def subscriptions(self, arn: str) -> list[SubscriptionRecord]:
        """Of one topic, those confirmed and those that can still be. Raises `TopicNotFound`."""
        self.need(arn)
        now = self._clock.now()
        found = [one for one in self._subscriptions[arn].values() if one.confirmed or one.pending(now)]
        return sorted(found, key=lambda record: record.arn)

    def subscriptions_of_scope(self, scope: Scope) -> list[SubscriptionRecord]:
        """Of all topics of one account and Region."""
        return [record for topic in self.of_scope(scope) for record in self.subscriptions(topic.arn)]

    def _same_endpoint(self, arn: str, protocol: str, endpoint: str) -> SubscriptionRecord | None:
        found = self._subscriptions[arn].values()
        return next((one for one in found if (one.protocol, one.endpoint) == (protocol, endpoint)), None)

    def _keep(self, record: SubscriptionRecord) -> None:
        self._subscriptions[record.topic_arn][record.arn] = record
        self._filters[record.arn] = filter_of(record.attributes)

    async def _save_topic(self, record: TopicRecord) -> None:
        await self._engine.records.put(_TOPIC + record.arn, msgspec.json.encode(record))
        self._topics[record.arn] = self._by_scope[record.scope][record.arn] = record

    async def _save_subscription(self, record: SubscriptionRecord) -> None:
        await self._engine.records.put(_SUBSCRIPTION + record.arn, msgspec.json.encode(record))
        self._keep(record)

    async def _forget_expired(self, arn: str) -> None:
        """Those of a topic that can be confirmed no more."""
        now = self._clock.now()
        for record in [one for one in self._subscriptions[arn].values() if not (one.confirmed or one.pending(now))]:
            await self._engine.records.delete(_SUBSCRIPTION + record.arn)
            del self._subscriptions[arn][record.arn], self._filters[record.arn]

    async def _remove_subscription(self, record: SubscriptionRecord) -> None:
        await self._engine.records.delete(_SUBSCRIPTION + record.arn)
        self._subscriptions[record.topic_arn].pop(record.arn, None)
        self._filters.pop(record.arn, None)
        topic = self._topics[record.topic_arn]
        await self._save_topic(msgspec.structs.replace(topic, deleted=topic.deleted + 1))


def _checked_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise TopicLimitExceeded(f"Could not complete request: tag quota of per resource exceeded ({TAGS_MAX})")
    return tags
