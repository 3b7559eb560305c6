"""What PutLogEvents takes of a batch of events, and what it rejects. Pure.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from busway.errors import InvalidLogRequest

# A request's events: their messages in UTF-8, and so many bytes for each.
BATCH_BYTES_MAX, EVENT_BYTES = 1_048_576, 26
DAY_MS = 86_400_000
AHEAD_MS, PAST_MS, SPAN_MS = 2 * 3_600_000, 14 * DAY_MS, DAY_MS

Event = tuple[int, str]
"""When it happened, in Unix milliseconds, and the message."""


class Sorted(msgspec.Struct, frozen=True):
    """A batch after the checks.

    `taken` are the events that are kept; of the others it says where they are, by places from 0: those before `old`
    are older than 14 days, those before `expired` older than the group keeps, those from `new` on too far ahead.
    """

    taken: Sequence[Event]
    old: int | None = None
    expired: int | None = None
    new: int | None = None


def size_of(message: str) -> int:
    """What an event counts, in bytes."""
    return len(message.encode(errors="replace")) + EVENT_BYTES


def sort_out(events: Sequence[Event], now_ms: int, retention_days: int | None) -> Sorted:
    """Check a batch. Raises `InvalidLogRequest`, worded as AWS does, for one that is refused as a whole."""
    size = sum(size_of(message) for _, message in events)
    if size > BATCH_BYTES_MAX:
        raise InvalidLogRequest(f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES_MAX}")
    times = [at for at, _ in events]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise InvalidLogRequest("Log events in a single PutLogEvents request must be in chronological order.")
    old = sum(at < now_ms - PAST_MS for at in times)
    kept_ms = PAST_MS if retention_days is None else retention_days * DAY_MS
    expired = sum(at < now_ms - kept_ms for at in times)
    new = len(times) - sum(at > now_ms + AHEAD_MS for at in times)
    taken = events[max(old, expired) : new]
    if taken and taken[-1][0] - taken[0][0] > SPAN_MS:
        raise InvalidLogRequest(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    return Sorted(taken, old or None, expired if expired > old else None, new if new < len(times) else None)
