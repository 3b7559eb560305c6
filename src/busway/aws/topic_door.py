"""The links that subscribers of topics are sent: confirming, and ending, a subscription without a signature.

    GET /_sns/?Action=ConfirmSubscription&TopicArn=…&Token=…      SubscribeURL
    GET /_sns/?Action=Unsubscribe&SubscriptionArn=…               UnsubscribeURL
    GET /_sns/unsigned.pem                                        SigningCertURL: says that there is no certificate

Whoever has the link may use it, as on AWS: the token, and the last part of a subscription's ARN, cannot be guessed.
What mail programs do to links in a mail must change nothing, so there a GET shows a page with a button, and its POST
acts.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from urllib.parse import parse_qsl

from busway.aws.doors import Permission, Visit
from busway.aws.errors import AwsError, aws_error
from busway.aws.protocols import Reply
from busway.aws.protocols.query_values import xml_text
from busway.errors import TopicError
from busway.topic.envelope import CERTIFICATE_PATH, LINK_PREFIX
from busway.topic.record import MAIL_PROTOCOLS, SubscriptionRecord
from busway.topic.topics import Topics

_PREFIX = LINK_PREFIX.encode()
_XMLNS = "http://sns.amazonaws.com/doc/2010-03-31/"
_XML, _PAGE, _TEXT = b"text/xml", b"text/html; charset=utf-8", b"text/plain; charset=utf-8"
# The page needs nothing from anywhere, and nobody may frame its button.
_PAGE_HEADERS = [
    (b"content-security-policy", b"default-src 'none'; form-action 'self'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]
CONFIRM, UNSUBSCRIBE = "ConfirmSubscription", "Unsubscribe"
_WORDS = {CONFIRM: ("Confirm the subscription", "confirmed"), UNSUBSCRIBE: ("End the subscription", "ended")}
_NO_CERTIFICATE = b"This server does not sign the messages of its topics; docs/topics.md says why.\n"


class TopicDoor:
    """See the module."""

    # The button's form is empty: everything stands in the link.
    body_max = 1_024

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    def takes(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        return path.startswith(_PREFIX)

    def open_to_pages(self, headers: Mapping[bytes, bytes], path: bytes) -> bool:
        """A link is followed from a page of a mail program; no page knows one that was not sent."""
        return True

    def admit(self, visit: Visit) -> Permission | None:
        if visit.method not in ("GET", "HEAD", "POST"):
            raise AwsError("MethodNotAllowed", f"{visit.method} is not for this path; wanted GET.", 405)
        return None

    async def answer(self, visit: Visit) -> Reply:
        if visit.path == CERTIFICATE_PATH.encode():
            return Reply(404, _NO_CERTIFICATE, _TEXT)
        asked = dict(parse_qsl(visit.query.decode("latin-1")))
        action = asked.get("Action", "")
        if visit.path != _PREFIX or action not in _WORDS:
            raise AwsError("InvalidAction", f"Found Action {action[:100]!r}; wanted {CONFIRM} or {UNSUBSCRIBE}.", 400)
        try:
            record = self._meant(action, asked)
            acts = visit.method == "POST" or (visit.method == "GET" and not _is_mail(record))
            if acts:
                await self._act(action, asked)
        except TopicError as error:
            raise (aws_error("sns", error) or error) from error
        if _is_mail(record):
            return _page(action, record, done=acts)
        return Reply(200, _xml(action, record, visit.request_id), _XML)

    def _meant(self, action: str, asked: Mapping[str, str]) -> SubscriptionRecord | None:
        """The subscription that a link is of; None for one that is no more."""
        if action == UNSUBSCRIBE:
            return self._topics.subscription(asked.get("SubscriptionArn", ""))
        return self._topics.opened_by(asked.get("TopicArn", ""), asked.get("Token", ""))

    async def _act(self, action: str, asked: Mapping[str, str]) -> None:
        if action == UNSUBSCRIBE:
            await self._topics.unsubscribe(asked.get("SubscriptionArn", ""), signed=False)
        else:
            await self._topics.confirm(asked.get("TopicArn", ""), asked.get("Token", ""), signed=False)


def _is_mail(record: SubscriptionRecord | None) -> bool:
    return record is not None and record.protocol in MAIL_PROTOCOLS


def _xml(action: str, record: SubscriptionRecord | None, request_id: str) -> bytes:
    arn = f"<SubscriptionArn>{xml_text(record.arn)}</SubscriptionArn>" if record else ""
    result = f"<{action}Result>{arn}</{action}Result>" if action == CONFIRM else ""
    return (
        f'<{action}Response xmlns="{_XMLNS}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def _page(action: str, record: SubscriptionRecord | None, *, done: bool) -> Reply:
    button, became = _WORDS[action]
    topic = html.escape(record.topic_arn) if record else ""
    endpoint = html.escape(record.endpoint) if record else ""
    asked = f'<form method="post"><button>{button}</button></form>' if not done else f"<p>It is {became}.</p>"
    text = f"<!doctype html><title>Subscription</title><p>{endpoint} to the topic {topic}</p>{asked}"
    return Reply(200, text.encode(), _PAGE, list(_PAGE_HEADERS))
