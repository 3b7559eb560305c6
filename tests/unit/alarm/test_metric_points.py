"""An alarm on metrics judges the periods that are over, counted back from now."""

from __future__ import annotations

from functools import partial

from busway.alarm.metric_points import asked_of, datapoints, starts_back
from busway.alarm.record import AlarmQuery, AlarmSettings
from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.metrics.points import HOUR_S, Point, metric_of
from busway.metrics.recent import Recent
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import of_values

START = 1_700_000_000 - 1_700_000_000 % HOUR_S
CALLS = metric_of("Shop", "Calls", {})
SCOPE = Scope()


async def series_of(minutes: dict[int, float]) -> TimeSeries:
    clock = ManualClock(START)
    made = TimeSeries(MemoryEngine(clock), clock, SeededEntropy(1))
    points = [Point(CALLS, START + 60 * minute, "", of_values({value: 1.0})) for minute, value in minutes.items()]
    await made.put(SCOPE, points)
    return made


def alarm(**settings: object) -> AlarmSettings:
    shared = {"name": "calls", "namespace": "Shop", "metric_name": "Calls", "comparison": "GreaterThanThreshold"}
    return AlarmSettings(**{**shared, "threshold": 1.0, "statistic": "Sum", **settings})  # type: ignore[arg-type]


async def values(minutes: dict[int, float], at_minute: float, **settings: object) -> list[float | None]:
    asked, recent = asked_of(alarm(**settings)), Recent(await series_of(minutes))
    end = asked.end(START + 60 * at_minute)
    await recent.watch(SCOPE, asked.places(), end)
    return [point.value for point in datapoints(asked, end, partial(recent.seen, SCOPE))]


async def test_the_minute_that_goes_on_is_not_judged_yet():
    minutes = {number: float(number) for number in range(6)}
    assert await values(minutes, 5.9, evaluation_periods=1) == [2, 3, 4]
    assert await values(minutes, 6.0, evaluation_periods=1) == [3, 4, 5]
    assert await values({3: 3.0}, 6.0, evaluation_periods=1) == [3, None, None]


async def test_longer_periods_slide_with_the_minutes():
    minutes = dict.fromkeys(range(20), 1.0)
    assert await values(minutes, 12, evaluation_periods=1, period_s=300) == [2, 5, 5]
    assert await values(minutes, 13, evaluation_periods=1, period_s=300) == [3, 5, 5]
    assert starts_back(1_000, 300, 3) == [100, 400, 700]


async def test_an_expression_is_judged_and_one_that_gives_no_series_is_no_data():
    def queries(expression: str) -> tuple[AlarmQuery, ...]:
        calls = AlarmQuery(
            id="calls", namespace="Shop", metric_name="Calls", statistic="Sum", period_s=60, returns=False
        )
        return (AlarmQuery(id="judged", expression=expression), calls)

    minutes = {number: float(number) for number in range(6)}
    assert await values(minutes, 6, queries=queries("calls * 10 + 1")) == [31, 41, 51]
    assert await values({5: 7.0}, 6, queries=queries("FILL(calls, 0)")) == [0, 0, 7]
    assert await values(minutes, 6, queries=queries("1 / 0")) == [None, None, None]
    assert await values(minutes, 6, queries=queries("SUM(calls)")) == [None, None, None]
