from __future__ import annotations

import pytest

from busway.clock import ManualClock
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> MemoryEngine:
    return MemoryEngine(clock)


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    return Metrics(clock)
