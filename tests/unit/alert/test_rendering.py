"""What PagerDuty and a webhook are sent."""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec
import pytest

from busway.alarm.notice import AlarmMessage, Failure, QueueDigest, alarm_message
from busway.alarm.record import AlarmRecord, AlarmSettings
from busway.alarm.state import ALARM, OK, Decision
from busway.alert import pagerduty, webhook
from busway.alert.request import Alert, AlertRequest, Unready
from busway.alert.routes import RouteSettings, made_route
from busway.arn import Scope
from busway.cli.demo.receivers import pagerduty_faults

SCOPE = Scope()
KEY = "0123456789abcdef0123456789abcdef"
FAILURE = Failure(SCOPE.arn("lambda", "function:mail"), "ConnectionRefusedError", "no SMTP server", 3, "event-1")
PAGERDUTY = made_route(SCOPE, "oncall", RouteSettings(kind="pagerduty"), 0.0)
WEBHOOK = made_route(SCOPE, "chat", RouteSettings(kind="webhook", url="https://chat.example/hook"), 0.0)
SIGNED = msgspec.structs.replace(WEBHOOK, secret_env="CHAT_SECRET")


def message(state: str = ALARM, failures: tuple[Failure, ...] = (FAILURE,), name: str = "mail-alarm") -> AlarmMessage:
    settings = AlarmSettings(
        name=name,
        namespace="AWS/SQS",
        metric_name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": "mail-dlq"},
        comparison="GreaterThanThreshold",
        threshold=0,
    )
    record = AlarmRecord(
        arn=SCOPE.arn("cloudwatch", f"alarm:{name}"), settings=settings, generation="g", updated_at=0
    )
    moved = record.moved(Decision(state, "Threshold Crossed"), 1_700_000_000.5)
    digest = QueueDigest(SCOPE.arn("sqs", "mail-dlq"), 3, failures)
    return msgspec.json.decode(alarm_message(moved, digest), type=AlarmMessage)


def alert(**changes: object) -> Alert:
    return Alert("alarm#g#1", message(**changes), 1_700_000_000.5)  # type: ignore[arg-type]


def sent(answer: AlertRequest | Unready) -> AlertRequest:
    assert isinstance(answer, AlertRequest)
    return answer


def test_a_trigger_keeps_all_of_pagerdutys_rules_and_tells_what_failed():
    body = msgspec.json.decode(sent(pagerduty.render(PAGERDUTY, KEY, alert())).body)
    assert pagerduty_faults(body) == []
    assert body["event_action"] == "trigger"
    assert body["routing_key"] == KEY
    payload = body["payload"]
    assert payload["summary"] == "mail: 3 dead letters in mail-dlq: no SMTP server"
    assert payload["component"] == "mail"
    assert payload["class"] == "ConnectionRefusedError"
    assert payload["timestamp"] == "2023-11-14T22:13:20.500+00:00"
    assert payload["custom_details"]["dead_letters"] == 3
    assert payload["custom_details"]["failures"][0]["count"] == 3
    assert payload["custom_details"]["failures"][0]["event_id"] == "event-1"


def test_an_alarm_on_a_metric_tells_its_reason_and_what_it_looks_at():
    settings = AlarmSettings(
        name="slow", namespace="Shop", metric_name="Took", statistic="p99", comparison="GreaterThanThreshold",
        threshold=250,
    )  # fmt: skip
    arn = SCOPE.arn("cloudwatch", "alarm:slow")
    record = AlarmRecord(arn=arn, settings=settings, generation="g", updated_at=0)
    moved = record.moved(Decision(ALARM, "Threshold Crossed: 1 out of the last 1 datapoints"), 1_700_000_000.5)
    told = msgspec.json.decode(alarm_message(moved, QueueDigest("", 0)), type=AlarmMessage)
    body = msgspec.json.decode(sent(pagerduty.render(PAGERDUTY, KEY, Alert("a#1", told, 0.0))).body)
    assert pagerduty_faults(body) == []
    payload = body["payload"]
    assert payload["summary"] == "slow: Threshold Crossed: 1 out of the last 1 datapoints"
    assert (payload["source"], payload["component"], payload["class"]) == (arn, "slow", "slow")
    assert payload["custom_details"]["trigger"]["ExtendedStatistic"] == "p99"
    assert "queue" not in payload["custom_details"]


def test_the_resolve_has_the_key_of_its_trigger_and_nothing_more():
    trigger = msgspec.json.decode(sent(pagerduty.render(PAGERDUTY, KEY, alert())).body)
    resolve = msgspec.json.decode(sent(pagerduty.render(PAGERDUTY, KEY, alert(state=OK))).body)
    assert pagerduty_faults(resolve) == []
    assert resolve == {"routing_key": KEY, "event_action": "resolve", "dedup_key": trigger["dedup_key"]}


def test_long_names_and_errors_are_cut_to_pagerdutys_lengths():
    failure = msgspec.structs.replace(FAILURE, error_message="é" * 5_000)
    body = pagerduty.event(PAGERDUTY, KEY, alert(name="a" * 255, failures=(failure,)))
    assert pagerduty_faults(msgspec.json.decode(msgspec.json.encode(body))) == []


@pytest.mark.parametrize("secret", ["", "short", KEY + "0"])
def test_a_routing_key_of_another_length_is_never_sent_nor_shown(secret: str):
    answer = pagerduty.render(PAGERDUTY, secret, alert())
    assert isinstance(answer, Unready)
    assert "PAGERDUTY_ROUTING_KEY" in answer.reason
    assert not secret or secret not in answer.reason


def test_an_alarm_without_known_failures_names_its_queue():
    payload = pagerduty.event(PAGERDUTY, KEY, alert(failures=()))["payload"]
    assert isinstance(payload, dict)
    assert (payload["summary"], payload["class"]) == ("mail-alarm: 3 dead letters in mail-dlq", "mail-alarm")


def test_a_webhook_gets_a_cloud_event():
    request = sent(webhook.render(WEBHOOK, "", alert()))
    body = msgspec.json.decode(request.body)
    assert request.headers == {"content-type": "application/cloudevents+json"}
    assert {k: body[k] for k in ("specversion", "type", "subject", "source", "time")} == {
        "specversion": "1.0",
        "type": "dev.busway.alarm.firing",
        "subject": "mail-alarm",
        "source": SCOPE.arn("cloudwatch", "alarm:mail-alarm"),
        "time": "2023-11-14T22:13:20.500+00:00",
    }
    assert body["data"]["NewStateValue"] == ALARM
    assert body["data"]["Busway"]["depth"] == 3
    assert msgspec.json.decode(sent(webhook.render(WEBHOOK, "", alert(state=OK))).body)["type"] == (
        "dev.busway.alarm.resolved"
    )


@pytest.mark.parametrize(("secret", "key"), [("plain", b"plain"), ("whsec_AAEC", b"\x00\x01\x02")])
def test_a_webhook_is_signed_as_standard_webhooks_say(secret: str, key: bytes):
    request = sent(webhook.render(SIGNED, secret, alert()))
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["webhook-timestamp"] == "1700000000"


def test_the_published_example_of_standard_webhooks_agrees():
    key = webhook.signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = webhook.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_not base64"])
def test_a_webhook_that_cannot_be_signed_is_not_sent(secret: str):
    answer = webhook.render(SIGNED, secret, alert())
    assert isinstance(answer, Unready)
    assert "CHAT_SECRET" in answer.reason
    assert "not base64" not in answer.reason or secret not in answer.reason
