"""Metrics over time, kept as records: what came of a minute, rolled up when its hour is over.

    metric/hours/<scope>/<hour>                    the finest that is kept of this hour: 0 (as it came), 60, 300, 3600
    metric/minutes/<scope>/<hour>/<minute>/<part>  some points of a minute, as they came
    metric/minutes/<scope>/<hour>/<minute>/all     which parts were put together into the chunks <generation>-<number>
    metric/points/<scope>/300/<hour>/<number>      five minutes, rolled up; likewise 3600
    metric/names/<scope>/<digest>                  a metric, and when it was seen last, for lists

What is put is durable before `put` returns. Putting parts together may die anywhere: they count until `all` names
them, chunks count from then on, and parts go after that.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from busway.arn import Scope
from busway.clock import Clock, Entropy
from busway.engine import Engine
from busway.errors import TooManyMetrics
from busway.metrics.minute_records import (
    ALL,
    RECORD_POINTS_MAX,
    Whole,
    chunks_of,
    counted,
    counted_of_all,
    hour_key,
    minute_key,
    points_in,
)
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

# Ours: how long after its end an hour is rolled up; after how many small parts those of a minute are put together;
# and metrics of an account and Region.
SETTLED_S = 300
PARTS_MAX = 20
METRICS_MAX = 100_000
# Ours: of so many minutes the whole hour is read at once; so many points are put together beside the event loop.
FEW_MINUTES = 20
MANY_POINTS = 5_000
# A metric is listed for two weeks: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html
LISTED_S = 14 * DAY_S
_OPEN = 0

T = TypeVar("T")


class _Name(msgspec.Struct, frozen=True, array_like=True):
    metric: Metric
    seen_at: float


class TimeSeries:
    """All metrics of this server. `open` reads what there is; `tend` is to be called every minute."""

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy) -> None:
        self._records, self._clock, self._entropy = engine.records, clock, entropy
        self._names: dict[str, dict[Metric, float]] = {}
        self._hours: dict[str, dict[int, int]] = {}
        self._small_parts = Counter[tuple[str, int]]()
        # What comes in while an hour is rolled up would be left out of it. Who holds it reads all that was taken in.
        self.changing = asyncio.Lock()
        # Called with what was taken in, when it is durable and before anybody else can hold `changing`.
        self.followers: list[Callable[[Scope, Sequence[Point]], None]] = []

    async def open(self) -> None:
        """Once, before anything else."""
        for value in await self._records.list("metric/names/"):
            name = msgspec.msgpack.decode(value.data, type=_Name)
            self._names.setdefault(_where_in(value.key), {})[name.metric] = name.seen_at
        for value in await self._records.list("metric/hours/"):
            self._hours.setdefault(_where_in(value.key), {})[int(value.key.rsplit("/", 1)[1])] = int(value.data)

    # --- what comes in ---

    async def put(self, scope: Scope, points: Sequence[Point], *, own: bool = False) -> None:
        """Add points of minutes, durably before return. Raises `TooManyMetrics` before anything is kept.

        A full disk (`StorageFull`) may have let some be kept. `own`: the server's, which nobody can crowd out.
        """
        where, minutes = _where(scope), dict[int, list[Point]]()
        for point in points:
            minutes.setdefault(point.at, []).append(point)
        async with self.changing:
            await self._know(where, {point.metric for point in points}, own)
            for hour in {minute - minute % HOUR_S for minute in minutes}:
                if self._hours.get(where, {}).get(hour) != _OPEN:
                    await self._mark(where, hour, _OPEN)
            chunks = [(at, chunk) for at in minutes for chunk in chunks_of(minutes[at])]
            ends = await asyncio.gather(*(self._add(where, *one) for one in chunks), return_exceptions=True)
            kept = [point for (_, chunk), end in zip(chunks, ends, strict=True) if end is None for point in chunk]
            for follower in self.followers:
                follower(scope, kept)
            for end in ends:
                if end is not None:
                    raise end

    async def _add(self, where: str, minute: int, chunk: Sequence[Point]) -> None:
        await self._records.put(
            minute_key(where, minute) + self._entropy.token(8).hex(), msgspec.msgpack.encode(chunk)
        )
        if len(chunk) <= RECORD_POINTS_MAX // 2:
            self._small_parts[where, minute] += 1

    async def _know(self, where: str, metrics: set[Metric], own: bool) -> None:
        known, now = self._names.setdefault(where, {}), self._clock.now()
        if not own and len(known) + sum(metric not in known for metric in metrics) > METRICS_MAX:
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
            points = await (self._rolled(where, hour, fine) if coarse else self._came(where, hour, start, end))
            in_span = (one for one in points if start <= one.at < end)
            found += [one for one in in_span if one.metric in wanted and unit in ("", one.unit)]
        read: dict[Metric, list[Point]] = {metric: [] for metric in metrics}
        for one in await _aside(partial(rolled_up, found, period_s), len(found)):
            read[one.metric].append(one)
        return read

    async def _came(self, where: str, hour: int, start: float, end: float) -> list[Point]:
        """The points of an hour's minutes in the span."""
        minutes = [at for at in range(hour, hour + HOUR_S, MINUTE_S) if start <= at < end]
        if len(minutes) > FEW_MINUTES:
            found = await self._records.list(hour_key(where, hour))
        else:
            found = [value for at in minutes for value in await self._records.list(minute_key(where, at))]
        return await _aside(partial(counted_of_all, found), points_in(found))

    async def _rolled(self, where: str, hour: int, period_s: int) -> list[Point]:
        found = await self._records.list(f"metric/points/{where}/{period_s}/{hour}/")
        return [point for value in found for point in msgspec.msgpack.decode(value.data, type=list[Point])]

    # --- what becomes of it ---

    async def tend(self) -> None:
        """Put together what came in many parts, roll up the hours that are over, forget what is too old."""
        now = self._clock.now()
        for where, minute in [place for place, parts in self._small_parts.items() if parts > PARTS_MAX]:
            async with self.changing:
                await self._put_together(where, minute)
        for where, hours in list(self._hours.items()):
            for hour in [hour for hour, finest in hours.items() if finest == _OPEN]:
                if hour + HOUR_S + SETTLED_S <= now:
                    async with self.changing:
                        await self._roll_up(where, hour)
            await self._forget(where, hours, now)

    async def _put_together(self, where: str, minute: int) -> list[Point]:
        """The minute's points, in as few records as hold them."""
        prefix = minute_key(where, minute)
        values = await self._records.list(prefix)
        came, found = await _aside(partial(counted, values), points_in(values))
        points = await _aside(partial(rolled_up, found, MINUTE_S), len(found))
        chunks = list(chunks_of(points))
        if len(came.parts) > len(chunks):
            generation = self._entropy.token(4).hex()
            for number, chunk in enumerate(chunks):
                await self._records.put(f"{prefix}{generation}-{number:04d}", msgspec.msgpack.encode(chunk))
            whole = Whole(generation, [name for name in came.parts if "-" not in name])
            await self._records.put(prefix + ALL, msgspec.msgpack.encode(whole))
            await asyncio.gather(*(self._records.delete(prefix + name) for name in came.parts))
        del self._small_parts[where, minute]
        return points

    async def _roll_up(self, where: str, hour: int) -> None:
        of_hour: list[Point] = []
        for begin in range(hour, hour + HOUR_S, FIVE_MINUTES_S):
            minutes = [
                point
                for minute in range(begin, begin + FIVE_MINUTES_S, MINUTE_S)
                for point in await self._put_together(where, minute)
            ]
            fives = await _aside(partial(rolled_up, minutes, FIVE_MINUTES_S), len(minutes))
            await self._keep_rolled(where, FIVE_MINUTES_S, hour, f"{(begin - hour) // FIVE_MINUTES_S:02d}-", fives)
            both = [*of_hour, *fives]
            of_hour = await _aside(partial(rolled_up, both, HOUR_S), len(both))
        await self._keep_rolled(where, HOUR_S, hour, "", of_hour)
        await self._mark(where, hour, MINUTE_S)

    async def _keep_rolled(self, where: str, period_s: int, hour: int, prefix: str, points: Sequence[Point]) -> None:
        for number, chunk in enumerate(chunks_of(points)):
            key = f"metric/points/{where}/{period_s}/{hour}/{prefix}{number:04d}"
            await self._records.put(key, msgspec.msgpack.encode(chunk))

    async def _forget(self, where: str, hours: Mapping[int, int], now: float) -> None:
        for hour, finest in list(hours.items()):
            if finest == _OPEN or hour + HOUR_S >= now - RETENTION_S[finest]:
                continue
            old = [one for one, kept_s in RETENTION_S.items() if one >= finest and hour + HOUR_S < now - kept_s]
            for period_s in old:
                kept = f"metric/points/{where}/{period_s}/{hour}/" if period_s > MINUTE_S else hour_key(where, hour)
                for value in await self._records.list(kept):
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


def _name_key(where: str, metric: Metric) -> str:
    return f"metric/names/{where}/{hashlib.sha256(msgspec.msgpack.encode(metric)).hexdigest()[:32]}"


async def _aside(work: Callable[[], T], points: int) -> T:
    """Beside the event loop, where it is for many points."""
    return await asyncio.to_thread(work) if points > MANY_POINTS else work()
