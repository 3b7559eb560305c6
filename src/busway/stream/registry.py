"""Which streams there are: their records, in memory and in the engine, and what changes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from busway.arn import Scope
from busway.clock import Clock, Entropy
from busway.engine import Engine
from busway.errors import InvalidStreamRequest, StreamBusy, StreamModeRefuses, StreamNameTaken, StreamNotFound
from busway.stream.doorway import Doorway
from busway.stream.iterator import Iterators
from busway.stream.record import ACTIVE, DELETING, ON_DEMAND, PROVISIONED, Shard, StreamRecord, check_name
from busway.stream.resharding import Layout, check_merge, check_scaling, check_split, laid_out, scaled

# https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
ON_DEMAND_SHARDS = 4
RETENTION_HOURS_MIN, RETENTION_HOURS_MAX = 24, 8_760
TAGS_MAX = 50
HOUR_S = 3_600
_KEY = "stream/"
# The secret that iterators are sealed with: they outlive a restart.
_SEAL_KEY, _SEAL_BYTES = "stream-seal", 32


@dataclass(frozen=True, slots=True)
class NewStream:
    """What a stream is to be. `shard_count` None is 1 (ours), or 4 on demand."""

    name: str
    shard_count: int | None = None
    mode: str = PROVISIONED
    record_bytes_max: int = 1_048_576
    tags: Mapping[str, str] | None = None


class StreamRegistry:
    """Streams by ARN. Lookups are answered from memory; every change is durable before it returns.

    On AWS a change takes seconds, during which the stream is CREATING, UPDATING or DELETING. Here it is complete
    when it returns.
    """

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy) -> None:
        self._engine, self._clock, self._entropy = engine, clock, entropy
        self._streams: dict[str, StreamRecord] = {}
        self._doorways: dict[str, Doorway] = {}
        self._last_birth = 0
        # One change at a time: each is built on what the one before it left.
        self._writing = asyncio.Lock()
        self.iterators = Iterators(b"")

    async def open(self) -> None:
        """Load every record; finish the deletes that were cut short."""
        self.iterators = Iterators(await self._seal_key())
        for value in await self._engine.records.list(_KEY):
            self._keep(msgspec.json.decode(value.data, type=StreamRecord))
        births = [shard.birth for stream in self._streams.values() for shard in stream.shards]
        self._last_birth = max(births, default=0)
        for stream in list(self._streams.values()):
            if stream.status == DELETING:
                await self._forget(stream)

    async def _seal_key(self) -> bytes:
        stored = await self._engine.records.get(_SEAL_KEY)
        if stored is not None:
            return stored.data
        key = self._entropy.token(_SEAL_BYTES)
        await self._engine.records.put(_SEAL_KEY, key)
        return key

    def get(self, arn: str) -> StreamRecord | None:
        return self._streams.get(arn)

    def need(self, arn: str) -> StreamRecord:
        """Raises `StreamNotFound`."""
        stream = self._streams.get(arn)
        if stream is None:
            parts = arn.split(":")
            raise StreamNotFound(arn.rsplit("/", 1)[-1], parts[4] if len(parts) > 4 else "")
        return stream

    def need_active(self, arn: str) -> StreamRecord:
        """Raises `StreamNotFound`, `StreamBusy`."""
        stream = self.need(arn)
        if stream.status != ACTIVE:
            raise StreamBusy(stream.name, stream.account, stream.status)
        return stream

    def shards(self, arn: str) -> list[Shard]:
        """Every shard that is kept, open and closed, in the order of their ids; [] for a stream that is not there.

        A closed shard goes when its last record is past the retention: a parent that is not listed is finished.
        """
        stream = self._streams.get(arn)
        return [] if stream is None else list(stream.shards)

    def find(self, scope: Scope) -> list[StreamRecord]:
        """The streams of an account and Region by name."""
        found = (stream for stream in self._streams.values() if stream.scope == scope)
        return sorted(found, key=lambda stream: stream.name)

    async def create(self, scope: Scope, wanted: NewStream) -> StreamRecord:
        """Raises `InvalidStreamRequest`, `StreamNameTaken`, `StreamLimitExceeded`."""
        check_name(wanted.name)
        count = wanted.shard_count or 1
        if wanted.mode == ON_DEMAND:
            if wanted.shard_count is not None:
                raise InvalidStreamRequest(
                    f"ShardCount {wanted.shard_count} was given for the ON_DEMAND stream {wanted.name}; wanted none."
                )
            count = ON_DEMAND_SHARDS
        tags = dict(wanted.tags or {})
        _check_tags(wanted.name, tags)
        async with self._writing:
            arn = scope.arn("kinesis", f"stream/{wanted.name}")
            if arn in self._streams:
                raise StreamNameTaken(wanted.name, scope.account)
            now = self._clock.now()
            bare = StreamRecord(
                arn=arn, name=wanted.name, account=scope.account, region=scope.region,
                creation=self._entropy.token(8).hex(), created_at=now, mode=wanted.mode,
                record_bytes_max=wanted.record_bytes_max, tags=tags,
            )  # fmt: skip
            stream = laid_out(bare, count, now, self._birth)
            await self._save(stream)
            return stream

    async def delete(self, arn: str) -> None:
        """Forget the stream and every record in it. Raises `StreamNotFound`, `StreamBusy`."""
        async with self._changing(arn) as stream:
            going = replace(stream, status=DELETING)
            await self._save(going)
            await self._forget(going)

    async def set_retention(self, arn: str, hours: int, *, longer: bool) -> None:
        """Raises `StreamNotFound`, `InvalidStreamRequest` in AWS's words."""

        def change(stream: StreamRecord) -> StreamRecord:
            _check_retention(stream, hours, longer)
            return replace(stream, retention_s=float(hours * HOUR_S))

        await self._change(arn, change)

    async def set_mode(self, arn: str, mode: str) -> None:
        await self._change(arn, lambda stream: replace(stream, mode=mode))

    async def set_record_bytes_max(self, arn: str, size: int) -> None:
        await self._change(arn, lambda stream: replace(stream, record_bytes_max=size))

    async def tag(self, arn: str, tags: Mapping[str, str]) -> None:
        """Raises `InvalidStreamRequest` for more than 50 tags."""

        def change(stream: StreamRecord) -> StreamRecord:
            together = {**stream.tags, **tags}
            _check_tags(stream.name, together)
            return replace(stream, tags=together)

        await self._change(arn, change)

    async def untag(self, arn: str, keys: Sequence[str]) -> None:
        await self._change(
            arn, lambda stream: replace(stream, tags={k: v for k, v in stream.tags.items() if k not in keys})
        )

    async def split(self, arn: str, shard_id: str, new_start: int) -> None:
        """Raises `StreamNotFound`, `ShardNotFound`, `InvalidStreamRequest`, `StreamModeRefuses`, ...Exceeded."""
        async with self._changing(arn) as stream:
            _check_provisioned(stream, "SplitShard")
            shard = check_split(stream, shard_id, new_start)
            layout = await self._layout(stream)
            layout.split(shard, new_start)
            await self._save(layout.result())

    async def merge(self, arn: str, shard_id: str, adjacent_id: str) -> None:
        """Raises as `split`."""
        async with self._changing(arn) as stream:
            _check_provisioned(stream, "MergeShards")
            left, right = check_merge(stream, shard_id, adjacent_id)
            layout = await self._layout(stream)
            layout.merge(left, right)
            await self._save(layout.result())

    async def scale(self, arn: str, count: int) -> int:
        """Make the open shards `count` even ranges; return how many there were. Raises as `split`."""
        async with self._changing(arn) as stream:
            _check_provisioned(stream, "UpdateShardCount")
            check_scaling(stream, count)
            layout = await self._layout(stream)
            scaled(layout, count)
            await self._save(layout.result())
            return len(stream.open_shards)

    async def _layout(self, stream: StreamRecord) -> Layout:
        """Nothing is being put now, so where the open shards end is where they end."""
        ends = {shard.index: await self._engine.journal.head(shard.journal) for shard in stream.open_shards}
        return Layout(stream, self._clock.now(), self._birth, ends)

    def _birth(self) -> int:
        """The time in microseconds, or one more than the last one given."""
        self._last_birth = max(self._last_birth + 1, int(self._clock.now() * 1_000_000))
        return self._last_birth

    async def _change(self, arn: str, change: Callable[[StreamRecord], StreamRecord]) -> None:
        async with self._writing:
            await self._save(change(self.need_active(arn)))

    @asynccontextmanager
    async def _changing(self, arn: str) -> AsyncGenerator[StreamRecord]:
        """The stream, with no put under way and none beginning until the block ends."""
        async with self._writing:
            stream = self.need_active(arn)
            async with self._doorways[arn].shut():
                yield stream

    async def _forget(self, stream: StreamRecord) -> None:
        """What it holds first and its record last, so that a delete that is cut short can be finished."""
        for shard in stream.shards:
            head = await self._engine.journal.head(shard.journal)
            await self._engine.journal.trim(shard.journal, float("inf"), head)
        await self._engine.records.delete(f"{_KEY}{stream.arn}")
        del self._streams[stream.arn]
        self._doorways.pop(stream.arn).changed()

    async def _save(self, stream: StreamRecord) -> None:
        await self._engine.records.put(f"{_KEY}{stream.arn}", msgspec.json.encode(stream))
        self._keep(stream)

    def _keep(self, stream: StreamRecord) -> None:
        self._streams[stream.arn] = stream
        self._doorways.setdefault(stream.arn, Doorway()).changed()


def _check_provisioned(stream: StreamRecord, operation: str) -> None:
    if stream.mode != PROVISIONED:
        raise StreamModeRefuses(
            f"Request is invalid. Stream {stream.name} under account {stream.account} is in On-Demand mode; "
            f"{operation} is for provisioned streams."
        )


def _check_retention(stream: StreamRecord, hours: int, longer: bool) -> None:
    requested, now = f"Requested retention period ({hours} hours)", int(stream.retention_s) // HOUR_S
    if hours < RETENTION_HOURS_MIN:
        raise InvalidStreamRequest(
            f"Minimum allowed retention period is {RETENTION_HOURS_MIN} hours. {requested} is too short."
        )
    if hours > RETENTION_HOURS_MAX:
        raise InvalidStreamRequest(
            f"Maximum allowed retention period is {RETENTION_HOURS_MAX} hours. {requested} is too long."
        )
    if longer and hours < now:
        raise InvalidStreamRequest(
            f"{requested} for stream {stream.name} can not be shorter than existing retention period ({now} hours). "
            "Use DecreaseRetentionPeriod API."
        )
    if not longer and hours > now:
        raise InvalidStreamRequest(
            f"{requested} for stream {stream.name} can not be longer than existing retention period ({now} hours). "
            "Use IncreaseRetentionPeriod API."
        )


def _check_tags(name: str, tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise InvalidStreamRequest(
            f"Stream {name} would have {len(tags)} tags; a given stream cannot have more than {TAGS_MAX} of them."
        )
