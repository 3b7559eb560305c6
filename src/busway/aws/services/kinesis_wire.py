"""Kinesis's members to and from the stream room's words. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from busway.aws.errors import AwsError, aws_error
from busway.aws.service import Caller
from busway.errors import InvalidStreamRequest, ShardThrottled, StorageFull
from busway.stream.reading import Read
from busway.stream.record import Shard, StreamEntry, StreamRecord
from busway.stream.registry import HOUR_S
from busway.stream.streams import NewRecord, Placed

T = TypeVar("T")
Members = dict[str, Any]

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html
TOKEN_LIFE_S = 300


class PutRecordsRequest(msgspec.Struct, rename="pascal"):
    """PutRecords as the hot path reads it; whatever doesn't fit goes the generic way, which words the error."""

    records: list[NewRecord]
    stream_name: str | None = None
    stream_arn: str | None = msgspec.field(name="StreamARN", default=None)
    dry_run: bool | None = None


class GetRecordsRequest(msgspec.Struct, rename="pascal"):
    """GetRecords, likewise."""

    shard_iterator: str
    limit: int | None = None
    stream_arn: str | None = msgspec.field(name="StreamARN", default=None)
    dry_run: bool | None = None


class RecordAnswer(msgspec.Struct, rename="pascal"):
    """A record as GetRecords gives it; JSON has the data in base64."""

    sequence_number: str
    approximate_arrival_timestamp: float
    data: bytes
    partition_key: str


class GetRecordsAnswer(msgspec.Struct, rename="pascal", omit_defaults=True):
    records: list[RecordAnswer]
    millis_behind_latest: int
    next_shard_iterator: str | None = None
    child_shards: list[Members] | None = None


class ShardsToken(msgspec.Struct):
    """What ListShards goes on with. `made_at` is Unix seconds; the filter stays the same."""

    arn: str
    made_at: float
    after: str
    shard_filter: Members | None = None


def stream_arn(request: Mapping[str, Any], caller: Caller) -> str:
    """The ARN of the stream that a request names, by ARN or name. Raises `InvalidStreamRequest`."""
    return named_arn(request.get("StreamARN"), request.get("StreamName"), caller)


def named_arn(arn: str | None, name: str | None, caller: Caller) -> str:
    if arn is None:
        if name is None:
            raise InvalidStreamRequest("Either StreamName or StreamARN should be provided.")
        return caller.scope.arn("kinesis", f"stream/{name}")
    if name is not None and not arn.endswith(f":stream/{name}"):
        raise InvalidStreamRequest(f"StreamName {name} is not the name in StreamARN {arn}.")
    return arn


def shard_answer(shard: Shard) -> Members:
    parents = [*shard.parents, None, None]
    return {
        "ShardId": shard.id,
        "ParentShardId": parents[0],
        "AdjacentParentShardId": parents[1],
        "HashKeyRange": range_answer(shard),
        "SequenceNumberRange": {
            "StartingSequenceNumber": shard.first_sequence_number,
            "EndingSequenceNumber": shard.last_sequence_number,
        },
    }


def range_answer(shard: Shard) -> Members:
    return {"StartingHashKey": str(shard.low), "EndingHashKey": str(shard.high)}


def child_answer(shard: Shard) -> Members:
    return {"ShardId": shard.id, "ParentShards": list(shard.parents), "HashKeyRange": range_answer(shard)}


def stream_answer(stream: StreamRecord) -> Members:
    """What DescribeStream and DescribeStreamSummary share."""
    return {
        "StreamName": stream.name,
        "StreamARN": stream.arn,
        "StreamStatus": stream.status,
        "StreamModeDetails": {"StreamMode": stream.mode},
        "RetentionPeriodHours": int(stream.retention_s) // HOUR_S,
        "StreamCreationTimestamp": stream.created_at,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
    }


def summary_answer(stream: StreamRecord) -> Members:
    return {
        **stream_answer(stream),
        "OpenShardCount": len(stream.open_shards),
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": stream.record_bytes_max // 1024,
    }


def placed_answer(result: Placed | ShardThrottled | StorageFull) -> Members:
    """One entry of PutRecords' answer."""
    if isinstance(result, tuple):
        shard, offset = result
        return {"SequenceNumber": shard.sequence_number(offset), "ShardId": shard.id}
    code = "InternalFailure"
    if isinstance(result, ShardThrottled):
        told = aws_error("kinesis", result)
        code = code if told is None else told.code
    return {"ErrorCode": code, "ErrorMessage": str(result)}


def write_placed(results: Sequence[Placed | ShardThrottled | StorageFull]) -> bytes:
    """The answer of PutRecords as JSON text: half a microsecond a record."""
    forms: dict[int, str] = {}
    records: list[str] = []
    failed = 0
    for result in results:
        if isinstance(result, tuple):
            shard, offset = result
            form = forms.get(shard.index)
            if form is None:
                form = forms[shard.index] = f'{{"SequenceNumber":"{shard.prefix}%024d","ShardId":"{shard.id}"}}'
            records.append(form % offset)
        else:
            failed += 1
            records.append(msgspec.json.encode(placed_answer(result)).decode())
    return f'{{"FailedRecordCount":{failed},"Records":[{",".join(records)}]}}'.encode()


def record_answer(entry: StreamEntry) -> RecordAnswer:
    return RecordAnswer(entry.sequence_number, round(entry.arrived_at, 3), entry.data, entry.partition_key)


def read_answer(read: Read) -> GetRecordsAnswer:
    return GetRecordsAnswer(
        [record_answer(entry) for entry in read.entries],
        read.behind_ms,
        read.next,
        [child_answer(shard) for shard in read.children] if read.next is None else None,
    )


def filtered(shards: Iterable[Shard], shard_filter: Members | None, stream: StreamRecord, now: float) -> list[Shard]:
    """The shards that a ShardFilter leaves. Raises `InvalidStreamRequest`.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ShardFilter.html
    """
    if shard_filter is None:
        return list(shards)
    kind: str = shard_filter["Type"]
    needed = {"AT_TIMESTAMP": "Timestamp", "FROM_TIMESTAMP": "Timestamp", "AFTER_SHARD_ID": "ShardId"}.get(kind)
    if needed is not None and shard_filter.get(needed) is None:
        raise InvalidStreamRequest(f"ShardFilter of type {kind} needs a {needed}.")
    if kind == "AFTER_SHARD_ID":
        return [shard for shard in shards if shard.id > shard_filter["ShardId"]]
    if kind == "AT_LATEST":
        return [shard for shard in shards if not shard.closed]
    # The horizon of a stream that is younger than its retention is its creation.
    horizon = max(stream.created_at, now - stream.retention_s)
    at: float = shard_filter["Timestamp"] if needed else horizon
    if kind.startswith("FROM_"):
        return [shard for shard in shards if shard.closed_at is None or shard.closed_at >= at]
    return [s for s in shards if s.opened_at <= at and (s.closed_at is None or s.closed_at > at)]


def page(items: Sequence[T], limit: int) -> tuple[list[T], bool]:
    """The first `limit` of the items, and whether there are more."""
    return list(items[:limit]), len(items) > limit


def write_token(token: ShardsToken) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode()


def read_token(text: str, now: float) -> ShardsToken:
    """Raises AwsError InvalidArgumentException, ExpiredNextTokenException."""
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=ShardsToken)
    except (binascii.Error, UnicodeError, msgspec.DecodeError, RecursionError):
        raise AwsError("InvalidArgumentException", "NextToken is invalid.") from None
    if now - token.made_at > TOKEN_LIFE_S:
        raise AwsError("ExpiredNextTokenException", f"NextToken is older than {TOKEN_LIFE_S} seconds.")
    return token


def tag_answers(tags: Mapping[str, str]) -> list[Members]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
