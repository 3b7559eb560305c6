"""How functions, streams, mappings and queues do, as /_busway/status and /metrics tell it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from busway.arn import Scope
from busway.function.mapping.proof import begin_of
from busway.function.mapping.record import MappingRecord
from busway.function.mapping.runner import NAMESPACE
from busway.function.record import FAILED, FunctionRecord
from busway.inspect.ports import Inspection
from busway.queue.record import UNDELIVERABLE_PREFIX, QueueRecord
from busway.stream.record import Shard, StreamRecord

# Ours: over how long a stream's rate is taken, and of how many open shards; how many records a mapping is counted to
# be behind in a shard.
RATE_S = 60.0
RATED_SHARDS_MAX = 100
BEHIND_MAX = 1_000


async def counts(server: Inspection, queue: str) -> dict[str, int]:
    found = await server.engine.queues.counts(queue)
    return {"ready": found.ready, "in_flight": found.leased, "delayed": found.delayed}


# --- functions ---


async def functions(server: Inspection, scope: Scope) -> list[dict[str, Any]]:
    """`problem` is why one can't run, or why its newest code doesn't; "" when all is well.

    `last_error_at` is when it failed last, as far as the trail goes back; None when it did not.
    """
    errors = _last_errors(server)
    return [
        {
            "name": function.name,
            "arn": function.arn,
            "runtime": function.runtime,
            "handler": function.handler,
            "state": function.state,
            "update": _update(function),
            "problem": function.failure,
            "last_error_at": errors.get(function.arn),
            "dead_letter_arn": function.dead_letter_arn,
            "invocations": await counts(server, function.arn),
        }
        for function in server.functions.of_scope(scope)
    ]


def _update(function: FunctionRecord) -> str:
    """How its newest change does, in AWS's words for LastUpdateStatus."""
    if function.state == FAILED:
        return ""
    return "InProgress" if function.update is not None else "Failed" if function.failure else "Successful"


def _last_errors(server: Inspection) -> dict[str, float]:
    """When each function failed last, by ARN."""
    return {
        str(step.facts["function"]): step.at
        for step in server.trail.recent()
        if step.kind in ("attempt", "dead-lettered") and step.facts.get("error_code") and step.facts.get("function")
    }


# --- queues ---


async def queues(server: Inspection, scope: Scope) -> list[dict[str, Any]]:
    return [await _queue(server, queue) for queue in server.queues.find(scope)]


async def _queue(server: Inspection, queue: QueueRecord) -> dict[str, Any]:
    """`oldest_s` is the age of the message that was put first; None for an empty queue."""
    first = await server.engine.queues.browse(queue.arn, 1)
    oldest_s = max(0.0, server.clock.now() - first[0].put_at) if first else None
    undeliverable = queue.name.startswith(UNDELIVERABLE_PREFIX)
    about = {"name": queue.name, "arn": queue.arn, "undeliverable": undeliverable, "oldest_s": oldest_s}
    return {**about, **await counts(server, queue.arn)}


# --- streams and mappings ---


async def streams(server: Inspection, scope: Scope) -> list[dict[str, Any]]:
    return [await _stream(server, stream) for stream in server.streams.find(scope)]


async def _stream(server: Inspection, stream: StreamRecord) -> dict[str, Any]:
    """`records_per_s` is by how much offsets grew in the last minute, None for a stream of very many shards."""
    open_shards = stream.open_shards
    rate = None if len(open_shards) > RATED_SHARDS_MAX else await _rate(server, open_shards)
    return {
        "name": stream.name,
        "arn": stream.arn,
        "status": stream.status,
        "shards": len(open_shards),
        "closed_shards": len(stream.shards) - len(open_shards),
        "records_per_s": rate,
    }


async def _rate(server: Inspection, shards: Iterable[Shard]) -> float:
    since = server.clock.now() - RATE_S
    total = 0
    for shard in shards:
        if head := await server.streams.head(shard):
            total += head - await server.streams.offset_at(shard, since)
    return round(total / RATE_S, 2)


async def mappings(server: Inspection, scope: Scope) -> list[dict[str, Any]]:
    """`lag_s` is the age of the oldest record that is not finished, 0 when all are; None for a queue's mapping."""
    return [
        {
            "uuid": mapping.uuid,
            "function": mapping.function_arn,
            "source": mapping.source_arn,
            "state": server.mappings.state(mapping.uuid),
            "last_result": server.mappings.last_result(mapping.uuid),
            **await _behind(server, mapping),
        }
        for mapping in server.mappings.find(scope)
    ]


async def _behind(server: Inspection, mapping: MappingRecord) -> dict[str, Any]:
    """`behind` counts records that are not finished, up to BEHIND_MAX of each shard."""
    if mapping.kind != "kinesis":
        return {"lag_s": None, "behind": None}
    behind, lag_s, now = 0, 0.0, server.clock.now()
    for shard in server.streams.shards(mapping.source_arn):
        checkpoint = await server.engine.journal.position(shard.journal, mapping.uuid)
        after = max(checkpoint, await begin_of(server.engine, mapping, shard))
        waiting = await server.streams.read(shard, after, BEHIND_MAX)
        behind += len(waiting)
        if waiting:
            lag_s = max(lag_s, now - waiting[0].arrived_at)
    return {"lag_s": lag_s, "behind": behind}


async def measure(server: Inspection) -> None:
    """Set the gauges that nobody sets when they change: how deep queues are, and how far behind streams' readers.

    A queue that held something the last time is seen to be empty once.
    """
    held, before = set(await server.engine.queues.names("arn:aws:sqs:")), set(server.measured)
    server.measured.clear()
    server.measured.update(held)
    for arn in sorted(held | before):
        counts, name = await server.engine.queues.counts(arn), arn.rsplit(":", 1)[-1]
        for metric, depth in (("Visible", counts.ready), ("NotVisible", counts.leased), ("Delayed", counts.delayed)):
            server.metrics.gauge("AWS/SQS", f"ApproximateNumberOfMessages{metric}", depth, of=arn, QueueName=name)
    await measure_lags(server)


async def measure_lags(server: Inspection) -> None:
    """Set IteratorAge of each function that reads streams to how far its mappings are behind now, in milliseconds.

    Otherwise it would stay what it was at the last batch, also when there are none any more, or none get through.
    """
    lags: dict[tuple[Scope, str], float] = {}
    for mapping in server.mappings.all():
        if mapping.kind == "kinesis":
            found, place = await _behind(server, mapping), (mapping.scope, mapping.function_name)
            lags[place] = max(lags.get(place, 0.0), found["lag_s"])
    for (scope, name), lag_s in lags.items():
        server.metrics.gauge(NAMESPACE, "IteratorAge", lag_s * 1000, of=scope, FunctionName=name)
