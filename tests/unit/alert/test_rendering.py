"""What each kind of route is sent."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
from email import policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.alert_providers import datadog_faults, slack_faults

from busway.alarm.notice import AlarmMessage, Failure, QueueDigest, alarm_message
from busway.alarm.record import AlarmRecord, AlarmSettings
from busway.alarm.state import ALARM, OK, Decision
from busway.alert import datadog, email as mail, pagerduty, slack, webhook
from busway.alert.request import Alert, AlertMail, AlertRequest, Rendered, Unready
from busway.alert.routes import RouteSettings, made_route
from busway.arn import Scope
from busway.cli.demo.receivers import pagerduty_faults
from busway.mail.compose import compose

SCOPE = Scope()
KEY = "0123456789abcdef0123456789abcdef"
FAILURE = Failure(SCOPE.arn("lambda", "function:mail"), "ConnectionRefusedError", "no SMTP server", 3, "event-1")
PAGERDUTY = made_route(SCOPE, "oncall", RouteSettings(kind="pagerduty"), 0.0)
WEBHOOK = made_route(SCOPE, "chat", RouteSettings(kind="webhook", url="https://chat.example/hook"), 0.0)
DATADOG = made_route(SCOPE, "dd", RouteSettings(kind="datadog", severity="warning"), 0.0)
SLACK = made_route(SCOPE, "team", RouteSettings(kind="slack", sealed=True), 0.0)
EMAIL = made_route(SCOPE, "mail", RouteSettings(kind="email", to=("jo@example.com", "Ann <ann@example.com>")), 0.0)
HOOK = "https://hooks.slack.com/services/T0/B0/token"
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


def sent(answer: Rendered) -> AlertRequest:
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


def many(count: int, failures: tuple[Failure, ...] = (FAILURE,)) -> Alert:
    """As many alarms at once, each third of them over."""
    first, *others = [
        message(state=OK if each % 3 == 2 else ALARM, name=f"alarm-{each}", failures=failures)
        for each in range(count)
    ]
    return Alert("route#g#1", first, 1_700_000_000.5, tuple(others))


def sent_to_slack(told: Alert) -> dict[str, Any]:
    body = msgspec.json.decode(sent(slack.render(SLACK, HOOK, told)).body)
    assert slack_faults(body) == []
    return body


def mailed(told: Alert) -> EmailMessage:
    answer = mail.render(EMAIL, "", told)
    assert isinstance(answer, AlertMail)
    composed = compose(answer.letter, answer.message_id, 1_700_000_000.0)
    read = email.message_from_bytes(composed.content, policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def text_of(read: EmailMessage) -> str:
    return read.get_content().replace("\r\n", "\n")


def test_datadog_gets_an_event_by_its_rules_that_tells_what_failed():
    request = sent(datadog.render(DATADOG, "a1" * 16, alert()))
    body = msgspec.json.decode(request.body)
    assert datadog_faults(body) == []
    assert request.headers["dd-api-key"] == "a1" * 16
    assert body["title"] == "ALARM: mail: 3 dead letters in mail-dlq: no SMTP server"
    assert "3 × ConnectionRefusedError: no SMTP server (mail)" in body["text"]
    assert (body["alert_type"], body["date_happened"]) == ("warning", 1_700_000_000)
    assert {"service:mail", "queue:mail-dlq", "state:alarm", "alarm:mail-alarm"} <= set(body["tags"])


def test_datadog_sees_an_alarm_and_its_end_as_one():
    begun, ended = (datadog.event(DATADOG, message(state=state)) for state in (ALARM, OK))
    assert begun["aggregation_key"] == ended["aggregation_key"]
    assert ended["alert_type"] == "success"


def test_long_names_and_errors_are_cut_to_datadogs_lengths():
    failure = msgspec.structs.replace(FAILURE, error_message="é" * 5_000, error_code="E" * 5_000)
    told = message(name="a" * 255, failures=(failure,) * 10)
    assert datadog_faults(msgspec.json.decode(msgspec.json.encode(datadog.event(DATADOG, told)))) == []


@pytest.mark.parametrize("key", ["", "two words", "key\r\nx: y", "schlüssel"])
def test_what_can_be_no_key_goes_into_no_header_and_no_message(key: str):
    answer = datadog.render(DATADOG, key, alert())
    assert isinstance(answer, Unready)
    assert "DD_API_KEY" in answer.reason
    assert not key or key not in answer.reason


def test_slack_is_told_what_failed_how_often_and_what_to_do_next():
    body = sent_to_slack(alert())
    assert body["text"] == "ALARM mail: 3 dead letters in mail-dlq: no SMTP server"
    first, failed, following, about = body["blocks"]
    assert first["text"]["text"] == ":red_circle: *ALARM* mail: 3 dead letters in mail-dlq: no SMTP server"
    assert failed["text"]["text"] == "• 3 × ConnectionRefusedError: no SMTP server (mail)"
    assert following["text"]["text"] == "Next: `busway dlq`  `busway redrive mail`"
    assert about["elements"][0]["text"] == "000000000000/us-east-1, 2023-11-14T22:13:20.500+00:00, mail-alarm"


def test_a_repeated_slack_message_is_the_same_in_every_byte_and_another_has_another_id():
    one, again = (sent(slack.render(SLACK, HOOK, Alert("a#g#1", message(), at))).body for at in (1.0, 2.0))
    other = sent_to_slack(Alert("a#g#2", message(), 1.0))
    assert one == again
    assert other["blocks"][0]["block_id"] != msgspec.json.decode(one)["blocks"][0]["block_id"]


def test_slack_gets_hundreds_of_alarms_as_one_message_that_lists_those_that_ring_first():
    body = sent_to_slack(many(300))
    assert body["text"] == "ALARM 300 alarms: 200 ALARM, 100 OK"
    listed = body["blocks"][1]["text"]["text"].split("\n")
    assert len(listed) == slack.ALARMS_LISTED_MAX + 1
    assert all(line.startswith(":red_circle:") for line in listed[:-1])
    assert listed[-1] == "… and 280 more"


@given(st.text(max_size=4_000), st.text(max_size=300), st.integers(1, 60))
def test_slack_takes_whatever_an_error_says(error: str, name: str, count: int):
    failure = msgspec.structs.replace(FAILURE, error_message=error, error_code=name)
    sent_to_slack(many(count, failures=(failure,) * 10))


def test_an_alarm_that_is_over_by_now_is_told_so():
    told = Alert("a#g#1", message(), 0.0, (message(name="other"),), {message().AlarmArn: OK})
    listed = sent_to_slack(told)["blocks"][1]["text"]["text"]
    assert "no SMTP server (OK since)" in listed
    assert "(OK since)" in text_of(mailed(told))


@pytest.mark.parametrize(
    "url", ["", "hooks.slack.com/x", "http://hooks.slack.com/services/x", "https://[x", "https:///y"]
)
def test_what_is_no_address_of_slacks_is_not_asked_nor_shown(url: str):
    answer = slack.render(SLACK, url, alert())
    assert isinstance(answer, Unready)
    assert not url or url not in answer.reason


def test_a_mail_is_plain_text_with_what_failed_and_the_next_command():
    read = mailed(alert())
    assert read.get_content_type() == "text/plain"
    assert (read["To"], read["From"]) == ("jo@example.com, Ann <ann@example.com>", "Busway <busway@example.com>")
    assert read["Auto-Submitted"] == "auto-generated"
    text = text_of(read)
    assert text.startswith("ALARM: mail: 3 dead letters in mail-dlq: no SMTP server\n")
    assert "\n  3 × ConnectionRefusedError: no SMTP server (mail)\n" in text
    assert "\n  busway redrive mail\n" in text


def test_the_mails_of_an_alarm_are_one_thread_and_another_alarms_another():
    begun, ended = (mailed(Alert(f"a#g#{state}", message(state=state), 0.0)) for state in (ALARM, OK))
    other = mailed(alert(name="other"))
    assert begun["References"] == begun["In-Reply-To"] == ended["References"] != other["References"]
    assert begun["Subject"] == ended["Subject"] == "[Busway] mail-alarm"
    assert len({begun["Message-ID"], ended["Message-ID"], begun["References"]}) == 3


def test_a_repeated_mail_has_the_same_message_id():
    assert mailed(alert())["Message-ID"] == mailed(alert())["Message-ID"]


def test_a_mail_of_many_alarms_lists_them_all():
    text = text_of(mailed(many(300)))
    assert text.startswith("300 alarms: 200 ALARM, 100 OK\n")
    assert sum(line.startswith(("ALARM ", "OK ")) for line in text.split("\n")) == 300


def test_a_line_break_in_an_alarms_name_gets_into_no_header():
    assert mailed(alert(name="mail\r\nBcc: eve@example.com"))["Subject"] == "[Busway] mail Bcc: eve@example.com"


def test_what_holds_now_is_counted_of_alarms_that_moved_on_and_each_once():
    names = [f"a{number}" for number in range(5)]
    messages = [message(name=name) for name in names]
    over = {one.AlarmArn: OK for one in messages[:2]}
    told = Alert("a#g#1", messages[0], 0.0, (*messages[1:], messages[4]), over)
    assert sent_to_slack(told)["text"] == "ALARM 5 alarms: 3 ALARM, 2 OK"
    listed = sent_to_slack(told)["blocks"][1]["text"]["text"].split("\n")
    assert [line.split()[0] for line in listed] == [":red_circle:"] * 3 + [":large_green_circle:"] * 2
    assert sent_to_slack(Alert("a#g#1", messages[0], 0.0, (messages[1],)))["text"] == "ALARM 2 alarms"


def test_slack_is_told_what_an_alarm_without_known_failures_is_about():
    of_metric = msgspec.structs.replace(
        message(failures=()), AlarmDescription="see `busway logs mail`", Busway=QueueDigest("", 0)
    )
    assert "see `busway logs mail`" in str(sent_to_slack(Alert("a#g#1", of_metric, 0.0))["blocks"])
