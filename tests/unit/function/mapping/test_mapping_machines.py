"""Mappings against a simple model: failures, partial failures, throttles, resharding, changes and crashes at will.

nothing is lost      every record is handled, or a destination was told of it
nothing is skipped   what stands before the checkpoint is handled or told of, and the ledger accounts for it
order holds          a record is handled only after all earlier ones of its key (or group) are done with
nothing is repeated  but after a crash
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from busway.clock import ManualClock, settle
from busway.errors import FunctionThrottled
from busway.function.mapping.proof import prove
from busway.function.mapping.record import MappingChange, MappingRecord
from busway.queue.message import Outgoing

from .mapping_world import FAILURES, SCOPE, STREAM, HandlerFailed, World, report

T = TypeVar("T")
FIFO = SCOPE.arn("sqs", "orders.fifo")
LETTERS = SCOPE.arn("sqs", "letters.fifo")

KEYS = ["a", "b", "c", "d"]
MESSAGES = st.lists(st.sampled_from(KEYS), min_size=1, max_size=10)
# Records to be, by key and how many of that key come before: the handler fails at them.
POISON = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 3)), max_size=2)
SETTINGS = settings(
    max_examples=400 if os.environ.get("BUSWAY_NIGHTLY") else 25, stateful_step_count=25, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip


class Machine(RuleBasedStateMachine):
    """A world on a loop of its own. A record is (key, number); numbers count up along each key."""

    def __init__(self) -> None:
        super().__init__()
        # Opened by its first use: Hypothesis makes machines that it never runs, nor tears down.
        self.runner = asyncio.Runner()
        self.world = World(ManualClock())
        self.record: MappingRecord | None = None
        self.sent: dict[str, int] = {}
        self.handled: dict[str, list[int]] = {}
        self.lost: dict[str, set[int]] = {}
        # Since the last crash: the newest number handled of each key.
        self.newest: dict[str, int] = {}
        self.poison: set[tuple[str, int]] = set()
        self.slow = False
        self.faults: list[str] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            self.run(self.calm_down())
            self.run(self.world.mappings.close())
        finally:
            self.runner.close()
        assert not self.faults, self.faults

    def next_of(self, key: str) -> int:
        self.sent[key] = self.sent.get(key, 0) + 1
        return self.sent[key]

    def note(self, key: str, number: int) -> None:
        """The handler is done with a record."""
        finished = set(self.handled.setdefault(key, [])) | self.lost.get(key, set())
        if not set(range(1, number)) <= finished:
            self.faults.append(f"{key}-{number} was handled before {set(range(1, number)) - finished}")
        if number <= self.newest.get(key, 0):
            self.faults.append(f"{key}-{number} was handled after {self.newest[key]}")
        self.newest[key] = number
        self.handled[key].append(number)

    async def crash(self) -> None:
        """Everything but the engine is gone at once: nothing is put back, nothing is finished."""
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self.newest = {}
        self.world.runner.busy = 0
        self.world._make()  # pyright: ignore[reportPrivateUsage]
        await self.world.open()

    async def calm_down(self) -> None:
        """Whatever was wrong is put right, and time enough goes by: now everything must be done with."""
        self.poison, self.slow, self.world.runner.refuse = set(), False, None
        await self.world.pass_time(200, 0.5)
        missing = {
            key: set(range(1, last + 1)) - set(self.handled.get(key, [])) - self.lost.get(key, set())
            for key, last in self.sent.items()
        }
        if any(missing.values()):
            self.faults.append(f"never handled: {missing}")

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self.world.pass_time(seconds, min(0.5, seconds)))

    @rule(trouble=st.sampled_from(["throttle", "slow"]))
    def begin_trouble(self, trouble: str) -> None:
        self.slow = trouble == "slow"
        throttled = FunctionThrottled("ConcurrentInvocationLimitExceeded")
        self.world.runner.refuse = throttled if trouble == "throttle" else None

    def poison_one(self, key: str, ahead: int) -> None:
        """One of the next records of this key, so that it was not handled yet."""
        self.poison.add((key, self.sent.get(key, 0) + ahead))

    @rule(poison_too=st.booleans())
    def end_trouble(self, poison_too: bool) -> None:
        self.slow, self.world.runner.refuse = False, None
        if poison_too:
            self.poison.clear()

    @rule()
    def crash_and_restart(self) -> None:
        self.run(self.crash())

    @invariant()
    def no_fault_so_far(self) -> None:
        assert not self.faults, self.faults

    async def maybe_wait(self) -> None:
        while self.slow:
            await self.world.clock.sleep(0.3)


class StreamMachine(Machine):
    """A stream, its mapping with a destination, and a handler that fails at poison: whole, or with a report."""

    @initialize(
        lanes=st.sampled_from([1, 2, 10]), batch_size=st.sampled_from([1, 3, 100]), bisect=st.booleans(),
        retries_max=st.sampled_from([-1, 0, 2]), reports=st.booleans(), window_s=st.sampled_from([0, 0, 2]),
    )  # fmt: skip
    def begin(self, reports: bool, **change: Any) -> None:
        self.run(self._begin(reports, change))

    async def _begin(self, reports: bool, change: dict[str, Any]) -> None:
        world = self.world
        self.reports = reports
        self.failed: dict[tuple[str, str, int], list[tuple[str, int]]] = {}
        self.letters_read = 0
        world.runner.handler = self.handle
        await world.open()
        await world.queue("failures")
        await world.stream(2)
        self.record = await world.map(STREAM, reports_failures=reports, on_failure=FAILURES, **change)

    async def handle(self, event: dict[str, Any]) -> Any:
        self.read_letters()
        await self.maybe_wait()
        records = [tuple(json.loads(base64.b64decode(one["kinesis"]["data"]))) for one in event["Records"]]
        numbers = [one["kinesis"]["sequenceNumber"] for one in event["Records"]]
        bad = next((at for at, record in enumerate(records) if record in self.poison), None)
        if bad is None or self.reports:
            for key, number in records[:bad]:
                self.note(key, number)
        if bad is None:
            return None
        rest = bad if self.reports else 0
        # What is given up goes by the batch that failed, or by what a report left of it.
        for start in {0, rest}:
            self.failed[numbers[start], numbers[-1], len(numbers) - start] = records[start:]
        if self.reports:
            return report(*numbers[bad:])
        raise HandlerFailed

    def read_letters(self) -> None:
        for letter in self.world.letters.sent[self.letters_read :]:
            about = letter["KinesisBatchInfo"]
            where = (about["startSequenceNumber"], about["endSequenceNumber"], about["batchSize"])
            if where not in self.failed:
                self.faults.append(f"a letter about a batch that never failed: {where}")
            for key, number in self.failed.get(where, []):
                self.lost.setdefault(key, set()).add(number)
        self.letters_read = len(self.world.letters.sent)

    async def calm_down(self) -> None:
        await super().calm_down()
        self.read_letters()

    @rule(keys=MESSAGES, poison=POISON)
    def put(self, keys: list[str], poison: list[tuple[str, int]]) -> None:
        for key, ahead in poison:
            self.poison_one(key, ahead)
        self.run(self.world.put(*((key, json.dumps([key, self.next_of(key)])) for key in keys)))

    @rule(data=st.data(), keys=MESSAGES)
    def split(self, data: st.DataObject, keys: list[str]) -> None:
        """With records of the same keys before and after, some still unread."""
        self.put(keys, [])
        stream = self.world.streams.need(STREAM)
        shard = data.draw(st.sampled_from(stream.open_shards))
        if shard.high - shard.low > 1 and len(stream.shards) < 12:
            self.run(self.world.streams.split(STREAM, shard.id, (shard.low + shard.high) // 2))
        self.put(keys, [])

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        shards = self.world.streams.need(STREAM).open_shards
        if len(shards) > 1:
            at = data.draw(st.integers(0, len(shards) - 2))
            self.run(self.world.streams.merge(STREAM, shards[at].id, shards[at + 1].id))

    @precondition(lambda self: self.record and self.world.mappings.state(self.record.uuid) == "Enabled")
    @rule(batch_size=st.sampled_from([1, 2, 50]), lanes=st.sampled_from([1, 4]), bisect=st.booleans())
    def change(self, **change: Any) -> None:
        assert self.record is not None
        self.run(self.world.mappings.update(self.record.uuid, MappingChange(**change)))
        self.run(settle())

    @invariant()
    def nothing_before_a_checkpoint_is_unfinished(self) -> None:
        if self.record is not None:
            self.run(self._check_checkpoints(self.record))

    async def _check_checkpoints(self, record: MappingRecord) -> None:
        self.read_letters()
        for shard in self.world.streams.shards(STREAM):
            checkpoint = await self.world.engine.journal.position(shard.journal, record.uuid)
            for entry in await self.world.streams.read(shard, 0, 1_000):
                key, number = json.loads(entry.data)
                done = number in self.handled.get(key, []) or number in self.lost.get(key, set())
                if entry.offset <= checkpoint and not done:
                    self.faults.append(f"{key}-{number} stands before the checkpoint")
        for account in await prove(self.world.engine, self.world.clock):
            if account.missing:
                self.faults.append(f"the proof misses {account.missing_first}")


class FifoMachine(Machine):
    """A FIFO queue with a dead-letter queue, and a handler that stops at poison and reports the rest."""

    @initialize(batch_size=st.sampled_from([1, 3, 10]), redrives=st.booleans())
    def begin(self, batch_size: int, redrives: bool) -> None:
        self.run(self._begin(batch_size, redrives))

    async def _begin(self, batch_size: int, redrives: bool) -> None:
        world = self.world
        world.runner.handler = self.handle
        await world.open()
        await world.queue("letters.fifo", FifoQueue="true")
        policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": LETTERS, "maxReceiveCount": 3})}
        await world.queue("orders.fifo", FifoQueue="true", VisibilityTimeout="5", **(policy if redrives else {}))
        self.record = await world.map(FIFO, batch_size=batch_size, reports_failures=True)

    async def handle(self, event: dict[str, Any]) -> Any:
        await self.read_letters()
        await self.maybe_wait()
        failed: list[str] = []
        for one in event["Records"]:
            key, number = json.loads(one["body"])
            if failed or (key, number) in self.poison:
                failed.append(one["messageId"])
            else:
                self.note(key, number)
        return report(*failed)

    async def read_letters(self) -> None:
        for item in await self.world.engine.queues.browse(LETTERS, 1_000):
            key, number = json.loads(item.body)
            self.lost.setdefault(key, set()).add(number)

    async def calm_down(self) -> None:
        self.poison, self.slow, self.world.runner.refuse = set(), False, None
        await self.world.pass_time(100, 0.5)
        await self.read_letters()
        await super().calm_down()

    @rule(keys=MESSAGES, poison=POISON)
    def send(self, keys: list[str], poison: list[tuple[str, int]]) -> None:
        for key, ahead in poison:
            self.poison_one(key, ahead)
        messages = [
            Outgoing(json.dumps([key, n := self.next_of(key)]), group_id=key, deduplication_id=f"{key}-{n}")
            for key in keys
        ]
        self.run(self.world.queues.send(FIFO, messages, SCOPE.account))


TestStreams = StreamMachine.TestCase
TestStreams.settings = SETTINGS
TestFifo = FifoMachine.TestCase
TestFifo.settings = SETTINGS
