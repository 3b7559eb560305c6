"""What is kept of a topic and of a subscription. Pure."""

from __future__ import annotations

import hashlib
import re

import msgspec

from busway.arn import Scope, parse_arn, scope_of
from busway.errors import InvalidTopicRequest

# https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html; those for phones and Firehose are not here.
SQS, LAMBDA, HTTP, HTTPS, EMAIL, EMAIL_JSON = "sqs", "lambda", "http", "https", "email", "email-json"
PROTOCOLS = (SQS, LAMBDA, HTTP, HTTPS, EMAIL, EMAIL_JSON)
MAIL_PROTOCOLS = (EMAIL, EMAIL_JSON)
# Who owns the endpoint must say that he wants it: anybody can write any address.
CONFIRMED_PROTOCOLS = (HTTP, HTTPS, *MAIL_PROTOCOLS)
# https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html: "Confirmation tokens are valid for two days."
CONFIRM_S_MAX = 2 * 86_400.0
# https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html
MESSAGE_BYTES_DEFAULT, MESSAGE_BYTES_MAX = 262_144, 1_048_576

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
FIFO_SUFFIX = ".fifo"


class TopicRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A topic. `attributes` holds what was set; `deleted` counts the subscriptions that were ended."""

    arn: str
    created_at: float
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    deleted: int = 0

    @property
    def name(self) -> str:
        return self.arn.rsplit(":", 1)[-1]

    @property
    def scope(self) -> Scope:
        return scope_of(self.arn)

    @property
    def message_bytes_max(self) -> int:
        return int(self.attributes.get("MaximumMessageSize", MESSAGE_BYTES_DEFAULT))


class SubscriptionRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A subscription of a topic. `attributes` holds what was set; times are Unix seconds.

    `token_digest` is of the token that confirms it, which stands in clear only in the message that brings it to the
    endpoint, for as long as that is queued. `authenticated`: whoever confirmed it signed. `guarded`: only a signed
    request may end it. `server_url` is the address under which the subscriber reached this server, for the links that
    the endpoint is sent.
    """

    arn: str
    topic_arn: str
    protocol: str
    endpoint: str
    owner: str
    created_at: float
    server_url: str
    attributes: dict[str, str] = {}
    confirmed: bool = False
    authenticated: bool = False
    guarded: bool = False
    token_digest: str = ""
    token_at: float = 0.0

    @property
    def raw(self) -> bool:
        return self.attributes.get("RawMessageDelivery") == "true"

    @property
    def dead_letter_arn(self) -> str | None:
        policy = self.attributes.get("RedrivePolicy")
        return msgspec.json.decode(policy, type=RedrivePolicy).deadLetterTargetArn if policy else None

    def pending(self, now: float) -> bool:
        """Whether it can still be confirmed."""
        return not self.confirmed and now - self.token_at <= CONFIRM_S_MAX

    def opens(self, digest: str, now: float) -> bool:
        """Whether `digest` is of the token that its endpoint was sent last."""
        return self.token_digest == digest and (self.confirmed or self.pending(now))


class RedrivePolicy(msgspec.Struct, frozen=True):
    """As the API has it."""

    deadLetterTargetArn: str


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def check_topic_name(name: str, attributes: dict[str, str]) -> None:
    """Raises `InvalidTopicRequest`."""
    if name.endswith(FIFO_SUFFIX) or attributes.get("FifoTopic", "false").lower() == "true":
        raise InvalidTopicRequest("Attributes Reason: FIFO topics are not built yet; a topic here is a standard one.")
    if not _NAME.fullmatch(name):
        raise InvalidTopicRequest("Topic Name")


def topic_arn(scope: Scope, name: str) -> str:
    return scope.arn("sns", name)


def check_topic_arn(arn: str, parameter: str = "TopicArn") -> str:
    """Raises `InvalidTopicRequest` for what is no ARN."""
    if parse_arn(arn) is None:
        count = len(arn.split(":"))
        raise InvalidTopicRequest(f"{parameter} Reason: An ARN must have at least 6 elements, not {count}")
    return arn


def is_subscription(arn: str) -> bool:
    """`arn:aws:sns:<region>:<account>:<topic>:<uuid>`, where a topic's ARN ends before the last part."""
    return arn.count(":") == 6 and arn.split(":", 3)[2] == "sns"
