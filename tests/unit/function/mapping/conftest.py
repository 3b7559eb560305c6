from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from busway.clock import ManualClock

from .mapping_world import World


@pytest.fixture
async def world(clock: ManualClock) -> AsyncIterator[World]:
    world = World(clock)
    await world.open()
    yield world
    await world.mappings.close()
    await world.engine.close()
