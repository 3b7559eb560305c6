"""What became of dead letters that were put back: told from what is queued and from new letters, not guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from busway.clock import settle
from busway.delivery import Delivered, Failed
from busway.redrive import DELIVERED, FAILED, UNDER_WAY, Outcome, Outcomes, Selection

from ..inspect.world import SCOPE, World
from .test_back import fail


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    yield made
    await made.close()


async def redriven(world: World) -> Outcomes:
    follow = Outcomes(world.engine, world.clock, SCOPE)
    await follow.begin()
    async for _ in world.redrive.run(SCOPE, Selection(), follow=follow):
        pass
    return follow


async def outcomes(world: World, follow: Outcomes, wait_s: float) -> tuple[list[Outcome], float]:
    """What `wait` gives, and how long it took on the world's clock."""
    began, task = world.clock.now(), asyncio.create_task(follow.wait(wait_s))
    while not task.done():
        await settle(30)
        if not task.done():
            await world.clock.advance(0.05)
    return task.result(), world.clock.now() - began


async def test_what_the_handler_took_is_delivered_and_told_at_once(world: World):
    ids = await fail(world, 1, 2)
    found, took_s = await outcomes(world, await redriven(world), 60)
    assert [(one.event_id, one.state) for one in found] == [(event_id, DELIVERED) for event_id in ids]
    assert took_s < 1


async def test_what_fails_for_good_again_is_failed_with_its_new_error(world: World):
    (event_id,) = await fail(world, 1)
    world.outside.answers = [Failed("NO_PERMISSIONS", "not yours", False)]
    ((one,), _) = await outcomes(world, await redriven(world), 60)
    assert (one.event_id, one.state, one.error_code, one.error_message) == (
        event_id, FAILED, "NO_PERMISSIONS", "not yours",
    )  # fmt: skip
    assert [letter.message_id for letter in await world.redrive.look(SCOPE, Selection())] == [one.message_id]


async def test_one_of_two_fails_again_and_each_is_told_as_it_went(world: World):
    ids = await fail(world, 1, 2)
    world.outside.answers = [Delivered(), Failed("NO_PERMISSIONS", "not yours", False)]
    found, _ = await outcomes(world, await redriven(world), 60)
    assert {one.event_id: one.state for one in found} == {ids[0]: DELIVERED, ids[1]: FAILED}


async def test_what_failed_once_more_and_waits_for_a_later_try_is_not_waited_for(world: World):
    await fail(world, 1)
    world.outside.answers = [Failed("THROTTLING", "busy", True, retry_after_s=500)]
    ((one,), took_s) = await outcomes(world, await redriven(world), 60)
    assert (one.state, one.attempts, one.error_code) == (UNDER_WAY, 1, "THROTTLING")
    assert one.due_at is not None and one.due_at > world.clock.now() + 400
    assert took_s < 1


async def test_the_wait_has_a_bound(world: World):
    await fail(world, 1)
    await world.outbox.close()
    ((one,), took_s) = await outcomes(world, await redriven(world), 3)
    assert one.state == UNDER_WAY
    assert 3 <= took_s < 4


async def test_a_letter_that_was_there_before_is_not_taken_for_the_new_one(world: World):
    (event_id,) = await fail(world, 1)
    world.outside.answers = [Failed("NO_PERMISSIONS", "not yours", False)]
    follow = await redriven(world)
    await outcomes(world, follow, 60)
    world.outside.answers = [Delivered()]
    ((one,), _) = await outcomes(world, await redriven(world), 60)
    assert (one.event_id, one.state) == (event_id, DELIVERED)


async def test_what_was_delivered_tells_at_which_try(world: World):
    await fail(world, 1)
    ((one,), _) = await outcomes(world, await redriven(world), 60)
    assert (one.state, one.attempts) == (DELIVERED, 1)
