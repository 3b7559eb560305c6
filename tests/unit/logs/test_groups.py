"""Log groups on an engine: bounded, retained, counted the same after any death, and read a page at a time."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from busway.arn import Scope
from busway.aws.service import Caller, Headers
from busway.clock import ManualClock, settle
from busway.errors import LogGroupNotFound, LogLimitExceeded, LogStreamNotFound, VersionConflict
from busway.function.log_streams import stream_of, worker_mark
from busway.logs import groups, registry
from busway.logs.batch import DAY_MS, EVENT_BYTES
from busway.logs.groups import Query
from busway.logs.page import Page
from busway.logs.record import milliseconds

from .log_room import GROUP_BYTES, SCOPE, Room, printed


@pytest.fixture
def room(clock: ManualClock) -> Room:
    return Room(clock)


async def test_a_group_keeps_its_newest_events_within_its_bound(room: Room):
    await room.made("g", "s")
    for number in range(300):
        await room.put("g", "s", f"{number:04}".ljust(1_000 - EVENT_BYTES, "."))
        assert await room.size("g") <= GROUP_BYTES
    kept = [int(message[:4]) for message in await room.read("g")]
    assert kept == list(range(300 - len(kept), 300))
    assert len(kept) == await room.stored("g") and len(kept) * 1_000 == await room.size("g") >= GROUP_BYTES * 0.9


async def test_what_is_older_than_a_group_keeps_is_hidden_at_once_and_gone_soon(room: Room):
    await room.made("g", "s")
    await room.put("g", "s", "yesterday's", ago_ms=DAY_MS)
    old = "old" * (GROUP_BYTES // registry.SEGMENTS)
    await room.put("g", "s", old)
    await room.clock.advance(86_400 + 1)
    await room.put("g", "s", "new")
    assert await room.read("g") == ["yesterday's", old, "new"]
    await room.groups.retain(SCOPE, "g", 1)
    assert await room.read("g") == ["new"]
    await room.groups.tend()
    assert await room.stored("g") == 1 and await room.size("g") == EVENT_BYTES + len("new")
    await room.groups.retain(SCOPE, "g", None)
    assert await room.read("g") == ["new"]


async def test_a_start_counts_what_came_after_the_counts_were_written(room: Room):
    await room.made("g", "s", "t")
    await room.put("g", "s", "first", "second")
    await room.groups.tend()
    await room.clock.advance(5)
    await room.put("g", "s", "third")
    await room.put("g", "t", "fourth", ago_ms=60_000)
    before = await room.groups.views(SCOPE), await room.groups.streams(SCOPE, "g")
    for _ in range(2):
        room.anew()
        await room.groups.open()
        views, streams = await room.groups.views(SCOPE), await room.groups.streams(SCOPE, "g")
        assert [view.size for view in views] == [view.size for view in before[0]]
        assert streams == before[1]
        await room.groups.tend()
    assert await room.read("g") == ["fourth", "first", "second", "third"]


async def test_a_deletion_that_was_cut_off_ends_at_the_next_start(room: Room, monkeypatch: pytest.MonkeyPatch):
    await room.made("g", "s")
    await room.put("g", "s", "one")

    async def dies(*_: object) -> int:
        raise VersionConflict("g", 1, 2)

    with monkeypatch.context() as patch:
        patch.setattr(room.engine.journal, "trim", dies)
        with pytest.raises(VersionConflict):
            await room.groups.delete(SCOPE, "g")
        with pytest.raises(LogGroupNotFound):
            await room.put("g", "s", "two")
    room.anew()
    await room.groups.open()
    assert await room.groups.views(SCOPE) == []
    assert await room.engine.records.list("logs/") == []
    await room.made("g", "s")
    assert await room.read("g") == [] and await room.stored("g") == 0


async def test_an_event_put_while_its_group_is_deleted_is_refused_and_leaves_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
):
    await room.made("g", "s")
    append, gate = room.engine.journal.append, asyncio.Event()

    async def slow(journal: str, entries: Sequence[bytes]) -> int:
        await gate.wait()
        return await append(journal, entries)

    monkeypatch.setattr(room.engine.journal, "append", slow)
    putting = asyncio.create_task(room.put("g", "s", "late"))
    await asyncio.sleep(0)
    await room.groups.delete(SCOPE, "g")
    gate.set()
    with pytest.raises(LogGroupNotFound):
        await putting
    monkeypatch.undo()
    await room.made("g", "s")
    assert await room.stored("g") == 0


@pytest.fixture
def slow_records(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write of a record lets others go first, as one to a disk does."""
    put = room.engine.records.put

    async def slow(key: str, data: bytes, *rest: Any, **named: Any) -> Any:
        await settle(5)
        return await put(key, data, *rest, **named)

    monkeypatch.setattr(room.engine.records, "put", slow)


@pytest.mark.usefixtures("slow_records")
async def test_changes_of_a_group_that_come_at_once_are_all_kept(room: Room):
    await room.made("g", "s")
    await room.put("g", "s", "counted")
    tags = {f"k{number}": "v" for number in range(20)}
    await asyncio.gather(
        room.groups.tend(),
        *(room.groups.tag(SCOPE, "g", {key: value}) for key, value in tags.items()),
        room.groups.retain(SCOPE, "g", 7),
    )
    for _ in range(2):
        (view,) = await room.groups.views(SCOPE)
        assert (view.record.tags, view.record.retention_days, view.record.counted) == (tags, 7, 1)
        room.anew()
        await room.groups.open()


@pytest.mark.usefixtures("slow_records")
async def test_a_change_that_comes_while_its_group_is_deleted_is_refused_and_leaves_nothing(room: Room):
    await room.made("g", "s")
    answers = await asyncio.gather(
        room.groups.delete(SCOPE, "g"),
        room.groups.retain(SCOPE, "g", 7),
        room.groups.tag(SCOPE, "g", {"k": "v"}),
        room.groups.create_stream(SCOPE, "g", "t"),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), *[LogGroupNotFound] * 3]
    assert await room.engine.records.list("logs/") == []


async def test_a_stream_of_a_name_that_was_deleted_does_not_have_the_other_one_s_events(room: Room):
    await room.made("g", "s")
    await room.put("g", "s", "of the first")
    await room.groups.delete_stream(SCOPE, "g", "s")
    assert await room.read("g") == []
    with pytest.raises(LogStreamNotFound):
        await room.put("g", "s", "no")
    await room.groups.create_stream(SCOPE, "g", "s")
    await room.put("g", "s", "of the second")
    assert await room.read("g", streams=["s"]) == ["of the second"]


async def test_a_read_from_a_moment_on_passes_over_the_journal_before_it(room: Room, monkeypatch: pytest.MonkeyPatch):
    await room.made("g", "s")
    for hour in range(10):
        await room.put("g", "s", str(hour))
        await room.clock.advance(3_600)
    read, entries = room.engine.journal.read, list[int]()

    async def noted(journal: str, after: int, limit: int) -> list[object]:
        found = await read(journal, after, limit)
        entries.extend(entry.offset for entry in found)
        return list(found)

    monkeypatch.setattr(room.engine.journal, "read", noted)
    now = milliseconds(room.clock.now())
    assert await room.read("g", start_ms=now - 2 * 3_600_000) == ["8", "9"]
    # Two hours for events that were ahead of their coming, and no more.
    assert len(entries) == 4


async def test_groups_and_streams_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "GROUPS_MAX", 2)
    monkeypatch.setattr(registry, "STREAMS_MAX", 1)
    await room.made("a", "s")
    await room.made("b")
    with pytest.raises(LogLimitExceeded, match="2 log groups"):
        await room.made("c")
    with pytest.raises(LogLimitExceeded, match="1 log streams"):
        await room.groups.create_stream(SCOPE, "b", "t")
    other = Scope("210987654321")
    await room.groups.create(other, "a")
    await room.groups.create_stream(other, "a", "s")


@pytest.mark.parametrize("on_disk", [True, False])
async def test_lines_of_one_moment_keep_their_order_and_have_ids_of_their_own(
    clock: ManualClock, tmp_path: Path, on_disk: bool
):
    room = Room(clock, tmp_path if on_disk else None)
    for _ in range(3):
        printed(room, *(str(number) for number in range(50)))
        await clock.advance(0.01)
    page = Page(forward=True)
    await room.groups.read(SCOPE, "/aws/lambda/shop", Query(), page)
    events = page.events()
    assert [event.message for event in events] == [f"{number}\n" for number in range(50)] * 3
    assert len({event.id for event in events}) == 150
    later = Page(forward=True)
    await room.groups.read(SCOPE, "/aws/lambda/shop", Query(start_ms=events[60].at_ms), later)
    # The same lines have the same ids wherever a reader begins.
    assert later.events() == events[50:]


async def test_each_worker_of_a_function_has_a_stream_by_the_day_on_which_it_began(
    clock: ManualClock, tmp_path: Path
):
    room = Room(clock, tmp_path)
    one, two = (worker_mark(version, clock.now(), version) for version in ("$LATEST", "7"))
    printed(room, "one", worker=one)
    printed(room, "two", worker=two)
    await clock.advance(86_400)
    printed(room, "one again", worker=one)
    printed(room, "by nobody")
    names = sorted(name for name, _, _ in await room.groups.streams(SCOPE, "/aws/lambda/shop"))
    latest, seventh, nobody = names
    assert [name.partition("]")[0] for name in names] == [
        "2023/11/14/[$LATEST", "2023/11/14/[7", "2023/11/15/[$LATEST",
    ]  # fmt: skip
    assert await room.read("/aws/lambda/shop", streams=[latest]) == ["one\n", "one again\n"]
    assert await room.read("/aws/lambda/shop", streams=[seventh]) == ["two\n"]
    assert await room.read("/aws/lambda/shop", streams=[nobody]) == ["by nobody\n"]
    # One that has nothing in the time that is asked for is there all the same.
    assert await room.read("/aws/lambda/shop", streams=[seventh], start_ms=milliseconds(clock.now())) == []
    with pytest.raises(LogStreamNotFound):
        await room.read("/aws/lambda/shop", streams=[latest.replace("2023/11/14", "2023/11/13")])


async def test_a_user_s_stream_and_a_function_s_lines_are_one_group(clock: ManualClock, tmp_path: Path):
    room = Room(clock, tmp_path)
    printed(room, "printed")
    await room.groups.create_stream(SCOPE, "/aws/lambda/shop", "own")
    await clock.advance(1)
    await room.put("/aws/lambda/shop", "own", "put")
    assert await room.read("/aws/lambda/shop") == ["printed\n", "put"]
    assert [view.record.name for view in await room.groups.views(SCOPE)] == ["/aws/lambda/shop"]
    assert await room.groups.views(Scope("210987654321")) == await room.groups.views(Scope(region="eu-west-1")) == []
    await room.groups.retain(SCOPE, "/aws/lambda/shop", 1)
    await clock.advance(2 * 86_400)
    await room.groups.tend()
    assert await room.printed.kept() == [] and await room.stored("/aws/lambda/shop") == 0
    printed(room, "again")
    await room.groups.delete(SCOPE, "/aws/lambda/shop")
    assert await room.printed.kept() == []


async def searched(room: Room, limit: int, **query: Any) -> list[list[str]]:
    """What a client gets that follows the tokens, page by page."""
    door, caller, found = room.door(), Caller(SCOPE, "", "", "", None, Headers({})), list[list[str]]()
    request = {"logGroupName": "/aws/lambda/shop", "limit": limit, **query}
    while True:
        answer = await door.filter_log_events(request, caller)
        found.append([event["message"] for event in answer["events"]])
        if "nextToken" not in answer:
            return found
        assert len(found) < 100
        request["nextToken"] = answer["nextToken"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_a_search_of_a_large_group_answers_in_parts_and_finds_every_event_once(
    room: Room, monkeypatch: pytest.MonkeyPatch, limit: int
):
    monkeypatch.setattr(groups, "SEARCHED_EVENTS", 4)
    monkeypatch.setattr(groups, "READ_FIRST", 1)
    monkeypatch.setattr(groups, "READ_MOST", 1)
    printed(room, "xline")
    await room.groups.create_stream(SCOPE, "/aws/lambda/shop", "s")
    for number in range(0, 24, 2):
        # The later of the two comes first.
        for late in (1, 0):
            messages = f"x{number + late}", f"y{number + late}"
            await room.put("/aws/lambda/shop", "s", *messages, ago_ms=1_000 - number - late)
    pages = await searched(room, limit, filterPattern="x")
    # A function's lines belong to the first part.
    in_order = [f"x{number}" for number in range(24)]
    assert [message for page in pages for message in page] == [*in_order[:2], "xline\n", *in_order[2:]]
    assert all(len(page) <= limit for page in pages)
    assert await searched(room, limit, filterPattern="nowhere") == [[]] * 13
    backward = await searched(room, limit, filterPattern="x", startFromHead=False)
    assert [message for page in backward for message in page] == ["xline\n", *in_order[::-1]]
    assert len(await searched(room, 100)) == 1


async def test_a_reader_waits_for_no_search_however_slow_its_pattern_is(room: Room, monkeypatch: pytest.MonkeyPatch):
    await room.made("g", "s")
    await room.put("g", "s", "one")
    held, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_: str) -> bool:
        loop.call_soon_threadsafe(begun.set)
        return held.wait(60)

    searches = [
        asyncio.create_task(room.groups.read(SCOPE, "g", Query(wanted=slow), Page(forward=True))) for _ in range(3)
    ]
    try:
        await begun.wait()
        reading = asyncio.create_task(room.read("g"))
        done, _ = await asyncio.wait([reading], timeout=30)
        assert done and reading.result() == ["one"]
        assert not any(search.done() for search in searches)
    finally:
        held.set()
        await asyncio.gather(*searches)


@given(
    st.text(max_size=40) | st.from_regex(r"\d{1,12}\.\d{0,30}\.[0-9a-f]{12}", fullmatch=True),
    st.floats(allow_nan=False),
)
def test_whatever_a_file_says_of_a_worker_or_a_time_its_line_has_a_stream(worker: str, at: float):
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[(\$LATEST|\d{1,20})\][0-9a-f]{32}", stream_of("arn:x", at, worker))
