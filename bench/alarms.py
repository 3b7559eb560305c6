"""10,000 alarms on 50,000 series, a minute of it: what a core spends on keeping the samples and on judging.

    .venv/bin/python bench/alarms.py [--alarms 10000] [--minutes 4] [--engine embedded|memory]

Each alarm is on an expression over five metrics of its own, three of five minutes. The clock is moved by hand, so the
minutes follow each other at once; what is counted is CPU, of all threads, and how long the event loop was held up.
`measure` gives it to `bench/run.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from busway.alarm.on_metrics import KEPT_S, MetricAlarms
from busway.alarm.record import AlarmQuery, AlarmSettings
from busway.alarm.registry import Alarms
from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine import Engine
from busway.engine.embedded import open_embedded
from busway.engine.memory import MemoryEngine
from busway.metrics.minute_records import RECORD_POINTS_MAX
from busway.metrics.points import MINUTE_S, Point, metric_of
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import of_values

SCOPE = Scope()
METRICS_OF_ONE = 5
START = 1_700_000_000 - 1_700_000_000 % 3_600


def settings(number: int) -> AlarmSettings:
    """Errors in per cent of all that was done."""
    asked = [
        AlarmQuery(
            id=f"m{place}", namespace="Shop", metric_name="Done", dimensions={"Part": f"{number}-{place}"},
            statistic="Sum", period_s=MINUTE_S, returns=False,
        )
        for place in range(METRICS_OF_ONE)
    ]  # fmt: skip
    rate = AlarmQuery(id="rate", expression="100 * m0 / (m1 + m2 + m3 + m4)")
    return AlarmSettings(
        name=f"rate-{number}", queries=(rate, *asked), comparison="GreaterThanThreshold", threshold=50.0,
        evaluation_periods=5, datapoints_to_alarm=3,
    )  # fmt: skip


def samples(alarms: int, at: int) -> list[Point]:
    """One alarm in a hundred has errors enough."""
    seen = {value: of_values({value: 1.0}) for value in (1.0, 5.0, 50.0)}
    return [
        Point(
            metric_of("Shop", "Done", {"Part": f"{number}-{place}"}), at, "Count",
            seen[5.0 if place else 50.0 if number % 100 == 0 else 1.0],
        )
        for number in range(alarms)
        for place in range(METRICS_OF_ONE)
    ]  # fmt: skip


class Held:
    """The longest time that another task had to wait for its turn."""

    async def watch(self) -> None:
        self.longest_s = 0.0
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest_s = max(self.longest_s, time.perf_counter() - before - 0.001)


async def minutes(engine: Engine, clock: ManualClock, alarms: int, count: int) -> dict[str, Any]:
    kept = Alarms(engine, clock, SeededEntropy(1))
    series = TimeSeries(engine, clock, SeededEntropy(2))
    judge = MetricAlarms(kept, series, engine, clock)
    for number in range(alarms):
        await kept.put(SCOPE, settings(number), {})
    await judge.open()
    held = Held()
    watching = asyncio.create_task(held.watch())
    keeping, judging, moved = list[float](), list[float](), 0
    for minute in range(count):
        at = START + MINUTE_S * minute
        points = samples(alarms, at)
        begun = time.process_time()
        for place in range(0, len(points), RECORD_POINTS_MAX):
            await series.put(SCOPE, points[place : place + RECORD_POINTS_MAX])
        keeping.append(time.process_time() - begun)
        del points
        await clock.advance(at + MINUTE_S + KEPT_S - clock.now())
        held.longest_s = 0.0
        begun = time.process_time()
        async for alarm, decision in judge.due(()):
            moved += 1
            await kept.store(alarm.moved(decision, clock.now(), decision.data))
        judging.append(time.process_time() - begun)
    watching.cancel()
    return {
        "alarms": alarms,
        "series": alarms * METRICS_OF_ONE,
        "judging, share of a core": round(statistics.median(judging[1:]) / MINUTE_S, 4),
        "keeping the samples, share of a core": round(statistics.median(keeping[1:]) / MINUTE_S, 4),
        "event loop held up by judging, ms": round(held.longest_s * 1000, 1),
        "moves": moved,
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    clock = ManualClock(START)
    with tempfile.TemporaryDirectory() as folder:
        memory = options.engine == "memory"
        engine = MemoryEngine(clock) if memory else await open_embedded(Path(folder), clock, on_fatal=print)
        try:
            return await minutes(engine, clock, options.alarms, options.minutes)
        finally:
            await engine.close()


def measure(alarms: int = 10_000, count: int = 8, engine: str = "embedded") -> dict[str, Any]:
    return uvloop.run(run(argparse.Namespace(alarms=alarms, minutes=count, engine=engine)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarms", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=8)
    parser.add_argument("--engine", choices=("memory", "embedded"), default="embedded")
    given = parser.parse_args()
    print(json.dumps(measure(given.alarms, given.minutes, given.engine), indent=2))


if __name__ == "__main__":
    main()
