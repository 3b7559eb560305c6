"""Our own routes: status, feeds, dead letters, redrive, routes, clock."""

from __future__ import annotations

import msgspec
import pytest

from busway.alarm.record import AlarmSettings
from busway.clock import SystemClock, settle
from busway.delivery import Failed
from busway.delivery.dead_letter import Source
from busway.engine import Health
from busway.errors import EngineStopped
from busway.function.logs import Line
from busway.inspect.http import KEEP_ALIVE_S

from .conftest import Door
from .world import FUNCTION, SCOPE, World


async def fail(world: World, *numbers: int) -> list[str]:
    world.outside.answers = [Failed("ERROR_FROM_TARGET", "no SMTP server", False)]
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    return await world.put(*({"n": number} for number in numbers))


async def test_health_and_metrics_are_open_and_say_how_it_goes(door: Door, world: World):
    await fail(world, 1)
    await world.clock.advance(5)
    status, health = await door.ask("GET", "/health", opened=True)
    assert (status, health["status"], health["version"], health["uptime_s"]) == (200, "ok", "9.9.9", 5.0)
    status, text = await door.ask("GET", "/metrics", opened=True)
    assert status == 200
    name = "aws_sqs_approximate_number_of_messages_visible"
    assert f'{name}{{queue_name="busway-undeliverable-default"}} 1.0' in text
    await world.engine.queues.purge(SCOPE.arn("sqs", "busway-undeliverable-default"))
    _, text = await door.ask("GET", "/metrics", opened=True)
    assert f'{name}{{queue_name="busway-undeliverable-default"}} 0.0' in text


async def stopped() -> Health:
    raise EngineStopped("the disk broke")


async def test_a_full_disk_and_a_standing_bus_show_in_health(door: Door, world: World):
    world.engine.full = True
    status, health = await door.ask("GET", "/health")
    assert (status, health["status"], health["accepting"]) == (200, "full", False)
    world.router.halted["bus"] = "corrupt"
    status, health = await door.ask("GET", "/health")
    assert (status, health["status"], health["halted"]) == (503, "halted", {"bus": "corrupt"})
    world.engine.health = stopped  # type: ignore[method-assign]
    status, health = await door.ask("GET", "/health")
    assert (status, health["status"]) == (503, "stopped")


async def test_status_shows_everything_of_the_callers_account(door: Door, world: World):
    await fail(world, 1, 2)
    settings = AlarmSettings(
        name="alarm", namespace="AWS/SQS", metric_name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": "q"}, comparison="GreaterThanThreshold", threshold=0,
    )  # fmt: skip
    await door.alarms.put(SCOPE, settings, {})
    told = await door.get("/_busway/status")
    (bus,) = told["buses"]
    assert (bus["name"], bus["rules"], bus["behind"]) == ("default", 1, 0)
    (rule,) = told["rules"]
    assert (rule["name"], rule["targets"]) == ("notify", [{"id": "t0", "arn": FUNCTION, "problem": ""}])
    (queue,) = told["queues"]
    assert (queue["name"], queue["undeliverable"], queue["ready"]) == ("busway-undeliverable-default", True, 2)
    assert [function["name"] for function in told["functions"]] == ["mail"]
    assert [(alarm["name"], alarm["state"]) for alarm in told["alarms"]] == [("alarm", "INSUFFICIENT_DATA")]
    assert (told["clock"], told["engine"]["accepting"]) == ("manual", True)
    _, other = await door.ask("GET", "/_busway/status", account="111111111111")
    assert (other["buses"], other["queues"], other["functions"], other["alarms"]) == ([], [], [], [])


async def test_status_shows_what_is_not_routed_and_not_delivered(door: Door, world: World):
    world.outside.answers = [Failed("THROTTLING", "busy", True)]
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    await world.put({"n": 1})
    await world.router.close()
    await world.put({"n": 2}, {"n": 3})
    told = await door.get("/_busway/status")
    assert told["buses"][0]["behind"] == 2
    (delivery,) = told["deliveries"]
    assert (delivery["target"], delivery["ready"] + delivery["in_flight"] + delivery["delayed"]) == (FUNCTION, 1)


async def test_tail_streams_steps_until_the_client_leaves(door: Door, world: World):
    world.trail.note("delivered", event_id="before")
    stream = await door.stream("/_busway/tail")
    assert stream.lines() == []
    assert world.trail.listening
    world.trail.note("delivered", event_id="a", rule="r")
    await settle(30)
    (line,) = stream.lines()
    assert (line["kind"], line["event_id"], line["rule"], line["sequence"]) == ("delivered", "a", "r", 2)
    await stream.leave()
    assert not world.trail.listening


async def test_a_server_that_stops_ends_the_streams(door: Door, world: World):
    stream = await door.stream("/_busway/tail")
    door.app.end_streams()
    await settle(30)
    assert stream.task.done()
    assert not world.trail.listening


async def test_tail_may_begin_with_what_was_kept_and_keeps_itself_alive(door: Door, world: World):
    world.trail.note("delivered", event_id="before")
    stream = await door.stream("/_busway/tail?since=0")
    assert [line["event_id"] for line in stream.lines()] == ["before"]
    sent = len(stream.raw)
    await world.clock.advance(KEEP_ALIVE_S + 1)
    assert stream.raw[sent:] == [b"\n"]
    await stream.leave()


async def test_dead_letters_are_grouped_by_handler_and_error(door: Door, world: World):
    ids = await fail(world, 1, 2)
    told = await door.get("/_busway/dead-letters")
    assert (told["total"], told["cut"]) == (2, False)
    (group,) = told["groups"]
    assert (group["handler"], group["count"], group["error_message"]) == (FUNCTION, 2, "no SMTP server")
    assert [item["event_id"] for item in told["items"]] == ids
    assert msgspec.json.decode(told["items"][0]["payload"])["detail"] == {"n": 1}
    assert len((await door.get("/_busway/dead-letters?limit=1"))["items"]) == 1
    assert (await door.get("/_busway/dead-letters?handler=other"))["total"] == 0


async def test_a_dead_letter_that_no_event_made_says_which_records_it_was(door: Door, world: World):
    arn = await world.queue("lost")
    body = b'{"KinesisBatchInfo":{"shardId":"shardId-000000000000","startSequenceNumber":"49","batchSize":3}}'
    source = Source(kind="batch", payload=b'{"Records":[]}', function_arn=FUNCTION)
    await world.engine.queues.put([world.dead_letters.put(arn, None, SCOPE, body, {}, source, world.clock.now())])
    event = b'{"id":"e-1","source":"shop","detail-type":"Order","detail":{}}'
    source = Source(kind="queue", payload=event, target_arn=arn)
    await world.engine.queues.put([world.dead_letters.put(arn, None, SCOPE, event, {}, source, world.clock.now())])
    items = (await door.get("/_busway/dead-letters"))["items"]
    assert [(item["event_id"], item["place"]) for item in items] == [("", "shardId-000000000000:49 +2"), ("e-1", "")]


@pytest.mark.parametrize(
    "order", [{"function": "mail"}, {"handler": FUNCTION}, {"queue": "busway-undeliverable-default"}, {"all": True}]
)
async def test_a_redrive_names_a_handler_a_queue_or_all(door: Door, world: World, order: dict[str, object]):
    await fail(world, 1, 2)
    status, told = await door.ask("POST", "/_busway/redrive", order)
    assert (status, told) == (200, {"redriven": 2, "skipped": 0, "busy": 0, "refused": []})


@pytest.mark.parametrize("order", [{}, {"functoin": "mail"}, {"ids": "x"}, b"{", b"[]"])
async def test_an_order_that_names_nothing_is_refused(door: Door, world: World, order: object):
    await fail(world, 1)
    status, told = await door.ask("POST", "/_busway/redrive", order)
    assert status == 400
    assert told["error"]
    assert (await door.get("/_busway/dead-letters"))["total"] == 1


async def test_logs_are_given_whole_and_followed(door: Door, world: World):
    door.logs.write(Line(FUNCTION, 1.0, "r1", "e", 1, "one"))
    door.logs.write(Line(FUNCTION, 2.0, "r2", "e", 1, "two"))
    assert [line["line"] for line in (await door.get("/_busway/logs/mail"))["lines"]] == ["one", "two"]
    assert [line["line"] for line in (await door.get("/_busway/logs/mail?limit=1"))["lines"]] == ["two"]
    assert [line["line"] for line in (await door.get("/_busway/logs/mail?request_id=r1"))["lines"]] == ["one"]
    stream = await door.stream("/_busway/logs/mail?follow=1")
    door.logs.write(Line(FUNCTION, 3.0, "r3", "e", 1, "three"))
    await settle(30)
    assert [line["line"] for line in stream.lines()] == ["one", "two", "three"]
    await stream.leave()
    assert [line["line"] for line in (await door.get("/_busway/logs/mail?filter=t&limit=1"))["lines"]] == ["three"]
    stream = await door.stream("/_busway/logs/mail?follow=1&filter=two&limit=1")
    door.logs.write(Line(FUNCTION, 4.0, "r4", "e", 1, "four"))
    door.logs.write(Line(FUNCTION, 5.0, "r5", "e", 1, "two again"))
    await settle(30)
    assert [line["line"] for line in stream.lines()] == ["two", "two again"]
    await stream.leave()
    status, told = await door.ask("GET", "/_busway/logs/mail?filter=%5Ba%5D")
    assert (status, "not built" in told["error"]) == (400, True)
    status, told = await door.ask("GET", "/_busway/logs/nobody")
    assert (status, "nobody" in told["error"]) == (404, True)


async def test_the_inbox_gives_the_newest(door: Door):
    door.mails = [{"to": "b"}, {"to": "a"}]
    assert (await door.get("/_busway/inbox?limit=1"))["messages"] == [{"to": "b"}]


async def test_the_proof_is_a_route(door: Door, world: World):
    await fail(world, 1)
    told = await door.get("/_busway/verify")
    assert (told["ok"], told["expected"], told["outcomes"]) == (True, 1, {"dead-lettered": 1})


async def test_only_a_route_of_series_is_tried_with_a_point(door: Door):
    await door.ask("PUT", "/_busway/routes/datadog", {"kind": "datadog"})
    assert (await door.ask("POST", "/_busway/routes/datadog"))[0] == 400
    assert (await door.ask("POST", "/_busway/routes/other"))[0] == 404
    await door.ask("PUT", "/_busway/routes/datadog", {"kind": "datadog", "series": True})
    status, step = await door.ask("POST", "/_busway/routes/datadog")
    assert (status, step["delivered"], step["error_code"]) == (200, False, "NO_RESOURCE")


async def test_routes_are_put_shown_and_deleted(door: Door):
    status, route = await door.ask("PUT", "/_busway/routes/oncall", {"kind": "pagerduty"})
    assert (status, route["arn"]) == (200, SCOPE.arn("sns", "busway-alert-oncall"))
    assert (await door.get("/_busway/routes/oncall"))["secret_env"] == "PAGERDUTY_ROUTING_KEY"
    assert [route["name"] for route in (await door.get("/_busway/routes"))["routes"]] == ["oncall"]
    assert (await door.ask("PUT", "/_busway/routes/x", {"kind": "fax"}))[0] == 400
    assert (await door.ask("PUT", "/_busway/routes/x", {"kind": "webhook", "secret": "s"}))[0] == 400
    assert (await door.ask("DELETE", "/_busway/routes/oncall"))[0] == 200
    assert (await door.ask("DELETE", "/_busway/routes/oncall"))[0] == 404


async def test_a_manual_clock_is_moved_and_another_is_not(door: Door, world: World):
    before = world.clock.now()
    status, told = await door.ask("POST", "/_busway/clock", {"advance_s": 3600})
    assert (status, told) == (200, {"now": before + 3600, "clock": "manual"})
    assert (await door.ask("POST", "/_busway/clock", {"advance_s": -1}))[0] == 400
    assert (await door.ask("POST", "/_busway/clock", {}))[0] == 400
    object.__setattr__(door.inspection, "clock", SystemClock())
    status, told = await door.ask("POST", "/_busway/clock", {"advance_s": 1})
    assert (status, told["hint"]) == (409, "start the server with --clock manual")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/_busway/"), ("POST", "/_busway/status"), ("GET", "/_busway/events/"), ("GET", "/_busway/a/b/c")],
)
async def test_what_is_not_there_is_a_404_that_says_so(door: Door, method: str, path: str):
    status, told = await door.ask(method, path)
    assert (status, told["error"]) == (404, f"there is no {method} {path}")


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=1001"])
async def test_a_number_out_of_range_is_refused(door: Door, query: str):
    status, told = await door.ask("GET", f"/_busway/dead-letters?{query}")
    assert (status, "limit" in told["error"]) == (400, True)


async def test_a_full_disk_is_told_as_unavailable(door: Door, world: World):
    world.engine.full = True
    put = world.engine.records.put

    async def refused(*_: object, **__: object) -> int:
        world.engine.check_space()
        return await put("x", b"")

    world.engine.records.put = refused  # type: ignore[method-assign]
    assert (await door.ask("PUT", "/_busway/routes/oncall", {"kind": "pagerduty"}))[0] == 503
