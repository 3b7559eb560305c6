"""One event once more, to one target."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec

from busway.bus.put_events import EventEntry
from busway.clock import settle
from busway.engine import Put

from .conftest import Door
from .world import FUNCTION, SCOPE, World

ORDERS, OTHERS = SCOPE.arn("sqs", "orders"), SCOPE.arn("sqs", "others")


async def _bodies(world: World, queue: str) -> list[bytes]:
    return [item.body for item in await world.engine.queues.browse(queue, 10)]


async def test_an_event_goes_to_the_one_target_again_and_is_no_new_duty_of_the_journal(door: Door, world: World):
    for arn in (ORDERS, OTHERS):
        await world.queues.create(SCOPE, arn.rpartition(":")[2])
        await world.rule(arn.rpartition(":")[2], {"source": ["shop"]}, arn)
    (event_id,) = await world.put({"n": 1})
    status, told = await door.ask("POST", "/_busway/resend", {"event": event_id, "handler": "orders"})
    assert (status, told["target"]) == (200, ORDERS)
    await settle()
    first, second = await _bodies(world, ORDERS)
    assert first == second and msgspec.json.decode(first)["id"] == event_id
    assert len(await _bodies(world, OTHERS)) == 1
    report = await door.get("/_busway/verify")
    assert report["ok"] and report["expected"] == 2


async def test_a_rule_that_does_not_match_sends_it_all_the_same(door: Door, world: World):
    await world.queues.create(SCOPE, "orders")
    await world.rule("orders", {"source": ["elsewhere"]}, ORDERS)
    (event_id,) = await world.put({"n": 1})
    status, _ = await door.ask("POST", "/_busway/resend", {"event": event_id, "handler": ORDERS})
    assert status == 200
    assert len(await _bodies(world, ORDERS)) == 1


async def test_it_stays_in_its_trace_and_its_circles_so_far_do_not_count(door: Door, world: World):
    await world.rule("handle", {"source": ["shop"]}, FUNCTION)
    root = f"Root=1-7bf73129-{'a' * 24}"
    entry = EventEntry(source="shop", detail_type="T", detail="{}", trace_header=f"{root};Lineage=0123abcd:9")
    (result,) = await world.publisher.put_events([entry], SCOPE, None)
    given: list[str | None] = []
    function = SimpleNamespace(invocation_put=lambda *_, trace_header, **__: given.append(trace_header) or put)
    put = Put(FUNCTION, b"{}", 0.0, b"{}")
    world.ways._functions = cast(Any, function)
    status, _ = await door.ask("POST", "/_busway/resend", {"event": result.event_id, "handler": FUNCTION})
    assert (status, given) == (200, [root])


async def test_what_is_not_there_is_named(door: Door, world: World):
    await world.queues.create(SCOPE, "orders")
    await world.rule("orders", {"source": ["shop"]}, ORDERS)
    (event_id,) = await world.put({"n": 1})
    status, told = await door.ask("POST", "/_busway/resend", {"event": event_id, "handler": "mail"})
    assert status >= 400 and "no rule of bus default has the target 'mail'; there are orders" in str(told)
    status, told = await door.ask("POST", "/_busway/resend", {"event": "nobody", "handler": "orders"})
    assert status >= 400 and "no bus has an event nobody" in str(told)
    status, told = await door.ask(
        "POST", "/_busway/resend", {"event": event_id, "handler": "orders"}, account="1" * 12
    )
    assert status >= 400 and len(await _bodies(world, ORDERS)) == 1
