"""What a handler of batches needs besides its function and its rule: a stream or a queue, and the mapping. Pure.

    rule -> stream (or queue) -> mapping -> function
                                    |
                                    +-> the handler's dead-letter queue, for what is given up

The stream is named as the function is. It and its mapping go when the handler goes; its dead letters stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from busway.arn import Scope
from busway.road.calls import Call, Each
from busway.road.function_plan import qualified
from busway.road.manifest import DEAD_LETTER_RETENTION_S, BatchEntry, HandlerEntry

# One shard takes 1,000 events or 1 MB a second; UpdateShardCount gives it more, and deploying leaves that alone.
# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
SHARDS = 1
STREAM_RETENTION_S = 86_400
# What AWS advises, in function timeouts: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_TIMEOUTS = 6
VISIBILITY_S_MAX = 43_200

_GONE = ("ResourceNotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


def source_arn(batch: BatchEntry, name: str, scope: Scope) -> str:
    return _stream_arn(name, scope) if batch.source == "stream" else scope.arn("sqs", name)


def _stream_arn(name: str, scope: Scope) -> str:
    return scope.arn("kinesis", f"stream/{name}")


def source_calls(
    entry: HandlerEntry, batch: BatchEntry, name: str, scope: Scope, *, dead_letters: str, rule: str
) -> list[Call]:
    """The stream or queue. `dead_letters` and `rule` are ARNs."""
    if batch.source == "stream":
        stream = {"StreamName": name, "ShardCount": SHARDS}
        create = Call("kinesis", "CreateStream", stream, exists=("ResourceInUseException",))
        return [create, *_longer_retention(entry, name)]
    attributes = _queue_attributes(entry, scope.arn("sqs", name), dead_letters, rule)
    return [
        Call(
            "sqs",
            "CreateQueue",
            {"QueueName": name, "Attributes": attributes},
            exists=("QueueAlreadyExists", "QueueNameExists"),
            then=(Call("sqs", "SetQueueAttributes", {"QueueUrl": _url(name, scope), "Attributes": attributes}),),
        )
    ]


def _longer_retention(entry: HandlerEntry, name: str) -> list[Call]:
    if entry.max_age_s <= STREAM_RETENTION_S:
        return []
    hours = {"StreamName": name, "RetentionPeriodHours": math.ceil(entry.max_age_s / 3600)}
    # Refused where it is that long already.
    return [Call("kinesis", "IncreaseStreamRetentionPeriod", hours, exists=("InvalidArgumentException",))]


def _queue_attributes(entry: HandlerEntry, queue: str, dead_letters: str, rule: str) -> dict[str, str]:
    redrive = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": entry.retries + 1}
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    return {
        "VisibilityTimeout": str(min(VISIBILITY_S_MAX, VISIBILITY_TIMEOUTS * entry.timeout_s)),
        "MessageRetentionPeriod": str(DEAD_LETTER_RETENTION_S),
        "RedrivePolicy": _json(redrive),
        "Policy": _json({"Version": "2012-10-17", "Statement": [statement]}),
    }


def target(batch: BatchEntry, name: str, scope: Scope, role: str) -> dict[str, Any]:
    """What of a rule's target is the source's own."""
    arn = {"Arn": source_arn(batch, name, scope)}
    if batch.source == "queue":
        return arn
    path = {"KinesisParameters": {"PartitionKeyPath": batch.order_by}} if batch.order_by else {}
    return {**arn, "RoleArn": role, **path}


def mapping_calls(
    entry: HandlerEntry, batch: BatchEntry, name: str, scope: Scope, dead_letters: str, qualifier: str = ""
) -> list[Call]:
    """The mapping as it is to be, whether it is there or not."""
    source, function = source_arn(batch, name, scope), qualified(name, qualifier)
    settings: dict[str, Any] = {
        "FunctionName": function,
        "BatchSize": batch.size,
        "MaximumBatchingWindowInSeconds": batch.window_s,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "Enabled": True,
        **_stream_settings(entry, batch, dead_letters),
        **_queue_settings(batch),
    }
    # From the beginning: the stream is the handler's own, and what it holds is the handler's to do.
    start = {"StartingPosition": "TRIM_HORIZON"} if batch.source == "stream" else {}
    return [
        Call(
            "lambda",
            "CreateEventSourceMapping",
            {"EventSourceArn": source, **settings, **start},
            exists=("ResourceConflictException",),
            then=(
                Call("lambda", "UpdateEventSourceMapping", settings, each=_mappings(function, source), named="UUID"),
            ),
        )
    ]


def _stream_settings(entry: HandlerEntry, batch: BatchEntry, dead_letters: str) -> dict[str, Any]:
    if batch.source != "stream":
        return {}
    return {
        "ParallelizationFactor": batch.parallelism or 1,
        "BisectBatchOnFunctionError": batch.bisect,
        "MaximumRetryAttempts": entry.retries,
        "MaximumRecordAgeInSeconds": entry.max_age_s,
        "DestinationConfig": {"OnFailure": {"Destination": dead_letters}},
    }


def _queue_settings(batch: BatchEntry) -> dict[str, Any]:
    if batch.source != "queue":
        return {}
    concurrency = {"MaximumConcurrency": batch.parallelism} if batch.parallelism else {}
    return {"ScalingConfig": concurrency}


def end_calls(batch: BatchEntry | None, name: str, scope: Scope, qualifier: str) -> list[Call]:
    """The calls that end the sources that the handler has no more: all of them, for a handler without batches."""
    function = qualified(name, qualifier)
    calls: list[Call] = []
    if batch is None or batch.source != "stream":
        stream = _mappings(function, _stream_arn(name, scope))
        calls += _end(stream, Call("kinesis", "DeleteStream", {"StreamName": name}, exists=_GONE, each=stream))
    if batch is None or batch.source != "queue":
        queue = _mappings(function, scope.arn("sqs", name))
        calls += _end(queue, Call("sqs", "DeleteQueue", {"QueueUrl": _url(name, scope)}, exists=_GONE, each=queue))
    return calls


def _end(mapping: Each, source: Call) -> list[Call]:
    """The source first: only what our mapping reads is ours, so the mapping is what it is known by."""
    return [source, Call("lambda", "DeleteEventSourceMapping", {}, exists=_GONE, each=mapping, named="UUID")]


def _mappings(function: str, source: str) -> Each:
    return Each(
        "lambda",
        "ListEventSourceMappings",
        {"FunctionName": function, "EventSourceArn": source},
        "EventSourceMappings",
    )


def _url(name: str, scope: Scope) -> str:
    """A queue's URL as on AWS; a server takes it for its own queue of this name."""
    return f"https://sqs.{scope.region}.amazonaws.com/{scope.account}/{name}"


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
