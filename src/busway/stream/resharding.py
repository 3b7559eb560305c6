"""Split, merge and uniform scaling: a stream's shards before and after. Pure.

Open shards always cover the whole hash space once. A change closes shards and opens their children; scaling to n even
ranges is a row of splits at the new borders and of merges between them, as AWS does it, so that a shard never has
more than two parents. Shards in between are born closed and stay empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from busway.errors import InvalidStreamRequest, ShardNotFound, StreamLimitExceeded
from busway.stream.hashing import even_ranges
from busway.stream.record import Shard, StreamRecord

# Ours: shards of one stream, the closed ones that are still kept among them. AWS: 10,000 open ones. The stream's
# record names them all and has to stay small.
SHARDS_MAX = 2_000


@dataclass(slots=True)
class Layout:
    """A stream's shards while they are being changed. `ends` are the offsets at which shards close, by index."""

    stream: StreamRecord
    now: float
    births: Callable[[], int]
    ends: Mapping[int, int]
    shards: dict[int, Shard] = field(init=False)
    made: int = field(init=False)

    def __post_init__(self) -> None:
        self.shards = {shard.index: shard for shard in self.stream.shards}
        self.made = self.stream.shards_made

    def open(self, low: int, high: int, *parents: Shard) -> Shard:
        first, second = (*parents, None, None)[:2]
        shard = Shard(
            self.stream.arn, self.stream.creation, self.made, self.births(), low, high, self.now,
            None if first is None else first.index, None if second is None else second.index,
        )  # fmt: skip
        self.shards[shard.index] = shard
        self.made += 1
        return shard

    def close(self, shard: Shard) -> None:
        # One that was opened in this same change holds nothing.
        end = self.ends.get(shard.index, 0) + 1
        self.shards[shard.index] = replace(shard, closed_at=self.now, end=end)

    def split(self, shard: Shard, at: int) -> tuple[Shard, Shard]:
        self.close(shard)
        return self.open(shard.low, at - 1, shard), self.open(at, shard.high, shard)

    def merge(self, left: Shard, right: Shard) -> Shard:
        self.close(left)
        self.close(right)
        return self.open(left.low, right.high, left, right)

    def result(self) -> StreamRecord:
        """Raises `StreamLimitExceeded`."""
        if len(self.shards) > SHARDS_MAX:
            raise StreamLimitExceeded(
                f"Stream {self.stream.name} would have {len(self.shards)} shards, closed ones included; "
                f"Busway keeps at most {SHARDS_MAX} of one stream."
            )
        return replace(self.stream, shards=tuple(self.shards.values()), shards_made=self.made)


def laid_out(stream: StreamRecord, count: int, now: float, births: Callable[[], int]) -> StreamRecord:
    """A new stream with its first shards. Raises `StreamLimitExceeded`."""
    layout = Layout(stream, now, births, {})
    if count > SHARDS_MAX:
        raise StreamLimitExceeded(f"Busway keeps at most {SHARDS_MAX} shards of one stream; wanted {count}.")
    for low, high in even_ranges(count):
        layout.open(low, high)
    return layout.result()


def check_split(stream: StreamRecord, shard_id: str, new_start: int) -> Shard:
    """The shard to be split. Raises `ShardNotFound`, `InvalidStreamRequest`."""
    shard = _open_shard(stream, shard_id)
    if not shard.low + 1 < new_start < shard.high:
        raise InvalidStreamRequest(
            f"NewStartingHashKey {new_start} used in SplitShard() on shard {shard.id} in stream {stream.name} under "
            f"account {stream.account} is not both greater than one plus the shard's StartingHashKey {shard.low} "
            f"and less than the shard's EndingHashKey {shard.high}."
        )
    return shard


def check_merge(stream: StreamRecord, shard_id: str, adjacent_id: str) -> tuple[Shard, Shard]:
    """The two shards, the lower one first. Raises `ShardNotFound`, `InvalidStreamRequest`."""
    named = (_open_shard(stream, shard_id), _open_shard(stream, adjacent_id))
    left, right = sorted(named, key=lambda shard: shard.low)
    if left.high + 1 != right.low:
        raise InvalidStreamRequest(
            f"Shards {shard_id} and {adjacent_id} in stream {stream.name} under account {stream.account} are not an "
            "adjacent pair of shards eligible for merging"
        )
    return left, right


def scaled(layout: Layout, count: int) -> None:
    """Make the open shards `count` even ranges; shards whose range stays as it is are left alone."""
    ranges = even_ranges(count)
    borders = [low for low, _ in ranges[1:]]
    pieces: list[Shard] = []
    for shard in layout.stream.open_shards:
        piece = shard
        for border in borders:
            if piece.low < border <= piece.high:
                before, piece = layout.split(piece, border)
                pieces.append(before)
        pieces.append(piece)
    waiting = iter(pieces)
    for _, high in ranges:
        whole = next(waiting)
        while whole.high < high:
            whole = layout.merge(whole, next(waiting))


def check_scaling(stream: StreamRecord, count: int) -> None:
    """Raises `StreamLimitExceeded`, in AWS's words.

    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html
    """
    now = len(stream.open_shards)
    counts = f"Current open shard count: {now}, Target shard count: {count}"
    if count > SHARDS_MAX:
        raise StreamLimitExceeded(
            f"Target shard count or number of open shards cannot be greater than {SHARDS_MAX}. {counts}"
        )
    if count > 2 * now:
        raise StreamLimitExceeded(
            f"UpdateShardCount cannot scale up over double your current open shard count. {counts}"
        )
    if 2 * count < now:
        raise StreamLimitExceeded(
            f"UpdateShardCount cannot scale down below half your current open shard count. {counts}"
        )


def without_expired(stream: StreamRecord, now: float) -> StreamRecord | None:
    """Without the closed shards all of whose records are past the retention; None when that changes nothing."""
    kept = tuple(s for s in stream.shards if s.closed_at is None or s.closed_at + stream.retention_s > now)
    return None if len(kept) == len(stream.shards) else replace(stream, shards=kept)


def _open_shard(stream: StreamRecord, shard_id: str) -> Shard:
    shard = stream.shard(shard_id)
    if shard is None:
        raise ShardNotFound(shard_id, stream.name, stream.account, reshard=True)
    if shard.closed:
        raise InvalidStreamRequest(
            f"Shard {shard.id} in stream {stream.name} under account {stream.account} has already been merged or "
            "split, and thus is not eligible for merging or splitting."
        )
    return shard
