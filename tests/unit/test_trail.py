"""The live feed of what happens to events."""

from __future__ import annotations

import asyncio

from busway.clock import ManualClock, settle
from busway.trail import FACT_CHARS_MAX, FOLLOWER_BEHIND_MAX, Step, Trail


def made(size: int = 10) -> Trail:
    return Trail(ManualClock(), size)


def test_the_ring_keeps_the_newest_steps():
    trail = made(size=3)
    for number in range(5):
        trail.note("accepted", event_id=str(number))
    assert [step.facts["event_id"] for step in trail.recent()] == ["2", "3", "4"]
    assert [step.sequence for step in trail.recent(limit=1)] == [5]


def test_what_a_sender_wrote_at_length_is_kept_in_part():
    trail = made()
    trail.note("dropped", source="s" * 1_000_000, event_id="a")
    assert trail.recent()[0].facts == {"source": "s" * FACT_CHARS_MAX + "…", "event_id": "a"}


def test_steps_of_one_event_are_found():
    trail = made()
    trail.note("accepted", event_id="a")
    trail.note("accepted", event_id="b")
    trail.note("retried", event_id="a", error_message="no")
    assert [step.kind for step in trail.recent(event_id="a")] == ["accepted", "retried"]
    assert [step.sequence for step in trail.recent(kind="retried")] == [3]


async def test_a_follower_sees_what_happens_from_the_call_on():
    trail = made()
    trail.note("accepted", event_id="before")
    follower = trail.follow()
    trail.note("accepted", event_id="after")
    assert (await anext(follower)).facts == {"event_id": "after"}


async def test_a_follower_may_begin_with_what_was_kept():
    trail = made()
    trail.note("accepted", event_id="a")
    trail.note("accepted", event_id="b")
    assert (await anext(trail.follow(after=1))).facts == {"event_id": "b"}


async def test_a_waiting_follower_is_woken():
    trail = made()
    follower = trail.follow()
    seen: list[Step] = []

    async def read() -> None:
        seen.extend([step async for step in follower])

    task = asyncio.create_task(read())
    await settle()
    trail.note("delivered", event_id="a")
    follower.close()
    await task
    assert [step.kind for step in seen] == ["delivered"]


async def test_nobody_listens_once_followers_are_closed_or_dropped():
    trail = made()
    assert not trail.listening
    with trail.follow():
        assert trail.listening
    assert not trail.listening
    dropped = trail.follow()
    assert trail.listening
    del dropped
    assert not trail.listening


async def test_a_slow_follower_is_told_how_much_it_missed():
    trail = made()
    follower = trail.follow()
    for _ in range(FOLLOWER_BEHIND_MAX + 3):
        trail.note("accepted")
    first = await anext(follower)
    assert (first.kind, first.facts) == ("missed", {"count": 3})
    assert (await anext(follower)).sequence == 4
