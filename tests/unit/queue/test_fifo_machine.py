"""A FIFO queue on the embedded engine, through restarts and deaths, against a model that fits on a screen."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine.embedded import EmbeddedEngine, open_embedded
from busway.errors import InvalidQueueRequest, MessageNotInFlight, QueueError
from busway.metrics import Metrics
from busway.queue.fifo import DEDUPLICATION_S
from busway.queue.message import Outgoing
from busway.queue.queues import SqsQueues, VisibilityChange
from busway.queue.receiving import Received
from busway.queue.sending import Sent

T = TypeVar("T")
GROUPS = "abc"
# Whether the process dies as it answers.
DIES = st.sampled_from([False, False, True])
ATTRIBUTES = {"FifoQueue": "true", "DeduplicationScope": "messageGroup"}


def fail(exc: BaseException) -> None:
    raise exc


@dataclass
class Message:
    """What was sent, told and received; `held` is the handle of its last receive."""

    body: str
    group: str
    told: Sent
    visible_at: float
    receives: int = 0
    held: str = ""
    deleted: bool = False


class Fifo(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = Path(tempfile.mkdtemp())
        self.lives = 0
        self.clock = ManualClock()
        self.messages: list[Message] = []
        self.first: dict[tuple[str, str], tuple[Message, float]] = {}
        self.handles: list[tuple[str, Message]] = []
        self.engine: EmbeddedEngine
        self.queues: SqsQueues
        self.run(self.open())
        self.arn = self.run(self.queues.create(Scope(), "q.fifo", ATTRIBUTES)).arn

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    async def open(self) -> None:
        self.lives += 1
        folder = self.home / str(self.lives)
        self.engine = await open_embedded(folder, self.clock, on_fatal=fail, reserve_mb=0)
        self.queues = SqsQueues(self.engine, self.clock, SeededEntropy(self.lives), Metrics(self.clock))
        await self.queues.open()

    def answer(self, call: Coroutine[Any, Any, T], dies: bool) -> T:
        """What a call answers. If the process `dies` then, another one finds the files as they are at that moment."""

        async def act() -> T:
            answered = await call
            if dies:
                self.copy_files()
                await self.engine.close()
                await self.open()
            return answered

        return self.run(act())

    def copy_files(self) -> None:
        here, there = self.home / str(self.lives), self.home / str(self.lives + 1)
        there.mkdir()
        for name in ("busway.db", "busway.db-wal"):
            if (here / name).exists():
                shutil.copy(here / name, there / name)

    # --- the model ---

    def available(self, group: str) -> list[Message]:
        """Of a group: its first messages that are visible, unless one of it is in somebody's hands."""
        now = self.clock.now()
        left = [m for m in self.messages if m.group == group and not m.deleted]
        if any(m.receives and m.visible_at > now for m in left):
            return []
        return list(takewhile(lambda m: m.visible_at <= now, left))

    # --- what may happen ---

    @rule(
        wanted=st.lists(
            st.tuples(st.sampled_from(GROUPS), st.sampled_from(["", "", "k", "l"])), min_size=1, max_size=4
        ),
        delay_s=st.sampled_from([0, 0, 0, 20]),
        dies=DIES,
    )
    def send(self, wanted: list[tuple[str, str]], delay_s: int, dies: bool) -> None:
        self.run(self.queues.set_attributes(self.arn, {"DelaySeconds": str(delay_s)}))
        now, number = self.clock.now(), len(self.messages)
        texts = [f"{number + place}" for place in range(len(wanted))]
        asked = [
            Outgoing(text, group_id=group, deduplication_id=key or f"own{text}.{self.lives}.{number}")
            for text, (group, key) in zip(texts, wanted, strict=True)
        ]
        answers = self.answer(self.queues.send(self.arn, asked, "me"), dies)
        for text, (group, key), told in zip(texts, wanted, answers, strict=True):
            assert isinstance(told, Sent)
            known, until = self.first.get((group, key), (None, 0.0))
            if key and known is not None and until > now:
                assert (told.message_id, told.sequence_number) == (known.told.message_id, known.told.sequence_number)
                continue
            message = Message(text, group, told, now + delay_s)
            assert all(message.told.sequence_number > m.told.sequence_number for m in self.messages)
            self.messages.append(message)
            self.first[group, key] = message, now + DEDUPLICATION_S

    @rule(limit=st.integers(1, 10), visibility_s=st.sampled_from([0, 5, 30, 30]), dies=DIES)
    def receive(self, limit: int, visibility_s: int, dies: bool) -> None:
        wanted = {group: self.available(group) for group in GROUPS}
        received = self.answer(self.queues.receive(self.arn, limit, visibility_s=visibility_s), dies)
        assert len(received) == min(limit, sum(map(len, wanted.values())))
        for group, messages in wanted.items():
            got = [r for r in received if r.meta.group_id == group]
            assert [r.item.body.decode() for r in got] == [m.body for m in messages[: len(got)]]
            for one, message in zip(got, messages, strict=False):
                self.note(one, message, visibility_s)
        # A group is emptied before the next one is begun.
        order = [r.meta.group_id for r in received]
        assert order == sorted(order, key=order.index)
        cut = [group for group, messages in wanted.items() if 0 < order.count(group) < len(messages)]
        assert cut in ([], order[-1:])

    def note(self, received: Received, message: Message, visibility_s: int) -> None:
        message.receives += 1
        message.visible_at = self.clock.now() + visibility_s
        message.held = received.receipt.handle()
        self.handles.append((message.held, message))
        assert received.receive_count == message.receives
        assert received.meta.message_id == message.told.message_id
        assert received.sequence_number == message.told.sequence_number

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), dies=DIES)
    def delete(self, data: st.DataObject, dies: bool) -> None:
        handle, message = data.draw(st.sampled_from(self.handles[-8:]))
        (refused,) = self.answer(self.queues.remove(self.arn, [handle]), dies)
        if message.deleted:
            assert refused is None
        elif message.held == handle and message.visible_at > self.clock.now():
            assert refused is None
            message.deleted = True
        else:
            assert isinstance(refused, InvalidQueueRequest)

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), visibility_s=st.sampled_from([0, 10, 60]), dies=DIES)
    def change_visibility(self, data: st.DataObject, visibility_s: int, dies: bool) -> None:
        handle, message = data.draw(st.sampled_from(self.handles[-8:]))
        change = VisibilityChange(handle, visibility_s)
        refused: QueueError | None = self.answer(self.queues.change_visibility(self.arn, [change]), dies)[0]
        if message.deleted:
            assert isinstance(refused, InvalidQueueRequest)
        elif message.held == handle and message.visible_at > self.clock.now():
            assert refused is None
            message.visible_at = self.clock.now() + visibility_s
        else:
            assert isinstance(refused, MessageNotInFlight)

    @rule(seconds=st.sampled_from([1, 6, 31, 100, 300]))
    def time_passes(self, seconds: int) -> None:
        self.run(self.clock.advance(seconds))

    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await self.engine.close()
            self.copy_files()
            await self.open()

        self.run(again())

    @rule()
    def count(self) -> None:
        # No invariant: counting makes everything durable, and a death must find what was answered without that.
        counts = self.run(self.queues.counts(self.arn))
        left = [m for m in self.messages if not m.deleted]
        assert counts.ready + counts.leased + counts.delayed == len(left)
        assert counts.ready == sum(m.visible_at <= self.clock.now() for m in left)

    def teardown(self) -> None:
        self.run(self.clock.advance(100))
        for group in GROUPS:
            assert self.available(group) == [m for m in self.messages if m.group == group and not m.deleted]
        self.receive(10, 30, dies=False)
        self.run(self.engine.close())
        self.runner.close()
        shutil.rmtree(self.home)


TestFifo = Fifo.TestCase
TestFifo.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
