"""Any sequence of calls gives the same answers on both engines, also when the embedded one is opened again."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from busway.clock import ManualClock
from busway.engine import Engine, Item, Once, Origin, Put
from busway.engine.embedded import EmbeddedEngine, open_embedded
from busway.engine.memory import MemoryEngine

QUEUES = st.sampled_from(["a", "b"])
# Items of "f" have groups.
ALL_QUEUES = st.sampled_from(["a", "b", "f", "f"])
SUBSCRIBERS = st.sampled_from(["s", "t"])
SECONDS = st.sampled_from([0.0, 1.0, 5.0, 30.0])


def fail(exc: BaseException) -> None:
    raise exc


def seen(item: Item | None) -> object:
    """An item without what engines choose themselves."""
    return item and (item.body, item.meta, item.attempts, item.put_at, item.due_at, item.origin, item.first_leased_at)


class EnginesAgree(RuleBasedStateMachine):
    """Ids and tokens differ between the engines (a restart skips some), so items are compared without them."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.model = MemoryEngine(self.clock)
        self.real: EmbeddedEngine = self.runner.run(self.opened())
        self.bodies = 0
        self.offset = 1_000_000
        self.leased: list[tuple[Item, Item]] = []
        self.offsets: list[tuple[int, int]] = []

    async def opened(self) -> EmbeddedEngine:
        return await open_embedded(Path(self.folder.name), self.clock, on_fatal=fail, reserve_mb=0)

    def both(self, call: Any) -> tuple[Any, Any]:
        async def run() -> tuple[Any, Any]:
            return await call(self.model, 0), await call(self.real, 1)

        return self.runner.run(run())

    def same(self, call: Any) -> Any:
        model, real = self.both(call)
        assert real == model
        return model

    @rule(queue=QUEUES, count=st.integers(1, 4), in_s=SECONDS)
    def put(self, queue: str, count: int, in_s: float) -> None:
        bodies = [b"%d" % (self.bodies + number) for number in range(count)]
        self.bodies += count
        puts = [Put(queue, body, self.clock.now() + in_s, b"m") for body in bodies]
        self.both(lambda engine, _: engine.queues.put(puts))

    @rule(
        groups=st.lists(st.sampled_from("gh"), min_size=1, max_size=5),
        in_s=SECONDS,
        keys=st.lists(st.sampled_from([None, "k", "l", "m"]), min_size=5, max_size=5),
        kept_s=st.sampled_from([5.0, 300.0]),
    )
    def put_in_groups(self, groups: list[str], in_s: float, keys: list[str | None], kept_s: float) -> None:
        now, puts = self.clock.now(), list[Put]()
        for group, key in zip(groups, keys, strict=False):
            self.bodies += 1
            once = None if key is None else Once(key, now + kept_s)
            puts.append(Put("f", b"%d" % self.bodies, now + in_s, b"m", group=group, once=once))
        model, real = self.both(lambda engine, _: engine.queues.put(puts))
        assert [number > 0 for number in model] == [number > 0 for number in real]

    @rule()
    def put_of_both_kinds(self) -> None:
        async def call(engine: Engine, _: int) -> bool:
            try:
                await engine.queues.put([Put("f", b"x", 0.0), Put("f", b"x", 0.0, group="g")])
            except ValueError:
                return True
            return False

        assert self.same(call)

    @rule(subscriber=SUBSCRIBERS, queue=QUEUES, steps=st.lists(st.integers(-2, 3), min_size=1, max_size=4))
    def route(self, subscriber: str, queue: str, steps: list[int]) -> None:
        puts: list[Put] = []
        for step in steps:
            self.offset = max(1, self.offset + step)
            self.bodies += 1
            puts.append(Put(queue, b"%d" % self.bodies, 0.0, b"", Origin(subscriber, self.offset)))

        async def call(engine: Engine, _: int) -> list[bool]:
            return [item_id > 0 for item_id in await engine.queues.put(puts, accepted=True)]

        self.same(call)

    @rule(queue=ALL_QUEUES, limit=st.integers(1, 4), lease_s=st.sampled_from([5.0, 30.0]))
    def lease(self, queue: str, limit: int, lease_s: float) -> None:
        model, real = self.both(lambda engine, _: engine.queues.lease(queue, limit, lease_s))
        assert [seen(item) for item in real] == [seen(item) for item in model]
        self.leased += list(zip(model, real, strict=True))

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), word=st.sampled_from(["delivered", "dead-lettered"]))
    def done(self, data: st.DataObject, word: str) -> None:
        pairs = data.draw(st.lists(st.sampled_from(self.leased), min_size=1, max_size=3))
        self.same(lambda engine, side: engine.queues.done([pair[side] for pair in pairs], word))

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), in_s=SECONDS, meta=st.sampled_from([None, b"", b"new"]))
    def release(self, data: st.DataObject, in_s: float, meta: bytes | None) -> None:
        pair = data.draw(st.sampled_from(self.leased))
        self.same(lambda engine, side: engine.queues.release(pair[side], self.clock.now() + in_s, meta))

    @precondition(lambda self: self.leased)
    @rule(data=st.data(), in_s=SECONDS)
    def refund(self, data: st.DataObject, in_s: float) -> None:
        pair = data.draw(st.sampled_from(self.leased))
        self.same(lambda engine, side: engine.queues.refund(pair[side], self.clock.now() + in_s))

    @rule(queue=ALL_QUEUES)
    def purge(self, queue: str) -> None:
        self.same(lambda engine, _: engine.queues.purge(queue))

    @rule(size=st.integers(1, 3))
    def append(self, size: int) -> None:
        self.offsets.append(self.both(lambda engine, _: engine.journal.append("bus", [b"x"] * size)))

    @precondition(lambda self: self.offsets)
    @rule(data=st.data(), age_s=SECONDS)
    def trim(self, data: st.DataObject, age_s: float) -> None:
        # Up to just below an append: within one, engines may differ.
        pair = data.draw(st.sampled_from(self.offsets))
        self.same(lambda engine, side: engine.journal.trim("bus", self.clock.now() - age_s, pair[side] - 1))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.runner.run(self.clock.advance(seconds))

    @rule()
    def restart(self) -> None:
        async def again() -> EmbeddedEngine:
            await self.real.close()
            return await self.opened()

        self.real = self.runner.run(again())

    @rule(queue=ALL_QUEUES)
    def look(self, queue: str) -> None:
        async def call(engine: Engine, _: int) -> object:
            return (
                await engine.queues.counts(queue),
                await engine.queues.names(),
                [seen(item) for item in await engine.queues.browse(queue, 1000)],
                [await engine.queues.pending(name) for name in "st"],
                [[replace(e, attempts=e.attempts) for e in await engine.queues.outcomes(name)] for name in "st"],
                [(e.at, e.data) for e in await engine.journal.read("bus", 0, 1000)],
            )

        self.same(call)

    def teardown(self) -> None:
        for queue in "abf":
            self.look(queue)
        self.runner.run(self.real.close())
        self.runner.close()
        self.folder.cleanup()


# Offsets here are made up, so they belong to no journal and a trim never touches outcomes: `conformance` holds that.
TestEnginesAgree = EnginesAgree.TestCase
TestEnginesAgree.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
