"""Metrics over time, kept as records: what came of an hour, rolled up when the hour is over.

    metric/hours/<scope>/<hour>                  the finest that is kept of this hour: 0 (as it came), 60, 300, 3600
    metric/points/<scope>/60/<hour>/<part>       some points of an hour's minutes, as they came
    metric/points/<scope>/60/<hour>/all          which parts were put together into the chunks <generation>-<number>
    metric/points/<scope>/300/<hour>/<number>    five minutes, rolled up; likewise 3600
    metric/names/<scope>/<digest>                a metric, and when it was seen last, for lists

What is put is durable before `put` returns. Putting parts together may die anywhere: they count until `all` names
them, chunks count from then on, and parts go after that.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from busway.arn import Scope
from busway.clock import Clock, Entropy
from busway.engine import Engine
from busway.errors import TooManyMetrics
from busway.metrics.points import (
    DAY_S,
    FIVE_MINUTES_S,
    HOUR_S,
    MINUTE_S,
    RETENTION_S,
    Metric,
    Point,
    resolution,
    rolled_up,
)

# Ours: how long after its end an hour is rolled up; after how many parts those of an hour are put together; metrics
# of an account and Region; and how many points a record holds, which must stay under 1 MiB.
SETTLED_S = 300
PARTS_MAX = 200
METRICS_MAX = 100_000
RECORD_POINTS_MAX = 1_000
# A metric is listed for two weeks: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
LISTED_S = 14 * DAY_S
_ALL = "all"
_OPEN = 0


class _Whole(msgspec.Struct, frozen=True, array_like=True):
    """Which parts are in the chunks of a generation."""

    generation: str
    parts: list[str]


class _Name(msgspec.Struct, frozen=True, array_like=True):
    metric: Metric
    seen_at: float


class TimeSeries:
    """All metrics of this server. `open` reads what there is; `tend` is to be called every minute."""

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy) -> None:
        self._records, self._clock, self._entropy = engine.records, clock, entropy
        self._names: dict[str, dict[Metric, float]] = {}
        self._hours: dict[str, dict[int, int]] = {}
        self._parts = Counter[tuple[str, int]]()
        # What comes in while an hour is rolled up would be left out of it.
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Once, before anything else."""
        for value in await self._records.list("metric/names/"):
            name = msgspec.msgpack.decode(value.data, type=_Name)
            self._names.setdefault(_where_in(value.key), {})[name.metric] = name.seen_at
        for value in await self._records.list("metric/hours/"):
            self._hours.setdefault(_where_in(value.key), {})[int(value.key.rsplit("/", 1)[1])] = int(value.data)

    # --- what comes in ---

    async def put(self, scope: Scope, points: Sequence[Point]) -> None:
        """Add points of minutes, durably before return. Raises `TooManyMetrics` before anything is kept."""
        where, hours = _where(scope), dict[int, list[Point]]()
        for point in points:
            hours.setdefault(point.at - point.at % HOUR_S, []).append(point)
        async with self._changing:
            await self._know(where, {point.metric for point in points})
            for hour, found in hours.items():
                if self._hours.get(where, {}).get(hour) != _OPEN:
                    await self._mark(where, hour, _OPEN)
                for chunk in _chunks(found):
                    key = f"{_minutes(where, hour)}{self._entropy.token(8).hex()}"
                    await self._records.put(key, msgspec.msgpack.encode(chunk))
                    self._parts[where, hour] += 1

    async def _know(self, where: str, metrics: set[Metric]) -> None:
        known, now = self._names.setdefault(where, {}), self._clock.now()
        if len(known) + sum(metric not in known for metric in metrics) > METRICS_MAX:
            raise TooManyMetrics(METRICS_MAX)
        # A day's precision is enough for a list of two weeks.
        for metric in sorted(metric for metric in metrics if known.get(metric, 0.0) < now - DAY_S):
            await self._records.put(_name_key(where, metric), msgspec.msgpack.encode(_Name(metric, now)))
            known[metric] = now

    async def _mark(self, where: str, hour: int, finest: int) -> None:
        await self._records.put(f"metric/hours/{where}/{hour}", str(finest).encode())
        self._hours.setdefault(where, {})[hour] = finest

    # --- what is asked ---

    def metrics(self, scope: Scope) -> list[tuple[Metric, float]]:
        """Those that were seen in the last two weeks, in order, and when each was seen last, to a day."""
        since = self._clock.now() - LISTED_S - DAY_S
        return sorted((metric, at) for metric, at in self._names.get(_where(scope), {}).items() if at >= since)

    async def read(
        self, scope: Scope, metrics: Sequence[Metric], start: float, end: float, period_s: int, unit: str = ""
    ) -> dict[Metric, list[Point]]:
        """What was seen of each from `start` up to `end`, by periods of the epoch, in order; none for no sample.

        `unit`: only what came with it; "" takes any, each unit by itself.
        """
        where, wanted = _where(scope), set(metrics)
        fine = resolution(start, period_s, self._clock.now())
        hours = self._hours.get(where, {})
        found: list[Point] = []
        for hour in sorted(hour for hour in hours if start - HOUR_S < hour < end):
            # Of what is not rolled up there are the minutes only.
            coarse = fine != MINUTE_S and hours[hour] != _OPEN
            points = await self._rolled(where, hour, fine) if coarse else (await self._came(where, hour))[1]
            in_span = (one for one in points if start <= one.at < end)
            found += [one for one in in_span if one.metric in wanted and unit in ("", one.unit)]
        read: dict[Metric, list[Point]] = {metric: [] for metric in metrics}
        for one in rolled_up(found, period_s):
            read[one.metric].append(one)
        return read

    async def _came(self, where: str, hour: int) -> tuple[_Whole, list[Point]]:
        """All points of an hour's minutes, and what is to go when they are put together anew."""
        prefix = _minutes(where, hour)
        found = {value.key.removeprefix(prefix): value.data for value in await self._records.list(prefix)}
        told = found.pop(_ALL, None)
        whole = _Whole("", []) if told is None else msgspec.msgpack.decode(told, type=_Whole)
        counted = [
            name for name in found if name not in whole.parts and name.partition("-")[0] in (whole.generation, name)
        ]
        points = [point for name in counted for point in msgspec.msgpack.decode(found[name], type=list[Point])]
        return _Whole(whole.generation, sorted(found)), points

    async def _rolled(self, where: str, hour: int, period_s: int) -> list[Point]:
        found = await self._records.list(f"metric/points/{where}/{period_s}/{hour}/")
        return [point for value in found for point in msgspec.msgpack.decode(value.data, type=list[Point])]

    # --- what becomes of it ---

    async def tend(self) -> None:
        """Put together what came in many parts, roll up the hours that are over, forget what is too old."""
        now = self._clock.now()
        for where, hours in list(self._hours.items()):
            for hour in [hour for hour, finest in hours.items() if finest == _OPEN]:
                over = hour + HOUR_S + SETTLED_S <= now
                if over or self._parts[where, hour] > PARTS_MAX:
                    async with self._changing:
                        points = await self._put_together(where, hour)
                        if over:
                            await self._roll_up(where, hour, points)
            await self._forget(where, hours, now)

    async def _put_together(self, where: str, hour: int) -> list[Point]:
        came, found = await self._came(where, hour)
        points, generation = rolled_up(found, MINUTE_S), self._entropy.token(4).hex()
        prefix = _minutes(where, hour)
        for number, chunk in enumerate(_chunks(points)):
            await self._records.put(f"{prefix}{generation}-{number:04d}", msgspec.msgpack.encode(chunk))
        whole = _Whole(generation, [name for name in came.parts if "-" not in name])
        await self._records.put(prefix + _ALL, msgspec.msgpack.encode(whole))
        for name in came.parts:
            await self._records.delete(prefix + name)
        del self._parts[where, hour]
        return points

    async def _roll_up(self, where: str, hour: int, minutes: Sequence[Point]) -> None:
        for period_s in (FIVE_MINUTES_S, HOUR_S):
            for number, chunk in enumerate(_chunks(rolled_up(minutes, period_s))):
                key = f"metric/points/{where}/{period_s}/{hour}/{number:04d}"
                await self._records.put(key, msgspec.msgpack.encode(chunk))
        await self._mark(where, hour, MINUTE_S)

    async def _forget(self, where: str, hours: Mapping[int, int], now: float) -> None:
        for hour, finest in list(hours.items()):
            if finest == _OPEN or hour + HOUR_S >= now - RETENTION_S[finest]:
                continue
            old = [one for one, kept_s in RETENTION_S.items() if one >= finest and hour + HOUR_S < now - kept_s]
            for period_s in old:
                for value in await self._records.list(f"metric/points/{where}/{period_s}/{hour}/"):
                    await self._records.delete(value.key)
            if HOUR_S in old:
                await self._records.delete(f"metric/hours/{where}/{hour}")
                del self._hours[where][hour]
            elif old:
                await self._mark(where, hour, min(one for one in RETENTION_S if one > max(old)))
        known = self._names.get(where, {})
        for metric in [metric for metric, at in known.items() if at < now - LISTED_S - DAY_S]:
            await self._records.delete(_name_key(where, metric))
            del known[metric]


def _where(scope: Scope) -> str:
    return f"{scope.account}/{scope.region}"


def _where_in(key: str) -> str:
    """The account and Region in a key that begins with two words and ends with one."""
    _, _, account, region, _ = key.split("/")
    return f"{account}/{region}"


def _minutes(where: str, hour: int) -> str:
    return f"metric/points/{where}/{MINUTE_S}/{hour}/"


def _name_key(where: str, metric: Metric) -> str:
    return f"metric/names/{where}/{hashlib.sha256(msgspec.msgpack.encode(metric)).hexdigest()[:32]}"


def _chunks(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    for begin in range(0, len(points), RECORD_POINTS_MAX):
        yield points[begin : begin + RECORD_POINTS_MAX]
