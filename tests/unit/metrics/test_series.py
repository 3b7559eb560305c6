"""Metrics over time: what is read is what was put, through restarts, deaths and rolling up, as long as it is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.errors import TooManyMetrics
from busway.metrics import minute_records, series
from busway.metrics.points import DAY_S, HOUR_S, Metric, Point, metric_of, resolution
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import Statistics, is_statistic, merged, of_set, of_values, value

START = 1_700_000_000 - 1_700_000_000 % HOUR_S
SCOPE, OTHER = Scope(), Scope("111111111111")
CALLS, ERRORS = metric_of("Shop", "Calls", {"b": "2", "a": "1"}), metric_of("Shop", "Errors", {})


class Died(Exception):
    """The process, at this call."""


class Kept:
    """A store on an engine that may die at a call."""

    def __init__(self) -> None:
        self.clock, self.engine = ManualClock(START), None
        self.engine = MemoryEngine(self.clock)
        self.left: int | None = None
        records = self.engine.records
        for name in ("put", "delete"):
            setattr(records, name, self._mortal(getattr(records, name)))

    def _mortal(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def until(*given: Any, **named: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Died
            return await call(*given, **named)

        return until

    async def opened(self, seed: int = 1) -> TimeSeries:
        self.left = None
        made = TimeSeries(self.engine, self.clock, SeededEntropy(seed))
        await made.open()
        return made

    async def goto(self, at: float) -> None:
        await self.clock.advance(at - self.clock.now())


def point(metric: Metric, at: int, *values: float, unit: str = "") -> Point:
    return Point(metric, at, unit, of_values({one: float(values.count(one)) for one in values}))


async def read(kept: TimeSeries, metric: Metric = CALLS, period_s: int = 60, **more: Any) -> dict[int, float]:
    span = {"start": START - 2 * HOUR_S, "end": START + 500 * DAY_S, **more}
    found = await kept.read(SCOPE, [metric], span["start"], span["end"], period_s, span.get("unit", ""))
    totals: dict[int, float] = {}
    for one in found[metric]:
        totals[one.at] = totals.get(one.at, 0.0) + one.seen.total
    return totals


POINTS = st.lists(
    st.tuples(st.sampled_from([CALLS, ERRORS]), st.integers(-90, 200), st.integers(1, 9)), min_size=1, max_size=6
)


@settings(max_examples=150, deadline=None)
@given(
    batches=st.lists(
        st.tuples(POINTS, st.integers(0, 5_000), st.booleans(), st.none() | st.integers(0, 12)), max_size=6
    ),
    period_s=st.sampled_from([60, 300, 3_600, 7_200]),
)
async def test_what_was_put_is_read_whatever_died_or_was_rolled_up_meanwhile(
    batches: list[tuple[list[tuple[Metric, int, int]], int, bool, int | None]], period_s: int
):
    kept = Kept()
    store, wanted = await kept.opened(), dict[Metric, dict[int, float]]()
    for number, (given_points, later_s, restarts, dies_after) in enumerate(batches):
        points = [point(metric, START + 60 * minute, amount) for metric, minute, amount in given_points]
        await store.put(SCOPE, points)
        for one in points:
            at = one.at - one.at % period_s
            amounts = wanted.setdefault(one.metric, {})
            amounts[at] = amounts.get(at, 0.0) + one.seen.total
        await kept.goto(kept.clock.now() + later_s)
        kept.left = dies_after
        try:
            await store.tend()
        except Died:
            restarts = True
        kept.left = None
        if restarts:
            store = await kept.opened(number + 2)
        for metric in (CALLS, ERRORS):
            assert await read(store, metric, period_s) == wanted.get(metric, {})


async def test_minutes_go_after_15_days_five_minutes_after_63_and_hours_after_455():
    kept = Kept()
    store = await kept.opened()
    await store.put(SCOPE, [point(CALLS, START, 1), point(CALLS, START + 60, 2)])
    for days, wanted in ((14, {START: 1, START + 60: 2}), (16, {START: 3}), (64, {START: 3}), (456, {})):
        await kept.goto(START + days * DAY_S)
        await store.tend()
        store = await kept.opened()
        assert await read(store) == wanted, days
    assert await kept.engine.records.list("metric/") == []


async def test_a_minute_of_many_small_parts_is_put_together_before_its_hour_is_over():
    kept = Kept()
    store = await kept.opened()
    for _ in range(series.PARTS_MAX + 1):
        await store.put(SCOPE, [point(CALLS, START, 1)])
    await store.tend()
    # What was put together, and what says so.
    assert len(await kept.engine.records.list("metric/minutes/")) == 2
    assert await read(store) == {START: series.PARTS_MAX + 1}


async def test_full_parts_are_left_as_they_came_until_they_are_rolled_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(minute_records, "RECORD_POINTS_MAX", 2)
    monkeypatch.setattr(series, "MANY_POINTS", 3)
    kept = Kept()
    store = await kept.opened()
    await store.put(SCOPE, [point(metric_of("Shop", f"m{number}", {}), START, 1) for number in range(6)])
    came = [value.key for value in await kept.engine.records.list("metric/minutes/")]
    await kept.goto(START + HOUR_S + series.SETTLED_S)
    await store.tend()
    assert [value.key for value in await kept.engine.records.list("metric/minutes/")] == came
    assert len(await kept.engine.records.list("metric/points/")) == 6
    assert await read(store, metric_of("Shop", "m5", {}), 300) == {START: 1}


async def test_who_follows_hears_of_what_was_kept_and_of_nothing_else():
    kept, heard = Kept(), list[Point]()
    store = await kept.opened()
    store.followers.append(lambda scope, points: heard.extend(points))
    points = [point(CALLS, START + 60 * minute, 1) for minute in range(4)]
    await store.put(SCOPE, points[:1])
    # Two of three more minutes: their hour and their metric are known.
    kept.left = 2
    with pytest.raises(Died):
        await store.put(SCOPE, points[1:])
    kept.left = None
    assert len(heard) == 3
    assert await read(store) == {one.at: 1 for one in heard}


async def test_accounts_units_and_spans_are_told_apart():
    kept = Kept()
    store = await kept.opened()
    points = [point(CALLS, START, 1, unit="Count"), point(CALLS, START, 2), point(CALLS, START + 60, 4)]
    await store.put(SCOPE, points)
    await store.put(OTHER, [point(CALLS, START, 8)])
    assert await read(store) == {START: 3, START + 60: 4}
    assert await read(store, unit="Count") == {START: 1}
    assert await read(store, start=START + 1, end=START + 61) == {START + 60: 4}
    assert await read(store, start=START, end=START + 60) == {START: 3}


async def test_a_metric_is_listed_for_two_weeks_and_there_are_so_many(monkeypatch: pytest.MonkeyPatch):
    kept = Kept()
    store = await kept.opened()
    await store.put(SCOPE, [point(CALLS, START, 1)])
    store = await kept.opened(2)
    assert [metric for metric, _ in store.metrics(SCOPE)] == [CALLS]
    assert store.metrics(OTHER) == []
    monkeypatch.setattr(series, "METRICS_MAX", 1)
    with pytest.raises(TooManyMetrics):
        await store.put(SCOPE, [point(CALLS, START, 5), point(ERRORS, START, 1)])
    # The server's own find their place all the same.
    await store.put(SCOPE, [point(ERRORS, START, 1)], own=True)
    assert await read(store, ERRORS) == {START: 1}
    assert await read(store) == {START: 1}
    await kept.goto(START + 16 * DAY_S)
    await store.tend()
    assert store.metrics(SCOPE) == []


def test_the_coarsest_points_that_fit_and_go_back_far_enough_are_read():
    now = START + 500 * DAY_S
    assert resolution(now - DAY_S, 60, now) == 60
    assert resolution(now - DAY_S, 900, now) == 300
    assert resolution(now - DAY_S, 7_200, now) == 3_600
    assert resolution(now - 20 * DAY_S, 60, now) == 300
    assert resolution(now - 100 * DAY_S, 60, now) == 3_600
    assert resolution(now - 900 * DAY_S, 60, now) == 3_600


# --- statistics ---


def quantile(samples: list[float], percent: float) -> float:
    """Slow and obvious: every sample by itself."""
    ordered = sorted(samples)
    place = percent / 100 * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=40), st.floats(0, 100), st.integers(1, 39))
def test_the_statistics_of_parts_put_together_are_those_of_all_samples(samples: list[int], percent: float, cut: int):
    halves = [half for half in (samples[:cut], samples[cut:]) if half]
    found = merged(of_values({float(one): float(half.count(one)) for one in half}) for half in halves)
    assert found is not None
    told = [value(found, name) for name in ("SampleCount", "Sum", "Minimum", "Maximum")]
    assert told == [len(samples), sum(samples), min(samples), max(samples)]
    assert value(found, "Average") == pytest.approx(sum(samples) / len(samples))
    name = f"p{percent:.4f}"
    wanted = quantile([float(one) for one in samples], float(name[1:]))
    if percent < 99.9999:
        assert value(found, name) == pytest.approx(wanted)
    assert value(found, "p100") == max(samples)


def test_of_many_values_a_percentile_is_known_to_three_digits():
    found = of_values({1 + number / 1_000: 1.0 for number in range(5_000)})
    assert found.values is not None and len(found.values) <= 500 + 1
    assert value(found, "p50") == pytest.approx(3.5, rel=0.005)


def test_of_a_statistic_set_no_percentile_is_known_unless_its_samples_are_one_value():
    assert value(of_set(5, 10, 1, 4), "p50") is None
    assert value(of_set(5, 10, 2, 2), "p50") == 2
    assert value(of_set(1, 4, 4, 4), "p99.9") == 4
    assert value(merged([of_set(5, 10, 1, 4), of_values({1.0: 1.0})]) or Statistics(0, 0, 0, 0, None), "p50") is None
    assert [is_statistic(name) for name in ("Sum", "p0", "p99.99", "p100", "p101", "tm90", "sum")] == [
        True, True, True, True, False, False, False,
    ]  # fmt: skip
