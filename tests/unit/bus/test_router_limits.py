"""What one bus may cost the server, and what stands in the way of a router that never stands still."""

from __future__ import annotations

import asyncio
import json

import pytest

from busway.arn import Scope
from busway.aws.service import Caller, Headers
from busway.aws.services.events import Events
from busway.bus.record import TargetSpec
from busway.bus.router import FIRST_BATCH, slices
from busway.bus.routing import BATCH_BYTES
from busway.clock import settle
from busway.engine import Put
from busway.errors import BusLimitExceeded, BusNotFound

ANY = '{"source":["shop"]}'


async def routed(world, queue: str, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await world.items(queue)) < count:
            await asyncio.sleep(0)


async def test_a_fault_while_a_full_batch_is_written_shows_though_no_further_event_comes(world, monkeypatch):
    queue = await world.queue("orders")
    await world.rule("r", ANY, TargetSpec(id="t", arn=queue))
    # With the two changes of the rule: exactly as many entries as are read at first.
    for n in range(FIRST_BATCH - 2):
        await world.put(world.entry(f'{{"n":{n}}}'))
    put, failed = world.engine.queues.put, []

    async def fails_once(puts, **rest):
        if not failed:
            failed.append(len(puts))
            raise RuntimeError("a fault of ours")
        return await put(puts, **rest)

    monkeypatch.setattr(world.engine.queues, "put", fails_once)
    await world.run()
    assert failed == [FIRST_BATCH - 2] and not await world.items(queue)
    await world.clock.advance(2)
    await routed(world, queue, FIRST_BATCH - 2)


async def test_a_bus_made_again_while_it_is_being_forgotten_keeps_its_router(world, monkeypatch):
    scope, buses = world.scope, world.room.buses
    await world.run()
    await buses.create("b", scope, {}, {})
    bus = buses.get("b", scope)
    await buses.delete("b", scope)
    put, writing, go_on = world.engine.records.put, asyncio.Event(), asyncio.Event()

    async def slow_put(key, data, expect=None):
        writing.set()
        await go_on.wait()
        return await put(key, data, expect)

    monkeypatch.setattr(world.engine.records, "put", slow_put)
    again = asyncio.create_task(buses.create("b", scope, {}, {}))
    await writing.wait()
    trimming = asyncio.create_task(world.router.trim(bus))
    await settle()
    go_on.set()
    await asyncio.gather(again, trimming)
    queue = await world.queue("orders")
    await world.rule("r", ANY, TargetSpec(id="t", arn=queue), bus="b")
    await world.put(world.entry(event_bus_name="b"))
    await routed(world, queue, 1)


async def test_the_server_goes_on_while_an_event_is_matched_that_takes_long(world):
    queue = await world.queue("orders")
    look = {name: [{"exists": True}] for name in "abcdef"}
    await world.rule("slow", json.dumps({"detail": {"items": look}}), TargetSpec(id="t", arn=queue))
    await world.rule("r", ANY, TargetSpec(id="t", arn=queue))
    await world.run()
    detail = json.dumps({"items": [{name: 1} for name in "abcdef"] * 5_000})
    # Matched before `put` returns where it holds up the event loop.
    await world.put(world.entry(detail))
    assert not await world.items(queue)
    await routed(world, queue, 1)


async def test_many_long_events_for_many_targets_are_written_a_few_at_a_time(world, monkeypatch):
    queues = [await world.queue(f"q{n}") for n in range(5)]
    await world.rule("r", ANY, *(TargetSpec(id=queue[-2:], arn=queue) for queue in queues))
    text = "x" * 1_000_000
    for n in range(40):
        await world.put(world.entry(json.dumps({"n": n, "text": text})))
    put, sizes = world.engine.queues.put, []

    async def measured(puts, **rest):
        sizes.append(sum(len(one.body) for one in puts))
        return await put(puts, **rest)

    monkeypatch.setattr(world.engine.queues, "put", measured)
    await world.run()
    for queue in queues:
        await routed(world, queue, 40)
        assert [body["detail"]["n"] for body in await world.bodies(queue)] == list(range(40))
    assert sum(sizes) > 200_000_000 and max(sizes) < BATCH_BYTES + 6_000_000


def test_slices_keep_the_order_and_hold_little():
    puts = [Put("q", bytes(6 << 20), n) for n in range(10)]
    runs = list(slices(puts))
    assert [len(run) for run in runs] == [3, 3, 3, 1]
    assert [put.due_at for run in runs for put in run] == list(range(10))
    assert list(slices([])) == []


async def test_nobody_makes_the_default_bus_of_a_scope_that_is_not_theirs(world):
    foreign = "arn:aws:events:xx-nowhere-1:999999999999:event-bus/default"
    [result] = await world.put(world.entry(event_bus_name=foreign))
    assert result.event_id is not None
    with pytest.raises(BusNotFound):
        await world.rule("r", ANY, bus=foreign)
    assert foreign not in [bus.arn for bus in world.room.buses.all()]
    assert [step.kind for step in world.trail.recent()] == ["dropped"]


async def test_regions_that_are_invented_make_no_endless_number_of_buses(world, monkeypatch):
    monkeypatch.setattr("busway.bus.buses.ALL_BUSES_MAX", 3)
    for region in ("a", "b", "c"):
        await world.room.buses.find(None, Scope("1", region))
    with pytest.raises(BusLimitExceeded):
        await world.room.buses.find(None, Scope("1", "d"))
    assert await world.room.buses.find(None, Scope("1", "a"))


async def test_the_server_goes_on_while_a_pattern_is_tried_on_a_long_event(world):
    members = dict.fromkeys(("id", "source", "account", "time", "region", "detail-type"), "x")
    detail = {"items": [{name: 1} for name in "abcdef"] * 5_000}
    event = {**members, "time": "2026-11-23T16:30:00Z", "resources": [], "detail": detail}
    pattern = {"detail": {"items": {name: [{"exists": True}] for name in "abcdef"}}}
    request = {"Event": json.dumps(event), "EventPattern": json.dumps(pattern)}
    caller = Caller(world.scope, "K", "r", "http://localhost", None, Headers({}))
    asked = asyncio.create_task(Events(world.room).operations["TestEventPattern"](request, caller))
    turns = 0
    while not asked.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await asked) == {"Result": False} and turns > 10
