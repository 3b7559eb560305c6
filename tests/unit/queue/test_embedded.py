"""What the queue room needs of an engine, on the embedded one: receipts, the sweep, the redrive policy."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine import Counts, Engine
from busway.engine.embedded import open_embedded
from busway.metrics import Metrics
from busway.queue.message import Outgoing
from busway.queue.queues import SqsQueues, VisibilityChange


@pytest.fixture
async def stored(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Engine]:
    engine = await open_embedded(tmp_path, clock, on_fatal=lambda error: None)
    yield engine
    await engine.close()


async def test_messages_expire_move_and_change_visibility(stored: Engine, clock: ManualClock, metrics: Metrics):
    queues = SqsQueues(stored, clock, SeededEntropy(1), metrics)
    await queues.open()
    dead = await queues.create(Scope(), "dead")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    work = await queues.create(Scope(), "work", {"RedrivePolicy": policy, "MessageRetentionPeriod": "60"})
    await queues.send(work.arn, [Outgoing("poison")], "me")
    (received,) = await queues.receive(work.arn)
    handle = received.receipt.handle()
    assert await queues.change_visibility(work.arn, [VisibilityChange(handle, 5)]) == [None]
    assert await queues.counts(work.arn) == Counts(ready=0, leased=1, delayed=0)
    await clock.advance(5)
    assert await queues.receive(work.arn) == []
    (letter,) = await queues.receive(dead.arn)
    assert (letter.item.body, letter.receive_count) == (b"poison", 2)
    assert await queues.remove(dead.arn, [letter.receipt.handle()]) == [None]
    assert await queues.counts(dead.arn) == Counts(0, 0, 0)
    await queues.send(work.arn, [Outgoing("nobody reads this")], "me")
    await clock.advance(60)
    assert await queues.sweep() == 1
    assert await queues.counts(work.arn) == Counts(0, 0, 0)
