"""Who gets a worker, and who gives one up: the pool's decisions. Pure: no clock, no processes.

The law, ours throughout. There are `workers_max` places.

- A free place goes to the function with the fewest workers; among equals, to the one that waited longest.
- Where none is free, the worker that was idle longest makes room.
- Where nobody is idle, a function with at least two workers more than one that waits gives one up as soon as it
  finishes an event: shares differ by one at most. Nothing is taken from a handler that runs.
- Of functions with one worker each, one that had its turn (`TURN_S`) makes way for one that has none.
- A function without a worker whose wait lasted a turn, because everybody else's handlers run on, gets one beyond the
  places; there are as many of those again, and they end first.

So one event waits for a turn at most while there are fewer functions at work than places, whatever the others queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# What starting a worker costs; a handler that is quicker is served sooner by waiting for a busy one.
START_COST_S = 0.025
# How long a function with work may keep a place that another one waits for.
TURN_S = 1.0
# All workers together are never more than this many times `workers_max`.
BEYOND = 2
# How long workers stay idle that a burst brought, beyond as many of a function as there are cores.
SURPLUS_IDLE_S = 5.0
# How many events wait beside each one that runs, so that a worker need not wait for the store: as many as it does in
# this time, within these bounds. Every one of them is in flight, and may be repeated after `kill -9`.
COVER_S = 0.004
PREFETCH = (1, 15)


@dataclass(frozen=True, slots=True)
class Claim:
    """A function that wants one more worker. `waited_s` is how long it has had an event waiting and none taken up."""

    function: str
    workers: int
    waited_s: float


def surplus(idle_s: Sequence[float], *, workers: int, cores: int, idle_s_max: float) -> int:
    """How many of a function's idle workers are to end. `idle_s` is how long each is idle, the longest first."""
    ends = sum(idle > idle_s_max for idle in idle_s)
    spare = max(0, workers - cores)
    return max(ends, min(spare, sum(idle > min(SURPLUS_IDLE_S, idle_s_max) for idle in idle_s)))


def prefetch(typical_s: float) -> int:
    """How many events to have ready for each worker. `typical_s` is what an invocation takes of late, 0 at first."""
    least, most = PREFETCH
    return least if typical_s <= 0 else max(least, min(most, int(COVER_S / typical_s)))


def wants_worker(*, waiting: int, starting: int, workers: int, cores: int, typical_s: float, waited_s: float) -> bool:
    """Whether another worker is worth its start.

    `workers` includes those `starting`. `typical_s` is what an invocation takes of late, `waited_s` how long the
    first in line has waited since the last worker became ready. Quick handlers get no more workers than there are
    cores, and handlers that wait get as many as there is work for.
    """
    if waiting <= starting or starting >= cores:
        return False
    if workers < cores:
        return True
    return typical_s > START_COST_S or waited_s > START_COST_S


def first_served(claims: Iterable[Claim]) -> Claim | None:
    """Who gets the next place."""
    return min(claims, key=lambda claim: (claim.workers, -claim.waited_s), default=None)


def places(claim: Claim, workers_max: int) -> int:
    """How many workers there may be in total, once this claim is met."""
    stuck = claim.workers == 0 and claim.waited_s >= TURN_S
    return BEYOND * workers_max if stuck else workers_max


def gives_up(*, workers: int, line: int, held_s: float, neediest: Claim | None, beyond: bool) -> bool:
    """Whether a worker that just finished is ended, for the sake of others.

    `workers` and `line` are its function's, `held_s` how long it has been at its place, `neediest` the first served
    of the other functions, and `beyond` says that there are more workers than places.
    """
    if neediest is not None and workers >= neediest.workers + 2:
        return True
    if beyond:
        return workers > 1 or line == 0 or held_s >= TURN_S
    return neediest is not None and (line == 0 or (neediest.workers == 0 and held_s >= TURN_S))
