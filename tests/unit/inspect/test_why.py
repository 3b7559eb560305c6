"""Why an event reached a handler, or did not."""

from __future__ import annotations

import pytest

from busway.clock import settle
from busway.delivery import Delivered, Failed
from busway.function.logs import Line

from .conftest import Door
from .world import FUNCTION, SCOPE, World


async def test_an_event_that_nothing_matched_names_the_closest_rule_and_what_it_wanted(door: Door, world: World):
    await world.rule("notify", {"detail-type": ["Customer Notification"]}, FUNCTION)
    await world.rule("other", {"source": ["bank"], "detail-type": ["Statement"]}, FUNCTION)
    (event_id,) = await world.put({"n": 1}, detail_type="Customer Nofication")
    told = await door.get(f"/_busway/events/{event_id}")
    assert told["event"]["detail"] == {"n": 1}
    assert told["deliveries"] == []
    assert [rule["matched"] for rule in told["rules"]] == [False, False]
    first = told["closest"][0]
    assert first["rule"] == "notify"
    (field,) = first["fields"]
    assert field["found"] == ['"Customer Nofication"']
    assert "Customer Notification" in field["wanted"]
    assert field["suggestion"].endswith('and the pattern\'s "Customer Notification" differ by a typo')
    assert [(edit["where"], edit["path"], edit["mistake"]) for edit in first["edits"]] == [
        ("event", "detail-type", "typo"),
        ("pattern", "detail-type[0]", "typo"),
    ]
    # It missed by more fields than the first, so nobody meant it, and no edit was looked for.
    assert told["closest"][1]["edits"] is None


async def test_each_of_the_closest_rules_has_its_edits(door: Door, world: World):
    for number in range(5):
        await world.rule(f"r-{number}", {"source": ["Shop"]}, FUNCTION)
    (event_id,) = await world.put({"n": 1})
    told = await door.get(f"/_busway/events/{event_id}")
    assert [[edit["mistake"] for edit in one["edits"]] for one in told["closest"]] == [["case", "case"]] * 5


async def test_of_more_rules_than_are_told_those_that_matched_are_among_them(
    door: Door, world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("busway.inspect.why.EXPLAINED_MAX", 2)
    for name, source in (("a", "bank"), ("b", "bank"), ("c", "shop")):
        await world.rule(name, {"source": [source]}, FUNCTION)
    (event_id,) = await world.put({"n": 1})
    told = await door.get(f"/_busway/events/{event_id}")
    assert [(rule["rule"], rule["matched"]) for rule in told["rules"]] == [("c", True), ("a", False)]


async def test_a_delivered_event_tells_when_and_what_its_handler_printed(door: Door, world: World):
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    (event_id,) = await world.put({"n": 1})
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert (delivery["rule"], delivery["target"], delivery["state"]) == ("notify", FUNCTION, "delivered")
    assert (delivery["attempts"], delivery["at"]) == (1, world.clock.now())
    door.logs.write(Line(FUNCTION, 1.0, delivery["request_id"], event_id, 1, "sending"))
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert delivery["logs"] == [{"at": 1.0, "attempt": 1, "line": "sending"}]


async def test_a_pending_delivery_tells_its_last_error_and_the_next_attempt(door: Door, world: World):
    world.outside.answers = [Failed("THROTTLING", "busy", True)]
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    (event_id,) = await world.put({"n": 1})
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert delivery["state"] == "pending"
    assert (delivery["attempts"], delivery["error_code"], delivery["error_message"]) == (1, "THROTTLING", "busy")
    assert delivery["due_at"] > world.clock.now()


async def test_a_dead_lettered_delivery_tells_where_it_lies_and_a_redrive_ends_that(door: Door, world: World):
    world.outside.answers = [Failed("ERROR_FROM_TARGET", "no SMTP server", False)]
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    (event_id,) = await world.put({"n": 1})
    told = await door.get(f"/_busway/events/{event_id}")
    (delivery,) = told["deliveries"]
    assert delivery["state"] == "dead-lettered"
    assert delivery["error_message"] == "no SMTP server"
    assert delivery["dead_letter_queue"] == SCOPE.arn("sqs", "busway-undeliverable-default")
    assert "dead-lettered" in [step["kind"] for step in told["steps"]]
    world.outside.answers = [Delivered()]
    status, answer = await door.ask("POST", "/_busway/redrive", {"ids": [event_id]})
    assert (status, answer["redriven"]) == (200, 1)
    await settle(30)
    told = await door.get(f"/_busway/events/{event_id}")
    assert "redriven" in [step["kind"] for step in told["steps"]]
    assert "message_id" not in told["deliveries"][0]


async def _given_up_and_taken(door: Door, world: World) -> tuple[str, str]:
    """An event that was given up a minute ago, and whose dead letter is gone; its id and its request id."""
    world.outside.answers = [Failed("ERROR_FROM_TARGET", "no SMTP server", False)]
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    (event_id,) = await world.put({"n": 1})
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    await world.engine.queues.purge(delivery["dead_letter_queue"])
    await world.clock.advance(60)
    return event_id, delivery["request_id"]


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (["START RequestId: r Version: $LATEST", "sent", "REPORT RequestId: r\tDuration: 1 ms\t"], "delivered"),
        (["START RequestId: r", "[ERROR] KeyError: 'x'", "REPORT RequestId: r\tDuration: 1 ms\t"], None),
        (["START RequestId: r", "REPORT RequestId: r\tDuration: 1 ms\tStatus: timeout"], None),
        (["START RequestId: r", "sent"], None),
        ([], None),
    ],
)
async def test_work_that_ran_without_an_error_after_it_was_given_up_was_redriven(
    door: Door, world: World, lines: list[str], state: str | None
):
    event_id, request_id = await _given_up_and_taken(door, world)
    for line in lines:
        door.logs.write(Line(FUNCTION, world.clock.now(), request_id, event_id, 1, line))
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert delivery["state"] == "dead-lettered"
    assert delivery.get("redriven", {}).get("state") == state


async def test_a_try_from_before_it_was_given_up_is_no_redrive(door: Door, world: World):
    event_id, request_id = await _given_up_and_taken(door, world)
    for line in ("START RequestId: r", "REPORT RequestId: r\t"):
        door.logs.write(Line(FUNCTION, world.clock.now() - 60, request_id, event_id, 1, line))
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert "redriven" not in delivery


async def test_without_an_id_the_newest_event_is_told(door: Door, world: World):
    status, answer = await door.ask("GET", "/_busway/events")
    assert (status, answer["error"]) == (404, "no bus has an event yet")
    await world.put({"n": 1})
    await world.clock.advance(1)
    (event_id,) = await world.put({"n": 2})
    assert (await door.get("/_busway/events"))["event_id"] == event_id


async def test_a_message_in_a_queue_counts_as_delivered_and_waits_there(door: Door, world: World):
    queue = await world.queue("orders")
    await world.rule("copy", {"source": ["shop"]}, queue)
    (event_id,) = await world.put({"n": 1})
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert (delivery["state"], delivery["waits_in"]) == ("delivered", queue)


async def test_the_rules_that_count_are_those_in_force_where_the_event_lies(door: Door, world: World):
    (before,) = await world.put({"n": 1})
    await world.rule("late", {"source": ["shop"]}, FUNCTION)
    (after,) = await world.put({"n": 2})
    assert (await door.get(f"/_busway/events/{before}"))["rules"] == []
    assert [rule["matched"] for rule in (await door.get(f"/_busway/events/{after}"))["rules"]] == [True]


async def test_an_event_that_is_not_routed_yet_says_so(door: Door, world: World):
    await world.rule("notify", {"source": ["shop"]}, FUNCTION)
    await settle(30)
    await world.router.close()
    (event_id,) = await world.put({"n": 1})
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert delivery["state"] == "unrouted"


async def test_an_unknown_event_is_a_404_with_a_hint(door: Door, world: World):
    status, answer = await door.ask("GET", "/_busway/events/no-such-event")
    assert status == 404
    assert "no bus has an event no-such-event" in answer["error"]
    assert "tail" in answer["hint"]


async def test_an_event_for_a_bus_that_is_missing_says_which(door: Door, world: World):
    world.trail.note("dropped", event_id="e", bus="typo")
    _, answer = await door.ask("GET", "/_busway/events/e")
    assert "it was for the bus 'typo', which did not exist" in answer["error"]


async def test_another_accounts_event_is_not_found(door: Door, world: World):
    (event_id,) = await world.put({"n": 1})
    status, _ = await door.ask("GET", f"/_busway/events/{event_id}", account="111111111111")
    assert status == 404
