from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from busway.function.invocation.retry import (
    EXHAUSTED,
    INTERRUPTIONS_MAX,
    TOO_OLD,
    GiveUp,
    Policy,
    Retry,
    after_error,
    after_throttle,
    interrupted_too_often,
    may_start,
    parse_waits,
)


def test_the_first_retry_comes_after_a_minute_and_the_second_after_two():
    assert after_error(Policy(), errors=1, received_at=0.0, now=10.0) == Retry(70.0)
    assert after_error(Policy(), errors=2, received_at=0.0, now=70.0) == Retry(190.0)
    assert after_error(Policy(), errors=3, received_at=0.0, now=190.0) == GiveUp(EXHAUSTED)


def test_no_retries_means_one_attempt():
    assert after_error(Policy(retries_max=0), errors=1, received_at=0.0, now=1.0) == GiveUp(EXHAUSTED)


def test_a_wait_that_would_end_after_the_maximum_age_is_not_begun():
    policy = Policy(age_s_max=60)
    assert after_error(policy, errors=1, received_at=0.0, now=0.5) == GiveUp(TOO_OLD)


def test_an_attempt_may_start_up_to_the_maximum_age_and_not_after_it():
    policy = Policy(age_s_max=60)
    assert may_start(policy, received_at=0.0, now=60.0)
    assert not may_start(policy, received_at=0.0, now=60.1)


def test_throttles_wait_twice_as_long_each_time_up_to_five_minutes():
    policy = Policy()
    waits = [after_throttle(policy, n, received_at=0.0, now=0.0) for n in range(1, 12)]
    assert waits == [Retry(float(at)) for at in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300)]


@given(throttles=st.integers(1, 100), age=st.floats(0, 30_000), limit=st.integers(60, 21_600))
def test_a_throttled_event_is_never_due_after_its_maximum_age(throttles: int, age: float, limit: int):
    decision = after_throttle(Policy(age_s_max=limit), throttles, received_at=0.0, now=age)
    if isinstance(decision, Retry):
        assert age < decision.at <= limit
    else:
        assert age > limit - 300


def test_a_throttled_event_gets_a_last_attempt_just_before_its_maximum_age():
    assert after_throttle(Policy(age_s_max=60), 9, received_at=0.0, now=31.0) == Retry(59.0)


def test_a_server_that_died_a_few_times_costs_no_attempt():
    assert not interrupted_too_often(attempts=1 + 2 + INTERRUPTIONS_MAX, errors=2)
    assert interrupted_too_often(attempts=2 + 2 + INTERRUPTIONS_MAX, errors=2)


def test_waits_are_read_from_the_setting():
    assert parse_waits("60,120") == (60.0, 120.0)
    assert parse_waits("0.1") == (0.1,)
    assert parse_waits("") == ()


@pytest.mark.parametrize("text", ["a,b", "-1", "nan", "1e9"])
def test_a_setting_that_is_no_list_of_seconds_is_named(text: str):
    with pytest.raises(ValueError, match="async_retry_s is"):
        parse_waits(text)


def test_with_one_wait_given_every_retry_waits_that_long():
    policy = Policy(waits_s=(0.5,))
    assert after_error(policy, errors=2, received_at=0.0, now=1.0) == Retry(1.5)
