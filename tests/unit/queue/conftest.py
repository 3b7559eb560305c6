from __future__ import annotations

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.queue.queues import SqsQueues


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> MemoryEngine:
    return MemoryEngine(clock)


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    return Metrics(clock)


@pytest.fixture
async def queues(engine: MemoryEngine, clock: ManualClock, metrics: Metrics) -> SqsQueues:
    opened = SqsQueues(engine, clock, SeededEntropy(1), metrics)
    await opened.open()
    return opened


@pytest.fixture
def scope() -> Scope:
    return Scope()
