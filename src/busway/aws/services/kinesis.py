"""Kinesis at the door: names in, names out. What a stream does is in `stream`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation, RawOperation, Slow
from busway.aws.services.kinesis_wire import (
    GetRecordsRequest,
    Members,
    PutRecordsRequest,
    ShardsToken,
    filtered,
    named_arn,
    page,
    placed_answer,
    read_answer,
    read_token,
    shard_answer,
    stream_answer,
    stream_arn,
    summary_answer,
    tag_answers,
    write_placed,
    write_token,
)
from busway.clock import Clock
from busway.errors import InvalidSequenceNumber, InvalidStreamRequest
from busway.stream.reading import ShardReader, Start
from busway.stream.record import ON_DEMAND, PROVISIONED, StreamRecord
from busway.stream.registry import NewStream
from busway.stream.resharding import SHARDS_MAX
from busway.stream.sequence import check_form
from busway.stream.streams import KEY_CHARS_MAX, READ_RECORDS_MAX, RECORDS_MAX, NewRecord, Streams, is_explicit

_read_put = msgspec.json.Decoder(PutRecordsRequest).decode
_read_get = msgspec.json.Decoder(GetRecordsRequest).decode
_write = msgspec.json.Encoder().encode

# AWS's defaults of ListStreams, DescribeStream and ListTagsForStream, and of ListShards.
PAGE, SHARDS_PAGE, TAGS_PAGE = 100, 1_000, 50
ITERATOR_CHARS_MAX = 512
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeLimits.html
ON_DEMAND_STREAMS_MAX = 50


class Kinesis:
    """The operations of Kinesis Data Streams."""

    name = "kinesis"
    # 10 MiB of data and keys, a third more of it in base64, and the names around 500 records.
    body_max = 16 * 1024 * 1024

    def __init__(self, streams: Streams, reader: ShardReader, clock: Clock) -> None:
        self._streams, self._reader, self._clock = streams, reader, clock
        self.raw: Mapping[str, RawOperation] = {
            "GetRecords": self.get_records_raw,
            "PutRecords": self.put_records_raw,
        }
        self.partial: Mapping[str, str] = {
            "CreateStream": "complete when it returns; no record distribution strategy AUTO, no warm throughput",
            "DeleteStream": "complete when it returns",
            "GetRecords": "AWS's read limits of a shard are not enforced",
            "PutRecord": "AWS's write limits of a shard only with BUSWAY_SHARD_LIMITS=aws",
            "PutRecords": "AWS's write limits of a shard only with BUSWAY_SHARD_LIMITS=aws",
            "TagResource": "streams only",
            "UntagResource": "streams only",
            "ListTagsForResource": "streams only",
            "UpdateShardCount": "as often as you like (AWS: ten times in 24 hours)",
            "UpdateStreamMode": "as often as you like (AWS: twice in 24 hours)",
        }
        self.operations: Mapping[str, Operation] = {
            "AddTagsToStream": self.add_tags_to_stream,
            "CreateStream": self.create_stream,
            "DecreaseStreamRetentionPeriod": self.decrease_stream_retention_period,
            "DeleteStream": self.delete_stream,
            "DescribeLimits": self.describe_limits,
            "DescribeStream": self.describe_stream,
            "DescribeStreamSummary": self.describe_stream_summary,
            "GetRecords": self.get_records,
            "GetShardIterator": self.get_shard_iterator,
            "IncreaseStreamRetentionPeriod": self.increase_stream_retention_period,
            "ListShards": self.list_shards,
            "ListStreams": self.list_streams,
            "ListTagsForResource": self.list_tags_for_resource,
            "ListTagsForStream": self.list_tags_for_stream,
            "MergeShards": self.merge_shards,
            "PutRecord": self.put_record,
            "PutRecords": self.put_records,
            "RemoveTagsFromStream": self.remove_tags_from_stream,
            "SplitShard": self.split_shard,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "UpdateMaxRecordSize": self.update_max_record_size,
            "UpdateShardCount": self.update_shard_count,
            "UpdateStreamMode": self.update_stream_mode,
        }

    # Records.

    async def put_records_raw(self, body: bytes, caller: Caller) -> bytes:
        """PutRecords without the model: the same work at a tenth of the cost."""
        try:
            request = _read_put(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Slow from None
        if (
            request.dry_run
            or not 1 <= len(request.records) <= RECORDS_MAX
            or not all(map(_is_plain, request.records))
        ):
            raise Slow
        arn = named_arn(request.stream_arn, request.stream_name, caller)
        return write_placed(await self._streams.put_records(arn, request.records))

    async def put_records(self, request: Members, caller: Caller) -> Members:
        _refuse_dry_run(request)
        records = [_new_record(entry) for entry in request["Records"]]
        results = await self._streams.put_records(stream_arn(request, caller), records)
        return {
            "FailedRecordCount": sum(not isinstance(result, tuple) for result in results),
            "Records": [placed_answer(result) for result in results],
        }

    async def put_record(self, request: Members, caller: Caller) -> Members:
        _refuse_dry_run(request)
        arn = stream_arn(request, caller)
        _check_ordering(request.get("SequenceNumberForOrdering"), self._streams.need(arn))
        record = _new_record(request)
        shard, number = await self._streams.put_record(
            arn, record.data, record.partition_key, record.explicit_hash_key
        )
        return {"ShardId": shard.id, "SequenceNumber": number}

    async def get_shard_iterator(self, request: Members, caller: Caller) -> Members:
        _refuse_dry_run(request)
        start = Start(request["ShardIteratorType"], request.get("StartingSequenceNumber"), request.get("Timestamp"))
        arn = stream_arn(request, caller)
        return {"ShardIterator": await self._reader.iterator(arn, request["ShardId"], start)}

    async def get_records_raw(self, body: bytes, caller: Caller) -> bytes:
        """GetRecords without the model."""
        try:
            request = _read_get(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Slow from None
        limit = READ_RECORDS_MAX if request.limit is None else request.limit
        in_range = 1 <= limit <= READ_RECORDS_MAX and 1 <= len(request.shard_iterator) <= ITERATOR_CHARS_MAX
        if request.dry_run or not in_range:
            raise Slow
        return _write(read_answer(await self._reader.records(request.shard_iterator, limit, request.stream_arn)))

    async def get_records(self, request: Members, caller: Caller) -> Members:
        _refuse_dry_run(request)
        limit = request.get("Limit") or READ_RECORDS_MAX
        answer = read_answer(await self._reader.records(request["ShardIterator"], limit, request.get("StreamARN")))
        # Not `to_builtins`: that would write data in base64.
        return {
            "Records": [
                {
                    "SequenceNumber": record.sequence_number,
                    "ApproximateArrivalTimestamp": record.approximate_arrival_timestamp,
                    "Data": record.data,
                    "PartitionKey": record.partition_key,
                }
                for record in answer.records
            ],
            "NextShardIterator": answer.next_shard_iterator,
            "MillisBehindLatest": answer.millis_behind_latest,
            "ChildShards": answer.child_shards,
        }

    # Streams.

    async def create_stream(self, request: Members, caller: Caller) -> Members:
        for name, taken in (("RecordDistributionStrategy", "USER_PARTITION_KEY"), ("WarmThroughputMiBps", None)):
            if request.get(name) not in (None, taken):
                raise InvalidStreamRequest(f"{name} {request[name]}: Busway does not have it.")
        mode = request.get("StreamModeDetails") or {"StreamMode": PROVISIONED}
        size = request.get("MaxRecordSizeInKiB") or 1024
        wanted = NewStream(
            request["StreamName"], request.get("ShardCount"), mode["StreamMode"], size * 1024, request.get("Tags")
        )
        await self._streams.create(caller.scope, wanted)
        return {}

    async def delete_stream(self, request: Members, caller: Caller) -> Members:
        await self._streams.delete(stream_arn(request, caller))
        return {}

    async def describe_stream(self, request: Members, caller: Caller) -> Members:
        stream = self._streams.need(stream_arn(request, caller))
        after = request.get("ExclusiveStartShardId") or ""
        shards, more = page([s for s in stream.shards if s.id > after], request.get("Limit") or PAGE)
        described = {"Shards": [shard_answer(shard) for shard in shards], "HasMoreShards": more}
        return {"StreamDescription": stream_answer(stream) | described}

    async def describe_stream_summary(self, request: Members, caller: Caller) -> Members:
        return {"StreamDescriptionSummary": summary_answer(self._streams.need(stream_arn(request, caller)))}

    async def list_streams(self, request: Members, caller: Caller) -> Members:
        # The token is the last name, which ExclusiveStartStreamName is too.
        after = request.get("NextToken") or request.get("ExclusiveStartStreamName") or ""
        found = [stream for stream in self._streams.find(caller.scope) if stream.name > after]
        shown, more = page(found, request.get("Limit") or PAGE)
        summaries = [stream_answer(stream) for stream in shown]
        return {
            "StreamNames": [stream.name for stream in shown],
            "HasMoreStreams": more,
            "NextToken": shown[-1].name if more else None,
            "StreamSummaries": summaries,
        }

    async def describe_limits(self, request: Members, caller: Caller) -> Members:
        found = self._streams.find(caller.scope)
        return {
            "ShardLimit": SHARDS_MAX,
            "OpenShardCount": sum(len(stream.open_shards) for stream in found),
            "OnDemandStreamCount": sum(stream.mode == ON_DEMAND for stream in found),
            "OnDemandStreamCountLimit": ON_DEMAND_STREAMS_MAX,
        }

    async def increase_stream_retention_period(self, request: Members, caller: Caller) -> Members:
        hours = request["RetentionPeriodHours"]
        await self._streams.set_retention(stream_arn(request, caller), hours, longer=True)
        return {}

    async def decrease_stream_retention_period(self, request: Members, caller: Caller) -> Members:
        hours = request["RetentionPeriodHours"]
        await self._streams.set_retention(stream_arn(request, caller), hours, longer=False)
        return {}

    async def update_stream_mode(self, request: Members, caller: Caller) -> Members:
        await self._streams.set_mode(request["StreamARN"], request["StreamModeDetails"]["StreamMode"])
        return {}

    async def update_max_record_size(self, request: Members, caller: Caller) -> Members:
        await self._streams.set_record_bytes_max(stream_arn(request, caller), request["MaxRecordSizeInKiB"] * 1024)
        return {}

    # Shards.

    async def list_shards(self, request: Members, caller: Caller) -> Members:
        now = self._clock.now()
        named = "StreamName" in request or "StreamARN" in request
        if "NextToken" in request:
            if named:
                raise InvalidStreamRequest("NextToken and StreamName cannot be provided together.")
            token = read_token(request["NextToken"], now)
        else:
            if not named:
                raise InvalidStreamRequest("Either NextToken or StreamName should be provided.")
            after = request.get("ExclusiveStartShardId") or ""
            token = ShardsToken(stream_arn(request, caller), now, after, request.get("ShardFilter"))
        stream = self._streams.need(token.arn)
        found = filtered((s for s in stream.shards if s.id > token.after), token.shard_filter, stream, now)
        shown, more = page(found, request.get("MaxResults") or SHARDS_PAGE)
        following = ShardsToken(token.arn, now, shown[-1].id, token.shard_filter) if more else None
        return {
            "Shards": [shard_answer(shard) for shard in shown],
            "NextToken": None if following is None else write_token(following),
        }

    async def split_shard(self, request: Members, caller: Caller) -> Members:
        arn = stream_arn(request, caller)
        await self._streams.split(arn, request["ShardToSplit"], int(request["NewStartingHashKey"]))
        return {}

    async def merge_shards(self, request: Members, caller: Caller) -> Members:
        arn = stream_arn(request, caller)
        await self._streams.merge(arn, request["ShardToMerge"], request["AdjacentShardToMerge"])
        return {}

    async def update_shard_count(self, request: Members, caller: Caller) -> Members:
        arn, count = stream_arn(request, caller), request["TargetShardCount"]
        before = await self._streams.scale(arn, count)
        stream = self._streams.need(arn)
        return {
            "StreamName": stream.name, "CurrentShardCount": before, "TargetShardCount": count, "StreamARN": arn,
        }  # fmt: skip

    # Tags.

    async def add_tags_to_stream(self, request: Members, caller: Caller) -> Members:
        await self._streams.tag(stream_arn(request, caller), request["Tags"])
        return {}

    async def remove_tags_from_stream(self, request: Members, caller: Caller) -> Members:
        await self._streams.untag(stream_arn(request, caller), request["TagKeys"])
        return {}

    async def list_tags_for_stream(self, request: Members, caller: Caller) -> Members:
        tags = tag_answers(self._streams.need(stream_arn(request, caller)).tags)
        after = request.get("ExclusiveStartTagKey") or ""
        shown, more = page([tag for tag in tags if tag["Key"] > after], request.get("Limit") or TAGS_PAGE)
        return {"Tags": shown, "HasMoreTags": more}

    async def tag_resource(self, request: Members, caller: Caller) -> Members:
        await self._streams.tag(request["ResourceARN"], request["Tags"])
        return {}

    async def untag_resource(self, request: Members, caller: Caller) -> Members:
        await self._streams.untag(request["ResourceARN"], request["TagKeys"])
        return {}

    async def list_tags_for_resource(self, request: Members, caller: Caller) -> Members:
        return {"Tags": tag_answers(self._streams.need(request["ResourceARN"]).tags)}


def _is_plain(record: NewRecord) -> bool:
    """Whether the model's constraints hold for a record; how large it may be is the stream's."""
    key, explicit = record.partition_key, record.explicit_hash_key
    return key is not None and 0 < len(key) <= KEY_CHARS_MAX and (explicit is None or is_explicit(explicit))


def _new_record(entry: Mapping[str, Any]) -> NewRecord:
    return NewRecord(entry["Data"], entry.get("PartitionKey"), entry.get("ExplicitHashKey"))


def _check_ordering(number: str | None, stream: StreamRecord) -> None:
    """Numbers of a shard always grow here, so SequenceNumberForOrdering is only looked at, as AWS does."""
    try:
        if number is not None:
            check_form(number)
    except InvalidSequenceNumber:
        raise InvalidStreamRequest(
            f"ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {stream.name} under account "
            f"{stream.account} is invalid."
        ) from None


def _refuse_dry_run(request: Members) -> None:
    if request.get("DryRun"):
        raise AwsError("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.", 400)
