"""Alarms on metrics over a real store: each minute, after an absence, and by a slow and obvious evaluator."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings as tried, strategies as st

from busway.alarm import on_metrics
from busway.alarm.catch_up import ABSENCES_MAX, LATE_MAX, Judged, minutes_due
from busway.alarm.on_metrics import KEPT_S, MetricAlarms
from busway.alarm.record import AlarmQuery, AlarmSettings
from busway.alarm.registry import Alarms, alarm_arn
from busway.alarm.state import ALARM, INSUFFICIENT_DATA, OK, RANGE_BEYOND_JUDGED, Datapoint, Decision, Rule, decide
from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.errors import StorageFull
from busway.metrics.points import HOUR_S, Point, metric_of
from busway.metrics.series import TimeSeries
from busway.metrics.statistics import of_values

START = 1_700_000_000 - 1_700_000_000 % HOUR_S
SCOPE = Scope()
CALLS = metric_of("Shop", "Calls", {})
ARN = alarm_arn(SCOPE, "calls")


def settings(**changes: object) -> AlarmSettings:
    shared = {"name": "calls", "namespace": "Shop", "metric_name": "Calls", "comparison": "GreaterThanThreshold"}
    return AlarmSettings(**{**shared, "threshold": 1.0, "statistic": "Sum", **changes})  # type: ignore[arg-type]


@dataclass
class World:
    clock: ManualClock = field(default_factory=lambda: ManualClock(START + KEPT_S))
    asked_first: bool = True

    async def start(self) -> None:
        """The first process, or another over the same engine."""
        if self.asked_first:
            self.engine, self.asked_first = MemoryEngine(self.clock), False
        self.alarms = Alarms(self.engine, self.clock, SeededEntropy(1))
        self.series = TimeSeries(self.engine, self.clock, SeededEntropy(2))
        self.judge = MetricAlarms(self.alarms, self.series, self.engine, self.clock)
        for noun in (self.alarms, self.series, self.judge):
            await noun.open()

    async def put(self, minute: int, value: float = 5.0) -> None:
        await self.series.put(SCOPE, [Point(CALLS, START + 60 * minute, "", of_values({value: 1.0}))])

    async def minute(self, number: int) -> None:
        """It is that minute now, and judged."""
        await self.clock.advance(START + 60 * number + KEPT_S - self.clock.now())
        await self.judged()

    async def judged(self, *changed: str) -> None:
        async for alarm, decision in self.judge.due(changed):
            await self.alarms.store(alarm.moved(decision, self.clock.now(), decision.data))

    @property
    def state(self) -> str:
        alarm = self.alarms.get(ARN)
        assert alarm is not None
        return alarm.state

    @property
    def states(self) -> list[str]:
        alarm = self.alarms.get(ARN)
        assert alarm is not None
        return [change.state for change in alarm.history]


async def world_of(**changes: object) -> World:
    made = World()
    await made.start()
    await made.alarms.put(SCOPE, settings(**changes), {})
    return made


async def test_an_alarm_follows_its_metric_minute_by_minute():
    world = await world_of()
    for minute, value in enumerate((0.0, 5.0, 0.0)):
        await world.put(minute, value)
        await world.minute(minute + 1)
    assert world.states == [OK, ALARM, OK]
    record = world.alarms.get(ARN)
    assert record is not None
    assert record.reason_data is not None
    assert '"recentDatapoints":[0.0],"threshold":1.0' in record.reason_data


async def test_a_point_that_comes_late_is_judged_with_its_minute():
    world = await world_of(evaluation_periods=2, datapoints_to_alarm=1)
    await world.put(0, 0.0)
    await world.minute(1)
    await world.put(1, 0.0)
    await world.minute(2)
    await world.put(0, 5.0)
    await world.minute(3)
    assert world.states == [OK, ALARM]


async def test_an_alarm_that_is_put_is_judged_at_once_by_what_was_there():
    world = World()
    await world.start()
    await world.put(0)
    await world.minute(1)
    await world.alarms.put(SCOPE, settings(), {})
    await world.judged(ARN)
    assert world.state == ALARM


async def test_a_set_state_holds_until_the_minute_is_over_and_another_account_is_another():
    world = await world_of()
    await world.alarms.put(Scope("111111111111"), settings(), {})
    await world.put(0, 5.0)
    await world.minute(1)
    other = world.alarms.get(alarm_arn(Scope("111111111111"), "calls"))
    assert other is not None
    assert (world.state, other.state) == (ALARM, INSUFFICIENT_DATA)


async def test_what_broke_in_the_minute_before_a_death_is_judged_when_it_is_back():
    world = await world_of(missing="notBreaching")
    await world.minute(1)
    await world.put(1)
    await world.clock.advance(2 * HOUR_S)
    await world.start()
    await world.judged()
    assert world.states == [OK, ALARM]
    # Nobody knows whether it still breaks; the first minute that is seen whole says so.
    await world.minute(122)
    assert world.state == ALARM
    await world.minute(123)
    assert world.state == OK


@pytest.mark.parametrize("away_minutes", [1, 2, 30, 600])
async def test_the_silence_of_an_absence_is_not_missing_data(away_minutes: int):
    world = await world_of(comparison="LessThanThreshold", missing="breaching", evaluation_periods=2)
    for minute in range(4):
        await world.put(minute)
        await world.minute(minute + 1)
    assert world.states == [OK]
    back = 4 + away_minutes
    await world.clock.advance(60.0 * away_minutes + 30)
    await world.start()
    await world.judged()
    await world.minute(back + 1)
    # It is back, and the heart beats again.
    await world.put(back + 1)
    await world.minute(back + 2)
    assert world.states == [OK]
    # And now it does not. The range of two periods goes four back, and the last beat is a value in it until then.
    for minute in range(3, 6):
        await world.minute(back + minute)
    assert world.states == [OK]
    await world.minute(back + 6)
    assert world.states == [OK, ALARM]


async def test_a_disk_that_is_full_stops_no_minute(monkeypatch: pytest.MonkeyPatch):
    world = await world_of()
    stored = world.engine.records.put

    async def refusing(key: str, data: bytes, expect: int | None = None) -> int:
        if key.startswith("alarm-minutes/"):
            raise StorageFull
        return await stored(key, data, expect)

    monkeypatch.setattr(world.engine.records, "put", refusing)
    for minute, value in enumerate((0.0, 5.0)):
        await world.put(minute, value)
        await world.minute(minute + 1)
    assert world.states == [OK, ALARM]


async def test_a_range_of_a_day_is_judged_by_five_minutes():
    world = await world_of(period_s=3_600, evaluation_periods=24, datapoints_to_alarm=2, missing="notBreaching")
    for minute in (0, 61):
        await world.put(minute)
    # The last hour begins five minutes after the first value, and then the one before has that.
    await world.minute(64)
    assert world.states == [OK]
    await world.minute(65)
    assert world.states == [OK, ALARM]


async def test_an_expression_that_a_value_breaks_has_no_data_and_stops_no_other_alarm():
    world = await world_of()
    calls = AlarmQuery(id="m", namespace="Shop", metric_name="Calls", statistic="Sum", period_s=60, returns=False)
    broken = (AlarmQuery(id="e", expression="m + LOG(SUM(m))"), calls)
    await world.alarms.put(SCOPE, settings(name="a broken one", queries=broken), {})
    await world.put(0, 0.0)
    await world.minute(1)
    other = world.alarms.get(alarm_arn(SCOPE, "a broken one"))
    assert other is not None
    assert (world.state, other.state) == (OK, INSUFFICIENT_DATA)


async def test_a_fault_in_one_alarm_stops_no_other(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    world = await world_of()
    await world.alarms.put(SCOPE, settings(name="a faulty one"), {})
    decided = on_metrics.decide

    def faulty(rule: Rule, points: list[Datapoint], present: str) -> Decision:
        if not caplog.records:
            raise RuntimeError("as it was asked")
        return decided(rule, points, present)

    monkeypatch.setattr(on_metrics, "decide", faulty)
    await world.put(0)
    await world.minute(1)
    assert sorted(alarm.state for alarm in world.alarms.all()) == [ALARM, INSUFFICIENT_DATA]
    assert "cannot be judged" in caplog.text


async def test_what_is_said_of_a_long_range_is_cut():
    world = await world_of(evaluation_periods=1_400, datapoints_to_alarm=1)
    for minute in range(200):
        await world.put(minute)
    await world.minute(200)
    record = world.alarms.get(ARN)
    assert record is not None
    assert record.state == ALARM
    assert len(record.reason) <= 1_023
    assert len(record.reason_data or "") <= 4_000


def test_each_minute_of_a_busy_process_is_judged_and_of_a_sleep_only_what_can_matter():
    late = minutes_due(Judged(600), 600 + 60 * LATE_MAX + 59, started=False)
    assert late == ([660, 720, 780, 840, 900], Judged(900))
    asleep = minutes_due(Judged(600), 6_059, started=False)
    assert asleep == ([660, 720, 6_000], Judged(6_000, ((600, 6_060),)))
    assert minutes_due(Judged(600), 650, started=False) == ([], Judged(600))
    assert minutes_due(None, 650, started=True) == ([600], Judged(600))
    # A clock that was set back a little judges nothing twice, and one that was set right begins anew.
    assert minutes_due(Judged(600), 500, started=False) == ([], Judged(600))
    assert minutes_due(Judged(86_400), 100, started=False) == ([60], Judged(60))


def test_so_many_absences_are_remembered():
    judged = Judged(0)
    for number in range(ABSENCES_MAX + 3):
        _, judged = minutes_due(judged, 3_600.0 * (number + 1), started=True)
    assert len(judged.absences) == ABSENCES_MAX


def obvious(values: dict[int, float], made: AlarmSettings, minute: int, present: str) -> str:
    """The sum of each period, from all that is known, with nothing kept from before."""
    period = made.period_s // 60
    points: list[Datapoint] = []
    for number in range(made.evaluation_periods + RANGE_BEYOND_JUDGED, 0, -1):
        begin = minute - number * period
        found = [value for at, value in values.items() if begin <= at < begin + period]
        points.append(Datapoint(START + 60 * begin, sum(found) if found else None))
    return decide(made.rule, points, present).state


@tried(max_examples=150, deadline=None)
@given(
    given_values=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 5.0])), max_size=12),
    periods=st.integers(1, 3),
    needed=st.integers(1, 3),
    period_min=st.sampled_from([1, 2, 5]),
    missing=st.sampled_from(["missing", "ignore", "breaching", "notBreaching"]),
    by_query=st.booleans(),
)
async def test_what_is_kept_at_hand_decides_as_the_slow_and_obvious_way_does(
    given_values: list[tuple[int, float]], periods: int, needed: int, period_min: int, missing: str, by_query: bool
):
    shape = {
        "evaluation_periods": periods, "datapoints_to_alarm": min(needed, periods), "period_s": 60 * period_min,
        "missing": missing,
    }  # fmt: skip
    calls = AlarmQuery(
        id="m", namespace="Shop", metric_name="Calls", statistic="Sum", period_s=60 * period_min, returns=False
    )
    queries = {"queries": (AlarmQuery(id="e", expression="m * 1"), calls)} if by_query else {}
    world = await world_of(**shape, **queries)
    wanted, values, present = list[str](), dict[int, float](), INSUFFICIENT_DATA
    for minute, (ago, value) in enumerate(given_values):
        # As late as three minutes, and several to one minute.
        at = max(0, minute - ago)
        values[at] = values.get(at, 0.0) + value
        await world.put(at, value)
        await world.minute(minute + 1)
        state = obvious(values, settings(**shape), minute + 1, present)
        wanted += [state] if state != present else []
        present = state
    assert world.states == wanted[-20:]
