"""Any history of rule changes, events and crashes: what is delivered is what the journal asks for, each once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings, strategies as st

from busway.arn import Scope
from busway.bus.matching import ReferenceRules, expected
from busway.bus.put_events import EventEntry
from busway.bus.record import TargetSpec, rule_key
from busway.bus.room import BusRoom
from busway.bus.router import READER
from busway.bus.routing import Ports
from busway.clock import ManualClock, SeededEntropy, settle
from busway.config import Settings
from busway.delivery.outbox import Outbox, Parts
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.queue.dead_letters import QueueDeadLetters
from busway.queue.queues import SqsQueues
from busway.targets.queue import QueueTarget
from busway.trail import Trail

SCOPE = Scope()
BUS = SCOPE.arn("events", "event-bus/default")

rules = st.sampled_from(["a", "b"])
steps = st.one_of(
    st.tuples(st.just("events"), st.lists(st.integers(0, 3), min_size=1, max_size=5)),
    st.tuples(st.just("rule"), st.tuples(rules, st.lists(st.integers(0, 3), min_size=1, max_size=3))),
    st.tuples(st.just("toggle"), st.tuples(rules, st.booleans())),
    st.tuples(st.just("target"), st.tuples(rules, st.sampled_from(["q", "r", "gone"]))),
    st.tuples(st.just("untarget"), st.tuples(rules, st.sampled_from(["q", "r", "gone"]))),
    st.tuples(st.just("delete"), rules),
    st.tuples(st.just("run"), st.none()),
    st.tuples(st.just("crash"), st.sampled_from(["nothing lost", "position lost", "record lost"])),
)


class Process:
    """One life of a server on an engine that outlives it."""

    def __init__(self, engine: MemoryEngine, clock: ManualClock) -> None:
        self.engine = engine
        entropy, metrics, trail = SeededEntropy(1), Metrics(clock), Trail(clock)
        self.room = BusRoom(engine, clock, entropy, metrics, trail, Settings())
        self.queues = SqsQueues(engine, clock, entropy, metrics)
        letters = QueueDeadLetters(self.queues, metrics)
        targets = {"sqs": QueueTarget(self.queues)}
        outbox = Outbox(Parts(engine, clock, entropy, metrics, trail, targets, letters))
        self.router = self.room.router(Ports(targets, outbox, letters))

    async def start(self) -> Process:
        await self.room.open()
        await self.queues.open()
        for name in ("q", "r"):
            await self.queues.create(SCOPE, name)
        await self.room.buses.find(None, SCOPE)
        return self

    async def do(self, word: str, what: Any) -> None:
        room, bus = self.room.rules, self.room.buses.get(None, SCOPE)
        known = {rule.name for rule in await room.list(None, SCOPE)}
        if word == "events":
            entries = [EventEntry(source="s", detail_type="t", detail=json.dumps({"n": n})) for n in what]
            await self.room.publisher.put_events(entries, SCOPE, None)
        elif word == "rule":
            await room.put(what[0], None, SCOPE, {"EventPattern": json.dumps({"detail": {"n": what[1]}})})
        elif word == "run":
            await self.router.open()
            await settle(30)
        elif word == "delete" and what in known and not (await room.describe(what, None, SCOPE)).targets:
            await room.delete(what, None, SCOPE)
        elif word == "toggle" and what[0] in known:
            await room.set_state(what[0], None, SCOPE, what[1])
        elif word == "target" and what[0] in known:
            await room.put_targets(what[0], None, SCOPE, [TargetSpec(id=what[1], arn=SCOPE.arn("sqs", what[1]))])
        elif word == "untarget" and what[0] in known:
            await room.remove_targets(what[0], None, SCOPE, [what[1]])
        assert bus is not None

    async def crash(self, lost: str) -> None:
        """Die between two calls: a position or the record of the newest change may not have been written."""
        await self.router.close()
        bus = self.room.buses.get(None, SCOPE)
        newest = max((version.offset for rule in bus.rules.values() for version in rule.versions), default=0)
        position = await self.engine.journal.position(BUS, READER)
        if lost == "position lost":
            self.engine.journal._logs[BUS].positions[READER] = 0
        if lost == "record lost" and newest > position:
            for arn, rule in list(bus.rules.items()):
                if rule.versions[-1].offset == newest:
                    older = rule.versions[:-1]
                    if older:
                        await self.room.buses.save_rule(bus, arn, type(rule)(arn, BUS, older))
                    else:
                        await self.engine.records.delete(rule_key(arn))


async def live(history: list[tuple[str, Any]]) -> None:
    clock = ManualClock()
    engine = MemoryEngine(clock)
    process = await Process(engine, clock).start()
    await engine.journal.append(BUS, [b'!{"rule_arn":"none"}'])
    for word, what in [*history, ("run", None)]:
        if word == "crash":
            await process.crash(what)
            process = await Process(engine, clock).start()
        else:
            await process.do(word, what)
    await settle(50)
    await process.router.close()
    entries = await engine.journal.read(BUS, 0, 10_000)
    asked = sorted((offset, subscriber.name) for offset, subscriber in expected(entries, ReferenceRules()))
    found = [
        (item.origin.offset, item.origin.subscriber)
        for queue in await engine.queues.names()
        for item in await engine.queues.browse(queue, 10_000)
        if item.origin is not None
    ]
    assert sorted(found) == asked


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=25))
def test_what_is_delivered_is_what_the_journal_asks_for(history: list[tuple[str, Any]]):
    asyncio.run(live(history))
