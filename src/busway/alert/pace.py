"""When the next message may go to a route, and how much it may tell. Pure: no clock, no I/O.

A person reads one message a minute that lists twenty failures; a pager wants each by itself, so that each ends by
itself. Either way a route that is down, slow or throttled has few messages under way: what comes meanwhile waits, and
is told together, or one after the other, when it is back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How a route is told: up to `alarms_max` in a message, `spacing_s` from one to the next, `at_once` under way."""

    alarms_max: int
    spacing_s: float
    at_once: int


# Ours: what a person can read.
PEOPLE = Pace(alarms_max=500, spacing_s=60.0, at_once=1)
PACES: Mapping[str, Pace] = {
    "slack": PEOPLE,
    "email": PEOPLE,
    # PagerDuty says only that it throttles by what comes in, and its support 120 events a minute and key:
    # https://developer.pagerduty.com/docs/events-api-v2-overview#rate-limits
    # https://community.pagerduty.com/forum/t/monitoring-api-rate-limiting/3318
    "pagerduty": Pace(alarms_max=1, spacing_s=0.5, at_once=16),
    # Ours; Datadog's own limit is far away: https://docs.datadoghq.com/api/latest/rate-limits/
    "datadog": Pace(alarms_max=1, spacing_s=0.1, at_once=16),
    "webhook": Pace(alarms_max=1, spacing_s=0.1, at_once=16),
}
# A route that is not there (yet): one alarm shows that somebody should be told, whatever the kind will be.
UNKNOWN = Pace(alarms_max=1, spacing_s=0.0, at_once=1)

# Ours: a message that does not arrive for so long does not hold up all others; so many go beside those at once.
PATIENCE_S = 600.0
BESIDE_MAX = 2

# Ours: how soon, and how rarely, it is looked whether a message has arrived.
LOOK_S_MIN, LOOK_S_MAX = 0.25, 15.0


def next_at(pace: Pace, under_way: Sequence[float], last_at: float, now: float) -> float:
    """Unix seconds from which on the next message may go; infinity: not before one that is under way has ended.

    `under_way` holds when each of those began, `last_at` when the last one did (0.0: never).
    """
    spaced_at = min(last_at, now) + pace.spacing_s
    if len(under_way) < pace.at_once:
        return spaced_at
    if len(under_way) >= pace.at_once + BESIDE_MAX:
        return float("inf")
    return max(spaced_at, max(under_way) + PATIENCE_S)


def look_after_s(began_at: float, now: float) -> float:
    """How long to wait before looking again at a message that began then: the longer it takes, the longer."""
    return min(LOOK_S_MAX, max(LOOK_S_MIN, (now - began_at) / 10))
