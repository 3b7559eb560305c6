"""A sample of events: bounded, even, and honest about what it left out."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, strategies as st

from busway.logs.batch import size_of
from busway.logs.page import LogEvent
from busway.logs.sample import Sample


def of(sizes: Sequence[int], events_max: int = 20, bytes_max: int = 1_000_000) -> tuple[list[int], bool]:
    """The numbers of the events that a sample gives, and whether it left some out."""
    sample = Sample(events_max, bytes_max)
    for number, size in enumerate(sizes):
        sample.offer("g", LogEvent((number, 1, number), "s", "x" * size, number))
    return [event.at_ms for _, event in sample.events()], sample.left_out


@given(count=st.integers(0, 2_000), events_max=st.integers(1, 60))
def test_a_sample_has_all_events_or_as_many_as_it_may_spread_evenly(count: int, events_max: int):
    found, left_out = of([1] * count, events_max)
    assert len(found) == min(count, events_max)
    assert left_out == (count > events_max)
    assert found == sorted(set(found))
    gaps = [later - earlier for earlier, later in zip([-1, *found], [*found, count], strict=True)]
    assert max(gaps) <= 4 * (count // events_max + 1)


@given(sizes=st.lists(st.integers(0, 500), max_size=200), bytes_max=st.integers(100, 5_000))
def test_a_sample_of_large_messages_keeps_within_its_bytes(sizes: list[int], bytes_max: int):
    found, left_out = of(sizes, 1_000, bytes_max)
    held = sum(size_of("x" * sizes[number]) for number in found)
    assert held <= bytes_max or len(found) == 1
    assert left_out == (len(found) < len(sizes))
    assert bool(found) == bool(sizes)


def test_events_of_several_groups_are_given_in_the_order_of_their_times():
    sample = Sample(10, 1_000)
    for group, at_ms in (("a", 3), ("a", 9), ("b", 1), ("b", 5)):
        sample.offer(group, LogEvent((at_ms, 1, at_ms), "s", "m", at_ms))
    assert [(group, event.at_ms) for group, event in sample.events()] == [("b", 1), ("a", 3), ("b", 5), ("a", 9)]
