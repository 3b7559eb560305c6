"""Alarms on their way to a route, over a real outbox of the memory engine: none lost, nobody flooded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from busway.alarm.notice import AlarmMessage, Failure, QueueDigest, alarm_message, notice_delivery
from busway.alarm.record import AlarmRecord, AlarmSettings, Notice
from busway.alarm.state import ALARM, OK, Decision
from busway.alert.gathering import QUEUE_PREFIX, Gathering, Parts
from busway.alert.pace import BESIDE_MAX, PATIENCE_S, PEOPLE
from busway.alert.payload import alert_of, gathered
from busway.alert.routes import Routes, RouteSettings, route_arn
from busway.arn import Scope
from busway.clock import ManualClock, SeededEntropy, settle
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.delivery.outbox import Outbox, Parts as OutboxParts
from busway.engine import Put
from busway.engine.memory import MemoryEngine
from busway.metrics import Metrics
from busway.trail import Trail

SCOPE = Scope()
ROUTE = route_arn(SCOPE, "r")
MINUTE_S, HOUR_S = 60.0, 3_600.0
SETTINGS = {
    "slack": RouteSettings(kind="slack", sealed=True),
    "pagerduty": RouteSettings(kind="pagerduty"),
    "webhook": RouteSettings(kind="webhook", url="https://hook.example/"),
}


def notice(name: str, state: str = ALARM, number: int = 1, at: float = 0.0) -> Delivery:
    settings = AlarmSettings(
        name=name, namespace="Shop", metric_name="Errors", comparison="GreaterThanThreshold", threshold=0
    )
    record = AlarmRecord(
        arn=SCOPE.arn("cloudwatch", f"alarm:{name}"), settings=settings, generation="g", updated_at=0
    )
    moved = record.moved(Decision(state, "Threshold Crossed"), at)
    return notice_delivery(moved, ROUTE, Notice(state, number, alarm_message(moved, QueueDigest("", 0)).decode()), at)


class Dead:
    """No dead-letter queue is looked at here: what is given up goes to one queue."""

    def put(self, *told: Any) -> Put:
        return Put("dead", told[3], 0.0)


@dataclass
class Receiver:
    """What stands for the provider: `answer` is what it gives, `tried` all attempts, `taken` those delivered."""

    clock: ManualClock
    answer: Callable[[Delivery], Outcome] = lambda delivery: Delivered()
    tried: list[tuple[float, Delivery]] = field(default_factory=list[tuple[float, Delivery]])
    taken: list[tuple[float, Delivery]] = field(default_factory=list[tuple[float, Delivery]])

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        self.tried.append((self.clock.now(), delivery))
        outcome = self.answer(delivery)
        if isinstance(outcome, Delivered):
            self.taken.append((self.clock.now(), delivery))
        return outcome

    @property
    def messages(self) -> list[list[tuple[str, str]]]:
        """The alarms and states of each message that was taken, in order."""
        return [
            [(told.AlarmName, told.NewStateValue) for told in alert_of(delivery, 0.0).messages]
            for _, delivery in self.taken
        ]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [one for message in self.messages for one in message]


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.engine: Any = MemoryEngine(self.clock)
        self.receiver = Receiver(self.clock)
        self.states: dict[str, str] = {}
        self.seed = 0

    async def open(self, kind: str = "") -> None:
        """A process over what the engine holds."""
        self.seed += 1
        entropy = SeededEntropy(self.seed)
        self.routes = Routes(self.engine, self.clock)
        if kind:
            await self.set(kind)
        await self.routes.open()
        metrics, trail, targets = Metrics(self.clock), Trail(self.clock), {"sns": self.receiver}
        self.outbox = Outbox(OutboxParts(self.engine, self.clock, entropy, metrics, trail, targets, Dead()))
        self.gathering = Gathering(
            Parts(self.engine, self.clock, entropy, self.routes, self.outbox.put_for, self.states.get)
        )
        await self.outbox.open()
        await self.gathering.open()
        await settle(50)

    async def set(self, kind: str) -> None:
        await self.routes.put(SCOPE, "r", SETTINGS[kind])

    async def close(self) -> None:
        await self.gathering.close()
        await self.outbox.close()

    async def tell(self, *notices: Delivery) -> None:
        await self.engine.queues.put([self.gathering.put_for(each) for each in notices], accepted=True)
        await settle(50)

    async def after(self, seconds: float) -> None:
        await self.clock.advance(seconds, lambda: settle(30))

    async def waiting(self) -> int:
        return len(await self.engine.queues.browse(QUEUE_PREFIX + ROUTE, 10_000))


@pytest.fixture
async def world() -> Any:
    made = World()
    yield made
    await made.close()


def names(numbers: Iterable[int]) -> list[tuple[str, str]]:
    return [(f"alarm-{number}", ALARM) for number in numbers]


async def test_the_first_alarm_is_told_at_once_and_what_follows_in_one_message_a_minute_later(world: World):
    await world.open("slack")
    await world.tell(notice("alarm-0"))
    assert world.receiver.messages == [names([0])]
    for number in range(1, 6):
        await world.after(5)
        await world.tell(notice(f"alarm-{number}"))
    assert len(world.receiver.messages) == 1
    await world.after(MINUTE_S)
    assert world.receiver.messages == [names([0]), names(range(1, 6))]
    await world.after(HOUR_S)
    await world.tell(notice("alarm-6"))
    assert world.receiver.messages[-1] == names([6])


async def test_a_storm_of_three_hundred_alarms_is_two_messages(world: World):
    await world.open("slack")
    await world.tell(notice("alarm-0"))
    await world.tell(*[notice(f"alarm-{number}") for number in range(1, 300)])
    await world.after(10 * MINUTE_S)
    assert [len(message) for message in world.receiver.messages] == [1, 299]
    assert sorted(world.receiver.told) == sorted(names(range(300)))
    assert await world.waiting() == 0


async def test_three_hundred_alarms_reach_a_pager_one_by_one_at_no_more_than_its_pace(world: World):
    await world.open("pagerduty")
    notices = [notice(f"alarm-{number}") for number in range(300)]
    await world.tell(*notices)
    await world.after(5 * MINUTE_S)
    assert world.receiver.messages == [names([number]) for number in range(300)]
    at = [when for when, _ in world.receiver.taken]
    assert all(later - sooner >= MINUTE_S for sooner, later in zip(at, at[120:], strict=False))
    # As the alarm gave it, so that its dedup_key and body are the alarm's own.
    assert [delivery.payload for _, delivery in world.receiver.taken] == [one.payload for one in notices]
    assert [delivery.event_id for _, delivery in world.receiver.taken] == [one.event_id for one in notices]


@pytest.mark.parametrize("kind", ["slack", "pagerduty"])
@pytest.mark.parametrize("wait_s", [0.0, 30.0])
async def test_an_endpoint_that_is_down_for_hours_loses_nothing_and_is_not_flooded_when_it_is_back(
    world: World, kind: str, wait_s: float
):
    await world.open(kind)
    world.receiver.answer = lambda delivery: Failed("THROTTLING", "429", True, wait_s)
    for number in range(100):
        await world.tell(notice(f"alarm-{number}"))
        await world.after(2 * MINUTE_S)
    down = len(world.receiver.tried)
    assert down < 200 * 18
    world.receiver.answer = lambda delivery: Delivered()
    back_at = world.clock.now()
    await world.after(HOUR_S)
    assert sorted(world.receiver.told) == sorted(names(range(100)))
    at = [when - back_at for when, _ in world.receiver.taken]
    if kind == "slack":
        assert len(at) <= 1 + BESIDE_MAX + 2
    assert await world.waiting() == 0


async def test_a_notice_stays_queued_until_it_was_told(world: World):
    await world.open("slack")
    world.receiver.answer = lambda delivery: Failed("ERROR_FROM_TARGET", "503", True)
    one = notice("alarm-0")
    await world.tell(one)
    assert one.origin is not None
    await world.after(MINUTE_S)
    assert await world.engine.queues.pending(one.origin.subscriber) == [1]
    world.receiver.answer = lambda delivery: Delivered()
    await world.after(HOUR_S)
    assert await world.engine.queues.pending(one.origin.subscriber) == []
    assert world.receiver.messages == [names([0])]


async def test_a_message_is_told_again_as_it_was_while_others_gather(world: World):
    await world.open("slack")
    world.receiver.answer = lambda delivery: Failed("ERROR_FROM_TARGET", "503", True)
    for number in range(3):
        await world.tell(notice(f"alarm-{number}"))
        await world.after(20)
    world.receiver.answer = lambda delivery: Delivered()
    await world.after(10 * MINUTE_S)
    assert len(world.receiver.tried) > 3
    assert {delivery.event_id: delivery.payload for _, delivery in world.receiver.tried} == {
        delivery.event_id: delivery.payload for _, delivery in world.receiver.taken
    }
    assert world.receiver.messages == [names([0]), names([1, 2])]


async def test_a_message_that_never_arrives_does_not_hold_up_the_others_for_ever(world: World):
    await world.open("slack")
    poison = notice("alarm-0").event_id
    world.receiver.answer = lambda d: Failed("X", "500", True) if d.event_id == poison else Delivered()
    await world.tell(notice("alarm-0"))
    await world.tell(notice("alarm-1"))
    await world.after(PATIENCE_S + MINUTE_S)
    assert world.receiver.messages == [names([1])]


async def test_what_is_refused_for_good_is_a_dead_letter_and_the_next_is_told(world: World):
    await world.open("slack")
    world.receiver.answer = lambda delivery: Failed("ERROR_FROM_TARGET", "404: no_service", False)
    await world.tell(notice("alarm-0"))
    world.receiver.answer = lambda delivery: Delivered()
    await world.tell(notice("alarm-1"))
    await world.after(2 * MINUTE_S)
    assert len(await world.engine.queues.browse("dead", 10)) == 1
    assert world.receiver.messages == [names([1])]
    assert await world.waiting() == 0


async def test_a_route_that_is_not_there_yet_is_asked_for_with_one_alarm_and_gets_the_rest_when_it_is(world: World):
    await world.open()
    world.receiver.answer = lambda delivery: Failed("NO_RESOURCE", "there is no alert route r", True)
    await world.tell(*[notice(f"alarm-{number}") for number in range(50)])
    await world.after(MINUTE_S)
    assert {delivery.event_id for _, delivery in world.receiver.tried} == {notice("alarm-0").event_id}
    world.receiver.answer = lambda delivery: Delivered()
    await world.set("slack")
    await world.after(HOUR_S)
    assert world.receiver.messages == [names([0]), names(range(1, 50))]


async def test_the_state_that_holds_when_it_is_told_is_told_too(world: World):
    await world.open("slack")
    await world.tell(notice("alarm-0"))
    await world.tell(notice("alarm-1"), notice("alarm-2"))
    arn = SCOPE.arn("cloudwatch", "alarm:alarm-1")
    world.states |= {arn: OK, SCOPE.arn("cloudwatch", "alarm:alarm-2"): ALARM}
    await world.after(MINUTE_S)
    _, delivery = world.receiver.taken[-1]
    assert alert_of(delivery, 0.0).since == {arn: OK}


class Crash(BaseException):
    """The process is gone."""


class Mortal:
    """One seam of an engine that dies right after, or instead of, one of its writes."""

    def __init__(self, seam: Any, dies: Callable[[str], bool], names: tuple[str, ...]) -> None:
        self._seam, self._dies, self._names = seam, dies, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._seam, name)
        if name not in self._names:
            return found

        async def call(*given: Any, **named: Any) -> Any:
            if self._dies(f"before {name}"):
                raise Crash
            answer = await found(*given, **named)
            if self._dies(f"after {name}"):
                raise Crash
            return answer

        return call


class MortalEngine:
    """Dies at the `at`-th write, counted with both sides of each; every later write fails as well."""

    def __init__(self, engine: Any, at: int) -> None:
        self.left, self.journal = at, engine.journal
        self.queues = Mortal(engine.queues, self._dies, ("put", "done", "release"))
        self.records = Mortal(engine.records, self._dies, ("put",))

    def alive(self, delivery: Delivery) -> Outcome:
        """The dead send nothing."""
        if self.left <= 0:
            raise Crash
        return Delivered()

    def _dies(self, where: str) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize("kind", ["slack", "webhook"])
async def test_a_death_at_any_write_loses_no_alert_and_repeats_only_the_same_message(kind: str):
    for at in range(1, 60):
        world = World()
        await world.open(kind)
        await world.close()
        whole = world.engine
        # The alarms hand over their notices before: what they do at a death is the evaluator's own test.
        notices = [notice(f"alarm-{number}") for number in range(4)]
        await whole.queues.put([world.gathering.put_for(each) for each in notices], accepted=True)
        world.engine = mortal = MortalEngine(whole, at)
        world.receiver.answer = mortal.alive
        await world.open()
        await world.after(3 * MINUTE_S)
        died = mortal.left <= 0
        await world.close()
        world.engine = whole
        world.receiver.answer = lambda delivery: Delivered()
        await world.open()
        await world.after(HOUR_S)
        assert set(world.receiver.told) == set(names(range(4))), at
        bodies: dict[str, set[bytes]] = {}
        messages: dict[str, set[str]] = {}
        for _, delivery in world.receiver.tried:
            bodies.setdefault(delivery.event_id, set()).add(delivery.payload)
            for told in alert_of(delivery, 0.0).messages:
                messages.setdefault(told.AlarmName, set()).add(delivery.event_id)
        assert all(len(of_id) == 1 for of_id in bodies.values()), at
        assert all(len(of_alarm) == 1 for of_alarm in messages.values()), at
        assert len(world.receiver.taken) <= len(bodies) + 1, at
        assert await world.waiting() == 0, at
        await world.close()
        if not died:
            return
    raise AssertionError("it never came to its end")


async def test_a_route_whose_record_was_lost_is_told_of_what_comes_all_the_same(world: World):
    await world.open("slack")
    await world.tell(notice("alarm-0"))
    await world.after(1)
    await world.close()
    await world.engine.records.delete(f"telling/{ROUTE}")
    await world.open()
    await world.tell(notice("alarm-1"))
    assert world.receiver.messages == [names([0]), names([1])]


def test_five_hundred_loud_alarms_fit_into_one_dead_letter():
    failure = Failure("arn:f", "E" * 5_000, "x" * 5_000, 3)
    one = msgspec.json.decode(notice("a" * 255).payload, type=AlarmMessage)
    arns = tuple(f"{ROUTE}{number}" for number in range(5))
    loud = msgspec.structs.replace(
        one, AlarmDescription="d" * 1_024, NewStateReason="r" * 1_024, AlarmActions=arns, OKActions=arns,
        Busway=QueueDigest(SCOPE.arn("sqs", "q" * 80), 3, (failure,) * 10),
    )  # fmt: skip
    assert len(gathered([msgspec.json.encode(loud)] * PEOPLE.alarms_max, lambda arn: OK)) < 1_048_576
