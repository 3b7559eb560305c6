"""What can be set of topics and subscriptions, and how it is shown. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from busway.arn import parse_arn
from busway.errors import InvalidTopicRequest
from busway.topic.filter_policy import MESSAGE_ATTRIBUTES, SCOPES, FilterPolicy
from busway.topic.record import (
    HTTP,
    HTTPS,
    LAMBDA,
    MAIL_PROTOCOLS,
    MESSAGE_BYTES_MAX,
    PROTOCOLS,
    SQS,
    RedrivePolicy,
    SubscriptionRecord,
    TopicRecord,
)

# https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html
# All but MaximumMessageSize are kept and shown, and nothing is done with them.
_TOPIC_ATTRIBUTES = re.compile(
    r"DisplayName|Policy|DeliveryPolicy|KmsMasterKeyId|SignatureVersion|TracingConfig|MaximumMessageSize"
    r"|(HTTP|Firehose|Lambda|Application|SQS)(SuccessFeedbackRoleArn|FailureFeedbackRoleArn|SuccessFeedbackSampleRate)"
)
# https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
SUBSCRIPTION_ATTRIBUTES = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
)
# Ours: as SQS has it.
MESSAGE_BYTES_MIN = 1_024
ENDPOINT_CHARS_MAX = 2_048
# https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html: of a policy.
# Ours: of every other attribute too, but for FilterPolicy, which has its own.
ATTRIBUTE_BYTES_MAX = 30_720
# As AWS's console takes it.
DISPLAY_NAME_CHARS_MAX = 100
_ADDRESS = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,255}")


def check_topic_attribute(name: str, value: str) -> None:
    """Raises `InvalidTopicRequest`, which says `AttributeName` of one that no standard topic has."""
    if not _TOPIC_ATTRIBUTES.fullmatch(name):
        raise InvalidTopicRequest("AttributeName")
    if (
        name == "MaximumMessageSize"
        and value
        and not (value.isascii() and value.isdigit() and MESSAGE_BYTES_MIN <= int(value[:9]) <= MESSAGE_BYTES_MAX)
    ):
        raise InvalidTopicRequest(
            f"MaximumMessageSize: found {value[:40]!r}; wanted {MESSAGE_BYTES_MIN} to {MESSAGE_BYTES_MAX} bytes"
        )
    _check_length(name, value)
    if name == "DisplayName" and (
        len(value) > DISPLAY_NAME_CHARS_MAX or any(unicodedata.category(char) == "Cc" for char in value)
    ):
        raise InvalidTopicRequest("DisplayName")
    if name in ("Policy", "DeliveryPolicy") and value:
        _json_object(name, value)


def _check_length(name: str, value: str) -> None:
    if len(value.encode()) > ATTRIBUTE_BYTES_MAX:
        raise InvalidTopicRequest(f"{name}: longer than {ATTRIBUTE_BYTES_MAX} bytes")


def check_endpoint(protocol: str, endpoint: str) -> None:
    """Raises `InvalidTopicRequest` for a protocol that is not here or an endpoint that is none of it."""
    if protocol not in PROTOCOLS:
        raise InvalidTopicRequest(f"Amazon SNS does not support this protocol string: {protocol}")
    if not endpoint or len(endpoint) > ENDPOINT_CHARS_MAX:
        raise InvalidTopicRequest("Endpoint")
    if protocol in (HTTP, HTTPS):
        _check_url(protocol, endpoint)
    elif protocol in MAIL_PROTOCOLS:
        if not _ADDRESS.fullmatch(endpoint):
            raise InvalidTopicRequest("Email address")
    else:
        _check_endpoint_arn(protocol, endpoint)


def _check_url(protocol: str, endpoint: str) -> None:
    if not endpoint.startswith(f"{protocol}://"):
        raise InvalidTopicRequest("Endpoint must match the specified protocol")
    import httpx  # here, as wherever it is used: it takes long to load

    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
        # As the client that posts reads it, which takes no host that IDNA does not.
        _ = httpx.URL(endpoint).host
    except (ValueError, httpx.InvalidURL) as error:
        raise InvalidTopicRequest(f"Endpoint Reason: {error}") from error
    if not host:
        raise InvalidTopicRequest("Endpoint Reason: the URL names no host")
    if parts.username is not None or parts.password is not None:
        # AWS takes them. Ours: they would stand in records, in answers and in the texts of failures.
        raise InvalidTopicRequest("Endpoint Reason: the URL holds credentials, which Busway keeps nowhere")


def _check_endpoint_arn(protocol: str, endpoint: str) -> None:
    arn = parse_arn(endpoint)
    if arn is None or arn.service != protocol or (protocol == LAMBDA and not arn.resource.startswith("function:")):
        raise InvalidTopicRequest("SQS endpoint ARN" if protocol == SQS else "Lambda endpoint ARN")
    if protocol == SQS and arn.resource.endswith(".fifo"):
        raise InvalidTopicRequest(
            "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
        )


def check_subscription_attributes(protocol: str, attributes: Mapping[str, str]) -> FilterPolicy | None:
    """What the attributes filter by. Raises `InvalidTopicRequest`."""
    for name, value in attributes.items():
        if name not in SUBSCRIPTION_ATTRIBUTES:
            raise InvalidTopicRequest("AttributeName")
        if name != "FilterPolicy":
            _check_length(name, value)
        if name == "FilterPolicyScope" and value not in SCOPES:
            raise InvalidTopicRequest(
                f"FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes"
            )
        if name == "RawMessageDelivery":
            _check_raw(protocol, value)
        elif name == "RedrivePolicy" and value:
            _check_redrive(value)
        elif name == "DeliveryPolicy" and value:
            _json_object(name, value)
    return filter_of(attributes)


def _check_raw(protocol: str, value: str) -> None:
    if value.lower() not in ("true", "false"):
        raise InvalidTopicRequest(f"RawMessageDelivery: Invalid value [{value}]. Must be true or false.")
    if value.lower() == "true" and protocol not in (SQS, HTTP, HTTPS):
        raise InvalidTopicRequest(f"Delivery protocol [{protocol}] does not support raw message delivery.")


def _check_redrive(value: str) -> None:
    try:
        arn = parse_arn(msgspec.json.decode(value, type=RedrivePolicy).deadLetterTargetArn)
    except msgspec.DecodeError as error:
        raise InvalidTopicRequest("RedrivePolicy: failed to parse JSON.") from error
    if arn is None or arn.service != "sqs":
        raise InvalidTopicRequest("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if arn.resource.endswith(".fifo"):
        raise InvalidTopicRequest("RedrivePolicy: must use a standard queue as DLQ for a standard topic.")


def filter_of(attributes: Mapping[str, str]) -> FilterPolicy | None:
    """The compiled policy, None when it lets everything through. Raises `InvalidTopicRequest`."""
    text = attributes.get("FilterPolicy", "").strip()
    if not text or text.replace(" ", "") == "{}":
        return None
    return FilterPolicy(text, attributes.get("FilterPolicyScope", MESSAGE_ATTRIBUTES))


def _json_object(name: str, value: str) -> None:
    try:
        msgspec.json.decode(value, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidTopicRequest(f"{name}: failed to parse JSON.") from error


def normalized(attributes: Mapping[str, str]) -> dict[str, str]:
    """As they are kept: without those that were set to nothing, RawMessageDelivery in lower case."""
    kept = {name: value for name, value in attributes.items() if value != ""}
    if "RawMessageDelivery" in kept:
        kept["RawMessageDelivery"] = kept["RawMessageDelivery"].lower()
    return kept


# https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html; what is done is in `topics.py`.
_DELIVERY_POLICY = (
    '{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,'
    '"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},'
    '"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}'
)


def default_policy(topic: TopicRecord) -> str:
    """The access policy that a topic has as long as none is set; kept and shown, not enforced."""
    actions = (
        "GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic", "Subscribe",
        "ListSubscriptionsByTopic", "Publish",
    )  # fmt: skip
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in actions],
        "Resource": topic.arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": topic.scope.account}},
    }
    policy = {"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]}
    return msgspec.json.encode(policy).decode()


def shown_topic(topic: TopicRecord, confirmed: int, pending: int) -> dict[str, str]:
    """Every attribute as GetTopicAttributes gives it."""
    return {
        "TopicArn": topic.arn,
        "Owner": topic.scope.account,
        "DisplayName": "",
        "Policy": default_policy(topic),
        "SubscriptionsConfirmed": str(confirmed),
        "SubscriptionsPending": str(pending),
        "SubscriptionsDeleted": str(topic.deleted),
        "EffectiveDeliveryPolicy": topic.attributes.get("DeliveryPolicy", _DELIVERY_POLICY),
        **topic.attributes,
    }


def shown_subscription(record: SubscriptionRecord) -> dict[str, str]:
    """Every attribute as GetSubscriptionAttributes gives it."""
    scoped = {"FilterPolicyScope": MESSAGE_ATTRIBUTES} if "FilterPolicy" in record.attributes else {}
    told = {name: value for name, value in record.attributes.items() if name != "FilterPolicyScope"}
    if scoped and "FilterPolicyScope" in record.attributes:
        scoped = {"FilterPolicyScope": record.attributes["FilterPolicyScope"]}
    return {
        "SubscriptionArn": record.arn,
        "TopicArn": record.topic_arn,
        "Protocol": record.protocol,
        "Endpoint": record.endpoint,
        "Owner": record.owner,
        "SubscriptionPrincipal": f"arn:aws:iam::{record.owner}:root",
        "ConfirmationWasAuthenticated": "true" if record.authenticated else "false",
        "PendingConfirmation": "false" if record.confirmed else "true",
        "RawMessageDelivery": "false",
        **told,
        **scoped,
    }
