"""Batch handlers on the bus of a test: real streams, queues and mappings, made by the calls that deploying makes.

    rule -> stream (or queue) -> mapping -> the handler, called in the test's process
                                    |
                                    +-> the handler's dead letters, for what is given up

A module of its own, as a bus without batch handlers needs nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from busway.arn import Scope
from busway.aws.service import Caller, Headers, Operation
from busway.aws.services.events import Events
from busway.aws.services.kinesis import Kinesis
from busway.aws.services.lambda_mappings import MappingOperations
from busway.aws.services.sqs import Sqs
from busway.batch import STREAM, Record, records_of
from busway.batch_handling import BatchHandler
from busway.bus.room import BusRoom
from busway.clock import Clock, Entropy
from busway.delivery import Target
from busway.delivery.outbox import QUEUE_PREFIX
from busway.engine import Engine
from busway.function.definitions.books import Books
from busway.function.invocation.queued import Queued
from busway.function.mapping.mappings import Mappings
from busway.function.mapping.report import failed_ids
from busway.function.mapping.runner import Desk
from busway.function.record import FunctionRecord
from busway.metrics import Metrics
from busway.queue.queues import SqsQueues
from busway.road.batches import mapping_calls, source_arn, source_calls, target
from busway.road.calls import Call
from busway.road.entries import handler_entry
from busway.road.root import ProjectConfig
from busway.stream.reading import ShardReader
from busway.stream.streams import Streams
from busway.targets.destinations import FunctionDestinations
from busway.targets.stream import StreamTarget
from busway.testing.attempts import Attempt, Envelope
from busway.trail import Trail

ROLE = "arn:aws:iam::000000000000:role/tests"

RunBatch = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Calls the handler of a name with Lambda's event of a batch, and gives its answer. Raises what it raises."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What of a bus its batch handlers stand on. `targets` gets the kind that streams are."""

    scope: Scope
    engine: Engine
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    trail: Trail
    queues: SqsQueues
    books: Books
    room: BusRoom
    targets: dict[str, Target]


@dataclass(frozen=True, slots=True)
class Result:
    """What a handler answered."""

    payload: bytes
    request_id: str
    function_error: str | None = None
    executed_version: str = "$LATEST"


@dataclass(slots=True)
class HandlersHere:
    """A mapping's functions, run in the test's process. Every call is noted in `attempts`, by the handler's name."""

    clock: Clock
    books: Books
    run: RunBatch
    show: Callable[[Exception], None]
    attempts: Mapping[str, list[Attempt]]
    under_way: int = field(default=0)

    def find(self, function_arn: str, qualifier: str) -> FunctionRecord | None:
        return self.books.functions.get(function_arn)

    def capacity(self, function_arn: str) -> int:
        # A handler is never too busy here.
        return self.under_way + 1

    def running(self, function_arn: str) -> int:
        return self.under_way

    async def invoke(
        self, function_arn: str, payload: bytes, *, qualifier: str, request_id: str, trace_header: str
    ) -> Result:
        name, now, given = function_arn.rsplit(":", 1)[1], self.clock.now(), msgspec.json.decode(payload)
        error: Exception | None = None
        self.under_way += 1
        try:
            result = Result(msgspec.json.encode(await self.run(name, given)), request_id)
        except Exception as raised:  # noqa: BLE001, a handler may raise anything: it is what its attempt ended with
            self.show(raised)
            error, told = raised, {"errorMessage": str(raised), "errorType": type(raised).__name__}
            result = Result(msgspec.json.encode(told), request_id, "Unhandled")
        finally:
            self.under_way -= 1
        self._note(name, now, records_of(given, name), result, error)
        return result

    def _note(
        self, name: str, now: float, records: Sequence[Record], result: Result, error: Exception | None
    ) -> None:
        events: list[Envelope] = [json.loads(record.body()) for record in records]
        places = range(len(records)) if error else unfinished(records, result.payload)
        before = [attempt for attempt in self.attempts[name] if events[0] in attempt.events]
        failed = [events[place] for place in places]
        self.attempts[name].append(Attempt(events, len(before) + 1, now, error, failed))


def unfinished(records: Sequence[Record], answer: bytes) -> Sequence[int]:
    """The places of the records that come again after an answer, as the mapping reads it. Pure."""
    reported = failed_ids(answer, {record.id for record in records})
    if reported is None:
        return range(len(records))
    places = [place for place, record in enumerate(records) if record.id in reported]
    in_stream = bool(places) and records[0].group == STREAM
    return range(places[0], len(records)) if in_stream else places


class LocalBatches:
    """The streams, queues and mappings of one bus."""

    def __init__(self, ground: Ground, handlers: HandlersHere) -> None:
        engine, clock, entropy, metrics = ground.engine, ground.clock, ground.entropy, ground.metrics
        self._ground, self._sources = ground, list[str]()
        self._streams = Streams(engine, clock, entropy, metrics)
        invocations = Queued(ground.books)
        destinations = FunctionDestinations(
            engine, entropy, ground.queues, ground.room.publisher, lambda: invocations.invocation_put
        )
        self._mappings = Mappings(
            Desk(
                engine, clock, entropy, metrics, ground.trail, ground.queues, self._streams, handlers, destinations,
                # Nothing changes its shards here, and a test that goes on by hours must not stop at each second.
                look_s=float("inf"),
            ),
            clock,
        )  # fmt: skip
        ground.targets["kinesis"] = StreamTarget(self._streams)
        doors = [Kinesis(self._streams, ShardReader(self._streams, clock, metrics), clock), Sqs(ground.queues)]
        self._doors: dict[str, Mapping[str, Operation]] = {
            **{door.name: door.operations for door in doors},
            "events": Events(ground.room).operations,
            "lambda": MappingOperations(self._mappings, {}).operations,
        }

    async def open(self) -> None:
        await self._streams.open()
        await self._mappings.open()

    async def close(self) -> None:
        await self._mappings.close()

    async def add(self, name: str, handler: BatchHandler[Any, Any], bus: str, dead_letters: str) -> None:
        """Make what its events come by, as `busway dev` and `busway deploy` do; the function is there already."""
        scope, config = self._ground.scope, ProjectConfig("", bus)
        entry = handler_entry(config, f"handlers/{name}/", handler, event="", schema=None, entry_point="")
        batch = entry.batch
        assert batch is not None
        rule = scope.rule_arn(bus, name)
        pattern = msgspec.json.encode(entry.pattern).decode()
        goal = {"Id": name, **target(batch, name, scope, ROLE)}
        calls = [
            *source_calls(entry, batch, name, scope, dead_letters=dead_letters, rule=rule),
            *mapping_calls(entry, batch, name, scope, dead_letters),
            Call("events", "PutRule", {"Name": name, "EventBusName": bus, "EventPattern": pattern}),
            Call("events", "PutTargets", {"Rule": name, "EventBusName": bus, "Targets": [goal]}),
        ]
        caller = Caller(scope, "", "", "", None, Headers({}))
        for call in calls:
            await self._doors[call.service][call.operation](dict(call.parameters), caller)
        self._sources.append(source_arn(batch, name, scope))

    async def busy(self) -> bool:
        """Whether something is to be done at the clock's time."""
        for arn in self._sources:
            on_the_way = await self._ground.engine.queues.counts(QUEUE_PREFIX + arn)
            if on_the_way.ready or on_the_way.leased:
                return True
        return not await self._mappings.idle()
