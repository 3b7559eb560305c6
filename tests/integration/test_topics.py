"""Topics through boto3, against `busway serve`: every protocol, filters, dead letters, links, alarms that publish."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .topic_endpoint import endpoint
from .whole_server import ACCOUNT, PATIENCE_S, REGION, ROLE, WholeServer, arn, message_of, whole_server, zipped

THERE = arn("sns", "there")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served"), delivery_first_retry_s="0.05") as running:
        yield running


def queue_of(server: WholeServer, name: str) -> str:
    """A new queue; its URL."""
    return str(server.client("sqs").create_queue(QueueName=name)["QueueUrl"])


def received(server: WholeServer, url: str) -> dict[str, Any]:
    sqs = server.client("sqs")
    return message_of(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MessageAttributeNames=["All"]))


def topic_with_queue(server: WholeServer, name: str, **attributes: str) -> tuple[str, str]:
    """A topic, and a queue of the same name that is subscribed to it: (topic's ARN, queue's URL)."""
    sns = server.client("sns")
    topic, url = str(sns.create_topic(Name=name)["TopicArn"]), queue_of(server, name)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn("sqs", name), Attributes=attributes)
    return topic, url


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_queue_gets_the_envelope_that_sns_documents(server: WholeServer):
    topic, url = topic_with_queue(server, "enveloped")
    published = server.client("sns").publish(
        TopicArn=topic, Message="héllo", Subject="Gruß",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "é"},
                           "n": {"DataType": "Number", "StringValue": "7"},
                           "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
    )  # fmt: skip
    told = json.loads(received(server, url)["Body"])
    assert list(told) == [
        "Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature",
        "SigningCertURL", "UnsubscribeURL", "MessageAttributes",
    ]  # fmt: skip
    assert told["MessageId"] == published["MessageId"]
    assert (told["Type"], told["TopicArn"], told["Subject"], told["Message"]) == (
        "Notification", topic, "Gruß", "héllo",
    )  # fmt: skip
    assert told["MessageAttributes"] == {
        "kind": {"Type": "String", "Value": "é"},
        "n": {"Type": "Number", "Value": "7"},
        "raw": {"Type": "Binary", "Value": "AP8="},
    }
    assert told["Signature"] == "unsigned"
    status, why = get(told["SigningCertURL"])
    assert (status, "does not sign" in why) == (404, True)


def test_a_queue_may_have_the_message_alone_with_its_attributes(server: WholeServer):
    topic, url = topic_with_queue(server, "alone", RawMessageDelivery="true")
    server.client("sns").publish(
        TopicArn=topic, Message="{}", MessageGroupId="a",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"},
                           "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
    )  # fmt: skip
    message = received(server, url)
    assert message["Body"] == "{}"
    # botocore has compared the checksums of body and attributes.
    assert message["MessageAttributes"] == {
        "kind": {"DataType": "String", "StringValue": "x"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }


def test_a_batch_reaches_each_subscription_in_one_call_and_texts_differ_by_protocol(server: WholeServer):
    topic, url = topic_with_queue(server, "batched", RawMessageDelivery="true")
    entries = [
        {"Id": "a", "Message": "plain"},
        {
            "Id": "b",
            "Message": json.dumps({"default": "d", "sqs": "for queues", "sms": 1}),
            "MessageStructure": "json",
        },
    ]
    answer = server.client("sns").publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert [done["Id"] for done in answer["Successful"]] == ["a", "b"]
    assert not answer.get("Failed")
    sqs = server.client("sqs")
    bodies: set[str] = set()
    while len(bodies) < 2:
        found = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=10)
        bodies |= {message["Body"] for message in found["Messages"]}
    assert bodies == {"plain", "for queues"}


def test_a_filter_policy_keeps_out_what_it_does_not_match(server: WholeServer):
    topic, wanted = topic_with_queue(
        server, "filtered", FilterPolicy='{"kind":["order",{"prefix":"ref"}],"n":[{"numeric":[">",5]}]}'
    )
    sns = server.client("sns")
    body = queue_of(server, "filtered-by-body")
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn("sqs", "filtered-by-body"),
        Attributes={"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"order":{"total":[{"numeric":[">",10]}]}}'},
    )  # fmt: skip

    def publish(message: str, kind: str, n: str) -> None:
        values = {"kind": ("String", kind), "n": ("Number", n)}
        attributes = {name: {"DataType": a, "StringValue": b} for name, (a, b) in values.items()}
        sns.publish(TopicArn=topic, Message=message, MessageAttributes=attributes)

    publish("text", "order", "5")
    publish('{"order":{"total":11}}', "other", "9")
    publish("last", "refund", "5.5")
    assert json.loads(received(server, wanted)["Body"])["Message"] == "last"
    assert json.loads(received(server, body)["Body"])["Message"] == '{"order":{"total":11}}'


def test_a_function_is_invoked_with_the_record_of_a_notification(server: WholeServer):
    sns, functions = server.client("sns"), server.client("lambda")
    made = functions.create_function(
        FunctionName="hears", Runtime="python3.13", Role=ROLE, Handler="app.handler",
        Code={"ZipFile": zipped("def handler(event, context): raise RuntimeError('heard')")},
        DeadLetterConfig={"TargetArn": arn("sqs", "hears-dead")},
    )  # fmt: skip
    url = queue_of(server, "hears-dead")
    functions.get_waiter("function_active_v2").wait(FunctionName="hears")
    topic = sns.create_topic(Name="heard")["TopicArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=made["FunctionArn"])["SubscriptionArn"]
    published = sns.publish(TopicArn=topic, Message="hello", Subject="s")
    # The dead letter of an asynchronous invocation is the event that the function got.
    (record,) = json.loads(received(server, url)["Body"])["Records"]
    assert (record["EventSource"], record["EventVersion"], record["EventSubscriptionArn"]) == (
        "aws:sns", "1.0", subscription,
    )  # fmt: skip
    assert record["Sns"]["MessageId"] == published["MessageId"]
    assert (record["Sns"]["Message"], record["Sns"]["Subject"], record["Sns"]["MessageAttributes"]) == (
        "hello", "s", {},
    )  # fmt: skip


def test_an_http_endpoint_confirms_and_then_gets_notifications_until_it_ends_them(server: WholeServer):
    sns = server.client("sns")
    topic = sns.create_topic(Name="hooked")["TopicArn"]
    with endpoint() as owner:
        asked = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=owner.url)
        assert asked["SubscriptionArn"] == "pending confirmation"
        answered = owner.take_confirmed()
        first = owner.confirmations.get_nowait()
        assert first.headers["x-amz-sns-topic-arn"] == topic
        assert first.headers["content-type"] == "text/plain; charset=UTF-8"
        (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        subscription = listed["SubscriptionArn"]
        assert f"<SubscriptionArn>{subscription}</SubscriptionArn>" in answered
        published = sns.publish(TopicArn=topic, Message="one")
        sent = owner.take()
        told = json.loads(sent.body)
        assert {name: sent.headers[name] for name in sent.headers if name.startswith("x-amz-sns-")} == {
            "x-amz-sns-message-type": "Notification",
            "x-amz-sns-message-id": published["MessageId"],
            "x-amz-sns-topic-arn": topic,
            "x-amz-sns-subscription-arn": subscription,
        }
        assert (told["Message"], told["MessageId"]) == ("one", published["MessageId"])
        sns.set_subscription_attributes(
            SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="true"
        )
        sns.publish(TopicArn=topic, Message="two")
        raw = owner.take()
        assert (raw.body, raw.headers["x-amz-sns-rawdelivery"]) == ("two", "true")
        assert get(told["UnsubscribeURL"])[0] == 200
        assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_what_an_endpoint_refuses_becomes_a_dead_letter_that_can_be_redriven(server: WholeServer):
    sns = server.client("sns")
    topic, dead = sns.create_topic(Name="refused")["TopicArn"], queue_of(server, "refused-dead")
    policy = json.dumps({"deadLetterTargetArn": arn("sqs", "refused-dead")})
    with endpoint(status=403) as owner:
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=owner.url, Attributes={"RedrivePolicy": policy})
        owner.take_confirmed()
        sns.publish(TopicArn=topic, Message="lost?")
        owner.take()
        letter = received(server, dead)
        assert json.loads(letter["Body"])["Message"] == "lost?"
        assert letter["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "ERROR_FROM_TARGET"
        server.client("sqs").change_message_visibility(
            QueueUrl=dead, ReceiptHandle=letter["ReceiptHandle"], VisibilityTimeout=0
        )
        owner.status = 200
        server.busway("redrive", "--queue", "refused-dead")
        assert json.loads(owner.take().body)["Message"] == "lost?"


def test_mail_is_confirmed_by_a_button_so_that_a_mail_program_confirms_nothing(server: WholeServer):
    sns = server.client("sns")
    topic = sns.create_topic(Name="mailed")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="jo@example.com")
    link = next(line for line in newest_mail(server, "Confirm your").splitlines() if line.startswith("http"))
    for _ in range(2):
        assert "<button>" in get(link)[1]
    assert sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SubscriptionsPending"] == "1"
    # A browser says where the form was.
    assert "confirmed" in get(link, "POST", Origin=server.url)[1]
    sns.publish(TopicArn=topic, Message="It burns", Subject="Fire")
    mail = newest_mail(server, "Fire")
    assert mail.startswith("It burns")
    leave = next(line for line in mail.splitlines() if line.startswith("http"))
    assert "<button>" in get(leave)[1]
    assert "ended" in get(leave, "POST")[1]
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def newest_mail(server: WholeServer, subject: str) -> str:
    """The text of the mail in the inbox whose subject begins so, as soon as there is one."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        for mail in server.busway("inbox")["messages"]:
            if mail["subject"].startswith(subject):
                return str(mail["text"])
    raise AssertionError(f"no mail {subject!r} arrived")


def test_a_link_without_its_token_confirms_nothing_and_a_guarded_subscription_is_not_ended(server: WholeServer):
    topic, url = topic_with_queue(server, "guarded")
    status, text = get(f"{server.url}/_sns/?Action=ConfirmSubscription&TopicArn={topic}&Token=guess")
    assert (status, "Invalid parameter: Token" in text) == (400, True)
    server.client("sns").publish(TopicArn=topic, Message="x")
    leave = json.loads(received(server, url)["Body"])["UnsubscribeURL"]
    assert get(leave)[0] == 403
    assert len(server.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]) == 1


def test_lists_come_in_pages_of_a_hundred(server: WholeServer):
    sns = server.client("sns")
    made = {sns.create_topic(Name=f"page-{number:03}")["TopicArn"] for number in range(101)}
    pages = list(sns.get_paginator("list_topics").paginate())
    assert len(pages[0]["Topics"]) == 100
    assert made <= {topic["TopicArn"] for page in pages for topic in page["Topics"]}
    for topic in made:
        sns.delete_topic(TopicArn=topic)


def test_creating_a_topic_again_gives_the_same_unless_it_would_be_another(server: WholeServer):
    sns = server.client("sns")
    tags = [{"Key": "team", "Value": "a"}]
    first = sns.create_topic(Name="same", Attributes={"DisplayName": "Same"}, Tags=tags)["TopicArn"]
    assert first == arn("sns", "same") == sns.create_topic(Name="same")["TopicArn"]
    for other in ({"Attributes": {"DisplayName": "Other"}}, {"Tags": [{"Key": "team", "Value": "b"}]}):
        with pytest.raises(sns.exceptions.InvalidParameterException, match="Topic already exists with different"):
            sns.create_topic(Name="same", **other)
    sns.tag_resource(ResourceArn=first, Tags=[{"Key": "x", "Value": "y"}])
    sns.untag_resource(ResourceArn=first, TagKeys=["team"])
    assert sns.list_tags_for_resource(ResourceArn=first)["Tags"] == [{"Key": "x", "Value": "y"}]
    shown = sns.get_topic_attributes(TopicArn=first)["Attributes"]
    assert (shown["DisplayName"], shown["Owner"], shown["SubscriptionsConfirmed"]) == ("Same", ACCOUNT, "0")


@pytest.mark.parametrize(
    ("operation", "asked", "code", "text"),
    [
        ("publish", {"TopicArn": arn("sns", "none"), "Message": "x"}, "NotFound", "Topic does not exist"),
        ("publish", {"TopicArn": "none", "Message": "x"}, "InvalidParameter", "at least 6 elements, not 1"),
        ("publish", {"PhoneNumber": "+491", "Message": "x"}, "InvalidParameter", "sends no SMS"),
        ("publish", {"TopicArn": THERE, "Message": ""}, "InvalidParameter", "Empty message"),
        ("publish", {"TopicArn": THERE, "Message": "x" * 262_145}, "InvalidParameter", "too long"),
        ("publish", {"TopicArn": THERE, "Message": "x", "Subject": "a\nb"}, "InvalidParameter", ": Subject"),
        (
            "publish",
            {"TopicArn": THERE, "Message": "{}", "MessageStructure": "json"},
            "InvalidParameter",
            "No default entry",
        ),
        (
            "publish",
            {"TopicArn": THERE, "Message": "x",
             "MessageAttributes": {"a": {"DataType": "Text", "StringValue": "b"}}},
            "ParameterValueInvalid",
            "set of supported type prefixes",
        ),
        ("create_topic", {"Name": "a.fifo", "Attributes": {"FifoTopic": "true"}}, "InvalidParameter", "not built"),
        ("create_topic", {"Name": "a b"}, "InvalidParameter", "Topic Name"),
        ("create_topic", {"Name": "busway-alert-x"}, "InvalidParameter", "names an alert route"),
        (
            "subscribe",
            {"TopicArn": THERE, "Protocol": "sms", "Endpoint": "+491"},
            "InvalidParameter",
            "does not support this protocol string: sms",
        ),
        (
            "subscribe",
            {"TopicArn": THERE, "Protocol": "https", "Endpoint": "https://a:b@example.com/"},
            "InvalidParameter",
            "the URL holds credentials",
        ),
        (
            "subscribe",
            {"TopicArn": THERE, "Protocol": "sqs", "Endpoint": arn("sqs", "q"),
             "Attributes": {"FilterPolicy": '{"a":"b"}'}},
            "InvalidParameter",
            'Attributes Reason: FilterPolicy: "a" must be an object or an array',
        ),
        ("get_subscription_attributes", {"SubscriptionArn": arn("sns", "t:1")}, "NotFound", "Subscription does not"),
        ("list_tags_for_resource", {"ResourceArn": arn("sns", "none")}, "ResourceNotFound", "Resource does not"),
        ("get_sms_attributes", {}, "UnsupportedOperationException", "is not implemented by Busway"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(
    server: WholeServer, operation: str, asked: dict[str, Any], code: str, text: str
):
    sns = server.client("sns")
    sns.create_topic(Name="there")
    with pytest.raises(ClientError) as refused:
        getattr(sns, operation)(**asked)
    assert refused.value.response["Error"]["Code"] == code
    assert text in refused.value.response["Error"]["Message"]


def test_a_rule_publishes_to_a_topic(server: WholeServer):
    topic, url = topic_with_queue(server, "ruled", RawMessageDelivery="true")
    events = server.client("events")
    events.put_rule(Name="to-topic", EventPattern='{"source":["com.example.topic"]}')
    answer = events.put_targets(Rule="to-topic", Targets=[{"Id": "t", "Arn": topic, "InputPath": "$.detail"}])
    assert answer["FailedEntryCount"] == 0
    events.put_events(Entries=[{"Source": "com.example.topic", "DetailType": "t", "Detail": '{"n":1}'}])
    assert received(server, url)["Body"] == '{"n":1}'


def test_an_alarm_tells_its_topic_and_invokes_its_function_and_tells_both_when_it_is_over(server: WholeServer):
    topic, url = topic_with_queue(server, "alarming")
    functions, cloudwatch = server.client("lambda"), server.client("cloudwatch")
    made = functions.create_function(
        FunctionName="alarmed", Runtime="python3.13", Role=ROLE, Handler="app.handler",
        Code={"ZipFile": zipped("def handler(event, context): raise RuntimeError('alarm')")},
        DeadLetterConfig={"TargetArn": arn("sqs", "alarmed-dead")},
    )  # fmt: skip
    dead = queue_of(server, "alarmed-dead")
    functions.get_waiter("function_active_v2").wait(FunctionName="alarmed")
    cloudwatch.put_metric_alarm(
        AlarmName="burns", AlarmDescription="It burns", Namespace="shop", MetricName="Fires", Statistic="Sum",
        Period=60, EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore", AlarmActions=[topic, made["FunctionArn"]], OKActions=[topic],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="burns", StateValue="ALARM", StateReason="tried out")
    told = json.loads(received(server, url)["Body"])
    assert told["Subject"] == 'ALARM: "burns" in Europe (Frankfurt)'
    message = json.loads(told["Message"])
    assert (message["AlarmName"], message["NewStateValue"], message["OldStateValue"], message["NewStateReason"]) == (
        "burns", "ALARM", "INSUFFICIENT_DATA", "tried out",
    )  # fmt: skip
    event = json.loads(received(server, dead)["Body"])
    assert (event["source"], event["alarmArn"], event["accountId"], event["region"]) == (
        "aws.cloudwatch", arn("cloudwatch", "alarm:burns"), ACCOUNT, REGION,
    )  # fmt: skip
    assert event["alarmData"]["state"]["value"] == "ALARM"
    assert event["alarmData"]["previousState"]["value"] == "INSUFFICIENT_DATA"
    assert event["alarmData"]["configuration"]["metrics"][0]["metricStat"]["metric"] == {
        "namespace": "shop", "name": "Fires", "dimensions": {},
    }  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="burns", StateValue="OK", StateReason="over")
    over = json.loads(received(server, url)["Body"])
    assert over["Subject"] == 'OK: "burns" in Europe (Frankfurt)'
    assert json.loads(over["Message"])["NewStateValue"] == "OK"


def test_what_was_published_before_a_kill_reaches_everybody_after_it(tmp_path: Path):
    """The endpoint is down when the server answers; the server is killed; both come back.

    What was in flight at the death is leased for a while yet, so the second server's clock is moved.
    """
    with endpoint() as owner:
        port = owner.server_address[1]
        with whole_server(tmp_path, delivery_first_retry_s="0.05") as first:
            sns = first.client("sns")
            topic, _ = topic_with_queue(first, "survives")
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=owner.url)
            owner.take_confirmed()
            owner.shutdown()
            owner.server_close()
            published = sns.publish(TopicArn=topic, Message="kept")
            first.process.kill()
            first.process.wait(PATIENCE_S)
    with endpoint(port) as owner, whole_server(tmp_path, clock="manual") as second:
        second.busway("clock", "+2m")
        told = json.loads(owner.take().body)
        assert (told["Message"], told["MessageId"]) == ("kept", published["MessageId"])
        queue = second.client("sqs").get_queue_url(QueueName="survives")["QueueUrl"]
        assert json.loads(received(second, queue)["Body"])["MessageId"] == published["MessageId"]
        assert len(second.client("sns").list_subscriptions()["Subscriptions"]) == 2
