"""Alerts over real sockets: PagerDuty's rules behind a private authority, and receivers that misbehave."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
import pytest

from busway.alarm.notice import Failure, QueueDigest, alarm_message, notice_delivery
from busway.alarm.record import AlarmRecord, AlarmSettings, Notice
from busway.alarm.state import ALARM, OK, Decision
from busway.alert.routes import Routes, RouteSettings, route_arn
from busway.arn import Scope
from busway.cli.demo.receivers import PagerDutyServer
from busway.clock import ManualClock
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine.memory import MemoryEngine
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
        self.routes = Routes(MemoryEngine(self.clock), self.clock)
        self.target = AlertTarget(self.routes, self.clock, environ, metrics=self.metrics, trail=self.trail)

    async def route(self, kind: str, url: str, **changes: str) -> None:
        await self.routes.put(SCOPE, "r", msgspec.convert({"kind": kind, "url": url, **changes}, RouteSettings))

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
