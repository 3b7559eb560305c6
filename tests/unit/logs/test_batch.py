"""What PutLogEvents takes of a batch: AWS's limits, to the byte and the millisecond."""

from __future__ import annotations

import pytest

from busway.errors import InvalidLogRequest
from busway.logs.batch import AHEAD_MS, BATCH_BYTES_MAX, DAY_MS, EVENT_BYTES, PAST_MS, Event, Sorted, sort_out

NOW = 1_700_000_000_000


def at(*times: int) -> list[Event]:
    return [(NOW + time, f"{time}") for time in times]


def refused(events: list[Event]) -> str:
    with pytest.raises(InvalidLogRequest) as error:
        sort_out(events, NOW, None)
    return str(error.value)


def test_a_batch_is_measured_in_utf_8_with_26_bytes_an_event():
    room = BATCH_BYTES_MAX - 2 * EVENT_BYTES
    fits = [(NOW, "é" * (room // 2 - 4)), (NOW, "x" * 8)]
    assert sort_out(fits, NOW, None) == Sorted(fits)
    assert refused([*fits[:1], (NOW, "x" * 9)]) == "Upload too large: 1048577 bytes exceeds limit of 1048576"


def test_events_come_in_order():
    assert sort_out(at(0, 0, 1), NOW, None).taken == at(0, 0, 1)
    assert refused(at(1, 0)) == (
        "Log events in a single PutLogEvents request must be in chronological order."
    )  # fmt: skip


def test_the_events_that_are_kept_span_no_more_than_a_day():
    assert sort_out(at(-DAY_MS, 0), NOW, None).taken == at(-DAY_MS, 0)
    assert refused(at(-DAY_MS - 1, 0)) == (
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    )
    assert sort_out(at(-PAST_MS - 1, 0), NOW, None) == Sorted(at(0), old=1)


def test_events_too_far_ahead_and_too_old_are_rejected_by_their_places():
    assert sort_out(at(0, AHEAD_MS, AHEAD_MS + 1), NOW, None) == Sorted(at(0, AHEAD_MS), new=2)
    edge = sort_out(at(-PAST_MS - 2, -PAST_MS - 1, -PAST_MS), NOW, None)
    assert edge == Sorted(at(-PAST_MS), old=2)
    assert sort_out(at(-PAST_MS - 1, AHEAD_MS + 1), NOW, None) == Sorted([], old=1, new=1)


def test_events_older_than_the_group_keeps_have_expired():
    assert sort_out(at(-DAY_MS - 1, -DAY_MS), NOW, 1) == Sorted(at(-DAY_MS), expired=1)
    assert sort_out(at(-PAST_MS - 1, -DAY_MS - 1, 0), NOW, 1) == Sorted(at(0), old=1, expired=2)
    assert sort_out(at(-PAST_MS - 1, 0), NOW, 30) == Sorted(at(0), old=1)
