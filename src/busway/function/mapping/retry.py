"""What follows a result of a stream's batch: done, again, halved, given up. Pure.

AWS's rules: an error makes the shard wait and the batch come again, until it succeeds, has no retry left or is too
old. Halving costs no retry. A report of single failures moves the front to the lowest of them.
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from busway.stream.record import StreamEntry

EXHAUSTED = "RetryAttemptsExhausted"
TOO_OLD = "RecordAgeExceeded"

UNLIMITED = -1
# Ours; AWS says "exponential" and no more. A throttle waits in the same way.
WAIT_S_FIRST = 0.2
WAIT_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """When to give up. `age_s_max` is never more than the stream's own retention."""

    retries_max: int = UNLIMITED
    age_s_max: float = float("inf")
    bisect: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """Records that go into one invocation, and how often it failed without getting any further."""

    entries: tuple[StreamEntry, ...]
    failures: int = 0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Records that will not be tried again. `invocations` is how often they were."""

    entries: tuple[StreamEntry, ...]
    condition: str
    invocations: int


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a segment. `done` and `lost` are finished with; `again` comes next, in this order."""

    done: tuple[StreamEntry, ...] = ()
    lost: GivenUp | None = None
    again: tuple[Segment, ...] = ()
    wait: bool = False


def after_success(segment: Segment) -> Step:
    return Step(done=segment.entries)


def after_error(segment: Segment, policy: Policy) -> Step:
    """The whole batch failed."""
    entries = segment.entries
    if policy.bisect and len(entries) > 1:
        half = (len(entries) + 1) // 2
        parts = (replace(segment, entries=entries[:half]), replace(segment, entries=entries[half:]))
        return Step(again=parts)
    failures = segment.failures + 1
    if 0 <= policy.retries_max < failures:
        return Step(lost=GivenUp(entries, EXHAUSTED, failures))
    return Step(again=(Segment(entries, failures),), wait=True)


def after_report(segment: Segment, first_failed: int, policy: Policy) -> Step:
    """The handler got as far as `first_failed`, a place in the segment.

    Whoever got further has all retries again (ours: so no record is given up for another one's failures).
    """
    if first_failed == 0:
        return after_error(segment, policy)
    rest = Segment(segment.entries[first_failed:], 1)
    if policy.retries_max == 0:
        # The first failure of this record was its last chance; bisecting finds it if that is asked for.
        step = after_error(Segment(rest.entries), policy)
        return replace(step, done=segment.entries[:first_failed])
    return Step(done=segment.entries[:first_failed], again=(rest,), wait=True)


def after_no_start(segment: Segment) -> Step:
    """The function was not run: a throttle, or a fault of ours. It costs no retry."""
    return Step(again=(segment,), wait=True)


def too_large(segment: Segment) -> Step:
    """One record alone is above what a function can be handed: no retry would change that (ours)."""
    return Step(lost=GivenUp(segment.entries, EXHAUSTED, segment.failures))


def without_too_old(segment: Segment, policy: Policy, now: float) -> Step | None:
    """Give up what is too old at the front and go on with the rest; None when nothing is."""
    kept = next(
        (at for at, entry in enumerate(segment.entries) if now - entry.arrived_at <= policy.age_s_max),
        len(segment.entries),
    )
    if kept == 0:
        return None
    lost = GivenUp(segment.entries[:kept], TOO_OLD, segment.failures)
    rest = segment.entries[kept:]
    return Step(lost=lost, again=(replace(segment, entries=rest),) if rest else ())


def wait_s(failures: int) -> float:
    """How long to wait after failure number `failures` in a row (1 for the first)."""
    return min(WAIT_S_MAX, WAIT_S_FIRST * 2.0 ** min(failures - 1, 30))
