"""Subscriptions outside: what an endpoint is sent, and what each answer comes to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from busway.clock import ManualClock, SystemClock, settle
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.errors import InvalidMail, MailRefused, MailServerUnavailable, StorageFull
from busway.mail.compose import Letter
from busway.targets.post import TIMEOUT_S, Poster
from busway.targets.subscription import SubscriptionTarget, headers_of
from busway.topic.envelope import confirmation, notification
from busway.topic.message import TopicMessage
from busway.topic.record import SubscriptionRecord

HTTP = SubscriptionRecord(
    arn="arn:aws:sns:eu-west-1:1:t:6a", topic_arn="arn:aws:sns:eu-west-1:1:t", protocol="http",
    endpoint="http://127.0.0.1/", owner="1", created_at=0.0, server_url="http://server",
)  # fmt: skip
MAIL = msgspec.structs.replace(HTTP, protocol="email", endpoint="jo@example.com")
CONFIRMATION = {"Type": "SubscriptionConfirmation"}


def delivery(payload: bytes, **parameters: object) -> Delivery:
    return Delivery(
        event_id="m", target_arn=HTTP.arn, payload=payload, accepted_at=0.0, parameters=parameters, rule_arn=HTTP.arn
    )


class Mailing:
    def __init__(self) -> None:
        self.sent: list[Letter] = []
        self.ids: list[str] = []
        self.refusal: Exception | None = None

    async def send(self, letter: Letter, message_id: str = "") -> str:
        if self.refusal:
            raise self.refusal
        self.sent.append(letter)
        self.ids.append(message_id)
        return message_id


def target(record: SubscriptionRecord | None, mailing: Mailing) -> SubscriptionTarget:
    return SubscriptionTarget(lambda arn: record, Poster(SystemClock(), {}), mailing, "bus@example.com")


async def test_a_subscription_that_was_ended_meanwhile_gets_nothing():
    assert await target(None, Mailing()).attempt(delivery(b"{}")) == Delivered("dropped")


def test_a_confirmation_names_no_subscription_yet():
    assert set(headers_of(HTTP, delivery(b"", **CONFIRMATION))) == {
        "content-type", "user-agent", "x-amz-sns-message-type", "x-amz-sns-message-id", "x-amz-sns-topic-arn",
    }  # fmt: skip


async def test_mail_says_what_was_published_and_how_to_end_it():
    mailing = Mailing()
    sent = notification(MAIL, TopicMessage("m", "It burns", 0.0, subject="Fire"))
    assert await target(MAIL, mailing).attempt(delivery(sent)) == Delivered()
    bare = notification(MAIL, TopicMessage("m", "x", 0.0))
    await target(MAIL, mailing).attempt(delivery(bare))
    (first, second) = mailing.sent
    assert (first.sender, first.recipients.to, first.subject) == ("bus@example.com", ("jo@example.com",), "Fire")
    assert (first.text or "").startswith("It burns\n") and "Action=Unsubscribe" in (first.text or "")
    assert second.subject == "Notification from t"
    # Both are of one message, as a repeat is: a mail program shows it once.
    assert mailing.ids[0] == mailing.ids[1] != ""


async def test_mail_as_json_is_the_envelope():
    mailing, record = Mailing(), msgspec.structs.replace(MAIL, protocol="email-json")
    sent = notification(record, TopicMessage("m", "x", 0.0))
    asking = confirmation(record, "m", "t0k", 0.0)
    for payload in (asking, sent):
        await target(record, mailing).attempt(delivery(payload))
    assert [json.loads(letter.text or "")["Type"] for letter in mailing.sent] == [
        "SubscriptionConfirmation", "Notification",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("refusal", "retriable"),
    [
        (InvalidMail("x"), False),
        (MailRefused("x"), False),
        (MailServerUnavailable("x"), True),
        (StorageFull("x"), True),
    ],
)
async def test_mail_that_is_not_taken_is_tried_again_where_that_helps(refusal: Exception, retriable: bool):
    mailing = Mailing()
    mailing.refusal = refusal
    outcome = await target(MAIL, mailing).attempt(delivery(notification(MAIL, TopicMessage("m", "x", 0.0))))
    assert isinstance(outcome, Failed) and outcome.retriable is retriable


class Answering:
    """An HTTP server that reads one request and answers with `head`; "" keeps the caller waiting."""

    head = "200 OK"

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        if not self.head:
            await reader.read()
        writer.write(f"HTTP/1.1 {self.head}\r\nContent-Length: 1000000\r\n\r\n".encode() + b"why" * 1000)
        writer.close()


@pytest.fixture
async def answering() -> AsyncIterator[tuple[Answering, str]]:
    told = Answering()
    server = await asyncio.start_server(told, "127.0.0.1", 0)
    yield told, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("200 OK", None),
        ("204 No Content", None),
        ("301 Moved\r\nLocation: http://127.0.0.1:1/", ("ERROR_FROM_TARGET", False)),
        ("400 Bad", ("ERROR_FROM_TARGET", False)),
        ("429 Slow", ("THROTTLING", True)),
        ("500 Oh", ("ERROR_FROM_TARGET", True)),
    ],
)
async def test_what_an_answer_comes_to_and_no_more_of_it_is_read_than_is_shown(
    answering: tuple[Answering, str], head: str, wanted: tuple[str, bool] | None
):
    told, url = answering
    told.head = head
    poster = Poster(SystemClock(), {})
    outcome = await poster.post(url, {}, b"x")
    await poster.close()
    if wanted is None:
        assert outcome == Delivered()
        return
    assert isinstance(outcome, Failed) and (outcome.code, outcome.retriable) == wanted
    assert len(outcome.message) < 400


async def test_an_endpoint_that_does_not_answer_is_left_after_fifteen_seconds(answering: tuple[Answering, str]):
    told, url = answering
    told.head = ""

    class Moved(ManualClock):
        """Its timeouts are over once the endpoint was asked."""

        def timeout(self, delay_s: float | None) -> asyncio.Timeout:
            assert delay_s == TIMEOUT_S
            return self.limit

    clock = Moved()
    clock.limit = asyncio.timeout(None)
    poster = Poster(clock, {})
    asking = asyncio.create_task(poster.post(url, {}, b"x"))
    await told.asked.wait()
    clock.limit.reschedule(0)
    outcome: Outcome = await asking
    await poster.close()
    await settle()
    assert isinstance(outcome, Failed) and (outcome.code, outcome.retriable) == ("TIMEOUT", True)


async def test_an_endpoint_that_nobody_listens_at_is_tried_again():
    poster = Poster(SystemClock(), {})
    outcome = await poster.post("http://127.0.0.1:1/", {}, b"x")
    await poster.close()
    assert isinstance(outcome, Failed) and (outcome.code, outcome.retriable) == ("CONNECTION_FAILURE", True)
