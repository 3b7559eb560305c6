"""A bus, queues and alarms over the memory engine, with real parts; no functions run here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from busway.arn import Scope
from busway.bus.buses import Buses, Kit
from busway.bus.put_events import EventEntry, Publisher
from busway.bus.record import TargetSpec
from busway.bus.router import Router
from busway.bus.routing import Ports
from busway.bus.rules import Rules
from busway.clock import ManualClock, SeededEntropy, settle
from busway.config import Settings
from busway.delivery import Delivered, Delivery, Failed, Outcome, Target
from busway.delivery.dead_letter import Source
from busway.delivery.outbox import Outbox, Parts
from busway.engine import Item, Put
from busway.engine.memory import MemoryEngine
from busway.function.mapping.mappings import Mappings
from busway.function.mapping.record import MappingChange, MappingRecord, NewMapping
from busway.function.mapping.runner import Desk
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.redrive import Redrive
from busway.stream.registry import NewStream
from busway.stream.streams import Streams
from busway.targets.destinations import FunctionDestinations
from busway.targets.queue import QueueTarget
from busway.targets.stream import StreamTarget
from busway.targets.ways_back import WaysBack
from busway.trail import Trail

from ..function.mapping.mapping_world import FUNCTION as READER, ROLE, TestRunner

SCOPE = Scope()
FUNCTION = SCOPE.arn("lambda", "function:mail")


class Outside:
    """A target that needs attempts, `lambda`-shaped: `answers` in turn, the last for ever."""

    def __init__(self) -> None:
        self.answers: list[Outcome] = [Delivered()]
        self.attempted: list[Delivery] = []

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        self.attempted.append(delivery)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine = MemoryEngine(self.clock)
        self.metrics, self.trail = Metrics(self.clock), Trail(self.clock)
        entropy = SeededEntropy(1)
        self.kit = Kit(self.engine, self.clock, entropy, self.metrics, self.trail, Settings())
        self.buses = Buses(self.kit)
        self.rules, self.publisher = Rules(self.buses), Publisher(self.buses)
        self.queues = SqsQueues(self.engine, self.clock, entropy, self.metrics)
        self.dead_letters = QueueDeadLetters(self.queues, self.metrics)
        self.outside = Outside()
        self.streams = Streams(self.engine, self.clock, entropy, self.metrics)
        targets: Mapping[str, Target] = {
            "sqs": QueueTarget(self.queues), "lambda": self.outside, "kinesis": StreamTarget(self.streams),
        }  # fmt: skip
        parts = Parts(
            self.engine, self.clock, entropy, self.metrics, self.trail, targets, self.dead_letters, first_retry_s=1.0
        )
        self.outbox = Outbox(parts)
        self.router = Router(self.buses, self.rules, Ports(targets, self.outbox, self.dead_letters))
        self.runner = TestRunner()
        letters = FunctionDestinations(self.engine, entropy, self.queues, self.publisher, cast(Any, None))
        self.mappings = Mappings(
            Desk(
                self.engine, self.clock, entropy, self.metrics, self.trail, self.queues, self.streams, self.runner,
                letters,
            ),
            self.clock,
        )  # fmt: skip
        # No functions are here but the mappings' own.
        self.ways = WaysBack(targets, self.outbox, cast(Any, None), self.queues, entropy)
        self.redrive = Redrive(
            self.engine, self.clock, {"rule-target": self.retarget, "queue": self.ways.to_queue},
            metrics=self.metrics, trail=self.trail, changed=self.queues.tell,
        )  # fmt: skip

    def retarget(self, source: Source, letter: Item, now: float) -> list[Put]:
        delivery = Delivery(
            event_id=source.event_id, target_arn=source.target_arn, payload=source.payload, accepted_at=now,
            bus_arn=source.bus_arn, rule_arn=source.rule_arn, target_id=source.target_id,
        )  # fmt: skip
        return [self.outbox.put_for(delivery, now)]

    async def open(self) -> None:
        await self.buses.open()
        await self.queues.open()
        await self.streams.open()
        await self.mappings.open()
        await self.outbox.open()
        await self.router.open()

    async def close(self) -> None:
        await self.router.close()
        await self.outbox.close()
        await self.mappings.close()
        await self.engine.close()

    async def queue(self, name: str) -> str:
        return (await self.queues.create(SCOPE, name)).arn

    async def stream(self, name: str) -> str:
        await self.streams.create(SCOPE, NewStream(name, 1))
        return SCOPE.arn("kinesis", f"stream/{name}")

    async def map(self, source_arn: str, **change: Any) -> MappingRecord:
        """A mapping to the function READER that has taken effect."""
        position = "TRIM_HORIZON" if ":kinesis:" in source_arn else None
        wanted = MappingChange(function_arn=READER, **change)
        record = await self.mappings.create(NewMapping(source_arn=source_arn, change=wanted, position=position))
        await settle(30)
        return record

    async def pass_time(self, seconds: float) -> None:
        """In steps of a tenth of a second, so that everything has its turn."""
        for _ in range(round(seconds * 10)):
            await self.clock.advance(0.1)
            await settle(20)

    async def rule(self, name: str, pattern: Any, *targets: str, bus: str | None = None, **about: Any) -> str:
        text = msgspec.json.encode(pattern).decode()
        arn = await self.rules.put(name, bus, SCOPE, {"EventPattern": text, **about})
        specs = [TargetSpec(id=f"t{number}", arn=target, role_arn=ROLE) for number, target in enumerate(targets)]
        if specs:
            await self.rules.put_targets(name, bus, SCOPE, specs)
        return arn

    async def put(self, *details: Mapping[str, Any], source: str = "shop", detail_type: str = "Order") -> list[str]:
        entries = [
            EventEntry(source=source, detail_type=detail_type, detail=msgspec.json.encode(detail).decode())
            for detail in details
        ]
        results = await self.publisher.put_events(entries, SCOPE, None)
        await settle(30)
        return [result.event_id or "" for result in results]
