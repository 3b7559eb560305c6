"""Whether an asynchronous invocation is tried again, and when. Pure: no clock, no chance.

Two kinds of failure, as on AWS: an error of the function uses up one of its few retries; a throttle or an error of
ours uses up none, and is tried for as long as the event is young enough.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from busway.errors import InvalidFunction
from busway.handling import RETRIES_MAX as RETRIES_TAG_MAX, RETRIES_TAG

RETRIES_MAX = 2
AGE_S_MAX = 21_600
THROTTLE_S_FIRST = 1.0
THROTTLE_S_MAX = 300.0

# AWS's words in a destination's record.
EXHAUSTED = "RetriesExhausted"
TOO_OLD = "EventAgeExceeded"

# Ours. An attempt that ended with the server (`kill -9`) uses up no retry, or a prefetched event that never ran would
# be given up; but an event during which the server dies again and again is not tried for ever.
INTERRUPTIONS_MAX = 10


@dataclass(frozen=True, slots=True)
class Policy:
    """When to give up. `waits_s` are the seconds before the first, second … retry after a function's error."""

    retries_max: int = RETRIES_MAX
    age_s_max: float = AGE_S_MAX
    waits_s: tuple[float, ...] = (60.0, 120.0)


def more_retries(tags: Mapping[str, str]) -> int | None:
    """How many the tag `busway:retries` of a function names: ours, for where AWS's most are too few."""
    text = tags.get(RETRIES_TAG)
    return None if text is None else int(text)


def check_retries(tags: Mapping[str, str]) -> None:
    """Raises `InvalidFunction` for tags that name a number of retries which is none."""
    text = tags.get(RETRIES_TAG, "0")
    if not (text.isascii() and text.isdecimal() and int(text) <= RETRIES_TAG_MAX):
        raise InvalidFunction(f"Tag {RETRIES_TAG} is {text!r}; wanted 0 to {RETRIES_TAG_MAX}")


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again at `at`, Unix seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt; `condition` is AWS's word for why."""

    condition: str


def may_start(policy: Policy, received_at: float, now: float) -> bool:
    """Whether an attempt may start: never one after the maximum age."""
    return now - received_at <= policy.age_s_max


def interrupted_too_often(attempts: int, errors: int) -> bool:
    """Whether the server died during this event so often that it is taken for the cause.

    `attempts` counts leases, the present one included; `errors` the function's errors among them.
    """
    return attempts - 1 - errors > INTERRUPTIONS_MAX


def after_error(policy: Policy, errors: int, received_at: float, now: float) -> Retry | GiveUp:
    """What follows the function's error number `errors` (1 for the first).

    A wait that would end after the maximum age is not begun (recorded from AWS).
    """
    if errors > policy.retries_max:
        return GiveUp(EXHAUSTED)
    wait_s = policy.waits_s[min(errors, len(policy.waits_s)) - 1] if policy.waits_s else 0.0
    return _at(policy, now + wait_s, received_at)


def after_throttle(policy: Policy, throttles: int, received_at: float, now: float) -> Retry | GiveUp:
    """What follows the throttle number `throttles` in a row: a wait that doubles, from 1 s to 5 min.

    The last wait is cut short, so that one attempt is made just before the maximum age.
    """
    wait_s = min(THROTTLE_S_MAX, THROTTLE_S_FIRST * 2.0 ** min(throttles - 1, 30))
    last_chance = received_at + policy.age_s_max - THROTTLE_S_FIRST
    return _at(policy, min(now + wait_s, last_chance) if now < last_chance else now + wait_s, received_at)


def _at(policy: Policy, at: float, received_at: float) -> Retry | GiveUp:
    return Retry(at) if may_start(policy, received_at, at) else GiveUp(TOO_OLD)


def parse_waits(text: str) -> tuple[float, ...]:
    """The waits of `settings.async_retry_s`, for example "60,120". Raises ValueError that says what was found."""
    try:
        waits = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        waits = (-1.0,)
    if any(not 0 <= wait <= AGE_S_MAX for wait in waits):
        raise ValueError(f"async_retry_s is {text!r}; wanted seconds separated by commas, for example '60,120'")
    return waits
