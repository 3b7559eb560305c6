"""SNS's wire shapes: pages, batches, messages, made from the topic room's words and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from busway.aws.errors import AwsError
from busway.aws.pages import page_after
from busway.aws.service import Caller
from busway.queue.message import AttributeValue
from busway.topic.message import TopicMessage, texts_of
from busway.topic.record import SubscriptionRecord

T = TypeVar("T")
Answer = dict[str, Any]

# https://docs.aws.amazon.com/sns/latest/api/API_ListTopics.html
PAGE_MAX = 100
# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
BATCH_ENTRIES_MAX = 10
PENDING, PENDING_IN_LISTS = "pending confirmation", "PendingConfirmation"
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


def page(items: Sequence[T], arn: Callable[[T], str], token: str | None) -> tuple[list[T], str | None]:
    """One page of `items` (sorted by ARN) and the token of the next."""
    try:
        return page_after(items, arn, token or None, PAGE_MAX)
    except ValueError:
        raise AwsError("InvalidParameter", "Invalid parameter: NextToken", 400) from None


def topic_named(request: Mapping[str, Any]) -> str:
    """The topic that Publish is for. Raises AwsError for a phone or a mobile endpoint."""
    if "PhoneNumber" in request:
        raise AwsError(
            "InvalidParameter", "Invalid parameter: PhoneNumber Reason: Busway sends no SMS; publish to a topic.", 400
        )
    arn: str = request.get("TopicArn") or request.get("TargetArn") or ""
    if ":endpoint/" in arn:
        raise AwsError(
            "InvalidParameter", "Invalid parameter: TargetArn Reason: Busway has no mobile push endpoints.", 400
        )
    return arn


def message_of(entry: Mapping[str, Any], message_id: str, at: float) -> TopicMessage:
    """A message, from Publish's request or a batch's entry. Raises AwsError and `InvalidTopicRequest`."""
    if "MessageDeduplicationId" in entry:
        raise AwsError(
            "InvalidParameter",
            "Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter "
            "that is not valid for this topic type",
            400,
        )
    given: dict[str, Answer] = entry.get("MessageAttributes") or {}
    attributes = {
        name: AttributeValue(value["DataType"], value.get("StringValue"), value.get("BinaryValue"))
        for name, value in given.items()
    }
    body: str = entry["Message"]
    return TopicMessage(
        message_id,
        body,
        at,
        subject=entry.get("Subject"),
        attributes=attributes,
        texts=texts_of(entry.get("MessageStructure"), body) if body else None,
        group_id=entry.get("MessageGroupId"),
    )


def check_batch(entries: Sequence[Mapping[str, Any]]) -> None:
    """Raises AwsError for a batch that is none, whatever its messages."""
    if not entries:
        raise AwsError("EmptyBatchRequest", "The batch request doesn't contain any entries.", 400)
    if len(entries) > BATCH_ENTRIES_MAX:
        raise AwsError(
            "TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.", 400
        )
    ids = [entry["Id"] for entry in entries]
    if len(set(ids)) < len(ids):
        raise AwsError("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.", 400)
    wrong = next((entry_id for entry_id in ids if not _ENTRY_ID.fullmatch(entry_id)), None)
    if wrong is not None:
        raise AwsError(
            "InvalidBatchEntryId",
            "The Id of a batch entry in the batch request is too long or contains an impermissible character: "
            f"{wrong[:100]}",
            400,
        )


def check_batch_size(messages: Sequence[TopicMessage], limit: int) -> None:
    if sum(message.size for message in messages) > limit:
        raise AwsError(
            "BatchRequestTooLong", "The length of all the messages put together is more than the limit.", 400
        )


def subscription_answer(record: SubscriptionRecord) -> Answer:
    return {
        "SubscriptionArn": record.arn if record.confirmed else PENDING_IN_LISTS,
        "Owner": record.owner,
        "Protocol": record.protocol,
        "Endpoint": record.endpoint,
        "TopicArn": record.topic_arn,
    }


def tags_of(given: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in given or ()}


def check_own(arn: str, caller: Caller, parameter: str = "TopicArn") -> None:
    """Topics are reached in their own Region only, as on AWS. Raises AwsError."""
    if arn.split(":")[3] != caller.scope.region:
        raise AwsError("InvalidParameter", f"Invalid parameter: {parameter}", 400)


def check_owner(arn: str, caller: Caller, action: str, *owners: str) -> None:
    """For what a topic's policy can open to no other account, as AWS's default one lists it. Raises AwsError."""
    if caller.scope.account not in (arn.split(":")[4], *owners):
        user = f"arn:aws:iam::{caller.scope.account}:root"
        raise AwsError(
            "AuthorizationError", f"User: {user} is not authorized to perform: SNS:{action} on resource: {arn}", 403
        )
