"""The records' contract."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from busway.clock import ManualClock
from busway.engine import Engine, Value
from busway.engine.conformance.expectation import Check, expect, expect_error
from busway.errors import VersionConflict


async def check_a_record_is_what_was_put_last(engine: Engine, clock: ManualClock) -> None:
    expect("a record that is missing", await engine.records.get("last/x"), None)
    expect("first version", await engine.records.put("last/x", b"1"), 1)
    expect("second version", await engine.records.put("last/x", b"2\x00"), 2)
    expect("the record", await engine.records.get("last/x"), Value("last/x", 2, b"2\x00"))
    expect("delete", await engine.records.delete("last/x"), True)
    expect("delete again", await engine.records.delete("last/x"), False)
    expect("a deleted record", await engine.records.get("last/x"), None)


async def check_expect_is_compared_with_the_version(engine: Engine, clock: ManualClock) -> None:
    records = engine.records
    expect("put where nothing is expected", await records.put("cas/x", b"1", expect=0), 1)
    found = await expect_error("put over it", VersionConflict, records.put("cas/x", b"no", expect=0))
    expect("what the conflict names", (found.key, found.expected, found.found), ("cas/x", 0, 1))
    expect("put with the version", await records.put("cas/x", b"2", expect=1), 2)
    await expect_error("put with an old version", VersionConflict, records.put("cas/x", b"no", expect=1))
    await expect_error("put of a missing one", VersionConflict, records.put("cas/y", b"no", expect=1))
    await expect_error("delete with an old version", VersionConflict, records.delete("cas/x", expect=1))
    expect("the record after conflicts", await records.get("cas/x"), Value("cas/x", 2, b"2"))
    expect("delete with the version", await records.delete("cas/x", expect=2), True)


async def check_list_is_by_prefix_and_sorted(engine: Engine, clock: ManualClock) -> None:
    for key in ("list/b", "list/a", "list/ä", "lisu", "list", "list/a/1"):
        await engine.records.put(key, key.encode())
    found = await engine.records.list("list/")
    expect("keys", [v.key for v in found], ["list/a", "list/a/1", "list/b", "list/ä"])
    expect("values", [v.data for v in found], [v.key.encode() for v in found])


async def check_a_watch_tells_changes_under_its_prefix(engine: Engine, clock: ManualClock) -> None:
    await engine.records.put("watch/before", b"")
    watch = engine.records.watch("watch/")
    await engine.records.put("watcher", b"")
    await engine.records.put("watch/x", b"")
    expect("a put", await anext(watch), "watch/x")
    waiting = asyncio.ensure_future(anext(watch))
    await engine.records.delete("watch/x")
    expect("a delete", await waiting, "watch/x")
    await engine.records.put("watch/y", b"")
    expect("the next put", await anext(watch), "watch/y")


async def check_no_update_is_lost_between_two_writers(engine: Engine, clock: ManualClock) -> None:
    await engine.records.put("sum", b"0")

    async def add(times: int) -> None:
        while times:
            value = await engine.records.get("sum")
            assert value is not None, "record 'sum': found nothing, wanted what was put"
            with suppress(VersionConflict):
                await engine.records.put("sum", b"%d" % (int(value.data) + 1), expect=value.version)
                times -= 1

    await asyncio.gather(add(10), add(10))
    expect("the sum", await engine.records.get("sum"), Value("sum", 21, b"20"))


RECORD_CHECKS: tuple[Check, ...] = (
    check_a_record_is_what_was_put_last,
    check_expect_is_compared_with_the_version,
    check_list_is_by_prefix_and_sorted,
    check_a_watch_tells_changes_under_its_prefix,
    check_no_update_is_lost_between_two_writers,
)
