"""The queue's contract: ordered groups, and what is put once."""

from __future__ import annotations

import asyncio

from busway.clock import ManualClock
from busway.engine import Ended, Engine, Item, Once, Origin, Put
from busway.engine.conformance.expectation import Check, expect, expect_error, expect_still_waiting
from busway.engine.conformance.queues import LEASE_S, fill

REMEMBERED_S = 300.0


async def fill_groups(engine: Engine, clock: ManualClock, queue: str, *bodies: str, in_s: float = 0.0) -> list[int]:
    """Items whose group is the first letter of their body."""
    puts = [Put(queue, body.encode(), clock.now() + in_s, group=body[0]) for body in bodies]
    return await engine.queues.put(puts)


async def lease(engine: Engine, queue: str, limit: int = 9) -> list[Item]:
    return await engine.queues.lease(queue, limit, LEASE_S)


def bodies(items: list[Item]) -> str:
    return " ".join(item.body.decode() for item in items)


async def check_a_group_is_leased_in_order_and_by_one_at_a_time(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "order", "a1", "a2", "a3")
    first = await lease(engine, "order", 2)
    expect("the first items of a group", bodies(first), "a1 a2")
    expect("a group of which some are leased", bodies(await lease(engine, "order")), "")
    await engine.queues.done(first[:1])
    expect("a group of which one is still leased", bodies(await lease(engine, "order")), "")
    await engine.queues.done(first[1:])
    expect("a group of which none is leased", bodies(await lease(engine, "order")), "a3")


async def check_a_failing_group_keeps_its_order_and_holds_up_no_other(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "fails", "a1", "b1", "a2", "b2")
    first = await lease(engine, "fails", 1)
    expect("the group that waited longest", bodies(first), "a1")
    others = await lease(engine, "fails")
    expect("another group, while the first is leased", bodies(others), "b1 b2")
    await engine.queues.done(others)
    await clock.advance(LEASE_S)
    again = await lease(engine, "fails")
    expect("the same item first when its lease ran out", bodies(again), "a1 a2")
    await engine.queues.release(again[1], clock.now())
    expect("given back, while an earlier one is leased", bodies(await lease(engine, "fails")), "")
    await engine.queues.release(again[0], clock.now())
    expect("in order when all are back", bodies(await lease(engine, "fails")), "a1 a2")


async def check_a_later_item_waits_for_an_earlier_one_that_is_not_due(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "delayed", "a1", in_s=20)
    await fill_groups(engine, clock, "delayed", "a2", "b1")
    expect("a group whose first item is not due", bodies(await lease(engine, "delayed")), "b1")
    await fill_groups(engine, clock, "delayed", "c1")
    await fill_groups(engine, clock, "delayed", "c2", in_s=5)
    await fill_groups(engine, clock, "delayed", "c3")
    items = await lease(engine, "delayed")
    expect("a group up to what is not due", bodies(items), "c1")
    await engine.queues.done(items)
    await clock.advance(20)
    expect("when they are due", bodies(await lease(engine, "delayed")), "c2 c3 a1 a2")


async def check_an_item_released_for_later_holds_its_group(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "held", "a1", "a2", "a3", "a4")
    first = await lease(engine, "held", 3)
    await engine.queues.release(first[2], clock.now() + LEASE_S + 10)
    await engine.queues.refund(first[1], clock.now() + 5)
    await engine.queues.done(first[:1])
    await clock.advance(LEASE_S + 9)
    expect("while one of the group is not due", bodies(await lease(engine, "held")), "")
    await clock.advance(1)
    expect("when it is", bodies(await lease(engine, "held")), "a2 a3 a4")


async def check_groups_come_one_after_the_other(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "turns", "b1", "a1", "c1", "b2")
    await clock.advance(1)
    await fill_groups(engine, clock, "turns", "a2", "c2")
    taken = await lease(engine, "turns", 3)
    expect("as many of a group as are due, then the next", bodies(taken), "b1 b2 a1")
    for item in reversed(taken):
        await engine.queues.release(item, clock.now())
        await clock.advance(1)
    expect("the group that is free the longest", bodies(await lease(engine, "turns")), "c1 c2 a1 a2 b1 b2")


async def check_a_group_is_its_queues_own(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "own 1", "a1", "a2")
    await fill_groups(engine, clock, "own 2", "a1")
    await lease(engine, "own 1", 1)
    expect("a group of that name in another queue", bodies(await lease(engine, "own 2")), "a1")
    await engine.queues.purge("own 1")
    await fill_groups(engine, clock, "own 1", "a3")
    expect("a group after a purge", bodies(await lease(engine, "own 1")), "a3")


async def check_a_queue_has_groups_or_none(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "grouped", "a1")
    await fill(engine, clock, "plain", b"x")
    plain, grouped = Put("plain", b"", 0.0, group="g"), Put("grouped", b"", 0.0)
    await expect_error("a group in a queue without", ValueError, engine.queues.put([Put("x", b"", 0.0), plain]))
    await expect_error("none in a queue with groups", ValueError, engine.queues.put([grouped]))
    both = [Put("x", b"", 0.0), Put("x", b"", 0.0, group="g")]
    await expect_error("both in one call", ValueError, engine.queues.put(both))
    await expect_error("both in one call", ValueError, engine.queues.put(both[::-1]))
    expect("nothing of a refused put is there", await engine.queues.browse("x", 9), [])
    await engine.queues.done(await lease(engine, "grouped"))
    await engine.queues.put([grouped])
    expect("an empty queue takes either", len(await lease(engine, "grouped")), 1)


async def check_a_wait_ends_when_a_group_is_free(engine: Engine, clock: ManualClock) -> None:
    await fill_groups(engine, clock, "wait group", "a1", "a2")
    (first,) = await lease(engine, "wait group", 1)
    waiting = asyncio.create_task(engine.queues.wait("wait group"))
    await expect_still_waiting("wait while the group is leased", waiting)
    await engine.queues.done([first])
    await waiting
    await lease(engine, "wait group")
    waiting = asyncio.create_task(engine.queues.wait("wait group"))
    await expect_still_waiting("wait while the group is leased again", waiting)
    await clock.advance(LEASE_S)
    await waiting


def once(queue: str, body: bytes, until: float, *, key: str = "k", origin: Origin | None = None) -> Put:
    return Put(queue, body, 0.0, origin=origin, once=Once(key, until))


async def check_a_repeat_is_left_out(engine: Engine, clock: ManualClock) -> None:
    until = clock.now() + REMEMBERED_S
    (item_id, repeat) = await engine.queues.put([once("keys", b"1", until), once("keys", b"2", until)])
    expect("a repeat in one call", repeat, -item_id)
    expect("a repeat", await engine.queues.put([once("keys", b"3", until)]), [-item_id])
    other = await engine.queues.put([once("keys", b"4", until, key="l"), once("keys too", b"5", until)])
    expect("another key, and another queue", min(other) > 0, True)
    await engine.queues.done(await lease(engine, "keys"))
    await clock.advance(REMEMBERED_S - 1)
    late = once("keys", b"6", clock.now() + REMEMBERED_S)
    expect("a repeat when the item has ended", await engine.queues.put([late]), [-item_id])
    await clock.advance(1)
    (again,) = await engine.queues.put([once("keys", b"7", clock.now() + REMEMBERED_S)])
    expect("when the key is forgotten, which a repeat did not put off", again > 0, True)
    expect("what is queued", bodies(await lease(engine, "keys")), "7")
    await engine.queues.purge("keys")
    (new,) = await engine.queues.put([once("keys", b"8", clock.now() + REMEMBERED_S)])
    expect("after a purge", new > 0, True)


async def check_a_repeat_with_an_origin_is_accounted_for(engine: Engine, clock: ManualClock) -> None:
    until = clock.now() + REMEMBERED_S
    first = once("key origin", b"1", until, origin=Origin("keys#1", 1))
    second = once("key origin", b"2", until, origin=Origin("keys#1", 2))
    (item_id,) = await engine.queues.put([first], accepted=True)
    expect("a repeat", await engine.queues.put([second], accepted=True), [-item_id])
    expect("seen before", await engine.queues.put([second], accepted=True), [0])
    expect("pending", await engine.queues.pending("keys#1"), [1])
    expect("outcomes", await engine.queues.outcomes("keys#1"), [Ended(2, "duplicate", 0, clock.now())])


GROUP_CHECKS: tuple[Check, ...] = (
    check_a_group_is_leased_in_order_and_by_one_at_a_time,
    check_a_failing_group_keeps_its_order_and_holds_up_no_other,
    check_a_later_item_waits_for_an_earlier_one_that_is_not_due,
    check_an_item_released_for_later_holds_its_group,
    check_groups_come_one_after_the_other,
    check_a_group_is_its_queues_own,
    check_a_queue_has_groups_or_none,
    check_a_wait_ends_when_a_group_is_free,
    check_a_repeat_is_left_out,
    check_a_repeat_with_an_origin_is_accounted_for,
)
