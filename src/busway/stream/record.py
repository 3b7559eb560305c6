"""What is kept of a stream, and how a record lies in a shard's journal. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

import msgspec

from busway.arn import Scope
from busway.engine import Entry
from busway.errors import CorruptRecord, InvalidStreamRequest
from busway.stream.sequence import prefix_of, sequence_number, shard_id

ACTIVE, DELETING = "ACTIVE", "DELETING"
PROVISIONED, ON_DEMAND = "PROVISIONED", "ON_DEMAND"
# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
# A record's head: the layout's version and the length of the partition key in bytes.
_VERSION = 1
_HEAD_BYTES = 3


class Shard(msgspec.Struct, frozen=True, dict=True, array_like=True):
    """A part of a stream's hash space and what was put there. `low` and `high` are inclusive.

    `creation` tells streams of one ARN apart. `birth` and `index` make its sequence numbers. A closed shard has
    `closed_at` (Unix seconds) and `end`, an offset above all its records.
    """

    arn: str
    creation: str
    index: int
    birth: int
    low: int
    high: int
    opened_at: float
    parent: int | None = None
    adjacent_parent: int | None = None
    closed_at: float | None = None
    end: int | None = None

    @cached_property
    def id(self) -> str:
        return shard_id(self.index)

    @property
    def closed(self) -> bool:
        """No record will be added."""
        return self.closed_at is not None

    @cached_property
    def journal(self) -> str:
        return f"stream/{self.arn}#{self.creation}/{self.id}"

    @cached_property
    def prefix(self) -> str:
        return prefix_of(self.birth, self.index)

    @property
    def parents(self) -> tuple[str, ...]:
        """The ids of the shards whose keys it took over, none for a first one."""
        return tuple(shard_id(index) for index in (self.parent, self.adjacent_parent) if index is not None)

    def sequence_number(self, offset: int) -> str:
        return sequence_number(self.prefix, offset)

    @property
    def first_sequence_number(self) -> str:
        return self.sequence_number(0)

    @property
    def last_sequence_number(self) -> str | None:
        return None if self.end is None else self.sequence_number(self.end)


class StreamRecord(msgspec.Struct, frozen=True, dict=True, omit_defaults=True, kw_only=True):
    """A stream as it is stored. Times are Unix seconds; `shards` are in the order of their ids."""

    arn: str
    name: str
    account: str
    region: str
    creation: str
    created_at: float
    mode: str = PROVISIONED
    retention_s: float = 86_400.0
    record_bytes_max: int = 1_048_576
    status: str = ACTIVE
    shards: tuple[Shard, ...] = ()
    shards_made: int = 0
    tags: dict[str, str] = {}

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @cached_property
    def open_shards(self) -> tuple[Shard, ...]:
        """The shards that take records, in the order of their ranges, which cover the whole hash space."""
        return tuple(sorted((shard for shard in self.shards if not shard.closed), key=lambda shard: shard.low))

    @cached_property
    def _lows(self) -> tuple[int, ...]:
        return tuple(shard.low for shard in self.open_shards)

    def shard_at(self, key_hash: int) -> Shard:
        """The open shard whose range holds this place."""
        return self.open_shards[bisect_right(self._lows, key_hash) - 1]

    def shard(self, wanted: str) -> Shard | None:
        return self._by_id.get(wanted)

    def shard_of(self, index: int) -> Shard | None:
        return self._by_id.get(shard_id(index))

    @cached_property
    def _by_id(self) -> dict[str, Shard]:
        return {shard.id: shard for shard in self.shards}


class StreamEntry(msgspec.Struct, frozen=True, gc=False):
    """A record as a reader gets it. `arrived_at` is Unix seconds."""

    offset: int
    sequence_number: str
    partition_key: str
    data: bytes
    arrived_at: float

    @property
    def size(self) -> int:
        """Bytes as AWS counts them: data and partition key."""
        return len(self.data) + len(self.partition_key.encode())


def check_name(name: str) -> None:
    """Raises `InvalidStreamRequest`."""
    if not _NAME.fullmatch(name):
        raise InvalidStreamRequest(
            f"Stream name {name[:200]!r} is not valid: wanted 1 to 128 letters, digits, '_', '.' or '-'."
        )


def pack(key: bytes, data: bytes) -> bytes:
    """A record as it lies in the journal. `key` is the partition key in UTF-8."""
    return b"\x01%b%b%b" % (len(key).to_bytes(2), key, data)


def unpack(shard: Shard, entry: Entry) -> StreamEntry:
    """Raises `CorruptRecord` for what `pack` did not make."""
    raw = entry.data
    if len(raw) < _HEAD_BYTES or raw[0] != _VERSION:
        raise CorruptRecord(f"journal {shard.journal!r}, offset {entry.offset}: found no record of a stream")
    start = _HEAD_BYTES + int.from_bytes(raw[1:_HEAD_BYTES])
    key = raw[_HEAD_BYTES:start].decode()
    return StreamEntry(entry.offset, shard.sequence_number(entry.offset), key, raw[start:], entry.at)
