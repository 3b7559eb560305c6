"""The queue's contract, except for waiting."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from busway.clock import ManualClock
from busway.engine import Counts, Ended, Engine, Item, Origin, Put
from busway.engine.conformance.expectation import Check, expect

LEASE_S = 30.0


async def fill(engine: Engine, clock: ManualClock, queue: str, *bodies: bytes, in_s: float = 0.0) -> list[int]:
    return await engine.queues.put([Put(queue, body, clock.now() + in_s) for body in bodies])


async def lease_one(engine: Engine, queue: str) -> Item:
    items = await engine.queues.lease(queue, 1, LEASE_S)
    expect(f"items leased from {queue}", len(items), 1)
    return items[0]


async def check_an_item_carries_what_was_put(engine: Engine, clock: ManualClock) -> None:
    origin = Origin("carry#1", 7)
    put_at = clock.now()
    ids = await engine.queues.put([Put("carry", b"body\x00", put_at + 5, b"meta", origin)])
    await clock.advance(6)
    item = await lease_one(engine, "carry")
    wanted = Item(
        "carry", ids[0], item.token, 1, put_at, clock.now() + LEASE_S, b"body\x00", b"meta", origin, clock.now()
    )
    expect("a leased item", item, wanted)


async def check_ids_are_given_in_order_and_once(engine: Engine, clock: ManualClock) -> None:
    ids = [*await fill(engine, clock, "ids", b"1", b"2"), *await fill(engine, clock, "ids", b"3")]
    expect("ids grow", ids, sorted({*ids}))
    expect("ids are above 0", min(ids) > 0, True)
    expect("a put of nothing", await engine.queues.put([]), [])


async def check_items_are_leased_when_due_earliest_first(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "due", b"late", in_s=20)
    await fill(engine, clock, "due", b"soon", b"soon too", in_s=10)
    await fill(engine, clock, "due", b"now")
    expect("due now", [i.body for i in await engine.queues.lease("due", 9, 99)], [b"now"])
    await clock.advance(9.5)
    expect("due a little later", await engine.queues.lease("due", 9, 99), [])
    await clock.advance(20)
    first = await engine.queues.lease("due", 2, 99)
    expect("at most `limit`, earliest first", [i.body for i in first], [b"soon", b"soon too"])
    expect("the rest", [i.body for i in await engine.queues.lease("due", 9, 99)], [b"late"])


async def check_leased_work_comes_back_when_the_lease_runs_out(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "lease", b"x")
    first = await lease_one(engine, "lease")
    leased_at = clock.now()
    await clock.advance(LEASE_S - 1)
    expect("leased work", await engine.queues.lease("lease", 9, LEASE_S), [])
    await clock.advance(1)
    second = await lease_one(engine, "lease")
    expect("attempts are counted", (first.attempts, second.attempts), (1, 2))
    expect("it is the same item", second.id, first.id)
    expect("the token is another", second.token != first.token, True)
    expect("when it was first leased", second.first_leased_at, leased_at)


async def check_a_late_done_is_fenced_off(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "late", b"x")
    first = await lease_one(engine, "late")
    await clock.advance(LEASE_S)
    second = await lease_one(engine, "late")
    expect("done with a stale token", await engine.queues.done([first]), 0)
    expect("release with a stale token", await engine.queues.release(first, clock.now()), False)
    expect("refund with a stale token", await engine.queues.refund(first, clock.now()), False)
    expect("the item after that", await engine.queues.find("late", first.id), second)
    expect("done with the token of now", await engine.queues.done([second, second]), 1)
    expect("done twice", await engine.queues.done([second]), 0)
    expect("an ended item", await engine.queues.find("late", first.id), None)


async def check_a_done_after_the_lease_ran_out_counts_until_leased_again(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "tardy", b"x", b"y")
    items = await engine.queues.lease("tardy", 2, LEASE_S)
    await clock.advance(LEASE_S * 2)
    # By id and token alone, as from a receipt.
    bare = [replace(item, body=b"", meta=b"", attempts=0) for item in items]
    expect("done of both", await engine.queues.done(bare), 2)
    expect("what is left", await engine.queues.lease("tardy", 9, LEASE_S), [])


async def check_release_gives_back_and_keeps_the_attempt(engine: Engine, clock: ManualClock) -> None:
    await engine.queues.put([Put("release", b"x", clock.now(), b"old")])
    first = await lease_one(engine, "release")
    expect("release", await engine.queues.release(first, clock.now() + 5), True)
    await clock.advance(4)
    expect("before it is due", await engine.queues.lease("release", 9, LEASE_S), [])
    await clock.advance(1)
    second = await lease_one(engine, "release")
    expect("attempts and meta", (second.attempts, second.meta), (2, b"old"))
    expect("release with meta", await engine.queues.release(second, clock.now(), b"new"), True)
    third = await lease_one(engine, "release")
    expect("attempts, meta and body", (third.attempts, third.meta, third.body), (3, b"new", b"x"))


async def check_release_extends_a_lease(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "extend", b"x")
    item = await lease_one(engine, "extend")
    await engine.queues.release(item, clock.now() + 2 * LEASE_S)
    await clock.advance(1.5 * LEASE_S)
    expect("an extended lease", await engine.queues.lease("extend", 9, LEASE_S), [])
    expect("its token is good", await engine.queues.done([item]), 1)


async def check_refund_does_not_count_the_attempt(engine: Engine, clock: ManualClock) -> None:
    await fill(engine, clock, "refund", b"x")
    first = await lease_one(engine, "refund")
    expect("refund", await engine.queues.refund(first, clock.now() + 1), True)
    expect("refund twice", await engine.queues.refund(first, clock.now() + 1), False)
    await clock.advance(1)
    second = await lease_one(engine, "refund")
    expect("attempts after a refund", second.attempts, 1)
    expect("done after a refund", await engine.queues.done([first]), 0)


async def check_puts_of_a_subscriber_are_taken_once(engine: Engine, clock: ManualClock) -> None:
    def puts(name: str, *offsets: int) -> list[Put]:
        return [Put("once", b"%d" % o, clock.now(), origin=Origin(name, o)) for o in offsets]

    ids = await engine.queues.put(puts("once#1", 3, 4), accepted=True)
    expect("first puts are taken", 0 in ids, False)
    again = await engine.queues.put(puts("once#1", 3, 4, 5, 5), accepted=True)
    expect("what was seen is left out", [i == 0 for i in again], [True, True, False, True])
    await engine.queues.done(await engine.queues.lease("once", 9, LEASE_S))
    expect("also when it is done", await engine.queues.put(puts("once#1", 2, 5), accepted=True), [0, 0])
    expect("another subscriber's is its own", 0 in await engine.queues.put(puts("once#2", 3), accepted=True), False)
    expect("what is queued", [i.body for i in await engine.queues.browse("once", 9)], [b"3"])


async def check_outcomes_account_for_every_put(engine: Engine, clock: ManualClock) -> None:
    puts = [Put(f"account {o % 2}", b"", clock.now(), origin=Origin("account#1", o)) for o in (1, 2, 3, 9_000)]
    await engine.queues.put(puts, accepted=True)
    expect("pending", await engine.queues.pending("account#1"), [1, 2, 3, 9_000])
    expect("outcomes at first", await engine.queues.outcomes("account#1"), [])
    even = await engine.queues.lease("account 0", 9, LEASE_S)
    await engine.queues.done(even, "dead-lettered")
    await clock.advance(5)
    odd = await engine.queues.lease("account 1", 1, LEASE_S)
    await clock.advance(LEASE_S)
    odd = await engine.queues.lease("account 1", 1, LEASE_S)
    await engine.queues.done(odd)
    first_odd = odd[0].origin.offset if odd[0].origin else 0
    now = clock.now()
    wanted = [
        Ended(first_odd, "delivered", odd[0].attempts, now),
        Ended(2, "dead-lettered", 1, now - LEASE_S - 5),
        Ended(9_000, "dead-lettered", 1, now - LEASE_S - 5),
    ]
    wanted.sort(key=lambda ended: ended.offset)
    expect("outcomes by offset", await engine.queues.outcomes("account#1"), wanted)
    expect("outcomes after an offset", await engine.queues.outcomes("account#1", after=wanted[0].offset), wanted[1:])
    expect("limited outcomes", await engine.queues.outcomes("account#1", limit=1), wanted[:1])
    expect("still pending", await engine.queues.pending("account#1"), [4 - first_odd])
    expect("another subscriber", await engine.queues.outcomes("account#2"), [])


async def check_looking_changes_nothing(engine: Engine, clock: ManualClock) -> None:
    ids = await fill(engine, clock, "look", b"1", b"2", b"3")
    leased = await lease_one(engine, "look")
    browsed = await engine.queues.browse("look", 9)
    expect(
        "browsed in the order of ids", [(i.id, i.attempts) for i in browsed], [(ids[0], 1), (ids[1], 0), (ids[2], 0)]
    )
    expect("a leased item as browsed", browsed[0], leased)
    expect("browse after an id", [i.id for i in await engine.queues.browse("look", 1, ids[0])], [ids[1]])
    expect("find", await engine.queues.find("look", ids[1]), browsed[1])
    expect("find in another queue", await engine.queues.find("elsewhere", ids[1]), None)
    expect("what can be leased", len(await engine.queues.lease("look", 9, LEASE_S)), 2)


async def check_counts(engine: Engine, clock: ManualClock) -> None:
    expect("counts of no queue", await engine.queues.counts("counts"), Counts(0, 0, 0))
    await fill(engine, clock, "counts", b"1", b"2", b"3")
    await fill(engine, clock, "counts", b"4", in_s=2 * LEASE_S)
    await lease_one(engine, "counts")
    expect("ready, leased, delayed", await engine.queues.counts("counts"), Counts(2, 1, 1))
    await clock.advance(LEASE_S)
    expect("when the lease ran out", await engine.queues.counts("counts"), Counts(3, 0, 1))


async def check_names_are_of_queues_that_hold_something(engine: Engine, clock: ManualClock) -> None:
    for queue in ("name:b", "name:a", "named"):
        await fill(engine, clock, queue, b"x")
    expect("names", await engine.queues.names("name:"), ["name:a", "name:b"])
    await engine.queues.done([await lease_one(engine, "name:a")])
    expect("names when one is empty", await engine.queues.names("name:"), ["name:b"])


async def check_purge_ends_everything(engine: Engine, clock: ManualClock) -> None:
    await engine.queues.put([Put("purge", b"", clock.now(), origin=Origin("purge#1", 1))], accepted=True)
    await fill(engine, clock, "purge", b"x", in_s=99)
    await fill(engine, clock, "unpurged", b"x")
    leased = await lease_one(engine, "purge")
    expect("purged items", await engine.queues.purge("purge"), 2)
    expect("what is left", await engine.queues.browse("purge", 9), [])
    expect("done after a purge", await engine.queues.done([leased]), 0)
    expect("outcome", [e.outcome for e in await engine.queues.outcomes("purge#1")], ["purged"])
    expect("another queue", len(await engine.queues.browse("unpurged", 9)), 1)


async def check_no_two_consumers_get_the_same_item(engine: Engine, clock: ManualClock) -> None:
    bodies = [b"%d" % number for number in range(60)]
    taken: list[bytes] = []

    async def consume() -> None:
        while items := await engine.queues.lease("shared", 3, LEASE_S):
            taken.extend(item.body for item in items)
            await engine.queues.done(items)

    async def produce() -> None:
        for body in bodies[30:]:
            await fill(engine, clock, "shared", body)

    await fill(engine, clock, "shared", *bodies[:30])
    await asyncio.gather(produce(), consume(), consume())
    await consume()
    expect("each item once", sorted(taken), sorted(bodies))


QUEUE_CHECKS: tuple[Check, ...] = (
    check_an_item_carries_what_was_put,
    check_ids_are_given_in_order_and_once,
    check_items_are_leased_when_due_earliest_first,
    check_leased_work_comes_back_when_the_lease_runs_out,
    check_a_late_done_is_fenced_off,
    check_a_done_after_the_lease_ran_out_counts_until_leased_again,
    check_release_gives_back_and_keeps_the_attempt,
    check_release_extends_a_lease,
    check_refund_does_not_count_the_attempt,
    check_puts_of_a_subscriber_are_taken_once,
    check_outcomes_account_for_every_put,
    check_looking_changes_nothing,
    check_counts,
    check_names_are_of_queues_that_hold_something,
    check_purge_ends_everything,
    check_no_two_consumers_get_the_same_item,
)
