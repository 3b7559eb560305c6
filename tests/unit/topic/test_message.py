"""What may be published, and what each protocol is sent of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from busway.errors import InvalidTopicAttribute, InvalidTopicRequest
from busway.queue.message import AttributeValue
from busway.topic.envelope import confirmation, lambda_event, notification
from busway.topic.message import TopicMessage, check_message, texts_of
from busway.topic.record import SubscriptionRecord

SUBSCRIPTION = SubscriptionRecord(
    arn="arn:aws:sns:eu-west-1:123456789012:t:6a",
    topic_arn="arn:aws:sns:eu-west-1:123456789012:t",
    protocol="http",
    endpoint="http://example.com/",
    owner="123456789012",
    created_at=0.0,
    server_url="https://bus.example.com",
)


def message(body: str = "b", **more: Any) -> TopicMessage:
    return TopicMessage("id", body, 1_335_390_565.719, **more)


def test_a_notification_has_the_members_of_snss_page_in_their_order_and_nothing_empty():
    assert json.loads(notification(SUBSCRIPTION, message())) == {
        "Type": "Notification",
        "MessageId": "id",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t",
        "Message": "b",
        "Timestamp": "2012-04-25T21:49:25.719Z",
        "SignatureVersion": "1",
        "Signature": "unsigned",
        "SigningCertURL": "https://bus.example.com/_sns/unsigned.pem",
        "UnsubscribeURL": "https://bus.example.com/_sns/?Action=Unsubscribe&SubscriptionArn="
        "arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3At%3A6a",
    }


def test_a_function_gets_one_record_with_every_member():
    sent = message(attributes={"b": AttributeValue("Binary", binary=b"\x00\xff")})
    (record,) = json.loads(lambda_event(SUBSCRIPTION, sent))["Records"]
    assert record["EventSubscriptionArn"] == SUBSCRIPTION.arn
    assert list(record["Sns"]) == [
        "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature",
        "SigningCertUrl", "UnsubscribeUrl", "MessageAttributes",
    ]  # fmt: skip
    assert record["Sns"]["Subject"] is None
    assert record["Sns"]["MessageAttributes"] == {
        "b": {"Type": "Binary", "Value": base64.b64encode(b"\x00\xff").decode()}
    }


def test_a_confirmation_has_the_token_and_a_link_with_it():
    told = json.loads(confirmation(SUBSCRIPTION, "id", "t0k", 0.0))
    assert (told["Type"], told["Token"], told["TopicArn"]) == (
        "SubscriptionConfirmation", "t0k", SUBSCRIPTION.topic_arn,
    )  # fmt: skip
    assert told["SubscribeURL"].startswith("https://bus.example.com/_sns/?Action=ConfirmSubscription&TopicArn=arn%3A")
    assert told["SubscribeURL"].endswith("&Token=t0k")


def test_each_protocol_gets_its_own_text_or_the_default():
    texts = texts_of("json", '{"default":"d","email":"e","http":7,"unknown":"u"}')
    sent = message("{}", texts=texts)
    assert [sent.text(protocol) for protocol in ("email", "http", "sqs")] == ["e", "d", "d"]
    assert message("plain").text("sqs") == "plain"


@pytest.mark.parametrize(
    ("structure", "body", "said"),
    [
        ("json", "{", "failed to parse"),
        ("json", '["default"]', "failed to parse"),
        ("json", '{"default":1}', "No default entry"),
        ("xml", "{}", "wanted json"),
    ],
)
def test_texts_by_protocol_are_checked(structure: str, body: str, said: str):
    with pytest.raises(InvalidTopicRequest) as refused:
        texts_of(structure, body)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        message(""),
        message(subject=""),
        message(subject="x" * 100),
        message(subject="two\nlines"),
        message(group_id="ü"),
    ],
)
def test_what_nobody_could_be_sent_is_refused(wrong: TopicMessage):
    with pytest.raises(InvalidTopicRequest):
        check_message(wrong)


def test_a_message_may_have_a_long_subject_and_many_attributes():
    many = {f"a{n}": AttributeValue("String", text="x") for n in range(50)}
    check_message(message(subject="ü" * 99, attributes=many, group_id="g"))


def test_an_attribute_that_cannot_be_carried_is_refused_in_the_words_of_sqs():
    with pytest.raises(InvalidTopicAttribute, match="invalid message attribute type"):
        check_message(message(attributes={"a": AttributeValue("Text", text="x")}))


def test_the_size_counts_bytes_of_body_and_attributes():
    sent = message("ü", attributes={"na": AttributeValue("String", text="v")})
    assert sent.size == 2 + len("na") + len("String") + len("v")
