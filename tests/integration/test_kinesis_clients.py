"""Unmodified clients of Kinesis against `busway serve` with access keys: boto3, the AWS CLI, and CBOR by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import httpx
import pytest
from botocore.exceptions import ClientError

from busway.aws.signature import sign

from .whole_server import ACCOUNT, BIN, PATIENCE_S, REGION, ROLE, SECRET, WholeServer, arn, whole_server

CBOR = "application/x-amz-cbor-1.1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="module")
def kinesis(server: WholeServer) -> Any:
    return server.client("kinesis")


@pytest.fixture
def stream(kinesis: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A stream of two shards with the name of the test."""
    name = request.node.name[:128]
    kinesis.create_stream(StreamName=name, ShardCount=2)
    yield name
    kinesis.delete_stream(StreamName=name)


def read(kinesis: Any, stream: str, shard: str, kind: str = "TRIM_HORIZON", **start: Any) -> list[Any]:
    """Every record of a shard from a place on."""
    found: list[Any] = []
    start = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": kind, **start}
    iterator = kinesis.get_shard_iterator(**start)["ShardIterator"]
    while iterator:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=100)
        found += answer["Records"]
        iterator = answer.get("NextShardIterator")
        if not answer["Records"] and not answer["MillisBehindLatest"]:
            break
    return found


def refused(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_records_go_in_and_come_out_by_all_five_kinds_of_iterators(kinesis: Any, stream: str):
    kinesis.get_waiter("stream_exists").wait(StreamName=stream)
    one = kinesis.put_record(StreamName=stream, Data=b"one", PartitionKey="kéy")
    shard = one["ShardId"]
    two = kinesis.put_record(
        StreamName=stream, Data=b"\x00\xff", PartitionKey="kéy", SequenceNumberForOrdering=one["SequenceNumber"]
    )
    assert two["ShardId"] == shard
    assert int(two["SequenceNumber"]) > int(one["SequenceNumber"])
    first, second = read(kinesis, stream, shard)
    assert (first["Data"], first["PartitionKey"], first["SequenceNumber"]) == (b"one", "kéy", one["SequenceNumber"])
    assert abs(first["ApproximateArrivalTimestamp"].timestamp() - time.time()) < PATIENCE_S
    assert second["Data"] == b"\x00\xff"
    number = one["SequenceNumber"]
    assert len(read(kinesis, stream, shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)) == 2
    assert len(read(kinesis, stream, shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)) == 1
    assert len(read(kinesis, stream, shard, "AT_TIMESTAMP", Timestamp=datetime.now(UTC) - timedelta(hours=1))) == 2
    assert read(kinesis, stream, shard, "LATEST") == []


def test_a_batch_is_answered_record_by_record(kinesis: Any, stream: str):
    records = [{"Data": b"%d" % n, "PartitionKey": f"key {n % 9}"} for n in range(500)]
    answer = kinesis.put_records(StreamARN=arn("kinesis", f"stream/{stream}"), Records=records)
    assert answer["FailedRecordCount"] == 0
    assert len({result["SequenceNumber"] for result in answer["Records"]}) == 500
    found = [record for n in range(2) for record in read(kinesis, stream, f"shardId-{n:012d}")]
    by_number = {record["SequenceNumber"]: record["Data"] for record in found}
    assert [by_number[result["SequenceNumber"]] for result in answer["Records"]] == [r["Data"] for r in records]


def test_resharding_keeps_every_record_readable(kinesis: Any, stream: str):
    def put(count: int) -> None:
        kinesis.put_records(
            StreamName=stream, Records=[{"Data": b"", "PartitionKey": f"key {n}"} for n in range(count)]
        )

    put(20)
    kinesis.split_shard(StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 126))
    put(20)
    kinesis.merge_shards(
        StreamName=stream, ShardToMerge="shardId-000000000003", AdjacentShardToMerge="shardId-000000000001"
    )
    put(20)
    scaled = kinesis.update_shard_count(StreamName=stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    assert (scaled["CurrentShardCount"], scaled["TargetShardCount"]) == (2, 4)
    put(20)
    shards = [s for page in kinesis.get_paginator("list_shards").paginate(StreamName=stream) for s in page["Shards"]]
    merged = shards[4]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (
        "shardId-000000000003", "shardId-000000000001",
    )  # fmt: skip
    assert all("EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards[:2])
    assert sum(len(read(kinesis, stream, shard["ShardId"])) for shard in shards) == 80
    assert kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["OpenShardCount"] == 4


def test_shards_are_listed_by_pages_and_filters(kinesis: Any, stream: str):
    kinesis.update_shard_count(StreamName=stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING")

    def ids(**request: Any) -> list[int]:
        return [int(shard["ShardId"][-3:]) for shard in kinesis.list_shards(**request)["Shards"]]

    page = kinesis.list_shards(StreamName=stream, MaxResults=4)
    assert len(page["Shards"]) == 4
    assert ids(NextToken=page["NextToken"]) == [4, 5]
    assert "NextToken" not in kinesis.list_shards(NextToken=page["NextToken"])
    for shard_filter, wanted in (
        ({"Type": "AT_LATEST"}, [2, 3, 4, 5]),
        ({"Type": "AT_TRIM_HORIZON"}, [0, 1]),
        ({"Type": "FROM_TRIM_HORIZON"}, [0, 1, 2, 3, 4, 5]),
        ({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000003"}, [4, 5]),
        ({"Type": "FROM_TIMESTAMP", "Timestamp": datetime.now(UTC) + timedelta(hours=1)}, [2, 3, 4, 5]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": datetime.now(UTC) + timedelta(hours=1)}, [2, 3, 4, 5]),
    ):
        assert ids(StreamName=stream, ShardFilter=shard_filter) == wanted, shard_filter
    described = kinesis.describe_stream(StreamName=stream, Limit=2)["StreamDescription"]
    assert (len(described["Shards"]), described["HasMoreShards"]) == (2, True)
    whole = kinesis.get_paginator("describe_stream").paginate(StreamName=stream, PaginationConfig={"PageSize": 2})
    assert sum(len(page["StreamDescription"]["Shards"]) for page in whole) == 6
    for request, words in (
        ({}, "Either NextToken or StreamName should be provided."),
        ({"StreamName": stream, "NextToken": page["NextToken"]}, "NextToken and StreamName cannot be provided"),
        ({"NextToken": "bm8="}, "NextToken is invalid"),
        ({"StreamName": stream, "ShardFilter": {"Type": "AT_TIMESTAMP"}}, "needs a Timestamp"),
    ):
        code, message = refused(kinesis.list_shards, **request)
        assert code == "InvalidArgumentException" and words in message


def test_streams_are_described_listed_tagged_and_changed(kinesis: Any, stream: str):
    name_arn = arn("kinesis", f"stream/{stream}")
    kinesis.create_stream(
        StreamName="on-demand", StreamModeDetails={"StreamMode": "ON_DEMAND"}, Tags={"a": "b"},
        MaxRecordSizeInKiB=2048,
    )  # fmt: skip
    described = kinesis.describe_stream_summary(StreamName="on-demand")["StreamDescriptionSummary"]
    assert described["OpenShardCount"] == 4
    assert described["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert described["MaxRecordSizeInKiB"] == 2048
    pages = kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1})
    names = [name for page in pages for name in page["StreamNames"]]
    assert {"on-demand", stream} <= set(names) and names == sorted(names)
    kinesis.increase_stream_retention_period(StreamARN=name_arn, RetentionPeriodHours=48)
    kinesis.decrease_stream_retention_period(StreamName=stream, RetentionPeriodHours=25)
    kinesis.update_stream_mode(StreamARN=name_arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    kinesis.update_max_record_size(StreamARN=name_arn, MaxRecordSizeInKiB=10240)
    big = kinesis.put_record(StreamName=stream, Data=b"x" * 10_000_000, PartitionKey="k")
    assert [len(record["Data"]) for record in read(kinesis, stream, big["ShardId"])] == [10_000_000]
    summary = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]
    assert (summary["RetentionPeriodHours"], summary["StreamModeDetails"]["StreamMode"]) == (25, "ON_DEMAND")
    kinesis.add_tags_to_stream(StreamName=stream, Tags={"x": "1", "y": "2"})
    kinesis.tag_resource(ResourceARN=name_arn, Tags={"z": "3"})
    kinesis.remove_tags_from_stream(StreamName=stream, TagKeys=["x"])
    kinesis.untag_resource(ResourceARN=name_arn, TagKeys=["y"])
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == [{"Key": "z", "Value": "3"}]
    assert kinesis.list_tags_for_resource(ResourceARN=name_arn)["Tags"] == [{"Key": "z", "Value": "3"}]
    assert kinesis.describe_limits()["OnDemandStreamCount"] == 2
    kinesis.delete_stream(StreamName="on-demand")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="on-demand")


def test_errors_are_in_the_words_of_aws(kinesis: Any, stream: str):
    missing = ("ResourceNotFoundException", f"Stream no under account {ACCOUNT} not found.")
    assert refused(kinesis.describe_stream, StreamName="no") == missing
    assert refused(kinesis.put_record, StreamName="no", Data=b"", PartitionKey="k") == missing
    assert refused(kinesis.put_records, StreamName="no", Records=[{"Data": b"", "PartitionKey": "k"}]) == missing
    assert refused(kinesis.create_stream, StreamName=stream, ShardCount=1) == (
        "ResourceInUseException", f"Stream {stream} under account {ACCOUNT} already exists.",
    )  # fmt: skip
    latest = {"StreamName": stream, "ShardId": "shardId-9", "ShardIteratorType": "LATEST"}
    assert refused(kinesis.get_shard_iterator, **latest) == (
        "ResourceNotFoundException", f"Shard shardId-9 in stream {stream} under account {ACCOUNT} does not exist",
    )  # fmt: skip
    assert refused(kinesis.get_records, ShardIterator="bm8=") == (
        "InvalidArgumentException",
        "Invalid ShardIterator.",
    )
    code, message = refused(
        kinesis.put_record, StreamName=stream, Data=b"", PartitionKey="k", SequenceNumberForOrdering="5"
    )
    assert (code, message.startswith("ExclusiveMinimumSequenceNumber 5 used in PutRecord on stream")) == (
        "InvalidArgumentException", True,
    )  # fmt: skip
    code, message = refused(
        kinesis.put_records, StreamName=stream, Records=[{"Data": b"", "PartitionKey": "k" * 257}]
    )
    assert code == "ValidationException"
    assert "at 'records.1.member.partitionKey' failed to satisfy constraint" in message
    assert refused(kinesis.put_record, Data=b"", PartitionKey="k")[0] == "InvalidArgumentException"
    assert refused(kinesis.put_record, StreamName=stream, Data=b"", PartitionKey="k", DryRun=True)[0] == (
        "DryRunOperationException"
    )
    code, _ = refused(
        kinesis.update_shard_count, StreamName=stream, TargetShardCount=9, ScalingType="UNIFORM_SCALING"
    )
    assert code == "LimitExceededException"


def test_a_rule_puts_its_events_into_a_stream_with_the_partition_key_it_names(
    server: WholeServer, kinesis: Any, stream: str
):
    events = server.client("events")
    events.put_rule(Name="into-stream", EventPattern='{"source":["to.stream"]}')
    target = {
        "Id": "s", "Arn": arn("kinesis", f"stream/{stream}"), "RoleArn": ROLE, "InputPath": "$.detail",
        "KinesisParameters": {"PartitionKeyPath": "$.detail.customer"},
    }  # fmt: skip
    with pytest.raises(ClientError, match="RoleArn is required"):
        events.put_targets(Rule="into-stream", Targets=[{n: v for n, v in target.items() if n != "RoleArn"}])
    events.put_targets(Rule="into-stream", Targets=[target])
    assert events.list_targets_by_rule(Rule="into-stream")["Targets"] == [target]
    details = [{"customer": f"c{n % 3}", "n": n} for n in range(9)] + [{"n": 9}]
    events.put_events(
        Entries=[{"Source": "to.stream", "DetailType": "t", "Detail": json.dumps(detail)} for detail in details]
    )
    deadline = time.monotonic() + PATIENCE_S
    found: list[Any] = []
    while len(found) < 10:
        assert time.monotonic() < deadline, found
        found = [record for n in range(2) for record in read(kinesis, stream, f"shardId-{n:012d}")]
    keys = {json.loads(record["Data"])["n"]: record["PartitionKey"] for record in found}
    assert keys == {**{n: f'"c{n % 3}"' for n in range(9)}, 9: "{}"}


# CBOR, as the SDKs for Java send it.


def cbor(server: WholeServer, operation: str, body: bytes) -> httpx.Response:
    headers = {"Content-Type": CBOR, "X-Amz-Target": f"Kinesis_20131202.{operation}"}
    signed = sign("POST", server.url + "/", headers, body, ACCOUNT, SECRET, REGION, "kinesis", time.time())
    return httpx.post(server.url + "/", headers=signed, content=body, timeout=PATIENCE_S)


def test_cbor_goes_in_and_comes_out(server: WholeServer, kinesis: Any, stream: str):
    records = [{"Data": b"\x00%d" % n, "PartitionKey": f"k{n}"} for n in range(20)]
    put = cbor(server, "PutRecords", cbor2.dumps({"StreamName": stream, "Records": records}))
    assert (put.status_code, put.headers["content-type"]) == (200, CBOR)
    answer = cbor2.loads(put.content)
    assert (answer["FailedRecordCount"], len(answer["Records"])) == (0, 20)
    at = int((time.time() - 3600) * 1000)
    begin = {"StreamName": stream, "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_TIMESTAMP"}
    # The time as those SDKs write it: tag 1 and whole milliseconds.
    body = b"\xa4" + cbor2.dumps(begin)[1:] + cbor2.dumps("Timestamp") + b"\xc1" + cbor2.dumps(at)
    iterator = cbor2.loads(cbor(server, "GetShardIterator", body).content)["ShardIterator"]
    got = cbor(server, "GetRecords", cbor2.dumps({"ShardIterator": iterator})).content
    # A time comes back the same way, so it is read as a plain number here.
    found = cbor2.loads(got.replace(b"\xc1\x1b", b"\x1b"))["Records"]
    assert [record["Data"] for record in found] == [r["Data"] for r in read(kinesis, stream, "shardId-000000000000")]
    assert all(abs(record["ApproximateArrivalTimestamp"] / 1000 - time.time()) < PATIENCE_S for record in found)


def test_errors_are_told_in_cbor_too(server: WholeServer):
    missing = cbor(server, "DescribeStream", cbor2.dumps({"StreamName": "no"}))
    assert (missing.status_code, missing.headers["content-type"]) == (400, CBOR)
    assert cbor2.loads(missing.content) == {
        "__type": "ResourceNotFoundException", "message": f"Stream no under account {ACCOUNT} not found.",
    }  # fmt: skip
    broken = cbor(server, "DescribeStream", b"\xff\xff")
    assert cbor2.loads(broken.content)["__type"] == "SerializationException"
    unsigned = httpx.post(
        server.url, content=b"\xa0", headers={"Content-Type": CBOR, "X-Amz-Target": "Kinesis_20131202.ListStreams"}
    )
    assert unsigned.status_code == 403
    assert cbor2.loads(unsigned.content)["__type"] == "MissingAuthenticationTokenException"


# The command line.


def test_the_aws_cli_puts_and_reads(server: WholeServer):
    def aws(*words: str) -> Any:
        done = server.run(BIN / "aws", "--output", "json", "kinesis", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    aws("create-stream", "--stream-name", "cli", "--shard-count", "1")
    aws("wait", "stream-exists", "--stream-name", "cli")
    put = aws("put-record", "--stream-name", "cli", "--partition-key", "k", "--data", "plain")
    start = ("--stream-name", "cli", "--shard-id", put["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")
    iterator = aws("get-shard-iterator", *start)["ShardIterator"]
    (record,) = aws("get-records", "--shard-iterator", iterator)["Records"]
    assert (record["Data"], record["SequenceNumber"]) == ("cGxhaW4=", put["SequenceNumber"])
    aws("delete-stream", "--stream-name", "cli")
    refusal = server.run(BIN / "aws", "kinesis", "describe-stream", "--stream-name", "cli")
    assert "(ResourceNotFoundException)" in refusal.stderr
