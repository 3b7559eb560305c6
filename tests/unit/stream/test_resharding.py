"""Ranges always cover the hash space once, whatever is split and merged."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from busway.errors import InvalidStreamRequest, ShardNotFound, StreamLimitExceeded
from busway.stream.hashing import HASH_MAX, even_ranges
from busway.stream.record import StreamRecord
from busway.stream.resharding import (
    SHARDS_MAX,
    Layout,
    check_merge,
    check_scaling,
    check_split,
    laid_out,
    scaled,
    without_expired,
)

BARE = StreamRecord(arn="arn:x:stream/s", name="s", account="0", region="r", creation="00", created_at=0.0)


def fresh(count: int) -> tuple[StreamRecord, itertools.count[int]]:
    births = itertools.count(1)
    return laid_out(BARE, count, 0.0, lambda: next(births)), births


class Resharding(RuleBasedStateMachine):
    @initialize(count=st.integers(1, 8))
    def begin(self, count: int) -> None:
        self.stream, self.births = fresh(count)

    def change(self) -> Layout:
        return Layout(self.stream, 1.0, lambda: next(self.births), {})

    @rule(which=st.integers(0, 1000), at=st.integers(0, HASH_MAX))
    def split(self, which: int, at: int) -> None:
        shard = self.stream.open_shards[which % len(self.stream.open_shards)]
        try:
            check_split(self.stream, shard.id, at)
        except InvalidStreamRequest:
            assert not shard.low + 1 < at < shard.high
            return
        layout = self.change()
        layout.split(shard, at)
        self.stream = layout.result()

    @rule(which=st.integers(0, 1000))
    def halve(self, which: int) -> None:
        shard = self.stream.open_shards[which % len(self.stream.open_shards)]
        if shard.high - shard.low > 3:
            self.split(which, (shard.low + shard.high + 1) // 2)

    @rule(which=st.integers(0, 1000), other_first=st.booleans())
    def merge(self, which: int, other_first: bool) -> None:
        here = self.stream.open_shards
        if len(here) > 1:
            place = which % (len(here) - 1)
            names = [here[place].id, here[place + 1].id]
            left, right = check_merge(self.stream, *(reversed(names) if other_first else names))
            layout = self.change()
            layout.merge(left, right)
            self.stream = layout.result()

    @rule(count=st.integers(1, 20))
    def scale(self, count: int) -> None:
        layout = self.change()
        scaled(layout, count)
        self.stream = layout.result()
        assert [(s.low, s.high) for s in self.stream.open_shards] == even_ranges(count)

    @invariant()
    def open_shards_cover_the_space_once(self) -> None:
        if not hasattr(self, "stream"):
            return
        here = self.stream.open_shards
        assert here[0].low == 0
        assert here[-1].high == HASH_MAX
        assert all(left.high + 1 == right.low for left, right in itertools.pairwise(here))
        assert all(self.stream.shard_at(shard.low) is shard is self.stream.shard_at(shard.high) for shard in here)

    @invariant()
    def ids_are_never_used_again_and_children_come_after_their_parents(self) -> None:
        if not hasattr(self, "stream"):
            return
        indexes = [shard.index for shard in self.stream.shards]
        assert indexes == list(range(self.stream.shards_made))
        by_index = {shard.index: shard for shard in self.stream.shards}
        for shard in self.stream.shards:
            for parent in (shard.parent, shard.adjacent_parent):
                if parent is not None:
                    assert by_index[parent].closed
                    assert int(by_index[parent].last_sequence_number or 0) < int(shard.first_sequence_number)

    @invariant()
    def children_cover_what_their_parents_did(self) -> None:
        if not hasattr(self, "stream"):
            return
        for shard in self.stream.shards:
            if shard.closed:
                children = [c for c in self.stream.shards if shard.index in (c.parent, c.adjacent_parent)]
                assert min(c.low for c in children) <= shard.low
                assert max(c.high for c in children) >= shard.high


Resharding.TestCase.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)
TestResharding = Resharding.TestCase


@given(st.integers(1, 40), st.integers(1, 40))
def test_scaling_leaves_even_ranges_and_no_shard_with_three_parents(before: int, after: int):
    stream, births = fresh(before)
    layout = Layout(stream, 1.0, lambda: next(births), {})
    scaled(layout, after)
    assert [(s.low, s.high) for s in layout.result().open_shards] == even_ranges(after)


def test_scaling_to_the_same_count_changes_nothing():
    stream, births = fresh(4)
    layout = Layout(stream, 1.0, lambda: next(births), {})
    scaled(layout, 4)
    assert layout.result() == stream


def test_a_closed_shard_ends_above_its_last_record():
    stream, births = fresh(1)
    layout = Layout(stream, 1.0, lambda: next(births), {0: 41})
    layout.split(stream.shards[0], 100)
    assert layout.result().shards[0].end == 42


@pytest.mark.parametrize("at", [0, 1, HASH_MAX, HASH_MAX + 1])
def test_a_split_at_the_edge_of_a_shard_is_refused_in_the_words_of_aws(at: int):
    with pytest.raises(InvalidStreamRequest, match="is not both greater than one plus the shard's StartingHashKey 0"):
        check_split(fresh(1)[0], "shardId-000000000000", at)


def test_a_shard_that_is_not_there_or_closed_is_neither_split_nor_merged():
    stream, births = fresh(2)
    with pytest.raises(ShardNotFound, match="Could not find shard shardId-9 in stream s under account 0"):
        check_split(stream, "shardId-9", 5)
    layout = Layout(stream, 1.0, lambda: next(births), {})
    layout.merge(*stream.shards)
    with pytest.raises(InvalidStreamRequest, match="has already been merged or split"):
        check_merge(layout.result(), "shardId-000000000000", "shardId-000000000001")


@pytest.mark.parametrize("names", [(0, 2), (0, 0), (1, 3)])
def test_shards_that_are_no_neighbours_are_not_merged(names: tuple[int, int]):
    stream, _ = fresh(4)
    with pytest.raises(InvalidStreamRequest, match="are not an adjacent pair of shards eligible for merging"):
        check_merge(stream, *(f"shardId-{index:012d}" for index in names))


@pytest.mark.parametrize(
    ("count", "words"),
    [(9, "over double"), (1, "below half"), (SHARDS_MAX + 1, f"cannot be greater than {SHARDS_MAX}")],
)
def test_scaling_too_far_at_once_is_refused(count: int, words: str):
    with pytest.raises(StreamLimitExceeded, match=words):
        check_scaling(fresh(4)[0], count)


def test_more_shards_than_a_record_may_name_are_refused():
    with pytest.raises(StreamLimitExceeded):
        fresh(SHARDS_MAX + 1)


def test_a_closed_shard_goes_when_its_records_are_past_the_retention():
    stream, births = fresh(1)
    layout = Layout(stream, 100.0, lambda: next(births), {})
    layout.split(stream.shards[0], 100)
    split = layout.result()
    assert without_expired(split, 100.0 + split.retention_s - 1) is None
    later = without_expired(split, 100.0 + split.retention_s)
    assert later is not None
    assert [shard.index for shard in later.shards] == [1, 2]
