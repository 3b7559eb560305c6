"""Kinesis-shaped streams: what can be done with their records."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import msgspec

from busway.clock import Clock, Entropy, any_of
from busway.engine import Engine
from busway.errors import InvalidStreamRequest, ShardNotFound, ShardThrottled, StorageFull, StreamNotFound
from busway.metrics import Metrics
from busway.stream.hashing import HASH_MAX, hash_of
from busway.stream.quota import WriteQuota
from busway.stream.record import Shard, StreamEntry, StreamRecord, pack, unpack
from busway.stream.registry import StreamRegistry
from busway.stream.resharding import without_expired
from busway.stream.sequence import offset_in

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
RECORDS_MAX = 500
REQUEST_BYTES_MAX = 10_485_760
KEY_CHARS_MAX = 256
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
READ_RECORDS_MAX = 10_000
READ_BYTES_MAX = 10_485_760
# Ours: how many entries are taken from a journal in one go, at first and later: their size is not known before.
READ_FIRST, READ_STEP_MAX = 10, 256
# Ours: how often records past their retention are looked for.
TRIM_EVERY_S = 60.0
_EXPLICIT = re.compile(r"0|[1-9][0-9]{0,38}", re.ASCII)
NAMESPACE = "AWS/Kinesis"


class NewRecord(msgspec.Struct, rename="pascal", gc=False):
    """A record to be put, as PutRecords has it. `explicit_hash_key` is decimal and wins over the key's own hash."""

    data: bytes
    partition_key: str | None = None
    explicit_hash_key: str | None = None


Placed = tuple[Shard, int]
"""Where a record was put: its shard and its offset there."""


class Streams(StreamRegistry):
    """Streams, and what is in them."""

    def __init__(
        self, engine: Engine, clock: Clock, entropy: Entropy, metrics: Metrics, *, aws_limits: bool = False
    ) -> None:
        """With `aws_limits` each shard takes 1,000 records and 1 MiB a second."""
        super().__init__(engine, clock, entropy)
        self._metrics = metrics
        self._quota = WriteQuota(clock, aws_limits)

    async def put_record(
        self, arn: str, data: bytes, partition_key: str | None, explicit_hash_key: str | None = None
    ) -> tuple[Shard, str]:
        """Put one record; return its shard and sequence number. Durable before return.

        Raises `StreamNotFound`, `StreamBusy`, `InvalidStreamRequest`, `ShardThrottled`, `StorageFull`.
        """
        (placed,) = await self._put(arn, [NewRecord(data, partition_key, explicit_hash_key)])
        if not isinstance(placed, tuple):
            raise placed
        shard, offset = placed
        return shard, shard.sequence_number(offset)

    async def put_records(
        self, arn: str, records: Sequence[NewRecord]
    ) -> list[Placed | ShardThrottled | StorageFull]:
        """Put records, one result each, in order. What has a place is durable before return.

        Records of one shard keep the order they are given in. Raises `StreamNotFound`, `StreamBusy`,
        `InvalidStreamRequest` for too many or too large ones, and `StorageFull` when nothing could be stored.
        """
        if not 1 <= len(records) <= RECORDS_MAX:
            raise InvalidStreamRequest(f"Found {len(records)} records; wanted 1 to {RECORDS_MAX}.")
        return await self._put(arn, records)

    async def _put(self, arn: str, records: Sequence[NewRecord]) -> list[Placed | ShardThrottled | StorageFull]:
        self.need_active(arn)
        doorway = self._doorways[arn]
        await doorway.enter()
        try:
            stream = self.need_active(arn)
            if self._doorways[arn] is not doorway:
                # It was deleted and made anew while this waited.
                raise StreamNotFound(stream.name, stream.account)
            return await self._append(stream, records)
        finally:
            doorway.leave()

    async def _append(
        self, stream: StreamRecord, records: Sequence[NewRecord]
    ) -> list[Placed | ShardThrottled | StorageFull]:
        results: list[Placed | ShardThrottled | StorageFull | None] = [None] * len(records)
        lots: dict[int, tuple[Shard, list[bytes], list[int]]] = {}
        size = throttled = 0
        for place, record in enumerate(records):
            key = check_record(record, stream.record_bytes_max)
            shard = _shard_for(stream, record)
            record_size = len(key) + len(record.data)
            size += record_size
            if self._quota.on and not self._quota.admits(shard.journal, record_size):
                results[place] = ShardThrottled(shard.id, stream.name, stream.account)
                throttled += record_size
                continue
            lot = lots.get(shard.index)
            if lot is None:
                lot = lots[shard.index] = (shard, [], [])
            lot[1].append(pack(key, record.data))
            lot[2].append(place)
        if size > REQUEST_BYTES_MAX:
            raise InvalidStreamRequest(
                f"Records and partition keys have {size} bytes; wanted at most {REQUEST_BYTES_MAX} in one request."
            )
        await self._append_lots(list(lots.values()), results)
        self._count_put(stream, results, size - throttled)
        return [result for result in results if result is not None]

    async def _append_lots(
        self,
        lots: Sequence[tuple[Shard, list[bytes], list[int]]],
        results: list[Placed | ShardThrottled | StorageFull | None],
    ) -> None:
        """One append a shard, all in one commit. Raises `StorageFull` when none was stored."""
        journal = self._engine.journal
        if len(lots) == 1:
            firsts: list[int | BaseException] = [await journal.append(lots[0][0].journal, lots[0][1])]
        else:
            appends = [journal.append(shard.journal, entries) for shard, entries, _ in lots]
            firsts = await asyncio.gather(*appends, return_exceptions=True)
        stored = any(isinstance(first, int) for first in firsts)
        for (shard, _, places), first in zip(lots, firsts, strict=True):
            if isinstance(first, int):
                for offset, place in enumerate(places, first):
                    results[place] = (shard, offset)
            elif isinstance(first, StorageFull) and stored:
                for place in places:
                    results[place] = first
            else:
                raise first

    def _count_put(
        self, stream: StreamRecord, results: Sequence[Placed | ShardThrottled | StorageFull | None], size: int
    ) -> None:
        throttled = sum(isinstance(result, ShardThrottled) for result in results) if self._quota.on else 0
        metrics, name = self._metrics, stream.name
        metrics.observe(NAMESPACE, "IncomingRecords", len(results) - throttled, of=stream.arn, StreamName=name)
        metrics.observe(NAMESPACE, "IncomingBytes", size, of=stream.arn, StreamName=name)
        if throttled:
            metrics.count(NAMESPACE, "WriteProvisionedThroughputExceeded", throttled, of=stream.arn, StreamName=name)

    async def read(self, shard: Shard, after: int, limit: int, bytes_max: int = READ_BYTES_MAX) -> list[StreamEntry]:
        """Up to `limit` records above the offset `after` (0: from the oldest that is kept), in order; [] at the end.

        Fewer when they come to more than `bytes_max`, but never none because of that. Records past the stream's
        retention are passed over, also those that are still there.
        """
        found: list[StreamEntry] = []
        size, step = 0, READ_FIRST
        while len(found) < limit:
            wanted = min(step, limit - len(found))
            entries = await self._engine.journal.read(shard.journal, after, wanted)
            if not found and entries and entries[0].at < self._oldest(shard):
                after = await self._engine.journal.offset_at(shard.journal, self._oldest(shard))
                entries = await self._engine.journal.read(shard.journal, after, wanted)
            for entry in entries:
                size += len(entry.data)
                if size > bytes_max and found:
                    return found
                found.append(unpack(shard, entry))
            if len(entries) < wanted:
                break
            after, step = found[-1].offset, READ_STEP_MAX
        return found

    def _oldest(self, shard: Shard) -> float:
        """Unix seconds before which records are past the retention."""
        stream = self._streams.get(shard.arn)
        return float("-inf") if stream is None else self._clock.now() - stream.retention_s

    async def wait(self, shard: Shard, after: int) -> None:
        """Return once there is a record above `after`, or the shard closes, or its stream goes.

        At once when the shard is closed: look at `shards` again, then.
        """
        doorway = self._doorways.get(shard.arn)
        if doorway is None or not self._is_open(shard):
            return
        arrival = self._engine.journal.wait(shard.journal, after)
        await any_of(self._clock, float("inf"), arrival, doorway.change())

    def _is_open(self, shard: Shard) -> bool:
        now = self.now(shard)
        return now is not None and not now.closed

    def now(self, shard: Shard) -> Shard | None:
        """The same shard as it is at present; None when its stream is gone or it is past the retention."""
        stream = self._streams.get(shard.arn)
        if stream is None or stream.creation != shard.creation:
            return None
        return stream.shard(shard.id)

    def need_shard(self, arn: str, shard_id: str) -> Shard:
        """Raises `StreamNotFound`, `ShardNotFound`."""
        stream = self.need(arn)
        shard = stream.shard(shard_id)
        if shard is None:
            raise ShardNotFound(shard_id, stream.name, stream.account)
        return shard

    def children(self, shard: Shard) -> list[Shard]:
        """The shards that took over its keys, in the order of their ids."""
        return [other for other in self.shards(shard.arn) if shard.index in (other.parent, other.adjacent_parent)]

    def offset_of(self, shard: Shard, sequence_number: str) -> int:
        """The journal offset of a sequence number. Raises `InvalidSequenceNumber`, `ForeignSequenceNumber`."""
        return offset_in(sequence_number, shard.prefix)

    async def head(self, shard: Shard) -> int:
        """The offset of the newest record, 0 when there has been none."""
        return await self._engine.journal.head(shard.journal)

    async def offset_at(self, shard: Shard, at: float) -> int:
        """The largest offset of a record that arrived before `at` (Unix seconds): read after it."""
        return await self._engine.journal.offset_at(shard.journal, at)

    async def trim(self) -> int:
        """Forget every record past its stream's retention, and closed shards that hold none; return how many records.

        Time alone decides, as on AWS: who has not read by then has lost it.
        """
        gone = 0
        for stream in list(self._streams.values()):
            before = self._clock.now() - stream.retention_s
            for shard in stream.shards:
                head = await self._engine.journal.head(shard.journal)
                if head:
                    gone += await self._engine.journal.trim(shard.journal, before, head)
            await self._drop_expired(stream.arn)
        return gone

    async def _drop_expired(self, arn: str) -> None:
        async with self._writing:
            stream = self._streams.get(arn)
            kept = None if stream is None else without_expired(stream, self._clock.now())
            if stream is not None and kept is not None:
                await self._save(kept)
                for shard in set(stream.shards) - set(kept.shards):
                    self._quota.forget(shard.journal)

    async def run(self) -> None:
        """Trim every minute, until cancelled."""
        while True:
            await self._clock.sleep(TRIM_EVERY_S)
            await self.trim()


def check_record(record: NewRecord, bytes_max: int) -> bytes:
    """The partition key's bytes. Raises `InvalidStreamRequest`."""
    key = record.partition_key
    if not key or len(key) > KEY_CHARS_MAX:
        raise InvalidStreamRequest(f"PartitionKey has {len(key or '')} characters; wanted 1 to {KEY_CHARS_MAX}.")
    raw = key.encode()
    if len(raw) + len(record.data) > bytes_max:
        raise InvalidStreamRequest(
            f"A record has {len(raw) + len(record.data)} bytes of data and partition key; this stream takes "
            f"{bytes_max}."
        )
    return raw


def _shard_for(stream: StreamRecord, record: NewRecord) -> Shard:
    explicit = record.explicit_hash_key
    if explicit is not None:
        return stream.shard_at(explicit_hash(explicit))
    if len(stream.open_shards) == 1:
        return stream.open_shards[0]
    return stream.shard_at(hash_of(record.partition_key or ""))


def is_explicit(text: str) -> bool:
    """Whether it is a whole number without leading zeros, as the model wants it."""
    return _EXPLICIT.fullmatch(text) is not None


def explicit_hash(text: str) -> int:
    """Raises `InvalidStreamRequest` for what is no place in the hash space."""
    if not is_explicit(text) or int(text) > HASH_MAX:
        raise InvalidStreamRequest(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was "
            f"{text[:100]}"
        )
    return int(text)
