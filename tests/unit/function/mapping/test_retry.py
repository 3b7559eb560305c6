"""What follows a result of a stream's batch."""

from __future__ import annotations

import pytest

from busway.function.mapping.retry import (
    EXHAUSTED,
    TOO_OLD,
    Policy,
    Segment,
    after_error,
    after_no_start,
    after_report,
    after_success,
    too_large,
    wait_s,
    without_too_old,
)

from .stream_entries import AT, entries, entry, offsets

FOUR = Segment(entries(1, 2, 3, 4))


def test_a_success_is_the_end_of_the_whole_batch():
    assert after_success(FOUR).done == FOUR.entries


def test_a_failed_batch_comes_again_as_it_was_after_a_wait():
    step = after_error(FOUR, Policy())
    assert step.again == (Segment(FOUR.entries, 1),)
    assert step.wait
    assert not step.done


def test_a_batch_is_given_up_after_the_retries_it_may_have():
    once = after_error(FOUR, Policy(retries_max=1)).again[0]
    step = after_error(once, Policy(retries_max=1))
    assert step.lost is not None
    assert (step.lost.condition, step.lost.invocations) == (EXHAUSTED, 2)
    assert step.lost.entries == FOUR.entries
    assert not step.again


def test_bisecting_halves_the_batch_at_once_and_costs_no_retry():
    step = after_error(Segment(entries(1, 2, 3), 0), Policy(retries_max=0, bisect=True))
    assert [offsets(part.entries) for part in step.again] == [[1, 2], [3]]
    assert [part.failures for part in step.again] == [0, 0]
    assert not step.wait


def test_a_single_record_cannot_be_halved():
    assert after_error(Segment(entries(1)), Policy(retries_max=0, bisect=True)).lost is not None


@pytest.mark.parametrize("bisect", [True, False])
def test_a_report_finishes_what_stands_before_the_failed_record(bisect: bool):
    step = after_report(FOUR, 2, Policy(bisect=bisect))
    assert offsets(step.done) == [1, 2]
    assert [offsets(part.entries) for part in step.again] == [[3, 4]]
    assert step.wait


def test_a_record_has_all_its_retries_whatever_failed_before_it():
    tired = Segment(entries(1, 2, 3), 5)
    step = after_report(tired, 1, Policy(retries_max=5))
    assert step.again == (Segment(entries(2, 3), 1),)


def test_a_report_of_the_first_record_is_a_failure_of_the_batch():
    assert after_report(FOUR, 0, Policy(retries_max=0)) == after_error(FOUR, Policy(retries_max=0))


def test_without_retries_a_report_gives_up_the_rest():
    step = after_report(FOUR, 3, Policy(retries_max=0))
    assert offsets(step.done) == [1, 2, 3]
    assert step.lost is not None
    assert offsets(step.lost.entries) == [4]


def test_a_throttle_costs_no_retry():
    assert after_no_start(Segment(FOUR.entries, 3)).again == (Segment(FOUR.entries, 3),)


def test_what_no_function_could_be_handed_is_given_up():
    assert too_large(Segment(entries(1))).lost is not None


def test_records_that_became_too_old_are_given_up_from_the_front():
    segment = Segment((entry(1, arrived_at=AT), entry(2, arrived_at=AT + 50), entry(3, arrived_at=AT + 60)), 2)
    step = without_too_old(segment, Policy(age_s_max=60), AT + 100)
    assert step is not None
    assert step.lost is not None
    assert (step.lost.condition, step.lost.invocations, offsets(step.lost.entries)) == (TOO_OLD, 2, [1])
    assert [offsets(part.entries) for part in step.again] == [[2, 3]]


def test_a_batch_that_is_too_old_as_a_whole_leaves_nothing():
    step = without_too_old(FOUR, Policy(age_s_max=60), AT + 61)
    assert step is not None
    assert step.again == ()


def test_a_batch_of_the_very_age_is_still_tried():
    assert without_too_old(FOUR, Policy(age_s_max=60), AT + 60) is None


def test_waits_double_up_to_a_minute():
    assert [wait_s(n) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert wait_s(1000) == 60.0
