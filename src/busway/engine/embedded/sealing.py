"""The layout of what is stored as bytes, and the checksums over it. Pure.

A checksum covers the payload and what names it (offset or id, journal or queue), so that a row that ends up under
another name is noticed as much as a flipped bit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from zlib import crc32

from busway.engine import Ended

_APPEND = struct.Struct("<qqqqd")
_ITEM = struct.Struct("<qqqqqd")
_NUMBERS = struct.Struct("<qqq")
_ENDED = struct.Struct("<HIdB")

# Outcomes are kept in rows of up to this many neighbouring offsets: few rows, read in order, dropped whole.
BUCKET = 4096


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """The lengths, four bytes each, then the entries."""
    return b"".join((struct.pack(f"<{len(entries)}I", *map(len, entries)), *entries))


def unpack_entries(data: bytes, count: int) -> list[bytes]:
    lengths = struct.unpack_from(f"<{count}I", data)
    ends = list(accumulate(lengths, initial=4 * count))
    return [data[start:end] for start, end in pairwise(ends)]


def seal_append(journal: int, last: int, prev: int, count: int, at: float, data: bytes) -> int:
    return crc32(data, crc32(_APPEND.pack(journal, last, prev, count, at)))


def seal_item(
    item_id: int, queue: int, subscriber: int | None, offset: int | None, put_at: float, body: bytes, meta: bytes
) -> int:
    """What changes as an item is leased (due time, token, attempts) is not covered: it is rewritten too often."""
    names = _ITEM.pack(item_id, queue, subscriber or 0, offset or 0, len(body), put_at)
    return crc32(meta, crc32(body, crc32(names)))


def seal_record(key: str, version: int, data: bytes) -> int:
    return crc32(data, seal_name(key, version, len(data)))


def seal_name(name: str, a: int, b: int = 0, c: int = 0) -> int:
    """For rows that are a name and a few numbers."""
    return crc32(name.encode(), crc32(_NUMBERS.pack(a, b, c)))


def seal_outcomes(subscriber: int, bucket: int, seq: int, data: bytes) -> int:
    return crc32(data, crc32(_NUMBERS.pack(subscriber, bucket, seq)))


def pack_ended(ended: Ended) -> bytes:
    word = ended.outcome.encode()[:255]
    return _ENDED.pack(ended.offset % BUCKET, ended.attempts, ended.at, len(word)) + word


def unpack_ended(bucket: int, data: bytes) -> Iterator[Ended]:
    start = 0
    while start < len(data):
        low, attempts, at, size = _ENDED.unpack_from(data, start)
        start += _ENDED.size + size
        yield Ended(bucket * BUCKET + low, data[start - size : start].decode(), attempts, at)
