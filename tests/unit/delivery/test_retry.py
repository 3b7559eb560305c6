"""The retry law, for every policy."""

from __future__ import annotations

from hypothesis import given, strategies as st

from busway.clock import SeededEntropy
from busway.delivery import RetryPolicy
from busway.delivery.retry import (
    BACKOFF_S_MAX,
    EXHAUSTED_AGE,
    EXHAUSTED_ATTEMPTS,
    GiveUp,
    RetryAt,
    after_failure,
    ceiling_s,
    exhausted,
)

policies = st.builds(RetryPolicy, retries_max=st.integers(0, 185), age_s_max=st.integers(60, 86_400).map(float))
draws = st.randoms(use_true_random=False)


def decide(policy: RetryPolicy, attempts: int, age_s: float, uniform=lambda low, high: high, **rest: float):
    return after_failure(policy, attempts, 0.0, age_s, first_s=rest.pop("first_s", 1.0), uniform=uniform, **rest)


def test_an_event_older_than_its_policy_is_given_up():
    assert exhausted(RetryPolicy(age_s_max=60), 1, 0.0, 61.0) == EXHAUSTED_AGE
    assert decide(RetryPolicy(age_s_max=60), 1, 61.0) == GiveUp(EXHAUSTED_AGE)


def test_a_policy_of_no_retries_makes_one_attempt():
    assert exhausted(RetryPolicy(retries_max=0), 1, 0.0, 0.0) is None
    assert decide(RetryPolicy(retries_max=0), 1, 0.0) == GiveUp(EXHAUSTED_ATTEMPTS)


def test_the_ceiling_doubles_up_to_its_cap():
    assert [ceiling_s(n, 1.0) for n in (1, 2, 3, 10, 11, 186)] == [1, 2, 4, 512, BACKOFF_S_MAX, BACKOFF_S_MAX]


def test_what_the_target_asks_for_is_waited_for():
    assert decide(RetryPolicy(), 1, 0.0, retry_after_s=30.0) == RetryAt(30.0)
    assert decide(RetryPolicy(age_s_max=60), 1, 0.0, retry_after_s=61.0) == GiveUp(EXHAUSTED_AGE)


def test_a_wait_ends_at_the_age_limit_and_no_earlier():
    assert decide(RetryPolicy(age_s_max=60), 10, 50.0) == RetryAt(60.0)


@given(policies, draws, st.floats(0.01, 60), st.floats(0, 120))
def test_no_run_of_failures_breaks_the_law(policy, random, first_s: float, attempt_s: float):
    """At most retries_max + 1 attempts, none after the age limit, and given up early only for one of the two."""
    now, attempts = 0.0, 0
    while True:
        over = exhausted(policy, attempts + 1, 0.0, now)
        if over is not None:
            break
        attempts += 1
        assert now <= policy.age_s_max
        decision = decide(policy, attempts, now + attempt_s, random.uniform, first_s=first_s)
        now += attempt_s
        if isinstance(decision, GiveUp):
            over = decision.condition
            break
        assert now <= decision.at <= max(now + ceiling_s(attempts, first_s), now)
        now = decision.at
    assert 1 <= attempts <= policy.retries_max + 1
    if over == EXHAUSTED_ATTEMPTS:
        assert attempts == policy.retries_max + 1
    else:
        assert over == EXHAUSTED_AGE and now >= policy.age_s_max


@given(policies, draws)
def test_crashes_count_as_attempts(policy, random):
    """However many attempts end in a crash, the count that the engine keeps ends the delivery."""
    assert exhausted(policy, policy.retries_max + 1, 0.0, 0.0) is None
    assert exhausted(policy, policy.retries_max + 2, 0.0, 0.0) == EXHAUSTED_ATTEMPTS


@given(st.integers())
def test_deliveries_that_failed_together_do_not_come_back_together(seed: int):
    uniform = SeededEntropy(seed).uniform
    times = [decide(RetryPolicy(), 8, 0.0, uniform).at for _ in range(1_000)]
    buckets = [sum(bucket * 12.8 <= at < (bucket + 1) * 12.8 for at in times) for bucket in range(10)]
    assert max(buckets) <= 3 * 100
