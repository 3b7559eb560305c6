"""Mappings on the memory engine, with queues and streams as they are and a function of the test's own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, settle
from busway.delivery.dead_letter import Source
from busway.engine.memory import MemoryEngine
from busway.errors import BuswayError, FunctionNotFound, QueueNotFound
from busway.function.mapping.mappings import Mappings
from busway.function.mapping.record import MappingChange, MappingRecord, NewMapping
from busway.function.mapping.runner import Desk
from busway.function.record import FunctionRecord
from busway.metrics import Metrics
from busway.queue.message import Outgoing
from busway.queue.queues import SqsQueues
from busway.stream.registry import NewStream
from busway.stream.streams import NewRecord, Streams
from busway.trail import Trail

SCOPE = Scope()
FUNCTION = SCOPE.arn("lambda", "function:handler")
ROLE = "arn:aws:iam::000000000000:role/any"
QUEUE, STREAM = SCOPE.arn("sqs", "orders"), SCOPE.arn("kinesis", "stream/orders")
FAILURES = SCOPE.arn("sqs", "failures")

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Answer:
    payload: bytes
    request_id: str
    function_error: str | None = None
    executed_version: str = "$LATEST"


class HandlerFailed(Exception):
    """Raised by a test's handler: the invocation is a function error."""


async def accept(_: dict[str, Any]) -> None:
    """A handler that is content with everything."""


@dataclass
class TestRunner:
    """Runs `handler` in place of a worker. `events` are what it was handed."""

    __test__ = False

    handler: Handler = accept
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refuse: BuswayError | None = None
    known: bool = True
    places: int = 100
    busy: int = 0

    def find(self, function_arn: str, qualifier: str) -> FunctionRecord | None:
        if not self.known or function_arn != FUNCTION:
            return None
        return FunctionRecord(
            arn=FUNCTION, runtime="python3.12", handler="app.handler", role=ROLE, code="", code_sha256="",
            code_size=0, revision="1", modified_at=0.0, timeout_s=3,
        )  # fmt: skip

    def capacity(self, function_arn: str) -> int:
        return self.places

    def running(self, function_arn: str) -> int:
        return self.busy

    async def invoke(
        self, function_arn: str, payload: bytes, *, qualifier: str, request_id: str, trace_header: str
    ) -> Answer:
        if not self.known:
            raise FunctionNotFound(function_arn)
        if self.refuse is not None:
            raise self.refuse
        event = json.loads(payload)
        self.events.append(event)
        self.busy += 1
        try:
            return Answer(json.dumps(await self.handler(event)).encode(), request_id)
        except HandlerFailed as error:
            told = {"errorMessage": str(error), "errorType": "HandlerFailed"}
            return Answer(json.dumps(told).encode(), request_id, "Unhandled")
        finally:
            self.busy -= 1


class Letters:
    """Keeps what destinations are told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = False

    async def send(
        self, destination_arn: str, record: bytes, *, function_arn: str, success: bool, trace_header: str, now: float,
        source: Source | None = None,
    ) -> None:  # fmt: skip
        if self.gone:
            raise QueueNotFound(destination_arn)
        self.sent.append(json.loads(record))


class World:
    """What a server would hold; `restart` plays a crash of everything but the engine."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.engine, self.entropy = clock, MemoryEngine(clock), SeededEntropy(1)
        self.metrics, self.trail = Metrics(clock), Trail(clock)
        self.runner, self.letters = TestRunner(), Letters()
        self._make()

    def _make(self) -> None:
        self.queues = SqsQueues(self.engine, self.clock, self.entropy, self.metrics)
        self.streams = Streams(self.engine, self.clock, self.entropy, self.metrics)
        self.mappings = Mappings(
            Desk(
                self.engine, self.clock, self.entropy, self.metrics, self.trail, self.queues, self.streams,
                self.runner, self.letters,
            ),
            self.clock,
        )  # fmt: skip

    async def open(self) -> None:
        await self.queues.open()
        await self.streams.open()
        await self.mappings.open()
        await settle()

    async def restart(self) -> None:
        await self.mappings.close()
        self._make()
        await self.open()

    async def queue(self, name: str = "orders", **attributes: str) -> None:
        await self.queues.create(SCOPE, name, attributes)

    async def stream(self, shards: int = 1) -> None:
        await self.streams.create(SCOPE, NewStream("orders", shards))

    async def map(self, source_arn: str = QUEUE, **change: Any) -> MappingRecord:
        """A mapping that has taken effect."""
        where = {name: change.pop(name) for name in ("position", "position_at", "tags") if name in change}
        if source_arn == STREAM:
            where.setdefault("position", "TRIM_HORIZON")
        record = await self.mappings.create(
            NewMapping(source_arn=source_arn, change=MappingChange(function_arn=FUNCTION, **change), **where)
        )
        await settle()
        return record

    async def send(self, *bodies: str, arn: str = QUEUE) -> None:
        await self.queues.send(arn, [Outgoing(body) for body in bodies], SCOPE.account)
        await settle(30)

    async def put(self, *records: tuple[str, str]) -> list[str]:
        """Put (partition key, data) records; their sequence numbers."""
        placed = await self.streams.put_records(STREAM, [NewRecord(data.encode(), key) for key, data in records])
        await settle(30)
        return [one[0].sequence_number(one[1]) for one in placed if isinstance(one, tuple)]

    async def left(self, arn: str = QUEUE) -> int:
        """Messages in a queue, visible or not."""
        return len(await self.engine.queues.browse(arn, 1_000))

    async def pass_time(self, seconds: float, step: float = 0.1) -> None:
        """Let time go by in small steps, so that everything has its turn."""
        passed = 0.0
        while passed < seconds:
            await self.clock.advance(step)
            await settle(20)
            passed += step


def bodies(event: dict[str, Any]) -> list[str]:
    return [record["body"] for record in event["Records"]]


def all_bodies(events: Sequence[dict[str, Any]]) -> list[str]:
    return [body for event in events for body in bodies(event)]


def report(*ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in ids]}
