"""The journal's contract."""

from __future__ import annotations

import asyncio

from busway.clock import ManualClock
from busway.engine import Engine, Origin, Put
from busway.engine.conformance.expectation import Check, expect, expect_error, expect_still_waiting


async def check_what_is_appended_is_read_in_order(engine: Engine, clock: ManualClock) -> None:
    data = [b"a", b"", b"\x00" * 70_000, b"d"]
    first = await engine.journal.append("order", data)
    at = clock.now()
    await clock.advance(1)
    found = await engine.journal.read("order", 0, 10)
    expect("data of the entries", [e.data for e in found], data)
    expect("offsets follow by one", [e.offset for e in found], list(range(first, first + 4)))
    expect("time of the entries", {e.at for e in found}, {at})


async def check_offsets_increase_along_a_journal(engine: Engine, clock: ManualClock) -> None:
    firsts = [await engine.journal.append(name, [b"x", b"y"]) for name in ("grow", "beside", "grow", "grow")]
    found = [e.offset for e in await engine.journal.read("grow", 0, 100)]
    expect("offsets increase", found, sorted(set(found)))
    expect("append returns its first offset", found[::2], [firsts[0], firsts[2], firsts[3]])
    expect("offsets begin above 0", min(found) > 0, True)


async def check_read_gives_what_is_above_after_and_no_more_than_limit(engine: Engine, clock: ManualClock) -> None:
    first = await engine.journal.append("window", [b"1", b"2", b"3"])
    await engine.journal.append("window", [b"4", b"5"])
    head = await engine.journal.head("window")
    for after, limit, wanted in (
        (0, 2, [b"1", b"2"]),
        (first, 2, [b"2", b"3"]),
        (first + 1, 2, [b"3", b"4"]),
        (first, 100, [b"2", b"3", b"4", b"5"]),
        (head, 5, []),
        (head + 1000, 5, []),
        (0, 0, []),
    ):
        found = [e.data for e in await engine.journal.read("window", after, limit)]
        expect(f"read after {after}, limit {limit}", found, wanted)
    expect("read of a journal that was never appended to", await engine.journal.read("no such", 0, 5), [])


async def check_an_append_needs_entries(engine: Engine, clock: ManualClock) -> None:
    await expect_error("append of nothing", ValueError, engine.journal.append("empty", []))


async def check_head_is_the_newest_offset_also_after_a_trim(engine: Engine, clock: ManualClock) -> None:
    expect("head at first", await engine.journal.head("head"), 0)
    last = await engine.journal.append("head", [b"1", b"2"]) + 1
    expect("head", await engine.journal.head("head"), last)
    await clock.advance(1)
    await engine.journal.trim("head", clock.now(), last)
    expect("head after a trim of all", await engine.journal.head("head"), last)
    again = await engine.journal.append("head", [b"3"])
    expect("offsets are not used again", again > last, True)


async def check_wait_returns_once_there_is_an_entry_above_after(engine: Engine, clock: ManualClock) -> None:
    waiting = asyncio.create_task(engine.journal.wait("wait", 0))
    await expect_still_waiting("wait on an empty journal", waiting)
    last = await engine.journal.append("wait", [b"1"])
    await waiting
    await engine.journal.wait("wait", last - 1)
    beyond = asyncio.create_task(engine.journal.wait("wait", last))
    await expect_still_waiting("wait at the head", beyond)
    await clock.advance(1)
    await engine.journal.trim("wait", clock.now(), last)
    trimmed = asyncio.create_task(engine.journal.wait("wait", 0))
    await expect_still_waiting("wait for what was trimmed", trimmed)
    await engine.journal.append("wait", [b"2"])
    await beyond
    await trimmed


async def check_a_position_only_moves_forward(engine: Engine, clock: ManualClock) -> None:
    expect("position at first", await engine.journal.position("place", "router"), 0)
    await engine.journal.append("place", [b"x"] * 5)
    for offset, wanted in ((3, 3), (2, 3), (0, 3), (5, 5)):
        await engine.journal.advance("place", "router", offset)
        expect(f"position after advance to {offset}", await engine.journal.position("place", "router"), wanted)
    expect("another reader's position", await engine.journal.position("place", "other"), 0)
    expect("another journal's position", await engine.journal.position("elsewhere", "router"), 0)


async def check_trim_forgets_what_is_old_and_finished(engine: Engine, clock: ManualClock) -> None:
    offsets: list[int] = []
    for number in range(6):
        offsets.append(await engine.journal.append("trim", [b"%d" % number]))
        await clock.advance(10)
    third = clock.now() - 40
    expect("trim of nothing finished", await engine.journal.trim("trim", clock.now(), 0), 0)
    expect("trim up to the second", await engine.journal.trim("trim", clock.now(), offsets[1]), 2)
    expect("trim of what is before", await engine.journal.trim("trim", third, offsets[5]), 0)
    expect("trim of what is just older", await engine.journal.trim("trim", third + 1, offsets[5]), 1)
    found = [e.data for e in await engine.journal.read("trim", 0, 100)]
    expect("what a trim leaves", found, [b"3", b"4", b"5"])
    expect("read from a trimmed offset", len(await engine.journal.read("trim", offsets[1], 100)), 3)
    expect("trim of an unknown journal", await engine.journal.trim("unknown", clock.now(), 10), 0)


async def check_trim_never_goes_above_up_to(engine: Engine, clock: ManualClock) -> None:
    first = await engine.journal.append("unfinished", [b"1", b"2", b"3"])
    await engine.journal.append("unfinished", [b"4"])
    await clock.advance(100)
    await engine.journal.trim("unfinished", clock.now(), first + 1)
    found = [e.data for e in await engine.journal.read("unfinished", first + 1, 10)]
    expect("what is still to be delivered", found, [b"3", b"4"])


async def check_trim_forgets_outcomes_of_what_is_gone(engine: Engine, clock: ManualClock) -> None:
    offsets: list[int] = []
    for _ in range(3):
        offsets.append(await engine.journal.append("forget", [b"x"]))
        await clock.advance(10)
    puts = [Put("forget q", b"", clock.now(), origin=Origin("forget#1", offset)) for offset in offsets]
    await engine.queues.put(puts, accepted=True)
    await engine.queues.done(await engine.queues.lease("forget q", 10, 10))
    other = await engine.journal.append("forget beside", [b"x"])
    await clock.advance(10)
    await engine.journal.trim("forget beside", clock.now(), other)
    found = [e.offset for e in await engine.queues.outcomes("forget#1")]
    expect("outcomes after another journal's trim", found, offsets)
    await engine.journal.trim("forget", clock.now(), offsets[1])
    found = [e.offset for e in await engine.queues.outcomes("forget#1")]
    expect("outcomes after a trim", found, offsets[2:])


async def check_offset_at_is_the_last_before_a_time(engine: Engine, clock: ManualClock) -> None:
    start = clock.now()
    expect("offset_at of an unknown journal", await engine.journal.offset_at("times", start), 0)
    lasts: list[int] = []
    for size in (1, 3, 1, 2):
        lasts.append(await engine.journal.append("times", [b"x"] * size) + size - 1)
        await clock.advance(10)
    for seconds, wanted in ((0, 0), (1, lasts[0]), (10, lasts[0]), (11, lasts[1]), (30, lasts[2]), (99, lasts[3])):
        found = await engine.journal.offset_at("times", start + seconds)
        expect(f"offset_at {seconds} s after the first", found, wanted)


async def check_two_writers_do_not_mix_their_appends(engine: Engine, clock: ManualClock) -> None:
    async def write(name: str) -> None:
        for number in range(20):
            await engine.journal.append("writers", [f"{name}{number}.{part}".encode() for part in range(3)])

    await asyncio.gather(write("a"), write("b"))
    found = [e.data.decode() for e in await engine.journal.read("writers", 0, 1000)]
    expect("each append is in one piece", all(found[i].endswith(f".{i % 3}") for i in range(len(found))), True)
    for name in "ab":
        wanted = [f"{name}{number}.{part}" for number in range(20) for part in range(3)]
        expect(f"the appends of writer {name}", [text for text in found if text[0] == name], wanted)


JOURNAL_CHECKS: tuple[Check, ...] = (
    check_what_is_appended_is_read_in_order,
    check_offsets_increase_along_a_journal,
    check_read_gives_what_is_above_after_and_no_more_than_limit,
    check_an_append_needs_entries,
    check_head_is_the_newest_offset_also_after_a_trim,
    check_wait_returns_once_there_is_an_entry_above_after,
    check_a_position_only_moves_forward,
    check_trim_forgets_what_is_old_and_finished,
    check_trim_never_goes_above_up_to,
    check_trim_forgets_outcomes_of_what_is_gone,
    check_offset_at_is_the_last_before_a_time,
    check_two_writers_do_not_mix_their_appends,
)
