"""SNS at the door: names in, names out. What a topic does is in `topic`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.alarm.record import ROUTE_PREFIX
from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.aws.services.sns_wire import (
    PENDING,
    check_batch,
    check_batch_size,
    check_own,
    check_owner,
    message_of,
    page,
    subscription_answer,
    tags_of,
    topic_named,
)
from busway.clock import Clock, Entropy, uuids
from busway.topic.attributes import shown_subscription
from busway.topic.record import check_topic_arn
from busway.topic.topics import Asked, Topics

Answer = dict[str, Any]


class Sns:
    """The operations of SNS on standard topics."""

    name = "sns"

    def __init__(self, topics: Topics, clock: Clock, entropy: Entropy) -> None:
        self._topics, self._clock, self._entropy = topics, clock, entropy
        self.partial: Mapping[str, str] = {
            "CreateTopic": "standard topics; but for MaximumMessageSize, attributes are kept and shown only",
            "SetTopicAttributes": "MaximumMessageSize is heeded, the others are kept and shown",
            "Subscribe": "by sqs, lambda, http, https, email and email-json; DeliveryPolicy is kept and shown",
            "SetSubscriptionAttributes": "DeliveryPolicy is kept and shown",
            "Publish": "to topics; no SMS, no mobile push; notifications are not signed",
            "PublishBatch": "a batch with an invalid message is refused as a whole",
            "Unsubscribe": "no final message to the endpoint",
        }
        self.operations: Mapping[str, Operation] = {
            "ConfirmSubscription": self.confirm_subscription,
            "CreateTopic": self.create_topic,
            "DeleteTopic": self.delete_topic,
            "GetSubscriptionAttributes": self.get_subscription_attributes,
            "GetTopicAttributes": self.get_topic_attributes,
            "ListSubscriptions": self.list_subscriptions,
            "ListSubscriptionsByTopic": self.list_subscriptions_by_topic,
            "ListTagsForResource": self.list_tags_for_resource,
            "ListTopics": self.list_topics,
            "Publish": self.publish,
            "PublishBatch": self.publish_batch,
            "SetSubscriptionAttributes": self.set_subscription_attributes,
            "SetTopicAttributes": self.set_topic_attributes,
            "Subscribe": self.subscribe,
            "TagResource": self.tag_resource,
            "Unsubscribe": self.unsubscribe,
            "UntagResource": self.untag_resource,
        }

    # Topics.

    async def create_topic(self, request: Answer, caller: Caller) -> Answer:
        name: str = request["Name"]
        if name.startswith(ROUTE_PREFIX):
            raise AwsError(
                "InvalidParameter",
                f"Invalid parameter: Topic Name Reason: {ROUTE_PREFIX}… names an alert route of this server "
                "(busway alert set).",
                400,
            )
        if request.get("DataProtectionPolicy"):
            raise AwsError(
                "InvalidParameter", "Invalid parameter: DataProtectionPolicy Reason: it is not built yet.", 400
            )
        topic = await self._topics.create(
            caller.scope, name, request.get("Attributes") or {}, tags_of(request.get("Tags"))
        )
        return {"TopicArn": topic.arn}

    async def delete_topic(self, request: Answer, caller: Caller) -> Answer:
        await self._topics.delete(self._topic_arn(request, caller))
        return {}

    async def list_topics(self, request: Answer, caller: Caller) -> Answer:
        found = self._topics.of_scope(caller.scope)
        topics, token = page(found, lambda topic: topic.arn, request.get("NextToken"))
        return {"Topics": [{"TopicArn": topic.arn} for topic in topics], "NextToken": token}

    async def get_topic_attributes(self, request: Answer, caller: Caller) -> Answer:
        return {"Attributes": self._topics.shown(self._topic_arn(request, caller))}

    async def set_topic_attributes(self, request: Answer, caller: Caller) -> Answer:
        arn = self._topic_arn(request, caller)
        await self._topics.set_attribute(arn, request["AttributeName"], request.get("AttributeValue") or "")
        return {}

    async def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        await self._topics.tag(_resource_arn(request, caller, "TagResource"), tags_of(request["Tags"]))
        return {}

    async def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        await self._topics.untag(_resource_arn(request, caller, "UntagResource"), request["TagKeys"])
        return {}

    async def list_tags_for_resource(self, request: Answer, caller: Caller) -> Answer:
        tags = self._topics.tags(_resource_arn(request, caller, "ListTagsForResource"))
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _topic_arn(self, request: Answer, caller: Caller) -> str:
        arn = check_topic_arn(request["TopicArn"])
        check_own(arn, caller)
        return arn

    # Subscriptions.

    async def subscribe(self, request: Answer, caller: Caller) -> Answer:
        asked = Asked(
            request["Protocol"],
            request.get("Endpoint") or "",
            caller.scope.account,
            caller.endpoint,
            request.get("Attributes") or {},
        )
        record = await self._topics.subscribe(self._topic_arn(request, caller), asked)
        told = record.confirmed or request.get("ReturnSubscriptionArn")
        return {"SubscriptionArn": record.arn if told else PENDING}

    async def confirm_subscription(self, request: Answer, caller: Caller) -> Answer:
        guard = (request.get("AuthenticateOnUnsubscribe") or "").lower() == "true"
        arn = self._topic_arn(request, caller)
        record = await self._topics.confirm(arn, request["Token"], signed=True, guard=guard)
        return {"SubscriptionArn": record.arn}

    async def unsubscribe(self, request: Answer, caller: Caller) -> Answer:
        arn = self._subscription_arn(request, caller, "Unsubscribe")
        if arn.count(":") < 6:
            raise AwsError("InvalidParameter", "Invalid parameter: SubscriptionId", 400)
        await self._topics.unsubscribe(arn, signed=True)
        return {}

    async def list_subscriptions(self, request: Answer, caller: Caller) -> Answer:
        found = self._topics.subscriptions_of_scope(caller.scope)
        shown, token = page(found, lambda record: record.arn, request.get("NextToken"))
        return {"Subscriptions": [subscription_answer(record) for record in shown], "NextToken": token}

    async def list_subscriptions_by_topic(self, request: Answer, caller: Caller) -> Answer:
        found = self._topics.subscriptions(self._topic_arn(request, caller))
        shown, token = page(found, lambda record: record.arn, request.get("NextToken"))
        return {"Subscriptions": [subscription_answer(record) for record in shown], "NextToken": token}

    async def get_subscription_attributes(self, request: Answer, caller: Caller) -> Answer:
        arn = self._subscription_arn(request, caller, "GetSubscriptionAttributes")
        return {"Attributes": shown_subscription(self._topics.need_subscription(arn))}

    async def set_subscription_attributes(self, request: Answer, caller: Caller) -> Answer:
        arn = self._subscription_arn(request, caller, "SetSubscriptionAttributes")
        name, value = request["AttributeName"], request.get("AttributeValue") or ""
        await self._topics.set_subscription_attribute(arn, name, value)
        return {}

    def _subscription_arn(self, request: Answer, caller: Caller, action: str) -> str:
        """A subscription is of whoever subscribed, and of the topic's account."""
        arn = check_topic_arn(request["SubscriptionArn"], "SubscriptionArn")
        check_own(arn, caller, "SubscriptionArn")
        record = self._topics.subscription(arn)
        check_owner(arn, caller, action, *([record.owner] if record else ()))
        return arn

    # Messages.

    async def publish(self, request: Answer, caller: Caller) -> Answer:
        arn = check_topic_arn(topic_named(request))
        check_own(arn, caller)
        (message_id,) = uuids(self._entropy, 1)
        message = message_of(request, message_id, self._clock.now())
        await self._topics.publish(arn, [message], trace_header=caller.trace_header)
        return {"MessageId": message_id}

    async def publish_batch(self, request: Answer, caller: Caller) -> Answer:
        arn, entries = self._topic_arn(request, caller), request["PublishBatchRequestEntries"]
        check_batch(entries)
        now = self._clock.now()
        ids = uuids(self._entropy, len(entries))
        messages = [message_of(entry, one, now) for entry, one in zip(entries, ids, strict=True)]
        check_batch_size(messages, self._topics.need(arn).message_bytes_max)
        await self._topics.publish(arn, messages, trace_header=caller.trace_header)
        told = [{"Id": entry["Id"], "MessageId": one} for entry, one in zip(entries, ids, strict=True)]
        return {"Successful": told, "Failed": []}


def _resource_arn(request: Answer, caller: Caller, action: str) -> str:
    arn = check_topic_arn(request["ResourceArn"], "ResourceArn")
    check_own(arn, caller, "ResourceArn")
    check_owner(arn, caller, action)
    return arn
