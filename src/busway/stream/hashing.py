"""Where a partition key lies in a stream's hash space. Pure.

https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html#partition-key
"""

from __future__ import annotations

import hashlib

HASH_MAX = (1 << 128) - 1


def hash_of(partition_key: str) -> int:
    """The MD5 of the key's UTF-8, as an unsigned integer of 128 bits."""
    digest = hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest)


def even_ranges(count: int) -> list[tuple[int, int]]:
    """`count` ranges that cover the space, both ends inclusive, in order; the last takes what is left over.

    As AWS lays out new streams: each range begins at a multiple of the space divided by `count`.
    """
    width = (HASH_MAX + 1) // count
    starts = [width * place for place in range(count)]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), HASH_MAX], strict=True))
