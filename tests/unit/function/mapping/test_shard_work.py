"""What of a shard goes next, and how far it is finished."""

from __future__ import annotations

from busway.function.mapping.retry import Policy, after_error, after_no_start, after_success
from busway.function.mapping.shard_work import Limits, ShardWork
from busway.stream.record import StreamEntry

from .stream_entries import entries, entry, offsets


def work(**limits: float) -> ShardWork:
    chosen = Limits(**{"batch_size": 2, **limits})  # pyright: ignore[reportArgumentType]
    return ShardWork(chosen, 0, lambda entry: len(entry.data))


def everything(_: StreamEntry) -> bool:
    return True


def test_a_batch_has_at_most_its_size_and_one_goes_at_a_time():
    shard = work()
    shard.offer(entries(1, 2, 3), everything, 0.0)
    ((lane, first),) = shard.take(0.0)
    assert offsets(first.entries) == [1, 2]
    assert shard.take(0.0) == []
    shard.settle(lane, after_success(first), 0.0)
    assert shard.checkpoint == 2
    ((_, second),) = shard.take(0.0)
    assert offsets(second.entries) == [3]


def test_a_window_keeps_a_batch_until_it_is_over():
    shard = work(window_s=5.0)
    shard.offer(entries(1), everything, 10.0)
    assert shard.take(14.9) == []
    assert shard.due_at() == 15.0
    assert len(shard.take(15.0)) == 1


def test_a_full_batch_does_not_wait_for_its_window():
    shard = work(window_s=5.0)
    shard.offer(entries(1, 2), everything, 10.0)
    assert len(shard.take(10.0)) == 1


def test_at_the_end_of_a_shard_nobody_waits_for_a_window():
    shard = work(window_s=5.0)
    shard.offer(entries(1), everything, 10.0)
    shard.end()
    assert len(shard.take(10.0)) == 1


def test_a_batch_is_cut_where_a_function_could_take_no_more():
    shard = work(batch_size=10, bytes_max=10)
    shard.offer([entry(1, data=b"x" * 6), entry(2, data=b"x" * 4), entry(3, data=b"x")], everything, 0.0)
    ((_, first),) = shard.take(0.0)
    assert offsets(first.entries) == [1, 2]


def test_one_record_goes_however_large_it_is():
    shard = work(bytes_max=10)
    shard.offer([entry(1, data=b"x" * 60)], everything, 0.0)
    ((_, first),) = shard.take(0.0)
    assert offsets(first.entries) == [1]


def test_a_failed_batch_comes_before_what_was_never_tried_and_after_its_wait():
    shard = work()
    shard.offer(entries(1, 2, 3), everything, 0.0)
    ((lane, first),) = shard.take(0.0)
    shard.settle(lane, after_error(first, Policy()), 100.0)
    assert shard.take(100.1) == []
    ((_, again),) = shard.take(100.2)
    assert again.entries == first.entries
    assert shard.checkpoint == 0


def test_halves_go_one_after_the_other_in_order():
    shard = work(batch_size=4)
    shard.offer(entries(1, 2, 3, 4, 5), everything, 0.0)
    ((lane, first),) = shard.take(0.0)
    shard.settle(lane, after_error(first, Policy(bisect=True)), 0.0)
    seen: list[list[int]] = []
    while taken := shard.take(0.0):
        ((lane, segment),) = taken
        seen.append(offsets(segment.entries))
        shard.settle(lane, after_success(segment), 0.0)
    assert seen == [[1, 2], [3, 4], [5]]


def test_keys_keep_to_their_lanes_and_lanes_run_beside_each_other():
    shard = work(lanes=10, batch_size=10)
    keys = [f"key-{n}" for n in range(20)]
    shard.offer([entry(n, keys[n % 20]) for n in range(1, 101)], everything, 0.0)
    taken = shard.take(0.0)
    assert 1 < len(taken) <= 10
    lanes = [{found.partition_key for found in segment.entries} for _, segment in taken]
    assert sum(len(lane) for lane in lanes) == len(set().union(*lanes))


def test_the_checkpoint_stands_before_the_lowest_unfinished_record():
    shard = work(lanes=10, batch_size=10)
    shard.offer([entry(n, f"key-{n}") for n in range(1, 11)], everything, 0.0)
    taken = shard.take(0.0)
    first = next(one for one in taken if 1 in offsets(one[1].entries))
    for lane, segment in taken:
        if lane != first[0]:
            shard.settle(lane, after_success(segment), 0.0)
    assert shard.checkpoint == 0
    shard.settle(first[0], after_success(first[1]), 0.0)
    assert shard.checkpoint == 10
    assert shard.unfinished == 0


def test_unwanted_records_are_finished_with_but_not_out_of_turn():
    shard = work()
    left_out = shard.offer(entries(1, 2, 3), lambda found: found.offset == 2, 0.0)
    assert [entry.offset for entry in left_out] == [1, 3]
    assert shard.checkpoint == 1
    ((lane, segment),) = shard.take(0.0)
    shard.settle(lane, after_success(segment), 0.0)
    assert shard.checkpoint == 3


def test_reading_ahead_is_bounded():
    shard = work(batch_size=10)
    assert shard.room == 20
    shard.offer(entries(*range(1, 21)), everything, 0.0)
    assert shard.room == 0


def test_a_throttled_lane_waits_longer_each_time_and_begins_anew_after_a_success():
    shard = work()
    shard.offer(entries(1, 2, 3), everything, 0.0)
    waits: list[float] = []
    for _ in range(3):
        ((lane, segment),) = shard.take(1_000.0)
        shard.settle(lane, after_no_start(segment), 0.0)
        waits.append(shard.due_at())
    assert waits == [0.2, 0.4, 0.8]
    ((lane, segment),) = shard.take(1_000.0)
    shard.settle(lane, after_success(segment), 0.0)
    ((lane, segment),) = shard.take(1_000.0)
    shard.settle(lane, after_no_start(segment), 2_000.0)
    assert shard.due_at() == 2_000.2
