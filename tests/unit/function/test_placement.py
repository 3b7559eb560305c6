from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, strategies as st

from busway.function.workers.placement import (
    BEYOND,
    PREFETCH,
    TURN_S,
    Claim,
    first_served,
    gives_up,
    places,
    prefetch,
    surplus,
    wants_worker,
)


def wants(**facts: float) -> bool:
    usual: dict[str, Any] = {
        "waiting": 1,
        "starting": 0,
        "workers": 0,
        "cores": 2,
        "typical_s": 0.001,
        "waited_s": 0.0,
    }
    return wants_worker(**{**usual, **facts})


def test_the_first_in_line_starts_the_first_worker():
    assert wants()
    assert not wants(waiting=0)


def test_no_more_start_than_wait_or_than_there_are_cores():
    assert not wants(waiting=1, starting=1, workers=1)
    assert wants(waiting=5, starting=1, workers=1)
    assert not wants(waiting=5, starting=2, workers=2, typical_s=9.0)


def test_quick_handlers_get_no_more_workers_than_there_are_cores():
    assert not wants(waiting=500, workers=2, typical_s=0.001)


def test_handlers_that_wait_get_as_many_as_there_is_work_for():
    assert wants(waiting=1, workers=20, typical_s=0.5)


def test_a_line_that_does_not_move_gets_another_worker():
    assert wants(waiting=1, workers=2, typical_s=0.0, waited_s=0.03)


def test_a_place_goes_to_the_function_with_the_fewest_workers_then_to_the_one_that_waited_longest():
    claims = [Claim("many", 3, 9.0), Claim("few", 1, 0.1), Claim("few, longer", 1, 0.2)]
    assert first_served(claims) == claims[2]
    assert first_served([]) is None


def test_only_a_function_without_a_worker_goes_beyond_the_places_and_only_after_a_turn():
    assert places(Claim("f", 0, 0.0), 4) == 4
    assert places(Claim("f", 0, TURN_S), 4) == BEYOND * 4
    assert places(Claim("f", 1, 60.0), 4) == 4


def test_a_function_alone_keeps_its_workers():
    assert not gives_up(workers=9, line=100, held_s=60.0, neediest=None, beyond=False)


def test_a_function_with_two_more_than_one_that_waits_gives_one_up():
    assert gives_up(workers=3, line=100, held_s=0.0, neediest=Claim("f", 1, 0.0), beyond=False)
    assert not gives_up(workers=2, line=100, held_s=9.0, neediest=Claim("f", 1, 9.0), beyond=False)


def test_of_functions_with_one_worker_the_one_that_had_its_turn_makes_way():
    needy = Claim("f", 0, 0.0)
    assert gives_up(workers=1, line=100, held_s=TURN_S, neediest=needy, beyond=False)
    assert not gives_up(workers=1, line=100, held_s=TURN_S / 2, neediest=needy, beyond=False)
    assert gives_up(workers=1, line=0, held_s=0.0, neediest=needy, beyond=False)


@dataclass
class Function:
    """A function of the simulation: how many events it has, and when each of its workers will be done and began."""

    name: str
    events: int
    takes: int
    waits_since: int = 0
    workers: int = 0


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 30)), min_size=1, max_size=8), st.integers(1, 6)
)  # fmt: skip
def test_every_event_is_run_and_no_function_starves_another_one(functions: list[tuple[int, int]], workers_max: int):
    """A simulation in ticks of a tenth of a second: handlers of up to three seconds, the law and nothing else."""
    all_of = [Function(f"f{n}", events, takes) for n, (events, takes) in enumerate(functions)]
    running: list[tuple[int, int, Function]] = []  # (done at, at its place since, whose)
    longest = max(takes for _, takes in functions)
    bound = (len(all_of) + 1) * (longest + 10 * int(TURN_S) + 1)
    for now in range(100_000):
        for done, since, mine in [found for found in running if found[0] <= now]:
            running.remove((done, since, mine))
            claims = [claim(f, now) for f in all_of if f is not mine and f.events]
            beyond = len(running) + 1 > workers_max
            if gives_up(
                workers=mine.workers, line=mine.events, held_s=(now - since) / 10, neediest=first_served(claims),
                beyond=beyond,
            ) or not mine.events:  # fmt: skip
                mine.workers -= 1
            else:
                take(mine, now)
                running.append((now + mine.takes, since, mine))
        while (first := first_served(claim(f, now) for f in all_of if f.events)) and len(running) < places(
            first, workers_max
        ):
            mine = next(f for f in all_of if f.name == first.function)
            mine.workers += 1
            take(mine, now)
            running.append((now + mine.takes, now, mine))
        assert len(running) <= BEYOND * workers_max
        for waiting in all_of:
            if waiting.events and not waiting.workers:
                assert now - waiting.waits_since <= bound
        if not running:
            break
    assert not any(f.events for f in all_of)


def claim(function: Function, now: int) -> Claim:
    return Claim(function.name, function.workers, (now - function.waits_since) / 10)


def take(function: Function, now: int) -> None:
    function.events -= 1
    function.waits_since = now


@given(st.lists(st.integers(0, 20), min_size=2, max_size=8))
def test_shares_of_functions_with_work_without_end_come_to_differ_by_one_at_most(shares: list[int]):
    """Whenever a worker finishes, it stays or goes to the first served; nobody is ever idle."""
    rounds = 0
    while max(shares) - min(shares) > 1:
        most = shares.index(max(shares))
        claims = [Claim(str(n), share, 0.0) for n, share in enumerate(shares) if n != most]
        neediest = first_served(claims)
        assert neediest is not None
        assert gives_up(workers=shares[most], line=1, held_s=0.0, neediest=neediest, beyond=False)
        shares[most] -= 1
        shares[int(neediest.function)] += 1
        rounds += 1
    assert rounds <= 160
    assert not any(
        gives_up(workers=mine, line=1, held_s=0.0, neediest=Claim("f", max(1, other), 0.0), beyond=False)
        for mine in shares
        for other in shares
    )


def test_quick_handlers_have_more_events_ready_than_slow_ones_within_bounds():
    assert prefetch(0.0) == prefetch(10.0) == prefetch(0.004) == PREFETCH[0]
    assert prefetch(0.001) == 4
    assert prefetch(0.000_01) == PREFETCH[1]


def test_what_a_burst_brought_ends_soon_and_as_many_as_there_are_cores_stay():
    long, short = [9.0] * 6, [1.0] * 6
    assert surplus(long, workers=6, cores=2, idle_s_max=600.0) == 4
    assert surplus(short, workers=6, cores=2, idle_s_max=600.0) == 0
    assert surplus(long[:3], workers=6, cores=2, idle_s_max=600.0) == 3
    assert surplus([700.0, 700.0], workers=2, cores=2, idle_s_max=600.0) == 2
    assert surplus([], workers=6, cores=2, idle_s_max=600.0) == 0
