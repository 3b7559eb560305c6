"""What a handler of batches reads: a stream or a queue that its rule fills, and the mapping. Pure."""

from __future__ import annotations

import math
from typing import Any

from busway.road.aws.letters import KEPT, Resources
from busway.road.aws.roles import EVENTS, allow, queue_policy, role
from busway.road.batches import SHARDS, STREAM_RETENTION_S, VISIBILITY_S_MAX, VISIBILITY_TIMEOUTS
from busway.road.manifest import DEAD_LETTER_RETENTION_S, BatchEntry, HandlerEntry


def source_id(batch: BatchEntry, logical: str) -> str:
    return f"{logical}BatchStream" if batch.source == "stream" else f"{logical}BatchQueue"


def source_resources(entry: HandlerEntry, batch: BatchEntry, logical: str, name: str, rule: Any) -> Resources:
    """`name`: the source's; `rule`: the ARN of the one that fills it."""
    source = source_id(batch, logical)
    mapping = {f"{logical}BatchMapping": _mapping(entry, batch, logical)}
    if batch.source == "stream":
        may_fill = allow("kinesis:PutRecord", {"Fn::GetAtt": [source, "Arn"]})
        return {source: _stream(entry, name), f"{logical}RuleRole": role(EVENTS, "rule", [may_fill], rule), **mapping}
    return {source: _queue(entry, logical, name), f"{source}Policy": queue_policy(source, [rule]), **mapping}


def target(batch: BatchEntry, logical: str) -> dict[str, Any]:
    """What of the rule's target is the source's own."""
    arn = {"Arn": {"Fn::GetAtt": [source_id(batch, logical), "Arn"]}}
    if batch.source == "queue":
        return arn
    path = {"KinesisParameters": {"PartitionKeyPath": batch.order_by}} if batch.order_by else {}
    return {**arn, "RoleArn": {"Fn::GetAtt": [f"{logical}RuleRole", "Arn"]}, **path}


def filled_after(batch: BatchEntry, logical: str) -> list[str]:
    """What must be there before the first event comes, and is not named by the rule."""
    return [f"{logical}BatchMapping"] + ([f"{logical}BatchQueuePolicy"] if batch.source == "queue" else [])


def _stream(entry: HandlerEntry, name: str) -> dict[str, Any]:
    # UpdateShardCount gives it more, and deploying leaves that alone while the template says the same.
    hours = math.ceil(max(entry.max_age_s, STREAM_RETENTION_S) / 3600)
    settings = {"Name": name, "ShardCount": SHARDS, "RetentionPeriodHours": hours}
    return {"Type": "AWS::Kinesis::Stream", **KEPT, "Properties": settings}


def _queue(entry: HandlerEntry, logical: str, name: str) -> dict[str, Any]:
    letters = {"Fn::GetAtt": [f"{logical}DeadLetters", "Arn"]}
    settings = {
        "QueueName": name,
        "VisibilityTimeout": min(VISIBILITY_S_MAX, VISIBILITY_TIMEOUTS * entry.timeout_s),
        "MessageRetentionPeriod": DEAD_LETTER_RETENTION_S,
        "RedrivePolicy": {"deadLetterTargetArn": letters, "maxReceiveCount": entry.retries + 1},
    }
    return {"Type": "AWS::SQS::Queue", **KEPT, "Properties": settings}


def _mapping(entry: HandlerEntry, batch: BatchEntry, logical: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "EventSourceArn": {"Fn::GetAtt": [source_id(batch, logical), "Arn"]},
        "FunctionName": {"Ref": f"{logical}Function"},
        "BatchSize": batch.size,
        "MaximumBatchingWindowInSeconds": batch.window_s,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    if batch.source == "queue" and batch.parallelism:
        settings["ScalingConfig"] = {"MaximumConcurrency": batch.parallelism}
    if batch.source == "stream":
        settings |= {
            # From the beginning: the stream is the handler's own, and what it holds is the handler's to do.
            "StartingPosition": "TRIM_HORIZON",
            "ParallelizationFactor": batch.parallelism or 1,
            "BisectBatchOnFunctionError": batch.bisect,
            "MaximumRetryAttempts": entry.retries,
            "MaximumRecordAgeInSeconds": entry.max_age_s,
            "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": [f"{logical}DeadLetters", "Arn"]}}},
        }
    return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": settings}
