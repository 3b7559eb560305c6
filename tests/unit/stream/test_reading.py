"""Iterators of all five kinds, and what GetRecords makes of them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, strategies as st

from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.errors import ExpiredShardIterator, InvalidShardIterator, InvalidStreamRequest, ShardNotFound
from busway.metrics import Metrics
from busway.stream.iterator import Iterators, Place
from busway.stream.reading import ShardReader, Start
from busway.stream.record import StreamRecord
from busway.stream.registry import HOUR_S, NewStream
from busway.stream.streams import Streams

from .conftest import SCOPE

SHARD = "shardId-000000000000"
HORIZON = Start("TRIM_HORIZON")


@pytest.fixture
async def stream(streams: Streams) -> StreamRecord:
    return await streams.create(SCOPE, NewStream("s", 1))


async def put(streams: Streams, stream: StreamRecord, *data: bytes) -> list[str]:
    """The sequence numbers of the records."""
    return [(await streams.put_record(stream.arn, one, "k"))[1] for one in data]


async def read(reader: ShardReader, stream: StreamRecord, start: Start, limit: int = 100) -> list[bytes]:
    found = await reader.records(await reader.iterator(stream.arn, SHARD, start), limit)
    return [entry.data for entry in found.entries]


async def test_reading_begins_at_the_horizon_at_a_number_after_it_at_a_time_or_now(
    streams: Streams, stream: StreamRecord, reader: ShardReader, clock: ManualClock
):
    await put(streams, stream, b"a")
    await clock.advance(10)
    (number,) = await put(streams, stream, b"b")
    at = clock.now()
    await clock.advance(10)
    await put(streams, stream, b"c")
    assert await read(reader, stream, HORIZON) == [b"a", b"b", b"c"]
    assert await read(reader, stream, Start("AT_SEQUENCE_NUMBER", number)) == [b"b", b"c"]
    assert await read(reader, stream, Start("AFTER_SEQUENCE_NUMBER", number)) == [b"c"]
    assert await read(reader, stream, Start("AT_TIMESTAMP", at=at)) == [b"b", b"c"]
    assert await read(reader, stream, Start("AT_TIMESTAMP", at=at - 0.001)) == [b"b", b"c"]
    assert await read(reader, stream, Start("AT_TIMESTAMP", at=at + 0.001)) == [b"c"]
    assert await read(reader, stream, Start("AT_TIMESTAMP", at=0.0)) == [b"a", b"b", b"c"]
    assert await read(reader, stream, Start("LATEST")) == []


async def test_an_iterator_of_the_latest_gives_what_comes_after_it(
    streams: Streams, stream: StreamRecord, reader: ShardReader
):
    await put(streams, stream, b"before")
    iterator = await reader.iterator(stream.arn, SHARD, Start("LATEST"))
    await put(streams, stream, b"after")
    assert [e.data for e in (await reader.records(iterator, 10)).entries] == [b"after"]
    # The same iterator gives the same again.
    assert [e.data for e in (await reader.records(iterator, 10)).entries] == [b"after"]


async def test_each_answer_says_where_to_go_on_and_how_far_behind_it_is(
    streams: Streams, stream: StreamRecord, reader: ShardReader, clock: ManualClock, metrics: Metrics
):
    await put(streams, stream, b"a", b"b", b"c")
    await clock.advance(2.5)
    first = await reader.records(await reader.iterator(stream.arn, SHARD, HORIZON), 2)
    assert ([e.data for e in first.entries], first.behind_ms) == ([b"a", b"b"], 2500)
    assert metrics.value("AWS/Kinesis", "GetRecords.Records", StreamName="s") == 2
    second = await reader.records(first.next or "", 2)
    assert ([e.data for e in second.entries], second.behind_ms, second.children) == ([b"c"], 0, [])
    third = await reader.records(second.next or "", 2)
    assert (third.entries, third.behind_ms) == ([], 0)
    assert third.next is not None


async def test_a_closed_shard_ends_with_its_children(streams: Streams, stream: StreamRecord, reader: ShardReader):
    (number,) = await put(streams, stream, b"a")
    iterator = await reader.iterator(stream.arn, SHARD, HORIZON)
    await streams.split(stream.arn, SHARD, 1 << 127)
    found = await reader.records(iterator, 1)
    assert ([e.data for e in found.entries], found.next) == ([b"a"], None)
    assert [(child.id, child.parents) for child in found.children] == [
        ("shardId-000000000001", (SHARD,)), ("shardId-000000000002", (SHARD,)),
    ]  # fmt: skip
    for start in (Start("LATEST"), Start("AFTER_SEQUENCE_NUMBER", number)):
        found = await reader.records(await reader.iterator(stream.arn, SHARD, start), 1)
        assert (found.entries, found.next) == ([], None)
    ending = streams.shards(stream.arn)[0].last_sequence_number
    found = await reader.records(await reader.iterator(stream.arn, SHARD, Start("AT_SEQUENCE_NUMBER", ending)), 1)
    assert (found.entries, found.next) == ([], None)


async def test_a_number_before_the_horizon_begins_there(
    streams: Streams, stream: StreamRecord, reader: ShardReader, clock: ManualClock
):
    (number,) = await put(streams, stream, b"old")
    await clock.advance(20 * HOUR_S)
    await put(streams, stream, b"new")
    await clock.advance(5 * HOUR_S)
    await streams.trim()
    assert await read(reader, stream, Start("AT_SEQUENCE_NUMBER", number)) == [b"new"]


async def test_starts_that_make_no_sense_are_refused_in_the_words_of_aws(
    streams: Streams, stream: StreamRecord, reader: ShardReader, clock: ManualClock
):
    other = await streams.create(SCOPE, NewStream("other", 2))
    _, of_shard_0 = await streams.put_record(other.arn, b"", "k", "0")
    _, of_shard_1 = await streams.put_record(other.arn, b"", "k", str((1 << 128) - 1))
    for start, words in (
        (Start("AT_SEQUENCE_NUMBER"), "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber"),
        (Start("LATEST", of_shard_0), "Request specified LATEST and also a StartingSequenceNumber"),
        (Start("AT_TIMESTAMP"), "Current request has no timestamp parameter"),
        (Start("AT_TIMESTAMP", at=clock.now() + 1), "cannot be greater than the currentTimestampInMillis"),
        (Start("AT_SEQUENCE_NUMBER", "5"), "StartingSequenceNumber 5 used in GetShardIterator .* is invalid"),
        (Start("AT_SEQUENCE_NUMBER", of_shard_1), "It encodes shardId-000000000001, while it was used"),
        (Start("AFTER_SEQUENCE_NUMBER", of_shard_0), "because it did not come from this stream"),
    ):
        with pytest.raises(InvalidStreamRequest, match=words):
            await reader.iterator(stream.arn, SHARD, start)


async def test_an_iterator_is_good_for_five_minutes(stream: StreamRecord, reader: ShardReader, clock: ManualClock):
    iterator = await reader.iterator(stream.arn, SHARD, HORIZON)
    await clock.advance(300)
    await reader.records(iterator, 1)
    await clock.advance(0.002)
    with pytest.raises(ExpiredShardIterator, match=r"UTC .* tolerated delay of 300000 milliseconds\."):
        await reader.records(iterator, 1)


async def test_an_iterator_outlives_a_restart(
    streams: Streams, stream: StreamRecord, reader: ShardReader, engine: MemoryEngine, clock: ManualClock,
    metrics: Metrics,
):  # fmt: skip
    await put(streams, stream, b"a")
    iterator = await reader.iterator(stream.arn, SHARD, HORIZON)
    again = Streams(engine, clock, SeededEntropy(2), metrics)
    await again.open()
    found = await ShardReader(again, clock, metrics).records(iterator, 1)
    assert [entry.data for entry in found.entries] == [b"a"]


async def test_an_iterator_of_a_stream_that_was_made_anew_finds_no_shard(
    streams: Streams, stream: StreamRecord, reader: ShardReader
):
    iterator = await reader.iterator(stream.arn, SHARD, HORIZON)
    await streams.delete(stream.arn)
    await streams.create(SCOPE, NewStream("s", 1))
    with pytest.raises(ShardNotFound, match=f"Shard {SHARD} in stream s under account 000000000000 does not exist"):
        await reader.records(iterator, 1)


async def test_an_iterator_of_another_stream_than_the_one_named_is_refused(stream: StreamRecord, reader: ShardReader):
    iterator = await reader.iterator(stream.arn, SHARD, HORIZON)
    with pytest.raises(InvalidStreamRequest):
        await reader.records(iterator, 1, stream.arn + "x")


PLACE = Place("arn:aws:kinesis:us-east-1:000000000000:stream/s", "00112233445566ff", 3, 42)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_an_iterator_that_was_changed_anywhere_is_refused(at: int, by: int):
    iterators = Iterators(b"key")
    raw = bytearray(base64.b64decode(iterators.write(PLACE, 1_000.0)))
    raw[at % len(raw)] ^= by
    with pytest.raises(InvalidShardIterator):
        iterators.read(base64.b64encode(raw).decode(), 1_000.0)


@given(st.text(max_size=600))
def test_no_text_of_somebody_else_is_an_iterator(text: str):
    with pytest.raises(InvalidShardIterator):
        Iterators(b"key").read(text, 1_000.0)


def test_an_iterator_fits_into_the_model_for_the_longest_names():
    arn = f"arn:aws:kinesis:ap-southeast-99:000000000000:stream/{'s' * 128}"
    text = Iterators(b"key").write(Place(arn, "00112233445566ff", 2**32 - 1, 2**63 - 1), 1_800_000_000.0)
    assert len(text) <= 512


def test_only_the_server_that_made_it_reads_an_iterator():
    text = Iterators(b"key").write(PLACE, 1_000.0)
    assert Iterators(b"key").read(text, 1_000.0) == PLACE
    with pytest.raises(InvalidShardIterator):
        Iterators(b"another").read(text, 1_000.0)
