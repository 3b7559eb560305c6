"""Reading a shard by iterators, as GetShardIterator and GetRecords do."""

from __future__ import annotations

from dataclasses import dataclass

from busway.clock import Clock
from busway.errors import (
    ForeignSequenceNumber,
    InvalidSequenceNumber,
    InvalidStreamRequest,
    ShardNotFound,
)
from busway.metrics import Metrics
from busway.stream.iterator import Iterators, Place
from busway.stream.record import Shard, StreamEntry, StreamRecord
from busway.stream.streams import NAMESPACE, Streams

AT, AFTER, TIME = "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"
HORIZON, LATEST = "TRIM_HORIZON", "LATEST"


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading is to begin: one of the five kinds with what it needs. `at` is Unix seconds."""

    kind: str
    sequence_number: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """What GetRecords gives. `next` is None at the end of a closed shard, which then has `children`."""

    entries: list[StreamEntry]
    next: str | None
    behind_ms: int
    children: list[Shard]


class ShardReader:
    """Gives out iterators and reads with them."""

    def __init__(self, streams: Streams, clock: Clock, metrics: Metrics) -> None:
        self._streams, self._clock, self._metrics = streams, clock, metrics

    @property
    def _iterators(self) -> Iterators:
        return self._streams.iterators

    async def iterator(self, arn: str, shard_id: str, start: Start) -> str:
        """A new iterator. Raises `StreamNotFound`, `ShardNotFound`, `InvalidStreamRequest`."""
        shard = self._streams.need_shard(arn, shard_id)
        after = await self._after(self._streams.need(arn), shard, start)
        return self._iterators.write(Place(arn, shard.creation, shard.index, after), self._clock.now())

    async def _after(self, stream: StreamRecord, shard: Shard, start: Start) -> int:
        if start.kind in (AT, AFTER):
            offset = self._offset(stream, shard, start)
            return max(0, offset - 1) if start.kind == AT else offset
        if start.sequence_number is not None and start.kind != TIME:
            raise InvalidStreamRequest(_either(start.kind, "also a StartingSequenceNumber"))
        if start.kind == LATEST:
            return await self._streams.head(shard)
        if start.kind == TIME:
            return await self._streams.offset_at(shard, _checked_time(start.at, self._clock.now()))
        return 0

    def _offset(self, stream: StreamRecord, shard: Shard, start: Start) -> int:
        """AWS's words for a number that does not fit."""
        number = start.sequence_number
        if number is None:
            raise InvalidStreamRequest(_either(start.kind, "no StartingSequenceNumber"))
        where = (
            f"StartingSequenceNumber {number} used in GetShardIterator on shard {shard.id} in stream {stream.name} "
            f"under account {stream.account} is invalid"
        )
        try:
            return self._streams.offset_of(shard, number)
        except InvalidSequenceNumber:
            raise InvalidStreamRequest(f"{where}.") from None
        except ForeignSequenceNumber as foreign:
            if foreign.shard_id != shard.id:
                raise InvalidStreamRequest(
                    f"Invalid StartingSequenceNumber. It encodes {foreign.shard_id}, while it was used in a call to "
                    f"a shard with {shard.id}"
                ) from None
            raise InvalidStreamRequest(f"{where} because it did not come from this stream.") from None

    async def records(self, iterator: str, limit: int, arn: str | None = None) -> Read:
        """Up to `limit` records from the iterator on, and where to go on. `arn` is the stream that is meant, if said.

        Raises `InvalidShardIterator`, `ExpiredShardIterator`, `ShardNotFound`, `InvalidStreamRequest`.
        """
        now = self._clock.now()
        place = self._iterators.read(iterator, now)
        if arn is not None and arn != place.arn:
            raise InvalidStreamRequest(f"The ShardIterator is one of {place.arn}, not of {arn}.")
        shard = self._shard(place)
        entries = await self._streams.read(shard, place.after, limit)
        head = await self._streams.head(shard)
        after = entries[-1].offset if entries else place.after
        at_end = not entries or after >= head
        behind_ms = 0 if at_end else max(0, int((now - entries[-1].arrived_at) * 1000))
        self._count(place.arn, entries, behind_ms)
        if at_end and shard.closed:
            return Read(entries, None, behind_ms, self._streams.children(shard))
        following = Place(place.arn, place.creation, place.index, after)
        return Read(entries, self._iterators.write(following, now), behind_ms, [])

    def _shard(self, place: Place) -> Shard:
        stream = self._streams.get(place.arn)
        found = None if stream is None or stream.creation != place.creation else stream.shard_of(place.index)
        if found is None:
            parts = place.arn.split(":", 5)
            raise ShardNotFound(f"shardId-{place.index:012d}", parts[5].removeprefix("stream/"), parts[4])
        return found

    def _count(self, arn: str, entries: list[StreamEntry], behind_ms: int) -> None:
        name = arn.rsplit("/", 1)[-1]
        metrics, size = self._metrics, sum(len(entry.data) for entry in entries)
        metrics.count(NAMESPACE, "GetRecords.Success", of=arn, StreamName=name)
        metrics.observe(NAMESPACE, "GetRecords.Records", len(entries), of=arn, StreamName=name)
        metrics.observe(NAMESPACE, "GetRecords.Bytes", size, of=arn, StreamName=name)
        metrics.gauge(NAMESPACE, "GetRecords.IteratorAgeMilliseconds", behind_ms, of=arn, StreamName=name)


def _either(kind: str, found: str) -> str:
    return (
        f"Must either specify (1) {AT} or {AFTER} and StartingSequenceNumber or (2) {HORIZON} or {LATEST} and no "
        f"StartingSequenceNumber. Request specified {kind} and {found}."
    )


def _checked_time(at: float | None, now: float) -> float:
    if at is None:
        raise InvalidStreamRequest(
            f"Must specify timestampInMillis parameter for iterator of type {TIME}. Current request has no timestamp "
            "parameter."
        )
    if at > now:
        raise InvalidStreamRequest(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: "
            f"{int(at * 1000)}, currentTimestampInMillis: {int(now * 1000)}"
        )
    return at
