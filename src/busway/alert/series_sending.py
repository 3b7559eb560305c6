"""Sends Datadog routes the series of their alarms: minute by minute, from a position that is kept.

    the metrics store  →  minutes that are over, from the position on  →  one request at a time  →  the position moves

Not through the outbox, as alerts go: the minutes are durable where they are read, so that a row for each would keep
them twice; an outage of an hour would leave sixty rows for every route, where one request tells them all; and what is
given up would be a dead letter that nobody can use, as Datadog takes no point older than an hour. A position has none
of that: what is not taken stays where it is, and what grew too old is passed over and said once.

A crash sends minutes again whose position was not written, with the same points. Datadog keeps what its API is sent
as it is, and of two points of one moment the newer:
https://docs.datadoghq.com/metrics/types/
https://docs.datadoghq.com/metrics/custom_metrics/historical_metrics/
So a minute is also sent again when a client tells of it late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec

from busway.alarm.on_metrics import KEPT_S
from busway.alarm.registry import Alarms
from busway.alert import datadog_series
from busway.alert.datadog_series import Wanted, bodies, complaints, encoded_series, series_count, wanted_of
from busway.alert.request import Rendered
from busway.alert.routes import Route, Routes
from busway.arn import Scope, scope_of
from busway.clock import Clock, Entropy, first_of
from busway.delivery import Delivered, Failed, Outcome, RetryPolicy
from busway.delivery.lanes import keep_turning
from busway.delivery.retry import GiveUp, after_failure
from busway.engine import Engine
from busway.metrics import Metrics
from busway.metrics.points import HOUR_S, MINUTE_S, Metric, Point
from busway.metrics.series import MANY_POINTS, TimeSeries

# "Not more than 1 hour in the past": https://docs.datadoghq.com/api/latest/metrics/submit-metrics/
AGE_S_MAX = HOUR_S
# Ours: how long a request may be on its way, by which its points are younger when it leaves.
SENDING_S = 30
# Ours: a clock that is behind the position by more was set right.
AHEAD_S_MAX = 5 * MINUTE_S
# Ours: how far a start goes back before the position, for what was told late and not sent again.
REPEATED_S = 5 * MINUTE_S
# Ours: so many points are read and rendered at once, about ten requests.
POINTS_MAX = 50_000
# Ours: so many are looked through before others get their turn of the event loop.
MANY_ALARMS = 1_000
# Ours: it is tried until it works; what became too old meanwhile is passed over.
RETRY = RetryPolicy(retries_max=10_000, age_s_max=2 * HOUR_S, backoff_s_max=120.0)
_PREFIX = "datadog-series/"

log = logging.getLogger(__name__)

T = TypeVar("T")
Send = Callable[[Route, Callable[[Route, str], Rendered]], Awaitable[tuple[Outcome, str]]]


class Position(msgspec.Struct, frozen=True):
    """Datadog has every minute that begins before `until` (Unix seconds)."""

    until: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What it is made of. `send` tells a route once, and gives what was answered."""

    engine: Engine
    clock: Clock
    entropy: Entropy
    routes: Routes
    alarms: Alarms
    series: TimeSeries
    metrics: Metrics
    send: Send
    first_retry_s: float = 1.0


class SeriesSending:
    """A lane for each route that wants series. Without one, `run` waits for one and does nothing else."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lanes: dict[str, _Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        parts.routes.listeners.append(self._changed.set)
        parts.series.followers.append(self._took)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await keep_turning("series to Datadog", self._turn, self._parts.clock)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def try_route(self, route: Route) -> tuple[Outcome, str]:
        """Send it one point, and give what was answered."""
        body = datadog_series.tried_body(scope_of(route.arn), route.name, self._parts.clock.now())
        return await self._parts.send(route, partial(datadog_series.render, body=body))

    async def _turn(self) -> None:
        self._changed.clear()
        await self._follow_routes()
        await self._changed.wait()

    async def _follow_routes(self) -> None:
        wanted = {route.arn for route in self._parts.routes.all() if route.series}
        for arn in self._tasks.keys() - wanted:
            task = self._tasks.pop(arn)
            del self._lanes[arn]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for value in await self._parts.engine.records.list(_PREFIX):
            # A route that wants series again later begins with that minute, not with the ones it did not want.
            if value.key.removeprefix(_PREFIX) not in wanted:
                await self._parts.engine.records.delete(value.key)
        for arn in wanted:
            if arn in self._lanes:
                self._lanes[arn].changed.set()
            else:
                lane = self._lanes[arn] = _Lane(self._parts, arn)
                self._tasks[arn] = asyncio.create_task(lane.run(), name=f"series of {arn}")

    def _took(self, scope: Scope, points: Sequence[Point]) -> None:
        for lane in self._lanes.values():
            lane.took(scope, points)


class _Lane:
    """One route's series. `until` is the position, `_from` the next minute to send: below it for what came late."""

    def __init__(self, parts: Parts, route_arn: str) -> None:
        self._parts, self._arn, self._key = parts, route_arn, _PREFIX + route_arn
        self.changed = asyncio.Event()
        self._until: int | None = None
        self._from = 0
        self._sent: dict[Scope, set[Metric]] = {}
        self._failures = 0
        self._said = ""

    async def run(self) -> None:
        await keep_turning(f"series of {self._arn}", self._turn, self._parts.clock)

    def took(self, scope: Scope, points: Sequence[Point]) -> None:
        """What the store took in: of a minute that was sent already, it is sent again."""
        sent = self._sent.get(scope)
        if sent:
            late = [point.at for point in points if point.at < self._from and point.metric in sent]
            self._from = min(late, default=self._from)

    async def _turn(self) -> None:
        """Send what is due, or wait for it."""
        self.changed.clear()
        until = self._until if self._until is not None else await self._load()
        route, now = self._parts.routes.get(self._arn), self._parts.clock.now()
        if route is None or not route.series:
            await self.changed.wait()
            return
        start, end = due(self._from, until, now)
        if start >= end:
            await self._parts.clock.sleep(end + MINUTE_S + KEPT_S - now)
            return
        alarms = self._parts.alarms.all()
        wanted = await _aside(partial(wanted_of, alarms, self._arn), len(alarms) > MANY_ALARMS)
        minutes_max = max(1, POINTS_MAX // max(1, series_count(wanted)))
        end = min(end, start + minutes_max * MINUTE_S)
        # The first minute of which Datadog has nothing: the position, if the last one could be written.
        unsent = max(self._from, until)
        # From here on, what comes in of these minutes is late.
        self._from, self._sent = end, {scope: each.metrics for scope, each in wanted.items()}
        failed, taken = None, False
        try:
            failed = await self._send(route, await self._bodies(wanted, start, end))
            taken = failed is None
        finally:
            self._from = self._from if taken else min(self._from, start)
        if failed is None:
            await self._taken(route, unsent, start, end)
        else:
            await self._back_off(route, failed)

    async def _load(self) -> int:
        """The position; of a new route this minute."""
        value = await self._parts.engine.records.get(self._key)
        now = int(self._parts.clock.now())
        until = now - now % MINUTE_S
        if value is None:
            await self._store(until)
            self._from = until
        else:
            until = msgspec.json.decode(value.data, type=Position).until
            self._from = until - REPEATED_S
        self._until = until
        return until

    async def _store(self, until: int) -> None:
        await self._parts.engine.records.put(self._key, msgspec.json.encode(Position(until)))
        self._until = until

    async def _bodies(self, wanted: Mapping[Scope, Wanted], start: int, end: int) -> list[bytes]:
        found: list[bytes] = []
        for scope, each in sorted(wanted.items(), key=lambda one: (one[0].account, one[0].region)):
            points = await self._parts.series.read(scope, list(each.metrics), start, end, MINUTE_S)
            render = partial(encoded_series, scope, each, points, start, end)
            many = series_count({scope: each}) * (end - start) // MINUTE_S > MANY_POINTS
            found += await _aside(render, many)
        return bodies(found)

    async def _send(self, route: Route, requests: Sequence[bytes]) -> Failed | None:
        """One after the other; gives the failure that is to be tried again. What is refused for good is left out."""
        well = bool(requests)
        for body in requests:
            outcome, answer = await self._parts.send(route, partial(datadog_series.render, body=body))
            self._count(outcome)
            if isinstance(outcome, Failed):
                if outcome.retriable:
                    return outcome
                well = False
                self._say("refused", "series of the route %s are left out: %s", route.name, outcome.message)
            elif found := complaints(answer):
                well = False
                self._say("found", "series of the route %s were taken, but for: %s", route.name, found)
        if well and self._said:
            self._said = ""
            log.info("series of the route %s are taken again", route.name)
        return None

    async def _taken(self, route: Route, unsent: int, start: int, end: int) -> None:
        self._failures, until = 0, self._until or 0
        if start > unsent:
            left_out = (
                "what was seen from %s to %s is not sent to the route %s: Datadog takes nothing older than an hour"
            )
            log.warning(left_out, _moment(unsent), _moment(start), route.name)
        if end > until or until - end > AHEAD_S_MAX:
            await self._store(end)

    async def _back_off(self, route: Route, failed: Failed) -> None:
        self._say("waits", "series of the route %s wait: %s", route.name, failed.message)
        self._failures = min(self._failures + 1, RETRY.retries_max)
        now = self._parts.clock.now()
        follows = after_failure(
            RETRY, self._failures, now, now,
            first_s=self._parts.first_retry_s, uniform=self._parts.entropy.uniform,
            retry_after_s=failed.retry_after_s,
        )  # fmt: skip
        wait_s = RETRY.backoff_s_max if isinstance(follows, GiveUp) else follows.at - now
        # A route that was changed may work now.
        await first_of(self._parts.clock, self.changed.wait(), wait_s)

    def _say(self, what: str, text: str, *about: str) -> None:
        """Once, until it is another or all is well."""
        if self._said != what:
            log.warning(text, *about)
        self._said = what

    def _count(self, outcome: Outcome) -> None:
        name = "SeriesDelivered" if isinstance(outcome, Delivered) else "SeriesFailed"
        self._parts.metrics.count("Busway/Alerts", name, of=self._arn, Route=self._arn.rsplit(":", 1)[-1])


def due(begin: int, until: int, now: float) -> tuple[int, int]:
    """The minutes to send, from the start of the first up to the end of the last: those over and young enough.

    `begin` is the first that is not sent, `until` the position; the clock may have been set back behind both. What
    came late goes with the next minute that is over: who tells it all the time must not have it sent all the time.
    """
    newest = int(now - KEPT_S) - int(now - KEPT_S) % MINUTE_S
    if until - newest > AHEAD_S_MAX:
        return newest - MINUTE_S, newest
    if newest <= until:
        return newest, newest
    oldest = -int(-(now - AGE_S_MAX + SENDING_S) // MINUTE_S) * MINUTE_S
    return max(begin, oldest), newest


async def _aside(work: Callable[[], T], many: bool) -> T:
    """Beside the event loop, where it is much."""
    return await asyncio.to_thread(work) if many else work()


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
