"""Alarms of a real server reach Slack, Datadog and mailboxes, over HTTPS and SMTP, through outages and kill -9."""

from __future__ import annotations

import email
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email import policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.alert_providers import (
    DATADOG_KEY,
    PAGERDUTY_KEY,
    PAGERDUTY_PATH,
    SLACK_PATH,
    Provider,
    datadog,
    pagerduty,
    provider,
    slack,
)
from tests.integration.whole_server import ACCOUNT, BIN, PATIENCE_S, REGION, ROLE, SECRET, WholeServer, arn, zipped

from busway.road.connection import Connection

from .whole_server import until

STORM = 30


@contextmanager
def serving(folder: Path, environment: dict[str, str]) -> Iterator[WholeServer]:
    """A server whose log goes to a file; `os.kill` its process and serve again for a crash."""
    chosen = {
        "BUSWAY_ACCESS_KEYS": f"{ACCOUNT}:{SECRET}", "BUSWAY_DELIVERY_FIRST_RETRY_S": "0.2",
        "SSL_CERT_FILE": str(folder / "ca.pem"), **environment,
    }  # fmt: skip
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / "busway", "serve", "--port", "0", "--data", folder / "data", "--json"],
            env={**os.environ, **chosen}, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            assert ready, (folder / "log").read_text()
            yield WholeServer(json.loads(ready)["url"], folder, process)
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


def make_alarm(server: WholeServer, name: str, route: str) -> None:
    """An alarm that nothing but `ring` moves."""
    server.client("cloudwatch").put_metric_alarm(
        AlarmName=name, Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": "none"}], Statistic="Maximum", Period=60, EvaluationPeriods=1,
        Threshold=0, ComparisonOperator="GreaterThanThreshold", TreatMissingData="ignore",
        AlarmActions=[arn("sns", f"busway-alert-{route}")], OKActions=[arn("sns", f"busway-alert-{route}")],
    )  # fmt: skip


def ring(server: WholeServer, name: str, state: str = "ALARM") -> None:
    server.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")


def sealed(server: WholeServer, name: str, secret: str, *options: str) -> None:
    """As a user pipes it in."""
    done = subprocess.run(
        [BIN / "busway", "alert", "set", name, *options, "--secret", "--json"],
        env=server.environment, input=f"{secret}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    assert json.loads(done.stdout)["sealed"] is True


def steps(server: WholeServer, kind: str = "") -> list[dict[str, Any]]:
    """What happened until now."""
    connection = Connection(server.url, ACCOUNT, SECRET, REGION)
    found = list(connection.stream("/_busway/tail", quiet_s=0.2, since=0))
    return [step for step in found if kind in ("", step["kind"])]


def everything_shown(server: WholeServer) -> str:
    """What the server's own interface says of routes, alarms, steps and letters."""
    return str([server.busway("alert", "list"), server.busway("status"), server.busway("dlq"), steps(server)])


GOLDEN = Path(__file__).parent / "demo_alerts.txt"
DEMO_NAME, DEMO_QUEUE = "notify-customer", "notify-customer-dead-letters"
DEMO_EVENT = {
    "Source": "com.benlimmer.Monolith", "DetailType": "Customer Notification", "Resources": ["user@example.com"],
    "Detail": json.dumps({
        "notification": "unrecognized-login", "ip-address": "1.2.3.4", "location": "Denver, Colorado, USA",
    }),
}  # fmt: skip
DEMO_SOURCE = """
def handler(event, context):
    raise ConnectionRefusedError("no SMTP server")
"""


def ok_before(server: WholeServer, name: str) -> bool:
    (alarm,) = server.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return alarm["StateValue"] == "OK"


def received(receiver: Provider, text: str) -> list[tuple[str, bytes]]:
    return [(path, raw) for path, raw in receiver.raw if text.encode() in raw]


def providers(path: str, headers: dict[str, str], body: Any) -> tuple[int, bytes]:
    """All three behind one address."""
    return {PAGERDUTY_PATH: pagerduty, SLACK_PATH: slack}.get(path, datadog)(path, headers, body)


def demo_handler(server: WholeServer, *routes: str) -> None:
    """The demo's rule, a function that fails as it does without SMTP, its dead letters, and an alarm on them."""
    queue, function = arn("sqs", DEMO_QUEUE), arn("lambda", f"function:{DEMO_NAME}")
    server.client("sqs").create_queue(QueueName=DEMO_QUEUE)
    functions, events = server.client("lambda"), server.client("events")
    functions.create_function(
        FunctionName=DEMO_NAME, Runtime="python3.12", Role=ROLE, Handler="app.handler",
        Code={"ZipFile": zipped(DEMO_SOURCE)}, DeadLetterConfig={"TargetArn": queue},
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName=DEMO_NAME)
    functions.put_function_event_invoke_config(FunctionName=DEMO_NAME, MaximumRetryAttempts=0)
    functions.add_permission(
        FunctionName=DEMO_NAME, StatementId="rule", Action="lambda:InvokeFunction", Principal="events.amazonaws.com"
    )
    actions = [arn("sns", f"busway-alert-{route}") for route in routes]
    server.client("cloudwatch").put_metric_alarm(
        AlarmName=DEMO_QUEUE, Namespace="AWS/SQS", MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": DEMO_QUEUE}], Statistic="Maximum", Period=60, EvaluationPeriods=1,
        Threshold=0, ComparisonOperator="GreaterThanThreshold", AlarmActions=actions, OKActions=actions,
    )  # fmt: skip
    events.put_rule(Name=DEMO_NAME, EventPattern='{"detail-type": ["Customer Notification"]}')
    events.put_targets(Rule=DEMO_NAME, Targets=[{"Id": "1", "Arn": function}])


def test_the_demos_failure_and_its_end_reach_all_three_providers_byte_for_byte(tmp_path: Path):
    keys = {"PAGERDUTY_ROUTING_KEY": PAGERDUTY_KEY, "DD_API_KEY": DATADOG_KEY}
    with provider(providers, tmp_path) as receiver:
        keys["SLACK_WEBHOOK_URL"] = receiver.url + SLACK_PATH
        with serving(tmp_path, keys | {"BUSWAY_CLOCK": "manual"}) as server:
            server.busway("alert", "set", "pagerduty", "--url", receiver.url + PAGERDUTY_PATH)
            server.busway("alert", "set", "datadog", "--url", receiver.url)
            server.busway("alert", "set", "slack")
            demo_handler(server, "pagerduty", "datadog", "slack")
            until(lambda: server.busway("clock", "+1s") and ok_before(server, DEMO_QUEUE), "all is well at first")
            event_id = server.client("events").put_events(Entries=[DEMO_EVENT])["Entries"][0]["EventId"]
            until(lambda: len(received(receiver, "no SMTP server")) == 3, "all three were told of the failure")
            sqs = server.client("sqs")
            url = sqs.get_queue_url(QueueName=DEMO_QUEUE)["QueueUrl"]
            (letter,) = sqs.receive_message(QueueUrl=url)["Messages"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=letter["ReceiptHandle"])
            until(lambda: server.busway("clock", "+20s") and len(received(receiver, "")) >= 6, "and of its end")
    assert receiver.refused == []
    told = {(path, b"no SMTP server" not in raw): raw.decode() for path, raw in receiver.raw}
    assert len(told) == len(receiver.raw) == 6
    # When it happened, and by which message, is the server's to say; all else is known.
    trigger = json.loads(told[PAGERDUTY_PATH, False])
    at, reason = trigger["payload"]["timestamp"], trigger["payload"]["custom_details"]["reason"]
    block, end_block = (json.loads(told[SLACK_PATH, over])["blocks"] for over in (False, True))
    ended = json.loads(told["/api/v1/events", True])
    known = {
        "at": at, "seconds": str(int(datetime.fromisoformat(at).timestamp())), "reason": reason, "event_id": event_id,
        "id": block[0]["block_id"], "end_id": end_block[0]["block_id"], "end_seconds": str(ended["date_happened"]),
        "end_at": end_block[-1]["elements"][0]["text"].split(", ")[1], "end_reason": ended["text"],
    }  # fmt: skip
    wanted = GOLDEN.read_text()
    for name, value in known.items():
        wanted = wanted.replace(f"<{name}>", value)
    paths = ((PAGERDUTY_PATH, False), ("/api/v1/events", False), (SLACK_PATH, False))
    paths += ((PAGERDUTY_PATH, True), ("/api/v1/events", True), (SLACK_PATH, True))
    assert "\n".join(told[place] for place in paths) + "\n" == wanted
    assert reason.startswith("Threshold Crossed: 1 out of the last 1 datapoints [1 (")


def test_a_storm_reaches_slack_as_two_messages_and_its_address_is_nowhere_in_clear(tmp_path: Path):
    with provider(slack, tmp_path) as receiver, serving(tmp_path, {"BUSWAY_CLOCK": "manual"}) as server:
        secret = receiver.url + SLACK_PATH
        sealed(server, "slack", secret)
        for number in range(STORM):
            make_alarm(server, f"handler-{number}", "slack")
        ring(server, "handler-0")
        until(lambda: len(receiver.taken) == 1, "the first alarm was told at once")
        receiver.down = (404, {})
        for number in range(1, STORM):
            ring(server, f"handler-{number}")
        assert receiver.asked == 1
        until(lambda: server.busway("clock", "+20s") and receiver.asked == 2, "what followed was told")
        until(lambda: steps(server, "dead-lettered"), "what Slack refused for good is a dead letter")
        receiver.down = None
        server.busway("redrive", "--queue", "busway-undeliverable-default")
        until(lambda: len(receiver.taken) == 2, "what was redriven came")
        shown = everything_shown(server)
    assert receiver.asked == 3
    assert f"{STORM - 1} alarms" in receiver.taken[-1]["text"]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "ca.pem")
    assert SLACK_PATH.rsplit("/", 1)[-1].encode() not in kept
    assert "canary" not in shown


@pytest.mark.parametrize("status", [503, 429])
def test_a_death_between_an_alarm_and_its_delivery_still_tells_datadog_the_same_body(tmp_path: Path, status: int):
    environment = {"DD_API_KEY": DATADOG_KEY}
    with provider(datadog, tmp_path) as receiver:
        receiver.down = (status, {"Retry-After": "2"})
        with serving(tmp_path, environment) as server:
            server.busway("alert", "set", "datadog", "--url", receiver.url)
            for number in range(5):
                make_alarm(server, f"handler-{number}", "datadog")
                ring(server, f"handler-{number}")
            # None in flight: those are repeated when their lease of a minute and a half is over.
            until(lambda: len(steps(server, "retried")) == 5, "all five were tried")
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait(PATIENCE_S)
        receiver.down = None
        with serving(tmp_path, environment):
            until(lambda: len({told["aggregation_key"] for told in receiver.taken}) == 5, "all five were told")
    assert receiver.refused == []
    for key in {told["aggregation_key"] for told in receiver.taken}:
        bodies = [told for told in receiver.taken if told["aggregation_key"] == key]
        assert all(body == bodies[0] for body in bodies)


class Mailbox:
    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append((envelope.rcpt_tos, email.message_from_bytes(content, policy=policy.default)))
        return "250 taken"


def test_a_mail_waits_for_its_server_and_says_what_failed(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mailbox = Mailbox()
    with serving(tmp_path, {"BUSWAY_SMTP": f"smtp://127.0.0.1:{port}"}) as server:
        server.busway(
            "alert", "set", "oncall", "--kind", "email", "--to", "jo@example.com", "--to", "ann@example.com"
        )
        make_alarm(server, "mail-dead-letters", "oncall")
        ring(server, "mail-dead-letters")
        until(lambda: steps(server, "alert"), "it was tried")
        assert steps(server, "alert")[0]["delivered"] is False
        controller = Controller(mailbox, hostname="127.0.0.1", port=port)
        controller.start()
        try:
            until(lambda: mailbox.taken, "the mail came when its server was there")
        finally:
            controller.stop()
    ((recipients, message),) = mailbox.taken
    assert recipients == ["jo@example.com", "ann@example.com"]
    assert message["Subject"] == "[Busway] mail-dead-letters"
    assert message["References"].startswith("<alert-")
    assert message.get_content().startswith("ALARM: mail-dead-letters: ")


@pytest.mark.parametrize(
    ("kind", "judge", "secret", "states", "answer"),
    [
        ("datadog", datadog, DATADOG_KEY, ["ALARM", "OK"], '202 {"status":"ok","event":{"id":1}}'),
        ("slack", slack, SLACK_PATH, ["ALARM"], "200 ok"),
    ],
)
def test_a_route_is_tried_and_what_the_provider_answered_is_told(
    tmp_path: Path, kind: str, judge: Any, secret: str, states: list[str], answer: str
):
    receiver: Provider
    with provider(judge, tmp_path) as receiver, serving(tmp_path, {}) as server:
        address = ["--url", receiver.url] if kind == "datadog" else []
        sealed(server, kind, receiver.url + secret if kind == "slack" else secret, *address)
        tried = server.busway("alert", "test", kind)["told"]
        assert [step["state"] for step in tried] == states
        assert {step["answer"] for step in tried} == {answer}
        assert len(receiver.taken) == len(states)
        server.busway("alert", "remove", kind)
        left = server.client("secretsmanager").list_secrets()["SecretList"]
    assert left == []


def test_what_is_wrong_with_a_route_is_said_before_anything_is_sealed(tmp_path: Path):
    with serving(tmp_path, {}) as server:
        refused = server.run(BIN / "busway", "alert", "set", "slack", "--url", "https://hooks.slack.com/services/x")
        assert "the webhook's URL is its secret" in refused.stderr
        missing = server.run(BIN / "busway", "alert", "set", "oncall")
        assert missing.returncode == 2 and "--kind is missing" in missing.stderr
        assert server.client("secretsmanager").list_secrets()["SecretList"] == []
        assert REGION in server.busway("alert", "set", "slack")["arn"]
