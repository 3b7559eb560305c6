"""Series on their way to Datadog, on a clock that is moved by hand: no minute lost, nobody flooded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.alert_providers import DATADOG_KEY, SeriesKept, datadog_series_faults, series_kept

from busway.alarm.record import AlarmSettings
from busway.alarm.registry import Alarms
from busway.alert.datadog_series import STATE_METRIC
from busway.alert.request import AlertRequest, Rendered
from busway.alert.routes import Route, Routes, RouteSettings, route_arn
from busway.alert.series_sending import RETRY, Parts, SeriesSending, due
from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, settle
from busway.delivery import Delivered, Failed, Outcome
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.metrics.points import Point, metric_of
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import of_values

SCOPE = Scope()
ROUTE = route_arn(SCOPE, "datadog")
WITH_SERIES = RouteSettings(kind="datadog", series=True)
MINUTE_S, HOUR_S = 60, 3_600
START = 1_700_000_040.0
ORDERS = metric_of("Shop", "Orders", {"Shop": "oslo"})
POSITION = "datadog-series/" + ROUTE


class World:
    """A server's rooms over one engine; `answer` is what Datadog says, None for that it looks and takes."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.engine = MemoryEngine(self.clock)
        self.taken: list[Any] = []
        self.refused: list[str] = []
        self.asked_at: list[float] = []
        self.answer: Callable[[], Failed | None] = lambda: None
        # Called between Datadog's taking and our knowing.
        self.when_taken: Callable[[], None] = lambda: None
        self.said = '{"errors":[]}'
        self.at_once = 0
        self.task: asyncio.Task[None] | None = None
        self.seed = 0

    async def open(self) -> None:
        """A process over what the engine holds."""
        self.seed += 1
        entropy = SeededEntropy(self.seed)
        self.routes = Routes(self.engine, self.clock)
        self.alarms = Alarms(self.engine, self.clock, entropy)
        self.series = TimeSeries(self.engine, self.clock, entropy)
        self.metrics = Metrics(self.clock)
        for noun in (self.routes, self.alarms, self.series):
            await noun.open()
        parts = Parts(
            self.engine, self.clock, entropy, self.routes, self.alarms, self.series, self.metrics, send=self.send
        )
        self.sending = SeriesSending(parts)
        self.task = asyncio.create_task(self.sending.run())
        await settle(50)

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def send(self, route: Route, render: Callable[[Route, str], Rendered]) -> tuple[Outcome, str]:
        assert self.at_once == 0, "one request at a time"
        self.at_once += 1
        try:
            await settle(2)
            self.asked_at.append(self.clock.now())
            failed = self.answer()
            if failed is not None:
                return failed, ""
            request = render(route, DATADOG_KEY)
            assert isinstance(request, AlertRequest)
            body = msgspec.json.decode(request.body)
            faults = datadog_series_faults(body, self.clock.now())
            if faults:
                self.refused += faults
                return Failed("ERROR_FROM_TARGET", str(faults), False), ""
            self.taken.append(body)
            self.when_taken()
            await settle(20)
            return Delivered(), f"202 {self.said}"
        finally:
            self.at_once -= 1

    async def route(self, settings: RouteSettings = WITH_SERIES) -> None:
        await self.routes.put(SCOPE, "datadog", settings)
        await settle(50)

    async def alarm(self, name: str = "orders", statistic: str = "Sum") -> None:
        settings = AlarmSettings(
            name=name, namespace="Shop", metric_name="Orders", dimensions={"Shop": "oslo"}, statistic=statistic,
            comparison="LessThanThreshold", threshold=1, alarm_actions=(ROUTE,),
        )  # fmt: skip
        await self.alarms.put(SCOPE, settings, {})

    async def count(self, value: float, at: float | None = None) -> None:
        """What a client puts, in this minute if `at` is not said."""
        when = int(self.clock.now() if at is None else at)
        await self.series.put(SCOPE, [Point(ORDERS, when - when % MINUTE_S, "Count", of_values({value: 1.0}))])

    async def minutes(self, number: int) -> None:
        """So many minutes in each of which orders come in, their number being the minute's since START."""
        for _ in range(number):
            await self.count(1 + (self.clock.now() - START) // MINUTE_S)
            await self.after(MINUTE_S)

    async def after(self, seconds: float) -> None:
        await self.clock.advance(seconds, lambda: settle(60))

    @property
    def kept(self) -> SeriesKept:
        return series_kept(self.taken)

    @property
    def orders(self) -> dict[int, float]:
        """What Datadog has of the orders, by the minute since START."""
        found = [points for (name, _), points in self.kept.items() if name == "busway.shop.orders"]
        return {int((at - START) // MINUTE_S): value for points in found for at, value in sorted(points.items())}


@pytest.fixture
async def world() -> Any:
    made = World()
    await made.open()
    yield made
    await made.close()
    assert made.refused == []


def counted(minutes: range) -> dict[int, float]:
    return {minute: minute + 1.0 for minute in minutes}


def down() -> Failed:
    return Failed("ERROR_FROM_TARGET", "POST https://… answered 503: not now", True)


def throttled() -> Failed:
    return Failed("THROTTLING", "POST https://… answered 429: ", True, retry_after_s=45.0)


async def test_each_minute_is_one_request_with_the_metric_and_the_state(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(5)
    await world.after(3)
    assert world.orders == counted(range(5))
    assert len(world.asked_at) == 5
    assert sorted(name for name, _ in world.kept) == [STATE_METRIC, "busway.shop.orders"]
    assert world.metrics.value("Busway/Alerts", "SeriesDelivered", Route="busway-alert-datadog") == 5


async def test_a_route_without_series_is_sent_none_and_keeps_no_position(world: World):
    await world.alarm()
    await world.route(RouteSettings(kind="datadog"))
    await world.minutes(3)
    assert world.asked_at == []
    assert await world.engine.records.list("datadog-series/") == []


async def test_a_route_begins_with_the_minute_in_which_it_asks_for_series(world: World):
    await world.alarm()
    await world.minutes(5)
    await world.route()
    await world.minutes(2)
    await world.after(3)
    assert world.orders == counted(range(5, 7))


async def test_a_route_that_wants_no_more_is_sent_no_more_and_begins_anew_later(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(2)
    await world.after(3)
    await world.route(RouteSettings(kind="datadog"))
    assert await world.engine.records.list("datadog-series/") == []
    await world.minutes(5)
    await world.routes.delete(SCOPE, "datadog")
    await world.route()
    await world.minutes(2)
    assert world.orders == counted(range(2)) | counted(range(7, 9))


@pytest.mark.parametrize("failure", [down, throttled])
async def test_an_outage_within_the_hour_loses_no_minute_and_ends_with_one_request(
    world: World, failure: Callable[[], Failed], caplog: pytest.LogCaptureFixture
):
    await world.alarm()
    await world.route()
    await world.minutes(2)
    world.answer = failure
    await world.minutes(50)
    asked = len(world.asked_at)
    world.answer = lambda: None
    # The longest back-off.
    await world.after(RETRY.backoff_s_max)
    assert world.orders == counted(range(52))
    # One tells all that had waited, and one the minute or two that went by meanwhile.
    assert len(world.asked_at) - asked <= 3
    assert caplog.text.count("wait: ") == 1
    assert "left out" not in caplog.text and "is not sent" not in caplog.text


async def test_who_is_down_is_asked_ever_more_rarely(world: World):
    await world.alarm()
    await world.route()
    world.answer = down
    await world.minutes(50)
    # On average one a minute, as the back-off is drawn evenly below two of them.
    assert len(world.asked_at) <= 75


async def test_who_throttles_is_left_alone_as_long_as_it_says(world: World):
    await world.alarm()
    await world.route()
    world.answer = throttled
    await world.minutes(30)
    gaps = [later - one for one, later in pairwise(world.asked_at)]
    assert gaps and min(gaps) >= 45.0


async def test_after_a_long_outage_the_last_hour_is_sent_and_the_rest_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture
):
    await world.alarm()
    await world.route()
    await world.minutes(2)
    world.answer = down
    await world.minutes(180)
    world.answer = lambda: None
    await world.after(RETRY.backoff_s_max)
    assert world.refused == []
    found = world.orders
    # What is too old for Datadog by the time that it would arrive is left out, and nothing that is younger.
    newest = max(found)
    assert newest == 181
    assert [minute for minute in range(newest - 56, newest + 1) if minute not in found] == []
    assert len([record for record in caplog.records if "is not sent" in record.message]) == 1


async def test_a_wrong_key_is_tried_again_and_at_once_when_the_route_is_set_anew(world: World):
    await world.alarm()
    await world.route()
    world.answer = lambda: Failed("NO_PERMISSIONS", "DD_API_KEY is not set", True)
    await world.minutes(20)
    world.answer = lambda: None
    await world.route(RouteSettings(kind="datadog", series=True, sealed=True))
    assert world.orders.keys() >= set(range(19))


async def test_what_is_refused_for_good_is_left_out_and_said_once(world: World, caplog: pytest.LogCaptureFixture):
    await world.alarm()
    await world.route()
    world.answer = lambda: Failed("ERROR_FROM_TARGET", "POST https://… answered 400: no", False)
    await world.minutes(3)
    world.answer = lambda: None
    await world.minutes(3)
    await world.after(3)
    assert world.orders.keys() >= {3, 4, 5} and 0 not in world.orders
    assert caplog.text.count("are left out: ") == 1


async def test_what_datadog_finds_wrong_in_what_it_took_is_said_once(world: World, caplog: pytest.LogCaptureFixture):
    world.said = '{"errors":["point dropped"]}'
    await world.alarm()
    await world.route()
    await world.minutes(3)
    assert caplog.text.count("point dropped") == 1


async def test_a_death_after_datadog_took_a_minute_sends_it_again_with_the_same_points(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(3)

    def die() -> None:
        assert world.task is not None
        world.task.cancel()

    world.when_taken = die
    await world.minutes(1)
    world.when_taken = lambda: None
    await world.after(3)
    before, asked = world.taken[-1], len(world.taken)
    await world.open()
    await world.after(3)
    assert len(world.taken) > asked
    again = series_kept(world.taken[asked:])
    assert all(
        again[series][at] == value for series, kept in series_kept([before]).items() for at, value in kept.items()
    )
    await world.minutes(2)
    await world.after(3)
    assert world.orders == counted(range(6))


async def test_a_server_that_was_away_for_half_an_hour_sends_what_clients_had_told_it(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(2)
    await world.close()
    await world.minutes(30)
    await world.open()
    await world.after(3)
    assert world.orders == counted(range(32))


async def test_what_a_client_tells_late_is_sent_again_with_it(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(3)
    await world.after(3)
    await world.count(10, at=START + MINUTE_S)
    await world.minutes(1)
    assert world.orders == {**counted(range(4)), 1: 12.0}


async def test_who_tells_all_the_time_late_has_it_sent_once_a_minute(world: World):
    await world.alarm()
    await world.route()
    late: list[asyncio.Task[None]] = []
    world.when_taken = lambda: late.append(asyncio.create_task(world.count(1, at=world.clock.now() - 120)))
    await world.minutes(10)
    await world.after(3)
    await asyncio.gather(*late)
    assert len(world.asked_at) == 10


async def test_what_a_client_told_late_outlives_a_death(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(3)
    await world.after(3)
    await world.count(10, at=START + MINUTE_S)
    await world.close()
    await world.open()
    await world.minutes(1)
    await world.after(3)
    assert world.orders == {**counted(range(4)), 1: 12.0}


async def test_what_no_alarm_looks_at_makes_nothing_be_sent_again(world: World):
    await world.alarm()
    await world.route()
    await world.minutes(3)
    await world.after(3)
    other = metric_of("Shop", "Other", {})
    await world.series.put(SCOPE, [Point(other, int(START), "Count", of_values({1.0: 1.0}))])
    await world.minutes(1)
    assert [len(series["points"]) for series in world.taken[-1]["series"]] == [1, 1]


async def test_a_position_that_cannot_be_written_loses_no_minute(world: World, caplog: pytest.LogCaptureFixture):
    await world.alarm()
    await world.route()
    await world.minutes(1)
    put = world.engine.records.put
    failing = [OSError("a fault of the disk")]

    async def broken(key: str, data: bytes, expect: int | None = None) -> int:
        if key == POSITION and failing:
            raise failing.pop()
        return await put(key, data, expect)

    world.engine.records.put = broken
    await world.minutes(3)
    await world.after(3)
    assert failing == []
    assert world.orders == counted(range(4))
    assert "is not sent" not in caplog.text


async def test_a_clock_that_is_set_back_sends_on_from_where_it_is(world: World):
    await world.alarm()
    await world.route()
    ahead = int(START) + 10 * HOUR_S
    await world.close()
    await world.engine.records.put(POSITION, msgspec.json.encode({"until": ahead}))
    await world.open()
    await world.minutes(3)
    await world.after(3)
    assert world.orders.keys() >= {1, 2}


async def test_a_thousand_series_are_rendered_in_turns_that_lose_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("busway.alert.series_sending.POINTS_MAX", 6)
    await world.alarm()
    await world.route()
    world.answer = down
    await world.minutes(20)
    world.answer = lambda: None
    await world.after(RETRY.backoff_s_max)
    await settle(1_000)
    assert world.orders == counted(range(20))
    # Two series of three minutes at once.
    assert max(len(series["points"]) for body in world.taken for series in body["series"]) == 3


@given(st.integers(0, 10 * HOUR_S), st.integers(0, 10 * HOUR_S), st.floats(2 * HOUR_S, 9 * HOUR_S))
def test_what_is_due_is_over_and_young_enough(begin_s: int, until_s: int, now_s: float):
    now, until = START + now_s, int(START) + until_s - until_s % MINUTE_S
    begin = min(until, int(START) + begin_s - begin_s % MINUTE_S)
    start, end = due(begin, until, now)
    assert end + 2 <= now and start % MINUTE_S == end % MINUTE_S == 0
    if start < end:
        assert now - start <= HOUR_S
    if until < end:
        # Nothing before the begin, and nothing that is young enough is passed over.
        assert start == begin or (start > begin and now - (start - MINUTE_S) > HOUR_S - 30)
