"""Log groups and their streams: kept as records, all of them in memory.

    logs/groups/<arn of the group>
    logs/streams/<arn of the group>:<stream>

A group that is deleted is marked first, so that a death in the middle ends at the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from busway.arn import Scope, parse_arn
from busway.clock import Clock
from busway.engine import Engine, Entry
from busway.errors import (
    InvalidLogRequest,
    LogGroupExists,
    LogGroupNotFound,
    LogLimitExceeded,
    LogStreamExists,
    LogStreamNotFound,
)
from busway.logs.functions import FunctionLines
from busway.logs.record import (
    RETENTION_DAYS,
    Batch,
    GroupRecord,
    Seen,
    Segment,
    StreamRecord,
    group_arn,
    milliseconds,
)

# Ours: groups of an account and Region, and streams of all of them. AWS has a million groups, and any streams.
GROUPS_MAX, STREAMS_MAX = 1_000, 50_000
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html
TAGS_MAX = 50
# Ours: into how many stretches a full group's journal is counted. The oldest goes as a whole.
SEGMENTS = 32
# Ours: entries read at once when a start counts what came last. Each is up to 1 MiB.
COUNT_AT_ONCE = 16
_GROUPS, _STREAMS = "logs/groups/", "logs/streams/"


class Group:
    """A group in memory. `changed` and `changed_streams`: what is not in the records yet, as counts go there later.

    Its journal is counted in stretches of `segment_bytes` or more.
    """

    def __init__(self, record: GroupRecord, segment_bytes: int) -> None:
        self.record, self._segment_bytes = record, segment_bytes
        self.streams: dict[str, StreamRecord] = {}
        self.segments = list(record.segments)
        self.counted = record.counted
        self.changed = False
        self.changed_streams: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of events in the journal, as PutLogEvents counts them."""
        return sum(segment.size for segment in self.segments)

    def count(self, stream: str, offset: int, at: float, span: tuple[int, int], size: int) -> None:
        """An entry is in the journal. `span`: the times of its first and last event."""
        if self.segments and self.segments[-1].size < self._segment_bytes:
            last = self.segments[-1]
            last.last, last.at, last.size = offset, at, last.size + size
        else:
            self.segments.append(Segment(offset, at, size))
        self.counted, self.changed = max(self.counted, offset), True
        record = self.streams.get(stream)
        if record is not None and record.begins < offset:
            record.seen.add(*span, milliseconds(at))
            self.changed_streams.add(stream)


class GroupView(msgspec.Struct, frozen=True):
    """A group as it is told of. `size` is what it holds, in bytes."""

    record: GroupRecord
    size: int


class GroupRegistry:
    """Groups by account, Region and name. `group_bytes` bounds what one keeps."""

    def __init__(self, engine: Engine, clock: Clock, lines: FunctionLines, group_bytes: int) -> None:
        self._records, self._journal, self._clock, self._lines = engine.records, engine.journal, clock, lines
        self._group_bytes = group_bytes
        self._segment_bytes = max(1, group_bytes // SEGMENTS)
        self._groups: dict[str, Group] = {}
        # Held by whoever writes a record, from its reading on. That is rare; putting events does not wait for it.
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Once, before anything else: read what is stored, and count what came after it was written."""
        for value in await self._records.list(_GROUPS):
            record = msgspec.msgpack.decode(value.data, type=GroupRecord)
            self._groups[record.arn] = Group(record, self._segment_bytes)
        for value in await self._records.list(_STREAMS):
            stream = msgspec.msgpack.decode(value.data, type=StreamRecord)
            if stream.group in self._groups:
                self._groups[stream.group].streams[stream.name] = stream
        for group in list(self._groups.values()):
            if group.record.ending:
                await self._end(group)
                continue
            while entries := await self._journal.read(group.record.journal, group.counted, COUNT_AT_ONCE):
                for entry in entries:
                    self._count(group, entry)

    def _count(self, group: Group, entry: Entry) -> None:
        batch = msgspec.msgpack.decode(entry.data, type=Batch)
        span = (batch.first_ms, batch.last_ms)
        group.count(batch.stream, entry.offset, entry.at, span, batch.size)

    # --- groups ---

    def find(self, scope: Scope, name: str) -> Group | None:
        """A group that has a record; a function's may be there without one."""
        group = self._groups.get(group_arn(scope, name))
        return None if group is None or group.record.ending else group

    def _of_scope(self, scope: Scope) -> list[Group]:
        start = group_arn(scope, "")
        return [group for arn, group in self._groups.items() if arn.startswith(start) and not group.record.ending]

    async def views(self, scope: Scope) -> list[GroupView]:
        """By name, also those that only functions wrote into."""
        kept = await self._lines.groups(scope)
        own = {group.record.name: group for group in self._of_scope(scope)}
        sizes = {name: lines.size for name, lines in kept.items()}
        records = {
            name: GroupRecord(arn=group_arn(scope, name), name=name, created_at=lines.first_at)
            for name, lines in kept.items()
        }
        for name, group in own.items():
            records[name], sizes[name] = group.record, sizes.get(name, 0) + group.size
        return [GroupView(records[name], sizes[name]) for name in sorted(records)]

    async def create(
        self, scope: Scope, name: str, *, kind: str = "STANDARD", tags: Mapping[str, str] | None = None
    ) -> None:
        """Raises `LogGroupExists`, `LogLimitExceeded`, `InvalidLogRequest`."""
        if name.lower().startswith("aws/"):
            raise InvalidLogRequest("Log group names can't start with the string aws/")
        async with self._changing:
            if self.find(scope, name) is not None or await self._lines.of_group(scope, name) is not None:
                raise LogGroupExists(name)
            if (ending := self._groups.get(group_arn(scope, name))) is not None:
                await self._end(ending)
            await self._make(scope, name, self._clock.now(), kind, dict(tags or {}))

    async def need(self, scope: Scope, name: str) -> Group:
        """The group, to be changed: a function's gets a record. Raises `LogGroupNotFound`."""
        group = self.find(scope, name)
        if group is not None:
            return group
        kept = await self._lines.of_group(scope, name)
        if kept is None:
            raise LogGroupNotFound(name)
        async with self._changing:
            return self.find(scope, name) or await self._make(scope, name, kept.first_at, "STANDARD", {})

    async def _make(self, scope: Scope, name: str, created_at: float, kind: str, tags: dict[str, str]) -> Group:
        if len(self._of_scope(scope)) >= GROUPS_MAX:
            raise LogLimitExceeded(f"Resource limit exceeded: {GROUPS_MAX} log groups.")
        arn = group_arn(scope, name)
        record = GroupRecord(arn=arn, name=name, created_at=created_at, kind=kind, tags=tags)
        await self._put(record)
        group = self._groups[arn] = Group(record, self._segment_bytes)
        return group

    async def delete(self, scope: Scope, name: str) -> None:
        """With all that is in it, also what a function printed. Raises `LogGroupNotFound`."""
        async with self._changing:
            group, kept = self._groups.get(group_arn(scope, name)), await self._lines.of_group(scope, name)
            if group is not None:
                await self._change(group, replace(group.record, ending=True))
                await self._end(group)
            elif kept is not None:
                await self._lines.forget(kept.function, float("inf"))
            else:
                raise LogGroupNotFound(name)

    async def _end(self, group: Group) -> None:
        record = group.record
        await self._forget_lines(record, float("inf"))
        await self._journal.trim(record.journal, float("inf"), await self._journal.head(record.journal))
        for name in group.streams:
            await self._records.delete(_stream_key(record.arn, name))
        await self._records.delete(_GROUPS + record.arn)
        self._groups.pop(record.arn, None)

    async def retain(self, scope: Scope, name: str, days: int | None) -> None:
        """Keep events for `days`, None: as long as there is room. Raises `LogGroupNotFound`, `InvalidLogRequest`."""
        if days is not None and days not in RETENTION_DAYS:
            raise InvalidLogRequest(
                f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
                f"Member must satisfy enum value set: [{', '.join(map(str, RETENTION_DAYS))}]"
            )
        group = await self.need(scope, name)
        async with self._changing:
            self._still(group)
            await self._change(group, replace(group.record, retention_days=days))

    async def tags(self, scope: Scope, name: str) -> Mapping[str, str]:
        """Raises `LogGroupNotFound`."""
        group = self.find(scope, name)
        if group is None and await self._lines.of_group(scope, name) is None:
            raise LogGroupNotFound(name)
        return {} if group is None else group.record.tags

    async def tag(self, scope: Scope, name: str, tags: Mapping[str, str], removed: tuple[str, ...] = ()) -> None:
        """Raises `LogGroupNotFound`, `LogLimitExceeded`."""
        group = await self.need(scope, name)
        async with self._changing:
            self._still(group)
            merged = {key: value for key, value in {**group.record.tags, **tags}.items() if key not in removed}
            if len(merged) > TAGS_MAX:
                raise LogLimitExceeded(f"A resource can have no more than {TAGS_MAX} tags.")
            await self._change(group, replace(group.record, tags=merged))

    def _still(self, group: Group) -> None:
        """For who waited for `_changing`: the group may be deleted meanwhile. Raises `LogGroupNotFound`."""
        if self._groups.get(group.record.arn) is not group or group.record.ending:
            raise LogGroupNotFound(group.record.name)

    async def _change(self, group: Group, record: GroupRecord) -> None:
        await self._put(record)
        group.record = record

    async def _put(self, record: GroupRecord) -> None:
        await self._records.put(_GROUPS + record.arn, msgspec.msgpack.encode(record))

    # --- streams ---

    async def create_stream(self, scope: Scope, group_name: str, name: str) -> None:
        """Raises `LogGroupNotFound`, `LogStreamExists`, `LogLimitExceeded`."""
        group = await self.need(scope, group_name)
        async with self._changing:
            self._still(group)
            if name in group.streams:
                raise LogStreamExists(name)
            if sum(len(one.streams) for one in self._of_scope(scope)) >= STREAMS_MAX:
                raise LogLimitExceeded(f"Resource limit exceeded: {STREAMS_MAX} log streams.")
            begins = await self._journal.head(group.record.journal)
            record = StreamRecord(group=group.record.arn, name=name, created_at=self._clock.now(), begins=begins)
            await self._put_stream(record)
            group.streams[name] = record

    async def delete_stream(self, scope: Scope, group_name: str, name: str) -> None:
        """Its events are hidden at once; their room is free when the group's oldest events go.

        Raises `LogGroupNotFound`, `LogStreamNotFound`.
        """
        group = await self.need(scope, group_name)
        async with self._changing:
            self._still(group)
            if name not in group.streams:
                raise LogStreamNotFound(name)
            await self._records.delete(_stream_key(group.record.arn, name))
            del group.streams[name]
            group.changed_streams.discard(name)

    async def streams(self, scope: Scope, group_name: str) -> list[tuple[str, float, Seen]]:
        """(name, created at, what is known of its events), by name. Raises `LogGroupNotFound`."""
        group, kept = self.find(scope, group_name), await self._lines.of_group(scope, group_name)
        if group is None and kept is None:
            raise LogGroupNotFound(group_name)
        found: dict[str, tuple[str, float, Seen]] = {}
        if kept is not None:
            for name, seen in (await self._lines.streams(kept)).items():
                found[name] = (name, (seen.first_ms or 0) / 1000, seen)
        if group is not None:
            found |= {one.name: (one.name, one.created_at, one.seen) for one in group.streams.values()}
        return [found[name] for name in sorted(found)]

    async def _put_stream(self, record: StreamRecord) -> None:
        await self._records.put(_stream_key(record.group, record.name), msgspec.msgpack.encode(record))

    # --- what becomes of it ---

    async def tend(self) -> None:
        """Forget what is too old, and write down what was counted."""
        now = self._clock.now()
        for group in list(self._groups.values()):
            async with self._changing:
                if self._groups.get(group.record.arn) is group:
                    await self._forget(group, now)
                    await self._write_counts(group)

    async def _forget(self, group: Group, now: float) -> None:
        if group.record.retention_days is None:
            return
        before, journal = now - group.record.retention_days * 86_400, group.record.journal
        await self._journal.trim(journal, before, await self._journal.head(journal))
        kept = [segment for segment in group.segments if segment.at >= before]
        group.changed |= len(kept) < len(group.segments)
        group.segments = kept
        await self._forget_lines(group.record, before)

    async def _forget_lines(self, record: GroupRecord, before: float) -> None:
        arn = parse_arn(record.arn)
        lines = None if arn is None else await self._lines.of_group(arn.scope, record.name)
        if lines is not None:
            await self._lines.forget(lines.function, before)

    async def _write_counts(self, group: Group) -> None:
        """Streams first: to count them twice changes nothing, and the group says from where on to count."""
        names, group.changed_streams = group.changed_streams, set()
        for name in names & group.streams.keys():
            await self._put_stream(group.streams[name])
        if group.changed:
            group.changed = False
            await self._change(group, replace(group.record, segments=list(group.segments), counted=group.counted))


def _stream_key(arn: str, name: str) -> str:
    return f"{_STREAMS}{arn}:{name}"
