"""The manual clock, which every test with a retry or a lease in it stands on."""

from __future__ import annotations

import asyncio

from busway.clock import ManualClock, first_of


async def test_a_sleep_counts_from_when_it_was_asked_for_even_if_time_moves_before_it_begins():
    clock = ManualClock()
    asleep = asyncio.ensure_future(clock.sleep(30))
    await clock.advance(30)
    assert asleep.done()


async def test_a_limit_set_in_the_turn_in_which_time_moves_is_reached():
    clock, never = ManualClock(), asyncio.Event()
    limited = asyncio.ensure_future(first_of(clock, never.wait(), 30))
    await asyncio.sleep(0)
    await clock.advance(30)
    assert limited.done() and limited.result() is None
