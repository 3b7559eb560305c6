"""Live Tail: what came since the last look and nothing else, bounded, and for nothing where nothing came."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from busway.arn import Scope
from busway.aws.errors import AwsError
from busway.aws.services.logs_live_tail import LiveTailEvents
from busway.clock import ManualClock
from busway.errors import (
    EngineStopped,
    InvalidLogOperation,
    LogGroupNotFound,
    LogLimitExceeded,
    LogSessionEnded,
    LogSessionTimedOut,
)
from busway.function.log_files import LogFiles
from busway.logs.filter import parse_filter
from busway.logs.groups import Query
from busway.logs.live_tail import (
    EVERY_S,
    SESSION_S,
    SESSIONS_MAX,
    UPDATE_BYTES_MAX,
    UPDATE_EVENTS_MAX,
    LiveTails,
    Session,
    Update,
)

from .log_room import SCOPE, Room, printed

OWN, FUNCTION_GROUP = "g", "/aws/lambda/shop"


@pytest.fixture(params=["memory", "disk"])
def room(clock: ManualClock, tmp_path: Path, request: pytest.FixtureRequest) -> Room:
    """Lines of functions are in memory or in files."""
    return Room(clock, tmp_path if request.param == "disk" else None)


class Tails(LiveTails):
    """Those of a room, and how a client sees them."""

    def __init__(self, room: Room) -> None:
        super().__init__(room.groups, room.clock)
        self.room = room

    async def of(self, *names: str, **query: Any) -> Session:
        return await self.start(SCOPE, names or (OWN,), Query(**query))

    async def next(self, session: Session, after_s: float = EVERY_S) -> Update:
        looking = asyncio.ensure_future(anext(session))
        await asyncio.sleep(0)
        await self.room.clock.advance(after_s)
        return await looking

    async def seen(self, session: Session) -> list[str]:
        update = await self.next(session)
        assert not update.sampled
        return [event.message for _, event in update.events]


@pytest.fixture
async def tails(room: Room) -> Tails:
    await room.made(OWN, "s", "t")
    printed(room, "before")
    await room.put(OWN, "s", "before")
    return Tails(room)


async def test_a_session_sees_each_event_that_comes_once_and_none_from_before(tails: Tails):
    session = await tails.of(OWN, FUNCTION_GROUP)
    assert await tails.seen(session) == []
    for turn in range(3):
        await tails.room.put(OWN, "s", f"put {turn}")
        await tails.room.clock.advance(0.01)
        printed(tails.room, f"printed {turn}", f"again {turn}")
        assert await tails.seen(session) == [f"put {turn}", f"printed {turn}\n", f"again {turn}\n"]
    assert await tails.seen(session) == []


async def test_lines_of_one_moment_are_told_apart_also_where_the_clock_stands_still(tails: Tails):
    groups, found = tails.room.groups, list[str]()
    mark = await groups.mark(SCOPE, FUNCTION_GROUP)
    for turn in range(3):
        printed(tails.room, f"{turn}")
        mark = await groups.read_new(SCOPE, FUNCTION_GROUP, Query(), mark, lambda event: found.append(event.message))
    assert found == ["0\n", "1\n", "2\n"]


async def test_an_event_is_told_with_its_group_also_when_it_happened_long_ago(tails: Tails):
    session = await tails.of(OWN, FUNCTION_GROUP)
    await tails.room.put(OWN, "t", "late", ago_ms=86_400_000)
    ((group, event),) = (await tails.next(session)).events
    assert (group, event.stream, event.message) == (OWN, "t", "late")
    assert event.ingested_ms - event.at_ms == 86_400_000


async def test_only_what_the_pattern_finds_in_the_streams_asked_for_is_told(tails: Tails):
    room = tails.room
    wanted = await tails.of(OWN, wanted=parse_filter("{ $.total > 100 }"))
    named = await tails.of(OWN, streams=frozenset(("t", "not yet")))
    begun = await tails.of(OWN, prefix=("t", "not"))
    await room.put(OWN, "s", '{"total": 101}', '{"total": 1}')
    await room.put(OWN, "t", "in t")
    await room.groups.create_stream(SCOPE, OWN, "not yet")
    await room.put(OWN, "not yet", "in the new one")
    assert await tails.seen(wanted) == ['{"total": 101}']
    assert await tails.seen(named) == await tails.seen(begun) == ["in t", "in the new one"]


async def test_a_function_s_lines_of_other_streams_are_passed_over_once(
    tails: Tails, monkeypatch: pytest.MonkeyPatch
):
    room, begun = tails.room, list[float]()
    session = await tails.of(FUNCTION_GROUP, streams=frozenset(("own",)))
    await room.groups.create_stream(SCOPE, FUNCTION_GROUP, "own")
    scan = room.printed.scan

    async def noted(function: str, since: float, take: Any) -> None:
        begun.append(since)
        await scan(function, since, take)

    monkeypatch.setattr(room.printed, "scan", noted)
    for _ in range(3):
        printed(room, "a line")
        await room.put(FUNCTION_GROUP, "own", "an event")
        assert await tails.seen(session) == ["an event"]
    assert [round(later - begun[0]) for later in begun] == [0, 1, 2]


async def test_a_session_whose_groups_are_quiet_reads_nothing(tails: Tails, monkeypatch: pytest.MonkeyPatch):
    session = await tails.of(OWN, FUNCTION_GROUP)
    room, read = tails.room, list[str]()
    journal, scan = room.engine.journal.read, room.printed.scan

    async def noted_journal(*given: Any) -> Any:
        read.append("journal")
        return await journal(*given)

    async def noted_scan(*given: Any) -> Any:
        read.append("lines")
        return await scan(*given)

    monkeypatch.setattr(room.engine.journal, "read", noted_journal)
    monkeypatch.setattr(room.engine.journal, "offset_at", None)
    monkeypatch.setattr(room.printed, "scan", noted_scan)
    monkeypatch.setattr(LogFiles, "kept_of", None)
    for _ in range(10):
        assert await tails.seen(session) == []
    assert read == []
    printed(room, "a line")
    assert await tails.seen(session) == ["a line\n"]
    assert await tails.seen(session) == [] and read == ["lines"]


async def test_a_look_reads_what_came_since_the_last_one_and_no_more(tails: Tails, monkeypatch: pytest.MonkeyPatch):
    for number in range(20):
        await tails.room.put(OWN, "s", f"old {number}")
    session, offsets = await tails.of(), list[int]()
    read = tails.room.engine.journal.read
    await tails.room.put(OWN, "s", "new")

    async def noted(journal: str, after: int, limit: int) -> Any:
        found = await read(journal, after, limit)
        offsets.extend(entry.offset for entry in found)
        return found

    monkeypatch.setattr(tails.room.engine.journal, "read", noted)
    assert await tails.seen(session) == ["new"]
    assert len(offsets) == 1


async def test_more_events_than_an_update_may_have_are_a_sample_that_says_so(tails: Tails):
    session = await tails.of()
    messages = [f"{number:04}" for number in range(1_200)]
    for start in range(0, 1_200, 100):
        await tails.room.put(OWN, "s", *messages[start : start + 100])
    update = await tails.next(session)
    found = [event.message for _, event in update.events]
    assert update.sampled and len(found) == UPDATE_EVENTS_MAX
    assert found == sorted(found) and found[0] < "0010" and found[-1] > "1190"
    # What was left out is not told later.
    assert await tails.seen(session) == []


async def test_an_update_of_large_messages_is_bounded_by_their_bytes(tails: Tails, monkeypatch: pytest.MonkeyPatch):
    session = await tails.of()
    for _ in range(20):
        await tails.room.put(OWN, "s", "x" * 2_000)
    monkeypatch.setattr("busway.logs.live_tail.UPDATE_BYTES_MAX", 10_000)
    update = await tails.next(session)
    assert update.sampled and 1 < len(update.events) * 2_000 <= 10_000
    assert UPDATE_BYTES_MAX == 1_048_576


async def test_who_reads_slowly_gets_what_came_meanwhile_as_one_update(tails: Tails):
    session = await tails.of()
    for minute in range(5):
        await tails.room.put(OWN, "s", str(minute))
        await tails.room.clock.advance(60)
    assert await tails.seen(session) == ["0", "1", "2", "3", "4"]


async def test_a_group_that_is_deleted_and_made_anew_goes_on(tails: Tails):
    session = await tails.of()
    await tails.room.groups.delete(SCOPE, OWN)
    assert await tails.seen(session) == []
    await tails.room.made(OWN, "s")
    await tails.room.put(OWN, "s", "anew")
    assert await tails.seen(session) == ["anew"]


async def test_a_group_that_is_not_there_has_no_session(tails: Tails):
    with pytest.raises(LogGroupNotFound):
        await tails.of(OWN, "gone")
    with pytest.raises(LogGroupNotFound):
        await tails.start(Scope("210987654321"), [OWN], Query())
    with pytest.raises(LogGroupNotFound):
        await tails.of("/aws/lambda/never-ran")
    assert tails.count(SCOPE) == 0


async def test_a_group_of_a_class_without_live_tail_has_no_session(tails: Tails):
    await tails.room.groups.create(SCOPE, "cheap", kind="INFREQUENT_ACCESS")
    with pytest.raises(InvalidLogOperation, match="cheap is INFREQUENT_ACCESS"):
        await tails.of(OWN, "cheap")


async def test_sessions_of_an_account_and_region_are_bounded_and_a_closed_one_makes_room(tails: Tails):
    sessions = [await tails.of() for _ in range(SESSIONS_MAX)]
    with pytest.raises(LogLimitExceeded, match="15 concurrent"):
        await tails.of()
    other = Scope("210987654321")
    await tails.room.groups.create(other, OWN)
    await tails.start(other, [OWN], Query())
    sessions[0].close()
    sessions[0].close()
    await tails.of()
    assert tails.count(SCOPE) == SESSIONS_MAX
    with pytest.raises(LogLimitExceeded):
        await tails.of()


async def test_a_session_times_out_after_three_hours(tails: Tails):
    session = await tails.of()
    await tails.room.clock.advance(SESSION_S - 2 * EVERY_S)
    assert await tails.seen(session) == []
    with pytest.raises(LogSessionTimedOut, match="3 hours"):
        await tails.next(session)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (LogSessionTimedOut("over"), "SessionTimeoutException", "over"),
        (LogSessionEnded("stopping"), "SessionStreamingException", "stopping"),
        (EngineStopped("the disk is gone"), "SessionStreamingException", "the disk is gone"),
        (RuntimeError("/etc/secret is broken"), "SessionStreamingException", "log tells why"),
    ],
)
async def test_whatever_ends_a_session_is_told_by_an_exception_that_its_stream_may_have(
    tails: Tails, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, text: str
):
    session = await tails.of()
    events = LiveTailEvents({"sessionId": "s"}, session, SCOPE)
    assert await events.__anext__() == {"sessionStart": {"sessionId": "s"}}

    async def fails(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(tails.room.groups, "read_new", fails)
    looking = asyncio.ensure_future(events.__anext__())
    await asyncio.sleep(0)
    await tails.room.clock.advance(EVERY_S)
    with pytest.raises(AwsError) as caught:
        await looking
    assert caught.value.code == code and text in caught.value.message and "secret" not in caught.value.message
    await events.aclose()
    assert tails.count(SCOPE) == 0


async def test_a_server_that_stops_ends_sessions_at_once_and_begins_none(tails: Tails):
    session = await tails.of()
    waiting = asyncio.ensure_future(anext(session))
    await asyncio.sleep(0)
    tails.end()
    with pytest.raises(LogSessionEnded):
        await waiting
    with pytest.raises(LogSessionEnded):
        await anext(await tails.of())
