"""Alerts over real sockets: PagerDuty's rules behind a private authority, and receivers that misbehave."""

from __future__ import annotations

import socket
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.alert_providers import DATADOG_KEY, SLACK_PATH, datadog, provider, slack

from busway.alarm.notice import Failure, QueueDigest, alarm_message, notice_delivery
from busway.alarm.record import AlarmRecord, AlarmSettings, Notice
from busway.alarm.state import ALARM, OK, Decision
from busway.alert import datadog_series
from busway.alert.payload import gathered
from busway.alert.routes import Routes, RouteSettings, route_arn
from busway.arn import Scope
from busway.cli.demo.receivers import PagerDutyServer
from busway.clock import ManualClock, SeededEntropy
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine.memory import MemoryEngine
from busway.errors import MailRefused, MailServerUnavailable, SecretNotFound
from busway.mail.mailer import Mailer
from busway.metrics import Metrics
from busway.targets.http import ANSWER_BYTES_MAX, ANSWER_SHOWN_MAX, AlertTarget
from busway.trail import Trail

from .conftest import Answer, Receiver

SCOPE = Scope()
KEY = "0123456789abcdef0123456789abcdef"
NOW = 1_700_000_000.0


def delivery(route: str, state: str = ALARM) -> Delivery:
    settings = AlarmSettings(
        name="mail-alarm",
        namespace="AWS/SQS",
        metric_name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": "mail-dlq"},
        comparison="GreaterThanThreshold",
        threshold=0,
    )
    record = AlarmRecord(arn=SCOPE.arn("cloudwatch", "alarm:mail"), settings=settings, generation="g", updated_at=0)
    moved = record.moved(Decision(state, "Threshold Crossed"), NOW)
    failure = Failure(SCOPE.arn("lambda", "function:mail"), "Refused", "no SMTP server", 1)
    message = alarm_message(moved, QueueDigest(SCOPE.arn("sqs", "mail-dlq"), 1, (failure,))).decode()
    return notice_delivery(moved, route_arn(SCOPE, route), Notice(state, 1, message), NOW)


class World:
    def __init__(self, **environ: str) -> None:
        self.clock = ManualClock(NOW)
        self.trail, self.metrics = Trail(self.clock), Metrics(self.clock)
        engine = MemoryEngine(self.clock)
        self.routes = Routes(engine, self.clock)
        self.mailer = Mailer(engine, self.clock, SeededEntropy(1), self.metrics)
        self.sealed: dict[str, str] = {}
        self.target = AlertTarget(
            self.routes, self.clock, environ,
            secret=self.secret, mailer=self.mailer, metrics=self.metrics, trail=self.trail,
        )  # fmt: skip

    def secret(self, scope: Scope, name: str) -> str:
        if name not in self.sealed:
            raise SecretNotFound
        return self.sealed[name]

    async def route(self, kind: str, url: str = "", **changes: object) -> None:
        settings = {"kind": kind, **({"url": url} if url else {}), **changes}
        await self.routes.put(SCOPE, "r", msgspec.convert(settings, RouteSettings))

    async def send(self, state: str = ALARM) -> Outcome:
        """One attempt with a client of its own."""
        try:
            return await self.target.attempt(delivery("r", state))
        finally:
            await self.target.close()


async def failed(world: World) -> Failed:
    outcome = await world.send()
    assert isinstance(outcome, Failed)
    return outcome


async def test_pagerduty_takes_the_trigger_and_the_resolve(tmp_path: Path):
    server = PagerDutyServer(tmp_path)
    server.start()
    try:
        world = World(PAGERDUTY_ROUTING_KEY=KEY, SSL_CERT_FILE=str(server.ca_file))
        await world.route("pagerduty", server.url)
        assert await world.send() == Delivered()
        assert await world.send(OK) == Delivered()
    finally:
        server.stop()
    assert server.actions() == ["trigger", "resolve"]
    assert server.refused == []
    assert len({event["dedup_key"] for event in server.events}) == 1
    assert world.metrics.value("Busway/Alerts", "Delivered", Route="busway-alert-r") == 2


async def test_an_unknown_authority_is_refused_and_retried(tmp_path: Path):
    server = PagerDutyServer(tmp_path)
    server.start()
    try:
        world = World(PAGERDUTY_ROUTING_KEY=KEY)
        await world.route("pagerduty", server.url)
        outcome = await failed(world)
    finally:
        server.stop()
    assert (outcome.code, outcome.retriable) == ("CONNECTION_FAILURE", True)
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.message
    assert server.events == []


async def test_what_pagerduty_finds_invalid_is_not_tried_again(receiver: Receiver):
    receiver.answers = [Answer(400, b'{"status":"invalid event","errors":["no"]}')]
    world = World(PAGERDUTY_ROUTING_KEY=KEY)
    await world.route("pagerduty", receiver.url)
    outcome = await failed(world)
    assert (outcome.code, outcome.retriable) == ("ERROR_FROM_TARGET", False)
    assert "invalid event" in outcome.message


@pytest.mark.parametrize(
    ("after", "wait_s"),
    [("7", 7.0), ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0), ("999999", 3600.0), ("soon", 0.0), ("", 0.0)],
)
async def test_a_throttled_alert_waits_as_long_as_it_is_asked_to(receiver: Receiver, after: str, wait_s: float):
    receiver.answers = [Answer(429, headers={"Retry-After": after})]
    world = World()
    await world.route("webhook", receiver.url)
    outcome = await failed(world)
    assert (outcome.code, outcome.retriable, outcome.retry_after_s) == ("THROTTLING", True, wait_s)


@pytest.mark.parametrize(("status", "retriable"), [(500, True), (503, True), (408, True), (404, False), (410, False)])
async def test_servers_faults_are_retried_and_ours_are_not(receiver: Receiver, status: int, retriable: bool):
    receiver.answers = [Answer(status)]
    world = World()
    await world.route("webhook", receiver.url)
    assert (await failed(world)).retriable is retriable


async def test_a_redirect_is_not_followed(receiver: Receiver):
    receiver.answers = [Answer(307, headers={"Location": receiver.url + "/other"})]
    world = World()
    await world.route("webhook", receiver.url)
    assert (await failed(world)).retriable is False
    assert [path for path, _, _ in receiver.requests] == ["/hook"]


async def test_an_endless_answer_is_cut_off(receiver: Receiver):
    receiver.answers = [Answer(500, b"x" * (ANSWER_BYTES_MAX * 20))]
    world = World()
    await world.route("webhook", receiver.url)
    assert len((await failed(world)).message) < ANSWER_SHOWN_MAX + 100


async def test_nobody_there_is_retried():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = World()
    await world.route("webhook", f"http://127.0.0.1:{port}/")
    outcome = await failed(world)
    assert (outcome.code, outcome.retriable) == ("CONNECTION_FAILURE", True)


async def test_a_missing_route_or_secret_waits_until_it_is_there(receiver: Receiver):
    world = World()
    assert (await failed(world)).retriable
    await world.route("pagerduty", receiver.url)
    assert (await failed(world)).retriable
    assert receiver.requests == []


async def test_the_secret_shows_in_no_message(receiver: Receiver):
    receiver.answers = [Answer(400, f"bad key {KEY}".encode())]
    world = World(PAGERDUTY_ROUTING_KEY=KEY)
    await world.route("pagerduty", receiver.url)
    outcome = await failed(world)
    assert "[secret]" in outcome.message
    noted = str([step.facts for step in world.trail.recent()]) + world.metrics.prometheus().decode()
    assert KEY not in outcome.message + noted


async def test_a_signed_webhook_arrives_with_its_headers(receiver: Receiver):
    world = World(HOOK_SECRET="whsec_AAEC")
    await world.route("webhook", receiver.url, secret_env="HOOK_SECRET")
    assert await world.send() == Delivered()
    ((_, headers, _),) = receiver.requests
    assert headers["webhook-signature"].startswith("v1,")
    assert headers["content-type"] == "application/cloudevents+json"


async def test_a_route_that_is_not_there_is_told_with_the_command_that_sets_it():
    world = World()
    outcome = await failed(world)
    assert (outcome.code, outcome.retriable) == ("NO_RESOURCE", True)
    assert outcome.message == "there is no alert route r: busway alert set r"
    (step,) = world.trail.recent()
    assert step.facts["state"] == ALARM


async def test_datadog_takes_the_event_and_refuses_a_wrong_key_for_good(tmp_path: Path):
    with provider(datadog, tmp_path) as server:
        world = World(DD_API_KEY=DATADOG_KEY, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        await world.route("datadog", server.url)
        assert await world.send() == Delivered()
        assert await world.send(OK) == Delivered()
        wrong = World(DD_API_KEY="f" * 32, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        await wrong.route("datadog", server.url)
        outcome = await failed(wrong)
    assert [event["alert_type"] for event in server.taken] == ["error", "success"]
    assert len({event["aggregation_key"] for event in server.taken}) == 1
    assert (outcome.code, outcome.retriable) == ("ERROR_FROM_TARGET", False)
    assert "f" * 32 not in outcome.message


async def test_series_reach_datadog_and_a_wrong_key_is_tried_again_until_somebody_puts_it_right(tmp_path: Path):
    render = partial(datadog_series.render, body=datadog_series.tried_body(SCOPE, "r", time.time()))
    with provider(datadog, tmp_path) as server:
        for key, outcome_code in ((DATADOG_KEY, None), ("f" * 32, "ERROR_FROM_TARGET"), ("no key", "NO_PERMISSIONS")):
            world = World(DD_API_KEY=key, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
            await world.route("datadog", server.url, series=True)
            outcome, answer = await world.target.tell(world.routes.named(SCOPE, "r"), render)
            await world.target.close()
            if outcome_code is None:
                assert (outcome, answer) == (Delivered(), '202 {"errors":[]}')
            else:
                assert isinstance(outcome, Failed)
                assert (outcome.code, outcome.retriable) == (outcome_code, True)
                assert key not in outcome.message
    assert len(server.taken) == 1
    assert "f" * 32 not in str(server.refused)


@pytest.mark.parametrize(("status", "retriable"), [(400, False), (413, False), (408, True), (429, True), (500, True)])
async def test_what_datadog_refuses_of_series_for_good_is_not_tried_again(
    receiver: Receiver, status: int, retriable: bool
):
    receiver.answers = [Answer(status, b'{"errors":["no"]}', headers={"X-RateLimit-Reset": "9"})]
    world = World(DD_API_KEY=DATADOG_KEY)
    await world.route("datadog", receiver.url.removesuffix("/hook"), series=True)
    render = partial(datadog_series.render, body=b"{}")
    outcome, _ = await world.target.tell(world.routes.named(SCOPE, "r"), render)
    await world.target.close()
    assert isinstance(outcome, Failed)
    assert (outcome.retriable, outcome.retry_after_s) == (retriable, 9.0 if retriable else 0.0)
    assert [path for path, _, _ in receiver.requests] == ["/api/v2/series"]


async def test_datadog_is_left_alone_for_as_long_as_its_own_header_says(receiver: Receiver):
    receiver.answers = [Answer(429, headers={"X-RateLimit-Reset": "9"})]
    world = World(DD_API_KEY=DATADOG_KEY)
    await world.route("datadog", receiver.url)
    assert (await failed(world)).retry_after_s == 9.0


async def test_slack_takes_the_message_at_the_sealed_address(tmp_path: Path):
    with provider(slack, tmp_path) as server:
        world = World(SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        await world.route("slack", sealed=True)
        assert (await failed(world)).message.endswith("busway alert set r --kind slack --secret")
        world.sealed["busway-alert/r"] = server.url + SLACK_PATH
        assert await world.send() == Delivered()
    assert len(server.taken) == 1
    assert world.trail.recent()[-1].facts["answer"] == "200 ok"


async def test_the_environment_wins_over_what_was_sealed():
    with provider(slack) as server:
        world = World(SLACK_WEBHOOK_URL=server.url + SLACK_PATH)
        world.sealed["busway-alert/r"] = server.url + "/services/another"
        await world.route("slack", sealed=True)
        assert await world.send() == Delivered()


@pytest.mark.parametrize(("status", "retriable"), [(404, False), (410, False), (429, True), (500, True)])
async def test_no_part_of_slacks_address_shows_whatever_it_answers(
    receiver: Receiver, status: int, retriable: bool, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("DEBUG")
    url = receiver.url.removesuffix("/hook") + SLACK_PATH
    receiver.answers = [Answer(status, f"no_service at {url}: {SLACK_PATH}".encode())]
    world = World(SLACK_WEBHOOK_URL=url)
    await world.route("slack")
    outcome = await failed(world)
    assert outcome.retriable is retriable
    shown = outcome.message + str([step.facts for step in world.trail.recent()]) + caplog.text
    assert "canary" not in shown and "B00000000" not in shown
    assert "the Slack webhook of the route r answered" in outcome.message


async def test_a_slack_address_that_nobody_answers_at_is_not_shown():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = World(SLACK_WEBHOOK_URL=f"http://127.0.0.1:{port}{SLACK_PATH}")
    await world.route("slack")
    outcome = await failed(world)
    assert (outcome.code, outcome.retriable) == ("CONNECTION_FAILURE", True)
    assert "canary" not in outcome.message


async def test_an_email_is_taken_and_says_by_whom():
    world = World()
    await world.route("email", to=("jo@example.com", "ann@example.com"))
    assert await world.send() == Delivered()
    (mail,) = world.mailer.inbox.list()
    assert mail.recipients == ("jo@example.com", "ann@example.com")
    assert mail.subject == "[Busway] mail-alarm"
    assert world.trail.recent()[-1].facts["answer"] == "taken by the inbox: busway inbox (no SMTP server is set)"


async def test_an_email_without_a_server_waits_and_one_that_is_refused_is_final(monkeypatch: pytest.MonkeyPatch):
    world = World()
    await world.route("email", to=("jo@example.com",))
    for error, retriable in ((MailServerUnavailable("silent"), True), (MailRefused("550 no such user"), False)):

        async def send(letter: object, message_id: str = "", error: Exception = error) -> str:
            raise error

        monkeypatch.setattr(world.mailer, "send", send)
        assert (await failed(world)).retriable is retriable


async def test_alarms_gathered_for_people_reach_a_webhook_one_by_one_when_the_route_became_one(receiver: Receiver):
    world = World()
    await world.route("webhook", receiver.url)
    one = delivery("r")
    other = one.payload.replace(b"alarm:mail", b"alarm:post")
    several = msgspec.structs.replace(one, payload=gathered([one.payload, other], lambda arn: None))
    try:
        assert await world.target.attempt(several) == Delivered()
    finally:
        await world.target.close()
    sent = [msgspec.json.decode(body) for _, _, body in receiver.requests]
    assert [event["source"].rsplit(":", 1)[-1] for event in sent] == ["mail", "post"]
    assert len({event["id"] for event in sent}) == 2


async def test_a_secret_that_is_echoed_in_escapes_of_json_shows_in_no_message(receiver: Receiver):
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    receiver.answers = [Answer(400, f'{{"errors": ["bad key {escaped}"]}}'.encode())]
    world = World(PAGERDUTY_ROUTING_KEY=KEY)
    await world.route("pagerduty", receiver.url)
    outcome = await failed(world)
    assert "bad key [secret]" in outcome.message and escaped not in outcome.message


@pytest.mark.parametrize("wait", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "9" * 400, "soon", "-1"])
async def test_a_wait_that_cannot_be_read_is_none(receiver: Receiver, wait: str):
    receiver.answers = [Answer(429, b"", {"retry-after": wait})]
    world = World(PAGERDUTY_ROUTING_KEY=KEY)
    await world.route("pagerduty", receiver.url)
    outcome = await failed(world)
    assert outcome.retriable and 0 <= outcome.retry_after_s <= 3_600
