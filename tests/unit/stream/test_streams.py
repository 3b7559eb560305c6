"""Putting, reading, waiting, retention."""

from __future__ import annotations

import asyncio

import pytest

from busway.clock import ManualClock, SeededEntropy, settle
from busway.engine.memory import MemoryEngine
from busway.errors import (
    InvalidStreamRequest,
    ShardThrottled,
    StorageFull,
    StreamModeRefuses,
    StreamNameTaken,
    StreamNotFound,
)
from busway.metrics import Metrics
from busway.stream.record import Shard, StreamRecord
from busway.stream.registry import HOUR_S, NewStream
from busway.stream.streams import NewRecord, Streams

from .conftest import SCOPE


async def made(streams: Streams, shards: int = 1, name: str = "s") -> StreamRecord:
    return await streams.create(SCOPE, NewStream(name, shards))


async def everything(streams: Streams, arn: str) -> list[bytes]:
    """All data, parents before children."""
    return [entry.data for shard in streams.shards(arn) for entry in await streams.read(shard, 0, 10_000)]


async def test_records_of_a_key_lie_in_one_shard_in_the_order_of_putting(streams: Streams):
    stream = await made(streams, 4)
    records = [NewRecord(b"%d" % n, f"key {n % 5}") for n in range(100)]
    placed = await streams.put_records(stream.arn, records)
    shards: dict[str | None, set[str]] = {}
    for record, result in zip(records, placed, strict=True):
        assert isinstance(result, tuple)
        shards.setdefault(record.partition_key, set()).add(result[0].id)
    assert {len(found) for found in shards.values()} == {1}
    for shard in streams.shards(stream.arn):
        entries = await streams.read(shard, 0, 1000)
        for key in {entry.partition_key for entry in entries}:
            numbers = [int(entry.data) for entry in entries if entry.partition_key == key]
            assert numbers == sorted(numbers)
        sequence = [int(entry.sequence_number) for entry in entries]
        assert sequence == sorted(set(sequence))


async def test_a_put_says_the_number_under_which_the_record_is_read(streams: Streams):
    stream = await made(streams)
    shard, number = await streams.put_record(stream.arn, b"data", "key")
    (entry,) = await streams.read(shard, 0, 10)
    assert (entry.sequence_number, entry.data, entry.partition_key) == (number, b"data", "key")
    assert streams.offset_of(shard, number) == entry.offset == await streams.head(shard)


async def test_an_explicit_hash_key_wins_over_the_partition_key(streams: Streams):
    stream = await made(streams, 2)
    for explicit, index in (("0", 0), (str((1 << 128) - 1), 1)):
        shard, _ = await streams.put_record(stream.arn, b"", "same", explicit)
        assert shard.index == index


@pytest.mark.parametrize("text", ["-1", "01", "x", "", str(1 << 128), "٣"])
async def test_an_explicit_hash_key_outside_of_the_space_is_refused(streams: Streams, text: str):
    stream = await made(streams)
    with pytest.raises(InvalidStreamRequest, match="ExplicitHashKey must be in the range"):
        await streams.put_record(stream.arn, b"", "k", text)


@pytest.mark.parametrize("key", [None, "", "k" * 257])
async def test_a_partition_key_that_is_missing_or_too_long_is_refused(streams: Streams, key: str | None):
    stream = await made(streams)
    with pytest.raises(InvalidStreamRequest, match="PartitionKey"):
        await streams.put_record(stream.arn, b"", key)


async def test_the_size_of_a_record_counts_its_key_and_may_be_raised(streams: Streams):
    stream = await made(streams)
    await streams.put_record(stream.arn, b"x" * (1_048_576 - 2), "é")
    with pytest.raises(InvalidStreamRequest, match="1048577 bytes"):
        await streams.put_record(stream.arn, b"x" * (1_048_576 - 1), "é")
    await streams.set_record_bytes_max(stream.arn, 2_097_152)
    await streams.put_record(stream.arn, b"x" * 1_048_576, "é")


async def test_a_request_takes_500_records_and_10_mib(streams: Streams):
    stream = await made(streams)
    await streams.put_records(stream.arn, [NewRecord(b"", "k")] * 500)
    for records in ([], [NewRecord(b"", "k")] * 501, [NewRecord(b"x" * 1_048_575, "k")] * 11):
        with pytest.raises(InvalidStreamRequest):
            await streams.put_records(stream.arn, records)


async def test_a_refused_request_stores_nothing(streams: Streams):
    stream = await made(streams)
    with pytest.raises(InvalidStreamRequest):
        await streams.put_records(stream.arn, [NewRecord(b"good", "k"), NewRecord(b"bad", "")])
    assert await everything(streams, stream.arn) == []


async def test_a_full_disk_refuses_the_request(streams: Streams, engine: MemoryEngine):
    stream = await made(streams, 3)
    engine.full = True
    with pytest.raises(StorageFull):
        await streams.put_records(stream.arn, [NewRecord(b"", f"k{n}") for n in range(20)])


async def test_a_disk_that_fills_up_between_shards_fails_the_records_that_were_left(
    streams: Streams, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
):
    stream = await made(streams, 2)
    append = engine.journal.append

    async def first_only(journal: str, entries: list[bytes]) -> int:
        if journal.endswith("0"):
            return await append(journal, entries)
        raise StorageFull("full")

    monkeypatch.setattr(engine.journal, "append", first_only)
    placed = await streams.put_records(
        stream.arn, [NewRecord(b"", "x", "0"), NewRecord(b"", "x", str((1 << 128) - 1))]
    )
    assert isinstance(placed[0], tuple)
    assert isinstance(placed[1], StorageFull)


async def test_reading_goes_on_after_an_offset_and_stops_at_a_size(streams: Streams):
    stream = await made(streams)
    (shard,) = stream.shards
    await streams.put_records(stream.arn, [NewRecord(b"%03d" % n, "k") for n in range(400)])
    first = await streams.read(shard, 0, 300)
    assert [int(e.data) for e in first] == list(range(300))
    assert [int(e.data) for e in await streams.read(shard, first[-1].offset, 1000)] == list(range(300, 400))
    assert len(await streams.read(shard, 0, 1000, bytes_max=70)) == 10
    assert len(await streams.read(shard, 0, 1000, bytes_max=1)) == 1
    assert await streams.read(shard, first[-1].offset + 100, 1000) == []


async def test_records_past_the_retention_are_not_read_even_before_they_are_trimmed(
    streams: Streams, clock: ManualClock
):
    stream = await made(streams)
    (shard,) = stream.shards
    await streams.put_record(stream.arn, b"old", "k")
    await clock.advance(23 * HOUR_S)
    await streams.put_record(stream.arn, b"new", "k")
    await clock.advance(HOUR_S + 1)
    assert await everything(streams, stream.arn) == [b"new"]
    assert await streams.trim() == 1
    assert await everything(streams, stream.arn) == [b"new"]
    assert await streams.head(shard) > 0


async def test_a_longer_retention_keeps_what_is_still_there(streams: Streams, clock: ManualClock):
    stream = await made(streams)
    await streams.put_record(stream.arn, b"old", "k")
    await streams.set_retention(stream.arn, 48, longer=True)
    await clock.advance(47 * HOUR_S)
    await streams.trim()
    assert await everything(streams, stream.arn) == [b"old"]
    with pytest.raises(InvalidStreamRequest, match="can not be shorter than existing retention period"):
        await streams.set_retention(stream.arn, 24, longer=True)
    with pytest.raises(InvalidStreamRequest, match="can not be longer than existing retention period"):
        await streams.set_retention(stream.arn, 50, longer=False)
    await streams.set_retention(stream.arn, 24, longer=False)
    assert await everything(streams, stream.arn) == []


@pytest.mark.parametrize("hours", [0, 23, 8761])
async def test_a_retention_outside_of_a_day_and_a_year_is_refused(streams: Streams, hours: int):
    stream = await made(streams)
    with pytest.raises(InvalidStreamRequest, match="allowed retention period"):
        await streams.set_retention(stream.arn, hours, longer=True)


async def test_closed_shards_go_with_their_last_record(streams: Streams, clock: ManualClock):
    stream = await made(streams)
    await streams.split(stream.arn, "shardId-000000000000", 1 << 127)
    await clock.advance(24 * HOUR_S + 1)
    running = asyncio.create_task(streams.run())
    await settle()
    await clock.advance(61)
    assert [shard.index for shard in streams.shards(stream.arn)] == [1, 2]
    running.cancel()


async def test_whoever_waits_is_woken_by_a_record(streams: Streams):
    stream = await made(streams)
    (shard,) = stream.shards
    waiting = asyncio.create_task(streams.wait(shard, 0))
    await settle()
    assert not waiting.done()
    await streams.put_record(stream.arn, b"", "k")
    await waiting


async def test_whoever_waits_is_woken_when_the_shard_closes_or_its_stream_goes(streams: Streams):
    stream = await made(streams)
    (shard,) = stream.shards
    waiting = asyncio.create_task(streams.wait(shard, 0))
    await settle()
    await streams.split(stream.arn, shard.id, 1 << 127)
    await waiting
    await streams.wait(shard, 0)
    child = streams.shards(stream.arn)[1]
    waiting = asyncio.create_task(streams.wait(child, 0))
    await settle()
    await streams.delete(stream.arn)
    await waiting
    await streams.wait(child, 0)


async def test_a_put_under_way_is_in_its_shard_before_the_shard_is_closed(
    streams: Streams, engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch
):
    stream = await made(streams)
    hold, append = asyncio.Event(), engine.journal.append

    async def slow(journal: str, entries: list[bytes]) -> int:
        await hold.wait()
        return await append(journal, entries)

    monkeypatch.setattr(engine.journal, "append", slow)
    early = asyncio.create_task(streams.put_record(stream.arn, b"early", "k"))
    await settle()
    splitting = asyncio.create_task(streams.split(stream.arn, "shardId-000000000000", 1 << 127))
    await settle()
    late = asyncio.create_task(streams.put_record(stream.arn, b"late", "k"))
    await settle()
    assert not splitting.done()
    assert not streams.shards(stream.arn)[0].closed
    hold.set()
    await splitting
    (parent, _), (child, _) = await early, await late
    assert parent.index == 0
    assert child.index in (1, 2)
    assert await everything(streams, stream.arn) == [b"early", b"late"]


async def test_a_stream_that_is_made_anew_is_empty_and_counts_anew(streams: Streams):
    old = await made(streams)
    shard, number = await streams.put_record(old.arn, b"old", "k")
    await streams.delete(old.arn)
    assert await streams.read(shard, 0, 10) == []
    new = await made(streams)
    assert new.shards[0].journal != shard.journal
    _, newer = await streams.put_record(new.arn, b"new", "k")
    assert int(newer) > int(number)
    assert await everything(streams, new.arn) == [b"new"]


async def test_a_put_that_waited_while_its_stream_was_deleted_finds_none(streams: Streams, engine: MemoryEngine):
    stream = await made(streams)
    deleting = asyncio.create_task(streams.delete(stream.arn))
    putting = asyncio.create_task(streams.put_record(stream.arn, b"", "k"))
    await deleting
    with pytest.raises(StreamNotFound):
        await putting


async def test_everything_is_there_after_a_restart(
    streams: Streams, engine: MemoryEngine, clock: ManualClock, entropy: SeededEntropy, metrics: Metrics
):
    stream = await made(streams, 2)
    await streams.put_records(stream.arn, [NewRecord(b"%d" % n, f"k{n}") for n in range(10)])
    await streams.split(stream.arn, "shardId-000000000000", 1 << 126)
    before = await everything(streams, stream.arn)
    again = Streams(engine, clock, entropy, metrics)
    await again.open()
    assert again.get(stream.arn) == streams.get(stream.arn)
    assert await everything(again, stream.arn) == before
    await again.split(stream.arn, "shardId-000000000001", 3 << 126)
    births = [shard.birth for shard in again.shards(stream.arn)]
    assert births == sorted(set(births))


async def test_a_delete_that_was_cut_short_is_finished_at_the_next_start(
    streams: Streams, engine: MemoryEngine, clock: ManualClock, entropy: SeededEntropy, metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    stream = await made(streams)
    await streams.put_record(stream.arn, b"x", "k")

    async def cut(*_: object) -> int:
        raise StorageFull("cut short")

    with monkeypatch.context() as patched:
        patched.setattr(engine.journal, "trim", cut)
        with pytest.raises(StorageFull):
            await streams.delete(stream.arn)
    again = Streams(engine, clock, entropy, metrics)
    await again.open()
    assert again.find(SCOPE) == []
    assert await engine.journal.read(stream.shards[0].journal, 0, 10) == []


async def test_a_name_is_taken_once_in_an_account_and_region(streams: Streams):
    await made(streams)
    with pytest.raises(StreamNameTaken):
        await made(streams)


async def test_an_on_demand_stream_begins_with_four_shards_and_is_not_resharded_by_hand(streams: Streams):
    stream = await streams.create(SCOPE, NewStream("s", mode="ON_DEMAND"))
    assert len(stream.open_shards) == 4
    for change in (
        streams.split(stream.arn, "shardId-000000000000", 5),
        streams.merge(stream.arn, "shardId-000000000000", "shardId-000000000001"),
        streams.scale(stream.arn, 2),
    ):
        with pytest.raises(StreamModeRefuses, match="On-Demand"):
            await change
    with pytest.raises(InvalidStreamRequest):
        await streams.create(SCOPE, NewStream("t", 2, mode="ON_DEMAND"))
    await streams.set_mode(stream.arn, "PROVISIONED")
    assert await streams.scale(stream.arn, 2) == 4


async def test_a_stream_has_at_most_fifty_tags(streams: Streams):
    stream = await made(streams)
    await streams.tag(stream.arn, {f"k{n}": "v" for n in range(50)})
    with pytest.raises(InvalidStreamRequest, match="51 tags"):
        await streams.tag(stream.arn, {"more": "v"})
    await streams.untag(stream.arn, ["k0"])
    await streams.tag(stream.arn, {"more": "v"})


async def test_with_the_limits_of_aws_a_shard_takes_a_thousand_records_a_second(
    engine: MemoryEngine, clock: ManualClock, entropy: SeededEntropy, metrics: Metrics
):
    streams = Streams(engine, clock, entropy, metrics, aws_limits=True)
    await streams.open()
    stream = await made(streams)
    for _ in range(2):
        await streams.put_records(stream.arn, [NewRecord(b"", "k")] * 500)
    (refused,) = await streams.put_records(stream.arn, [NewRecord(b"", "k")])
    assert isinstance(refused, ShardThrottled)
    assert str(refused) == "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000."
    await clock.advance(1)
    big = [NewRecord(b"x" * 700_000, "k")] * 2
    placed = await streams.put_records(stream.arn, big)
    assert [isinstance(result, tuple) for result in placed] == [True, False]
    assert metrics.value("AWS/Kinesis", "IncomingBytes", StreamName="s") == 1_000 + 700_001
    assert metrics.value("AWS/Kinesis", "WriteProvisionedThroughputExceeded", StreamName="s") == 2


async def test_without_them_it_takes_what_comes(streams: Streams):
    stream = await made(streams)
    for _ in range(5):
        placed = await streams.put_records(stream.arn, [NewRecord(b"", "k")] * 500)
        assert all(isinstance(result, tuple) for result in placed)


async def test_what_comes_in_is_counted(streams: Streams, metrics: Metrics):
    stream = await made(streams)
    await streams.put_records(stream.arn, [NewRecord(b"abc", "k")] * 3)
    assert metrics.value("AWS/Kinesis", "IncomingRecords", StreamName="s") == 3
    assert metrics.value("AWS/Kinesis", "IncomingBytes", StreamName="s") == 12


def test_the_parents_of_a_shard_are_told_by_id():
    shard = Shard("arn", "c", 5, 1, 0, 9, 0.0, parent=1, adjacent_parent=2)
    assert shard.parents == ("shardId-000000000001", "shardId-000000000002")
