"""The tree of a trace: what each attempt published, how far was looked, what a dead letter set off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from busway.alarm.record import AlarmSettings
from busway.bus import traced
from busway.bus.put_events import EventEntry
from busway.clock import settle
from busway.delivery import Delivered, Failed
from busway.function.logs import Line
from busway.inspect import trace
from busway.tracing import root, sent_from, span_id

from .conftest import Door
from .world import FUNCTION, SCOPE, World

REPORT = "REPORT RequestId: r\tDuration: 250.00 ms\tBilled Duration: 250 ms\t"


async def publish(world: World, detail_type: str, header: str | None = None, bus: str | None = None) -> str:
    entry = EventEntry(
        source="shop", detail_type=detail_type, detail='{"n": 1}', trace_header=header, event_bus_name=bus
    )
    (result,) = await world.publisher.put_events([entry], SCOPE, None)
    await settle(30)
    assert result.event_id is not None
    return result.event_id


def ran(door: Door, event_id: str, request_id: str, attempt: int = 1, *printed: str) -> None:
    """Write the log of an attempt, as the function room does."""
    now = door.world.clock.now()
    for text in ("START RequestId: r Version: $LATEST", *printed, "END RequestId: r", REPORT):
        door.logs.write(Line(FUNCTION, now, request_id, event_id, attempt, text))


async def request_of(door: Door, event_id: str) -> str:
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    return delivery["request_id"]


def header_of(event_id: str) -> str:
    return f"Root={root(event_id.replace('-', ''))};Sampled=0"


async def chain(door: Door, world: World) -> tuple[str, str, str]:
    """Three events, each published by the handler of the one before."""
    await world.rule("handle", {"source": ["shop"]}, FUNCTION)
    first = await publish(world, "First")
    before, header = first, header_of(first)
    ids = [first]
    for name in ("Second", "Third"):
        request_id = await request_of(door, before)
        ran(door, before, request_id, 1, f"publishing {name}")
        await world.clock.advance(0.1)
        before = await publish(world, name, sent_from(header, span_id(request_id, 1)))
        ids.append(before)
    return ids[0], ids[1], ids[2]


def nested(event: Mapping[str, Any]) -> Any:
    """[detail type, [what its attempts published]]"""
    attempts = [attempt for delivery in event["deliveries"] for attempt in delivery["attempts_seen"]]
    return [event["detail_type"], *(nested(one) for attempt in attempts for one in attempt.get("published", []))]


async def test_a_chain_of_handlers_is_one_tree_whichever_of_its_events_is_asked_for(door: Door, world: World):
    ids = await chain(door, world)
    for asked in (*ids, root(ids[0].replace("-", "")), ids[0].replace("-", "")):
        told = await door.get(f"/_busway/traces/{asked}")
        assert [nested(event) for event in told["events"]] == [["First", ["Second", ["Third"]]]], asked
        assert (told["root"], told["told"], told["left_out"]) == (root(ids[0].replace("-", "")), 3, 0)
        assert (told["since"], told["until"]) == (None, None)
    assert (await door.get("/_busway/traces"))["asked"] == ids[2]


async def test_what_an_attempt_published_stands_under_it_also_after_a_redrive_under_the_same_number(
    door: Door, world: World
):
    await world.rule("handle", {"detail-type": ["First"]}, FUNCTION)
    first = await publish(world, "First")
    request_id = await request_of(door, first)
    header = sent_from(header_of(first), span_id(request_id, 1))
    for name in ("Before", "After"):
        ran(door, first, request_id)
        await publish(world, name, header)
        await world.clock.advance(60)
    (event,) = (await door.get(f"/_busway/traces/{first}"))["events"]
    tries = event["deliveries"][0]["attempts_seen"]
    assert [[one["detail_type"] for one in attempt["published"]] for attempt in tries] == [["Before"], ["After"]]


async def test_events_of_one_trace_that_no_handler_sent_stand_side_by_side(door: Door, world: World):
    header = f"Root=1-12345678-{'a' * 24};Parent={'b' * 16};Sampled=1"
    ids = [await publish(world, name, header) for name in ("One", "Two")]
    await publish(world, "Other")
    told = await door.get(f"/_busway/traces/{ids[1]}")
    assert [event["detail_type"] for event in told["events"]] == ["One", "Two"]
    assert told["asked"] == ids[1]
    assert told["events"][0]["parent"] == "b" * 16


async def test_a_header_that_makes_no_sense_costs_the_event_nothing(door: Door, world: World):
    event_id = await publish(world, "First", "Root=nonsense")
    assert (await door.get(f"/_busway/traces/{event_id}"))["trace_id"] == event_id.replace("-", "")


async def test_a_trace_goes_over_all_buses_of_its_account(door: Door, world: World):
    await world.buses.create("orders", SCOPE, {}, {})
    first = await publish(world, "First")
    await publish(world, "Second", header_of(first), bus="orders")
    told = await door.get(f"/_busway/traces/{first}")
    assert [(event["detail_type"], event["bus"]) for event in told["events"]] == [
        ("First", "default"), ("Second", "orders"),
    ]  # fmt: skip


async def test_an_event_that_nothing_matched_names_the_closest_rule(door: Door, world: World):
    await world.rule("handle", {"detail-type": ["Second"]}, FUNCTION)
    (event,) = (await door.get(f"/_busway/traces/{await publish(world, 'First')}"))["events"]
    assert (event["matched"], event["closest"]) == ([], [{"rule": "handle", "missed": 1}])


async def test_what_lies_beyond_the_bounds_is_left_out_and_that_is_said(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    first = await publish(world, "First")
    for _ in range(10):
        await world.clock.advance(1)
        await publish(world, "Other")
    last = await publish(world, "Last", header_of(first))
    monkeypatch.setattr(traced, "AHEAD_MAX", 5)
    told = await door.get(f"/_busway/traces/{first}")
    assert [event["detail_type"] for event in told["events"]] == ["First"]
    assert (told["looked_at"], told["until"]) == (5, told["events"][0]["accepted_at"] + 4)
    monkeypatch.setattr(traced, "BEFORE_MAX", 3)
    told = await door.get(f"/_busway/traces/{last}")
    assert [event["detail_type"] for event in told["events"]] == ["Last"]
    assert told["since"] == told["events"][0]["accepted_at"] - 2


async def test_of_too_many_events_the_one_that_was_asked_for_is_told(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trace, "EVENTS_MAX", 2)
    header = f"Root=1-12345678-{'a' * 24}"
    ids = [await publish(world, f"Number {number}", header) for number in range(5)]
    told = await door.get(f"/_busway/traces/{ids[3]}")
    assert [event["event_id"] for event in told["events"]] == [ids[3], ids[0]]
    assert told["left_out"] == 3


async def test_a_handler_that_publishes_what_it_handles_ends_at_a_depth(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(trace, "DEPTH_MAX", 2)
    first, *_ = await chain(door, world)
    told = await door.get(f"/_busway/traces/{first}")
    assert nested(told["events"][0]) == ["First", ["Second"]]
    assert [event["detail_type"] for event in told["events"]] == ["First", "Third"]


async def test_a_dead_letter_names_its_alarm_and_who_was_told(door: Door, world: World):
    world.outside.answers = [Failed("ERROR_FROM_TARGET", "no SMTP server", False)]
    await world.rule("handle", {"source": ["shop"]}, FUNCTION)
    first = await publish(world, "First")
    (delivery,) = (await door.get(f"/_busway/traces/{first}"))["events"][0]["deliveries"]
    queue = delivery["dead_letter_queue"]
    settings = AlarmSettings(
        name="letters", namespace="AWS/SQS", metric_name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": queue.rsplit(":", 1)[-1]}, comparison="GreaterThanThreshold", threshold=0.0,
    )  # fmt: skip
    record = await door.alarms.put(SCOPE, settings, {})
    await world.clock.advance(1)
    moved = msgspec.structs.replace(record, state="ALARM", history=(_change(world.clock.now()),))
    await door.alarms.store(moved)
    facts = {"event_id": f"{record.arn}#g#1", "alarm": "letters", "state": "ALARM"}
    world.trail.note("alert", route="busway-alert-oncall", delivered=True, **facts)
    elsewhere = facts["event_id"].replace(SCOPE.account, "999999999999")
    world.trail.note("alert", route="busway-alert-other", delivered=True, **facts | {"event_id": elsewhere})
    world.trail.note("alert", route="busway-alert-other", delivered=True, **facts | {"state": "OK"})
    (delivery,) = (await door.get(f"/_busway/traces/{first}"))["events"][0]["deliveries"]
    now = world.clock.now()
    assert delivery["alarms"] == [
        {
            "alarm": "letters", "state": "ALARM", "at": now,
            "alerts": [{"route": "busway-alert-oncall", "delivered": True, "at": now}],
        }
    ]  # fmt: skip


def _change(at: float) -> Any:
    from busway.alarm.record import Change

    return Change(at, "OK", "ALARM", "Threshold Crossed")


async def test_what_has_no_log_tells_of_its_failed_tries_by_the_trail(door: Door, world: World):
    world.outside.answers = [Failed("THROTTLING", "busy", True), Delivered()]
    await world.rule("handle", {"source": ["shop"]}, FUNCTION)
    first = await publish(world, "First")
    (delivery,) = (await door.get(f"/_busway/traces/{first}"))["events"][0]["deliveries"]
    (tried,) = delivery["attempts_seen"]
    assert (tried["attempt"], tried["outcome"], tried["error_message"]) == (1, "failed", "busy")


async def test_a_trace_that_nothing_is_of_says_how_far_it_was_looked_for(door: Door, world: World):
    await publish(world, "First")
    status, answer = await door.ask("GET", f"/_busway/traces/{'a' * 32}")
    assert status == 404
    assert answer["error"] == f"no event of the trace {'a' * 32} is among the newest 1"
    status, answer = await door.ask("GET", "/_busway/traces/7bf73129-1428-4cd3-a780-95db273d1602")
    assert (status, answer["error"][:21]) == (404, "no bus has an event 7")


async def test_another_account_sees_nothing_of_it(door: Door, world: World):
    first = await publish(world, "First")
    for asked in (first, first.replace("-", "")):
        status, _ = await door.ask("GET", f"/_busway/traces/{asked}", account="999999999999")
        assert status == 404
