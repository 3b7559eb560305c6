"""Dead letters asked for and sent back over our own routes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from busway.delivery import Delivered, Delivery, Failed, RetryPolicy
from busway.delivery.dead_letter import Source, Verdict, bury
from busway.delivery.outbox import Parcel
from busway.errors import EngineStopped
from busway.function.logs import Line
from busway.queue.moves import source_of

from .conftest import Door
from .test_app import fail
from .world import FUNCTION, World

ORDER = {"handler": "mail", "stream": True}


async def healed(world: World, *numbers: int) -> list[str]:
    """Events that failed, of a handler that is well again."""
    ids = await fail(world, *numbers)
    world.outside.answers = [Delivered()]
    world.outside.attempted.clear()
    return ids


async def function_letter(world: World, payload: bytes = b'{"id":"e","source":"s","detail-type":"t"}') -> str:
    queue = await world.queue("dlq")
    source = Source(
        kind="function", payload=payload, function_arn=FUNCTION, event_id="e", request_id="r", attempts=1,
        error_code="KeyError", error_message="'b'", failed_at=world.clock.now(),
    )  # fmt: skip
    put = world.queues.message_put(queue, payload, now=world.clock.now(), source=source)
    await world.engine.queues.put([put])
    return queue


async def test_one_letter_is_shown_whole_with_its_attempts_and_their_lines(door: Door, world: World):
    await function_letter(world)
    for text in ("START RequestId: r Version: 1", "looking", "[ERROR] KeyError: 'b'"):
        door.logs.write(Line(FUNCTION, 1.0, "r", "e", 1, text))
    (letter,) = (await door.get("/_busway/dead-letters/e"))["letters"]
    (attempt,) = letter["tries"]
    assert (attempt["number"], attempt["at"], attempt["error_code"]) == (1, 1.0, "KeyError")
    assert [one["line"] for one in attempt["logs"]][1] == "looking"
    assert msgspec.json.decode(letter["payload"])["id"] == "e"


async def test_an_event_without_a_letter_is_an_error_that_says_where_to_look(door: Door):
    status, told = await door.ask("GET", "/_busway/dead-letters/nope")
    assert status == 404
    assert "no dead letter of 'nope'" in told["error"] and "busway why" in told["hint"]


async def test_letters_are_listed_by_pattern_and_by_error(door: Door, world: World):
    ids = await fail(world, 1, 2)
    told = await door.get("/_busway/dead-letters?matching=%7B%22detail%22:%7B%22n%22:%5B2%5D%7D%7D")
    assert [item["event_id"] for item in told["items"]] == ids[1:]
    assert (await door.get("/_busway/dead-letters?error=OTHER"))["total"] == 0
    status, told = await door.ask("GET", "/_busway/dead-letters?matching=nope")
    assert status == 400 and "Event pattern is not valid" in told["error"]


async def test_a_dry_run_lists_and_leaves_everything_where_it_was(door: Door, world: World):
    ids = await fail(world, 1, 2)
    order = {"all": True, "matching": {"detail": {"n": [1]}}, "dry_run": True}
    status, told = await door.ask("POST", "/_busway/redrive", order)
    assert (status, told["total"], [item["event_id"] for item in told["items"]]) == (200, 1, ids[:1])
    assert (await door.get("/_busway/dead-letters"))["total"] == 2


async def test_a_stream_tells_of_the_way_and_what_became_of_each(door: Door, world: World):
    ids = await healed(world, 1, 2)
    stream = await door.stream("/_busway/redrive", {**ORDER, "wait_s": 5})
    for _ in range(20):
        await world.pass_time(0.1)
    lines = stream.lines()
    assert [(one["event_id"], one["state"]) for one in lines if one["kind"] == "letter"] == [
        (event_id, "delivered") for event_id in ids
    ]
    assert lines[-1] == {
        "kind": "done", "redriven": 2, "skipped": 0, "busy": 0, "refused": [], "delivered": 2, "failed": 0,
        "under_way": 0,
    }  # fmt: skip


async def test_progress_is_told_page_by_page_and_not_of_a_single_page(door: Door, world: World):
    source = Source(kind="rule-target", payload=b"{}", target_arn=FUNCTION)
    queue, now = await world.queue("dlq"), world.clock.now()
    puts = [world.queues.message_put(queue, b"%d" % number, now=now, source=source) for number in range(450)]
    await world.engine.queues.put(puts)
    stream = await door.stream("/_busway/redrive", ORDER)
    await world.pass_time(0.1)
    assert [(one["kind"], one["redriven"]) for one in stream.lines()] == [
        ("progress", 200), ("progress", 400), ("done", 450),
    ]  # fmt: skip


async def test_an_error_on_the_way_is_a_line_that_says_how_far_it_came(door: Door, world: World):
    await healed(world, 1)

    async def full(*_: object, **__: object) -> Any:
        raise EngineStopped("the disk broke")

    put, world.engine.queues.put = world.engine.queues.put, full  # type: ignore[method-assign]
    stream = await door.stream("/_busway/redrive", ORDER)
    world.engine.queues.put = put  # type: ignore[method-assign]
    (line,) = stream.lines()
    assert (line["kind"], line["error"], line["redriven"]) == ("error", "the disk broke", 0)
    assert (await door.get("/_busway/dead-letters"))["total"] == 1


async def test_an_edited_event_is_sent_instead_and_why_says_so(door: Door, world: World):
    (event_id,) = await healed(world, 1)
    (letter,) = (await door.get(f"/_busway/dead-letters/{event_id}"))["letters"]
    event = msgspec.json.decode(letter["payload"])
    event["detail"] = {"n": 2}
    order = {"ids": [event_id], "payload": msgspec.json.encode(event).decode(), "changed": "detail.n"}
    assert (await door.ask("POST", "/_busway/redrive", order))[1]["redriven"] == 1
    await world.pass_time(0.1)
    (delivery,) = world.outside.attempted
    assert msgspec.json.decode(delivery.payload)["detail"] == {"n": 2}
    steps = (await door.get(f"/_busway/events/{event_id}"))["steps"]
    assert [step["edited"] for step in steps if step["kind"] == "redriven"] == ["detail.n"]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("not JSON", "is no JSON"),
        ("", "is no JSON"),
        ('{"id":"other","source":"s","detail-type":"t"}', "its id stays"),
        ('{"x":"' + "x" * 1_048_576 + '"}', "wanted at most 1048576"),
    ],
)
async def test_an_edit_that_cannot_stand_in_is_refused_and_the_letter_stays(
    door: Door, world: World, payload: str, said: str
):
    await function_letter(world)
    status, told = await door.ask("POST", "/_busway/redrive", {"ids": ["e"], "payload": payload})
    assert status == 400 and said in told["error"]
    assert (await door.get("/_busway/dead-letters"))["total"] == 1


async def test_an_edit_is_for_one_letter_and_not_for_records_of_a_stream(door: Door, world: World):
    await fail(world, 1, 2)
    status, told = await door.ask("POST", "/_busway/redrive", {"handler": "mail", "payload": "{}"})
    assert status == 400 and "an edit is for one dead letter" in told["error"]
    source = Source(kind="batch", payload=b'{"Records":[]}', function_arn=FUNCTION, event_id="b")
    queue, now = await world.queue("dlq"), world.clock.now()
    await world.engine.queues.put([world.queues.message_put(queue, b"x", now=now, source=source)])
    status, told = await door.ask("POST", "/_busway/redrive", {"ids": ["b"], "payload": "{}"})
    assert status == 400 and "records of a stream, which are not edited" in told["error"]
    status, told = await door.ask("POST", "/_busway/redrive", {"ids": ["nope"], "payload": "{}"})
    assert status == 404


async def test_what_is_redriven_keeps_its_retry_policy_and_fails_into_the_queue_where_it_lay(
    door: Door, world: World
):
    queue, now = await world.queue("dlq"), world.clock.now()
    delivery = Delivery(
        event_id="e", target_arn=FUNCTION, payload=b"{}", accepted_at=now, retry=RetryPolicy(retries_max=0),
        dead_letter_arn=queue, partition_key="k",
    )  # fmt: skip
    verdict = Verdict(Failed("THROTTLING", "busy", True), 1)
    await world.engine.queues.put([bury(world.dead_letters, delivery, verdict, now)])
    (letter,) = await world.engine.queues.browse(queue, 10)
    source = source_of(letter)
    assert source is not None
    (put,) = world.ways.to_target(source, letter, now)
    again = msgspec.json.decode(put.meta, type=Parcel).delivery
    assert (again.retry, again.dead_letter_arn, again.partition_key) == (RetryPolicy(retries_max=0), queue, "k")
