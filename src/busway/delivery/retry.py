"""Whether and when a failed delivery is tried again. Pure: no clock, no chance but what is handed in.

The law: never fewer attempts than the policy promises as long as its age allows them, none once it doesn't, and a
crash while an attempt was in flight counts as that attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from busway.delivery import BACKOFF_S_MAX, RetryPolicy

# AWS says only "exponential back off and jitter"; the growth is ours.
BACKOFF_GROWTH = 2.0

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
EXHAUSTED_ATTEMPTS = "MaximumRetryAttempts"
EXHAUSTED_AGE = "MaximumEventAgeInSeconds"


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at `at` (Unix seconds)."""

    at: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No attempt is left. `condition` is AWS's EXHAUSTED_RETRY_CONDITION."""

    condition: str


def exhausted(policy: RetryPolicy, attempts: int, accepted_at: float, now: float) -> str | None:
    """Why attempt number `attempts` (counted from 1) may not start at `now`, or None if it may.

    The first attempt is also bound by the age: an event that waited too long is given up untried.
    """
    if attempts > policy.retries_max + 1:
        return EXHAUSTED_ATTEMPTS
    if now - accepted_at > policy.age_s_max:
        return EXHAUSTED_AGE
    return None


def after_failure(
    policy: RetryPolicy,
    attempts: int,
    accepted_at: float,
    now: float,
    *,
    first_s: float,
    uniform: Callable[[float, float], float],
    retry_after_s: float = 0.0,
) -> RetryAt | GiveUp:
    """What follows when `attempts` attempts were made and the last failed at `now`.

    Full jitter: an even draw below the exponential ceiling, so that a thousand deliveries that failed together do
    not come back together. A wait ends at the age limit, where the delivery is given up, never earlier: until then
    the policy promised to keep it.
    """
    if attempts > policy.retries_max:
        return GiveUp(EXHAUSTED_ATTEMPTS)
    last_at = accepted_at + policy.age_s_max
    if now >= last_at or now + retry_after_s > last_at:
        return GiveUp(EXHAUSTED_AGE)
    wait_s = max(retry_after_s, uniform(0.0, ceiling_s(attempts, first_s, policy.backoff_s_max)))
    return RetryAt(min(now + wait_s, last_at))


def ceiling_s(attempts: int, first_s: float, most_s: float = BACKOFF_S_MAX) -> float:
    """The longest back-off after `attempts` attempts, in seconds."""
    # 2 ** 185 is a fine float; the exponent is bounded all the same, whatever a stored policy says.
    return min(most_s, first_s * BACKOFF_GROWTH ** min(attempts - 1, 64))
