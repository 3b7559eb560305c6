"""Order per key through any resharding, restart and trimming, against a plain list per key.

The reader is a consumer as AWS wants one: it reads parents to their end before their children.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.errors import InvalidStreamRequest, StreamLimitExceeded
from busway.metrics import Metrics
from busway.stream.registry import NewStream
from busway.stream.streams import NewRecord, Streams

from .conftest import SCOPE

KEYS = [f"key {n}" for n in range(9)]


class Consumer:
    """Reads a stream in order; remembers how far in each shard."""

    def __init__(self) -> None:
        self.read: dict[str, list[int]] = {key: [] for key in KEYS}
        self.after: dict[str, int] = {}
        self.finished: set[str] = set()

    async def round(self, streams: Streams, arn: str, limit: int) -> None:
        listed = {shard.id for shard in streams.shards(arn)}
        for shard in streams.shards(arn):
            if shard.id in self.finished or any(p in listed and p not in self.finished for p in shard.parents):
                continue
            entries = await streams.read(shard, self.after.get(shard.id, 0), limit)
            for entry in entries:
                self.read[entry.partition_key].append(int(entry.data))
                self.after[shard.id] = entry.offset
            if shard.closed and self.after.get(shard.id, 0) >= await streams.head(shard):
                self.finished.add(shard.id)


class Ordered(RuleBasedStateMachine):
    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(shards=st.integers(1, 4), seed=st.integers(0, 99))
    def begin(self, shards: int, seed: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock, self.seed = ManualClock(), seed
        self.engine = MemoryEngine(self.clock)
        self.put: dict[str, list[int]] = {key: [] for key in KEYS}
        self.next = 0
        self.consumer = Consumer()
        self.restart()
        self.arn = self.run(self.streams.create(SCOPE, NewStream("s", shards))).arn

    @rule()
    def restart(self) -> None:
        self.streams = Streams(self.engine, self.clock, SeededEntropy(self.seed), Metrics(self.clock))
        self.run(self.streams.open())

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=20))
    def put_records(self, keys: list[str]) -> None:
        records = [NewRecord(b"%d" % (self.next + n), key) for n, key in enumerate(keys)]
        for n, key in enumerate(keys):
            self.put[key].append(self.next + n)
        self.next += len(keys)
        self.run(self.streams.put_records(self.arn, records))

    @rule(which=st.integers(0, 50))
    def split(self, which: int) -> None:
        here = self.streams.need(self.arn).open_shards
        shard = here[which % len(here)]
        self.run(self.streams.split(self.arn, shard.id, (shard.low + shard.high + 1) // 2))

    @rule(which=st.integers(0, 50))
    def merge(self, which: int) -> None:
        here = self.streams.need(self.arn).open_shards
        if len(here) > 1:
            at = which % (len(here) - 1)
            self.run(self.streams.merge(self.arn, here[at].id, here[at + 1].id))

    @rule(count=st.integers(1, 12))
    def scale(self, count: int) -> None:
        try:
            self.run(self.streams.scale(self.arn, count))
        except (StreamLimitExceeded, InvalidStreamRequest):
            return

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=9))
    def put_while_it_is_split(self, keys: list[str]) -> None:
        """Puts one after the other, as one producer would, while a change of the shards is under way."""

        async def producer() -> None:
            for key in keys:
                await self.streams.put_records(self.arn, [NewRecord(b"%d" % self.next, key)])
                self.put[key].append(self.next)
                self.next += 1

        async def both() -> None:
            count = min(12, 2 * len(self.streams.need(self.arn).open_shards))
            await asyncio.gather(producer(), self.streams.scale(self.arn, count))

        try:
            self.run(both())
        except StreamLimitExceeded:
            return

    @rule(limit=st.integers(1, 30))
    def consume(self, limit: int) -> None:
        self.run(self.consumer.round(self.streams, self.arn, limit))

    @invariant()
    def what_was_read_is_a_beginning_of_what_was_put(self) -> None:
        if hasattr(self, "consumer"):
            for key in KEYS:
                read = self.consumer.read[key]
                assert read == self.put[key][: len(read)]

    def teardown(self) -> None:
        if not hasattr(self, "consumer"):
            return
        for _ in range(200):
            self.consume(10_000)
        assert self.consumer.read == self.put
        self.loop.close()


Ordered.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestOrdered = Ordered.TestCase
