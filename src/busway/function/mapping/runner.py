"""One batch to the function, and what became of it: the part that pollers of queues and of streams share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from busway.clock import Clock, Entropy, uuids
from busway.delivery.dead_letter import Source
from busway.engine import Engine
from busway.errors import (
    BuswayError,
    EngineStopped,
    FunctionNotFound,
    FunctionThrottled,
    PayloadTooLarge,
    RecursiveInvocation,
)
from busway.function.invocation.letters import error_message, error_type
from busway.function.mapping.record import MappingRecord
from busway.function.mapping.report import failed_ids
from busway.function.record import FunctionRecord
from busway.metrics import Metrics
from busway.queue.queues import SqsQueues
from busway.stream.streams import Streams
from busway.trail import Trail

NAMESPACE = "AWS/Lambda"
# AWS's words for LastProcessingResult (recorded, and K).
NOTHING_YET, OK, CALL_FAILED = "No records processed", "OK", "PROBLEM: Function call failed"
# Ours: how often it is looked whether a stream was resharded, made anew, or the function came to be.
LOOK_S = 1.0
# Ours: of a batch that failed, so many events are named one by one in the trail.
NAMED_MAX = 20

log = logging.getLogger(__name__)


class Result(Protocol):
    """What the function answered. `function_error` is None for a success."""

    @property
    def payload(self) -> bytes: ...

    @property
    def request_id(self) -> str: ...

    @property
    def function_error(self) -> str | None: ...

    @property
    def executed_version(self) -> str: ...


class Destinations(Protocol):
    """Who takes the records of batches that are given up."""

    async def send(
        self, destination_arn: str, record: bytes, *, function_arn: str, success: bool, trace_header: str, now: float,
        source: Source | None = None,
    ) -> None:  # fmt: skip
        """Return when the destination has it for good. Raises a `BuswayError` when it can't be sent there."""
        ...


class Runner(Protocol):
    """The functions, as mappings need them."""

    def find(self, function_arn: str, qualifier: str) -> FunctionRecord | None:
        """The record that would run."""
        ...

    def capacity(self, function_arn: str) -> int:
        """How many invocations are worth having under way."""
        ...

    def running(self, function_arn: str) -> int:
        """How many are, of whomever."""
        ...

    async def invoke(
        self, function_arn: str, payload: bytes, *, qualifier: str, request_id: str, trace_header: str
    ) -> Result:
        """Raises `FunctionNotFound`, `FunctionThrottled`, `PayloadTooLarge` and other `BuswayError`s: not run."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What every poller works with."""

    engine: Engine
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    trail: Trail
    queues: SqsQueues
    streams: Streams
    runner: Runner
    destinations: Destinations
    look_s: float = LOOK_S


@dataclass(slots=True)
class Status:
    """What a mapping is doing. `result` is what LastProcessingResult shows, "" for nothing yet."""

    state: str
    result: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one invocation. `ids` are what a report may name, `contents` what the senders wrote."""

    payload: bytes
    ids: Sequence[str]
    contents: Sequence[bytes]
    shard: str = ""
    attempt: int = 1
    trace_header: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The function ran. `failed` are the reported ids, [] for none, None when the whole batch failed."""

    result: Result
    failed: list[str] | None


@dataclass(frozen=True, slots=True)
class NotRun:
    """It did not run. `hopeless`: nor will it ever, with this batch."""

    hopeless: bool = False


async def run_batch(desk: Desk, record: MappingRecord, status: Status, batch: Batch) -> Answered | NotRun:
    """Invoke the function once with this batch. Raises `EngineStopped`."""
    request_id = uuids(desk.entropy, 1)[0]
    facts = {
        "function": record.function, "mapping": record.uuid, "source": record.source_arn, "request_id": request_id,
        "records": len(batch.ids), "shard": batch.shard, "attempt": batch.attempt,
    }  # fmt: skip
    if desk.trail.listening:
        desk.trail.note("attempt", **facts, **named(batch.ids, batch.contents))
    try:
        result = await desk.runner.invoke(
            record.function,
            batch.payload,
            qualifier=record.qualifier,
            request_id=request_id,
            trace_header=batch.trace_header,
        )
    except EngineStopped:
        raise
    except (PayloadTooLarge, RecursiveInvocation) as error:
        status.result = f"PROBLEM: {error}"
        _note_failure(desk, batch, facts, type(error).__name__, str(error))
        return NotRun(hopeless=True)
    except BuswayError as error:
        status.result = f"PROBLEM: {error}"
        kind = type(error).__name__
        if not isinstance(error, FunctionThrottled):
            told = named(batch.ids, batch.contents)
            desk.trail.note("retried", **facts, **told, error_code=kind, error_message=str(error))
        return NotRun()
    return _judged(desk, record, status, batch, facts, result)


def _judged(
    desk: Desk, record: MappingRecord, status: Status, batch: Batch, facts: dict[str, Any], result: Result
) -> Answered:
    failed: list[str] | None = []
    if result.function_error is not None:
        failed = None
        _note_failure(desk, batch, facts, error_type(result.payload), error_message(result.payload))
    elif record.reports_failures:
        failed = failed_ids(result.payload, set(batch.ids))
        if failed is None:
            _note_failure(desk, batch, facts, "BadReport", f"No report of failures: {result.payload[:200]!r}")
        elif failed:
            text = f"{len(failed)} of {len(batch.ids)} records failed, the first is {failed[0]}"
            _note_failure(desk, batch, facts, "ReportBatchItemFailures", text, frozenset(failed))
    if not failed and failed is not None and desk.trail.listening:
        desk.trail.note("delivered", **facts, **named(batch.ids, batch.contents))
    status.result = CALL_FAILED if failed is None else OK
    count(desk, record, "InvokedEventCount", len(batch.ids))
    if failed is None or failed:
        count(desk, record, "FailedInvokeEventCount", len(batch.ids) if failed is None else len(failed))
    return Answered(result, failed)


def count(desk: Desk, record: MappingRecord, name: str, value: float) -> None:
    """Count under AWS's name and dimensions for mappings.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
    """
    of = record.function_arn
    dimensions = {"EventSourceMappingUUID": record.uuid, "FunctionName": record.function_name}
    desk.metrics.count(NAMESPACE, name, value, of=of, **dimensions)


class _Envelope(msgspec.Struct, frozen=True):
    """An event, as a rule hands it to a queue or a stream."""

    id: str
    source: str
    detail_type: str = msgspec.field(name="detail-type")


def event_id_of(content: bytes) -> str:
    """The id of the event that a message carries, "" for a message that is no event."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(content, type=_Envelope).id
    return ""


def _note_failure(
    desk: Desk, batch: Batch, facts: dict[str, Any], code: str, message: str, only: frozenset[str] | None = None
) -> None:
    """The failed batch as one step; the first events that failed in it are named, so that `why` finds them."""
    chosen = [pair for pair in zip(batch.ids, batch.contents, strict=True) if only is None or pair[0] in only]
    told = named([name for name, _ in chosen], [content for _, content in chosen])
    desk.trail.note("attempt", **facts, **told, error_code=code, error_message=message)


def named(ids: Sequence[str], contents: Sequence[bytes]) -> dict[str, Any]:
    """What a step of a batch says of its records: the first one's id, and the ids of the first events among them."""
    found = [event_id for content in contents[:NAMED_MAX] if (event_id := event_id_of(content))]
    return {"first": ids[0] if ids else "", "event_ids": found}


@dataclass(slots=True)
class Crowd:
    """The batches under way of one poller. `changed` is set whenever one of them ends."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self.changed.set()
        if not task.cancelled() and task.exception() is not None and not isinstance(task.exception(), EngineStopped):
            log.error("a batch ended by a fault of ours", exc_info=task.exception())

    async def finish(self) -> None:
        """Wait for all."""
        while self.tasks:
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def cancel(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await self.finish()


def role_of(desk: Desk, record: MappingRecord) -> str:
    """The function's role, which stream records carry. Raises `FunctionNotFound`."""
    function = desk.runner.find(record.function, record.qualifier)
    if function is None:
        raise FunctionNotFound(record.function_arn)
    return function.role
