"""A bus room on the memory engine with real queues as targets, and a clock that moves when told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from busway.arn import Scope
from busway.bus.put_events import EventEntry, EventResult
from busway.bus.record import TargetSpec
from busway.bus.room import BusRoom
from busway.bus.router import Router
from busway.bus.routing import Ports
from busway.clock import ManualClock, SeededEntropy, settle
from busway.config import Settings
from busway.delivery import Delivery, Outcome, Target
from busway.delivery.outbox import Outbox, Parts
from busway.engine import Item, Put
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.message import decode_meta
from busway.queue.queues import SqsQueues
from busway.targets.bus import BusTarget
from busway.targets.queue import QueueTarget
from busway.trail import Trail

SCOPE = Scope("123456789012", "eu-central-1")


class Outside:
    """A target that needs attempts: it answers with what it was told to, in order, then with the last."""

    def __init__(self) -> None:
        self.answers: list[Outcome] = []
        self.attempts: list[Delivery] = []

    def local(self, delivery: Delivery, now: float) -> None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        self.attempts.append(delivery)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Broken:
    """A target with a fault of its own."""

    def local(self, delivery: Delivery, now: float) -> Put | None:
        raise RuntimeError("a fault of ours")

    async def attempt(self, delivery: Delivery) -> Outcome:
        raise RuntimeError("a fault of ours")


@dataclass
class World:
    """Everything a bus works with. `start` makes a room of a new process on the same engine."""

    engine: MemoryEngine
    clock: ManualClock
    settings: Settings
    extra: dict[str, Target] = field(default_factory=dict[str, Target])

    async def start(self) -> World:
        entropy = SeededEntropy(7)
        self.metrics = Metrics(self.clock)
        self.trail = Trail(self.clock)
        self.room = BusRoom(self.engine, self.clock, entropy, self.metrics, self.trail, self.settings)
        self.queues = SqsQueues(self.engine, self.clock, entropy, self.metrics)
        await self.room.open()
        await self.queues.open()
        letters = QueueDeadLetters(self.queues, self.metrics)
        targets: dict[str, Target] = {
            "sqs": QueueTarget(self.queues),
            "events": BusTarget(self.room.publisher, self.clock, entropy),
            **self.extra,
        }
        self.outbox = Outbox(Parts(self.engine, self.clock, entropy, self.metrics, self.trail, targets, letters))
        self.router: Router = self.room.router(Ports(targets, self.outbox, letters))
        return self

    async def run(self) -> World:
        await self.outbox.open()
        await self.router.open()
        await settle(30)
        return self

    async def stop(self) -> None:
        await self.router.close()
        await self.outbox.close()

    async def queue(self, name: str) -> str:
        return (await self.queues.create(SCOPE, name)).arn

    async def rule(self, name: str, pattern: str, *targets: TargetSpec, bus: str | None = None) -> str:
        arn = await self.room.rules.put(name, bus, SCOPE, {"EventPattern": pattern})
        if targets:
            await self.room.rules.put_targets(name, bus, SCOPE, targets)
        return arn

    async def put(self, *entries: EventEntry, trace: str | None = None) -> list[EventResult]:
        results = await self.room.publisher.put_events(entries, SCOPE, trace)
        await settle(30)
        return results

    async def items(self, queue: str) -> list[Item]:
        return await self.engine.queues.browse(queue, 1000)

    async def bodies(self, queue: str) -> list[dict[str, Any]]:
        return [msgspec.json.decode(item.body) for item in await self.items(queue)]

    async def letters(self, queue: str) -> list[dict[str, str]]:
        """The attributes of the messages in a dead-letter queue."""
        metas = [decode_meta(item.meta) for item in await self.items(queue)]
        return [{name: value.text or "" for name, value in meta.attributes.items()} for meta in metas]

    # Test modules can't import this one, so what they make is made here.

    scope = SCOPE

    @staticmethod
    def entry(detail: str = '{"n":1}', source: str = "shop", kind: str = "Order", **rest: Any) -> EventEntry:
        return EventEntry(source=source, detail_type=kind, detail=detail, **rest)

    @staticmethod
    def undeliverable(bus: str = "default") -> str:
        return SCOPE.arn("sqs", f"busway-undeliverable-{bus}")

    @staticmethod
    def outside(*answers: Outcome) -> Outside:
        target = Outside()
        target.answers = list(answers)
        return target

    @staticmethod
    def broken() -> Broken:
        return Broken()

    def again(self, **extra: Target) -> World:
        """The same engine in a new process."""
        return World(self.engine, self.clock, self.settings, extra)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    made = await World(MemoryEngine(clock), clock, Settings()).start()
    yield made
    await made.stop()
