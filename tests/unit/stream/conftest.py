from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.stream.reading import ShardReader
from busway.stream.streams import Streams

SCOPE = Scope()


@pytest.fixture
async def engine(clock: ManualClock) -> AsyncIterator[MemoryEngine]:
    engine = MemoryEngine(clock)
    yield engine
    await engine.close()


@pytest.fixture
def metrics(clock: ManualClock) -> Metrics:
    return Metrics(clock)


@pytest.fixture
async def streams(engine: MemoryEngine, clock: ManualClock, entropy: SeededEntropy, metrics: Metrics) -> Streams:
    streams = Streams(engine, clock, entropy, metrics)
    await streams.open()
    return streams


@pytest.fixture
def reader(streams: Streams, clock: ManualClock, metrics: Metrics) -> ShardReader:
    return ShardReader(streams, clock, metrics)
