"""Alarms over real queues of the memory engine: prompt, in order, never lost, never told twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from busway.alarm.evaluator import Evaluator
from busway.alarm.notice import AlarmMessage
from busway.alarm.queues import DeadLetterQueues
from busway.alarm.record import AlarmSettings
from busway.alarm.registry import Alarms, alarm_arn
from busway.alarm.state import ALARM, INSUFFICIENT_DATA, OK, Decision
from busway.arn import Scope
from busway.bus.put_events import Announcement
from busway.clock import ManualClock, SeededEntropy, settle
from busway.delivery import Delivery
from busway.delivery.dead_letter import Source
from busway.engine import Item, Put
from busway.engine.memory import MemoryEngine
from busway.errors import AlarmNotFound, EngineStopped, StorageFull
from busway.metrics import Metrics
from busway.metrics.series import TimeSeries
from busway.queue.message import MessageMeta, encode_meta
from busway.trail import Trail

SCOPE = Scope()
QUEUE = SCOPE.arn("sqs", "mail-dlq")
ROUTE = SCOPE.arn("sns", "busway-alert-pagerduty")
OTHER_ROUTE = SCOPE.arn("sns", "busway-alert-chat")
ARN = alarm_arn(SCOPE, "mail-dlq-not-empty")
OUTBOX = "busway/deliveries"


def settings(**changes: object) -> AlarmSettings:
    made = AlarmSettings(
        name="mail-dlq-not-empty",
        namespace="AWS/SQS",
        metric_name="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": "mail-dlq"},
        comparison="GreaterThanThreshold",
        threshold=0,
        alarm_actions=(ROUTE,),
        ok_actions=(ROUTE,),
    )
    return msgspec.structs.replace(made, **changes)


def dead_letter(number: int = 0) -> Put:
    source = Source(
        kind="function",
        payload=b"{}",
        function_arn=SCOPE.arn("lambda", "function:mail"),
        event_id=f"event-{number}",
        error_message="no SMTP server",
    )
    meta = MessageMeta(message_id=str(number), sent_ms=0, sender="AIDA", source=source)
    return Put(QUEUE, b"{}", 0.0, encode_meta(meta))


@dataclass
class World:
    clock: ManualClock = field(default_factory=ManualClock)
    queues: set[str] = field(default_factory=lambda: {QUEUE})
    events: list[Announcement] = field(default_factory=list)
    full: bool = False

    async def open(self) -> None:
        self.engine = MemoryEngine(self.clock)
        await self.start()

    async def start(self) -> None:
        self.evaluator = self.started()
        await self.alarms.open()
        await self.series.open()
        await self.evaluator.open()

    async def reopen(self) -> None:
        """The process again, over the same engine."""
        await self.evaluator.close()
        await self.start()

    async def close(self) -> None:
        await self.evaluator.close()
        await self.engine.close()

    def started(self, seed: int = 1) -> Evaluator:
        self.metrics, self.trail = Metrics(self.clock), Trail(self.clock)
        self.alarms = Alarms(self.engine, self.clock, SeededEntropy(seed))
        self.series = TimeSeries(self.engine, self.clock, SeededEntropy(seed + 100))
        self.watched = DeadLetterQueues(self.engine, self.queues.__contains__)
        return Evaluator(
            self.alarms, self.watched, self.engine, self.clock,
            notice_put=lambda d: Put(OUTBOX, msgspec.json.encode(d), self.clock.now(), origin=d.origin),
            announce=self.announce, metrics=self.metrics, trail=self.trail, series=self.series,
        )  # fmt: skip

    async def announce(self, event: Announcement) -> None:
        if self.full:
            raise StorageFull
        self.events.append(event)

    @property
    def state(self) -> str:
        record = self.alarms.get(ARN)
        assert record is not None
        return record.state

    async def fail(self) -> None:
        await self.engine.queues.put([dead_letter()])
        await settle()

    async def heal(self) -> None:
        await self.engine.queues.purge(QUEUE)

    async def told(self) -> list[tuple[str, str]]:
        """(route, state) of the notices under way, in order."""
        items = await self.engine.queues.browse(OUTBOX, 100)
        return [(delivery.target_arn, message.NewStateValue) for delivery, message in map(read, items)]

    async def deliver(self) -> list[Item]:
        items = await self.engine.queues.lease(OUTBOX, 100, 60)
        await self.engine.queues.done(items)
        return items


def read(item: Item) -> tuple[Delivery, AlarmMessage]:
    delivery = msgspec.json.decode(item.body, type=Delivery)
    return delivery, msgspec.json.decode(delivery.payload, type=AlarmMessage)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    await made.alarms.put(SCOPE, settings(), {})
    yield made
    await made.close()


async def test_a_dead_letter_raises_the_alarm_and_its_end_resolves_it(world: World):
    await world.evaluator.evaluate()
    assert world.state == OK
    assert await world.told() == []
    await world.fail()
    await world.evaluator.evaluate()
    assert world.state == ALARM
    assert await world.told() == [(ROUTE, ALARM)]
    await world.deliver()
    await world.heal()
    await world.evaluator.evaluate()
    assert world.state == OK
    assert await world.told() == [(ROUTE, OK)]


async def test_the_notice_tells_what_failed(world: World):
    await world.fail()
    await world.evaluator.evaluate()
    (item,) = await world.deliver()
    delivery, message = read(item)
    assert message.AlarmArn == ARN
    assert message.OldStateValue == INSUFFICIENT_DATA
    assert message.NewStateReason.startswith("Threshold Crossed: 1 out of the last 1 datapoints [1")
    assert message.Trigger["Dimensions"] == [{"value": "mail-dlq", "name": "QueueName"}]
    assert message.Busway.depth == 1
    (failure,) = message.Busway.failures
    assert (failure.handler, failure.error_message) == (SCOPE.arn("lambda", "function:mail"), "no SMTP server")
    assert delivery.target_kind == "sns"


async def test_a_running_evaluator_notices_a_dead_letter_without_time_passing(world: World):
    running = asyncio.create_task(world.evaluator.run())
    await settle()
    assert world.state == OK
    await world.fail()
    await settle(30)
    assert world.state == ALARM
    await world.deliver()
    await world.heal()
    world.evaluator.changed(QUEUE)
    await settle(30)
    assert world.state == OK
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_running_evaluator_notices_an_emptied_queue_within_a_second(world: World):
    await world.fail()
    running = asyncio.create_task(world.evaluator.run())
    await settle(30)
    assert world.state == ALARM
    await world.heal()
    await world.clock.advance(1.0)
    await settle(30)
    assert world.state == OK
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_resolve_waits_for_its_trigger(world: World):
    await world.evaluator.evaluate()
    await world.fail()
    await world.evaluator.evaluate()
    await world.heal()
    await world.evaluator.evaluate()
    assert world.state == OK
    assert await world.told() == [(ROUTE, ALARM)]
    await world.deliver()
    await world.evaluator.evaluate()
    assert await world.told() == [(ROUTE, OK)]


async def test_a_route_that_waits_holds_back_no_other(world: World):
    both = (ROUTE, OTHER_ROUTE)
    await world.alarms.put(SCOPE, settings(alarm_actions=both, ok_actions=both), {})
    await world.fail()
    await world.evaluator.evaluate()
    (first, second) = await world.engine.queues.lease(OUTBOX, 2, 3600)
    await world.engine.queues.done([second if read(second)[0].target_arn == OTHER_ROUTE else first])
    await world.heal()
    await world.evaluator.evaluate()
    assert sorted(await world.told()) == [(OTHER_ROUTE, OK), (ROUTE, ALARM)]


async def test_a_route_without_ok_action_hears_of_the_next_alarm(world: World):
    await world.alarms.put(SCOPE, settings(ok_actions=()), {})
    for _ in range(2):
        await world.fail()
        await world.evaluator.evaluate()
        assert await world.told() == [(ROUTE, ALARM)]
        await world.deliver()
        await world.heal()
        await world.evaluator.evaluate()
        assert await world.told() == []


async def test_an_alarm_without_its_queue_has_no_data_and_still_resolves_later(world: World):
    await world.fail()
    await world.evaluator.evaluate()
    await world.deliver()
    world.queues.clear()
    await world.clock.advance(600)
    await world.evaluator.evaluate()
    assert world.state == INSUFFICIENT_DATA
    world.queues.add(QUEUE)
    await world.heal()
    await world.evaluator.evaluate()
    assert (world.state, await world.told()) == (OK, [(ROUTE, OK)])


async def test_disabled_actions_tell_nobody(world: World):
    await world.alarms.put(SCOPE, settings(actions_enabled=False), {})
    await world.fail()
    await world.evaluator.evaluate()
    assert (world.state, await world.told()) == (ALARM, [])


async def test_a_change_shows_in_the_trail_the_metrics_and_the_history(world: World):
    await world.evaluator.evaluate()
    await world.fail()
    await world.evaluator.evaluate()
    assert [step.facts["state"] for step in world.trail.recent(kind="alarm")] == [OK, ALARM]
    name = "mail-dlq-not-empty"
    assert world.metrics.value("Busway/Alarms", "StateChanges", AlarmName=name, State=ALARM) == 1
    record = world.alarms.get(ARN)
    assert record is not None
    assert [change.state for change in record.history] == [OK, ALARM]


async def test_a_state_that_was_set_by_hand_tells_and_holds_until_the_next_evaluation(world: World):
    await world.evaluator.evaluate()
    await world.evaluator.set_state(ARN, Decision(ALARM, "a drill"))
    assert (world.state, await world.told()) == (ALARM, [(ROUTE, ALARM)])
    await world.deliver()
    await world.evaluator.evaluate()
    assert (world.state, await world.told()) == (OK, [(ROUTE, OK)])


async def test_the_state_of_no_alarm_cannot_be_set(world: World):
    with pytest.raises(AlarmNotFound):
        await world.evaluator.set_state(ARN + "x", Decision(ALARM, "a drill"))


async def test_an_alarm_that_was_made_again_tells_again(world: World):
    await world.fail()
    for seed in (2, 3):
        await world.alarms.delete(ARN)
        await world.evaluator.close()
        world.evaluator = world.started(seed)
        await world.alarms.put(SCOPE, settings(), {})
        await world.evaluator.evaluate()
        assert await world.told() == [(ROUTE, ALARM)]
        await world.deliver()


async def test_every_change_is_an_event_on_the_bus_in_order_and_the_same_one_when_put_again(world: World):
    await world.evaluator.evaluate()
    await world.fail()
    await world.evaluator.evaluate()
    first, second = world.events
    assert (second.source, second.detail_type) == ("aws.cloudwatch", "CloudWatch Alarm State Change")
    assert second.resources == [ARN]
    detail = msgspec.json.decode(second.detail)
    assert (detail["previousState"]["value"], detail["state"]["value"]) == (OK, ALARM)
    assert detail["previousState"]["reason"] == msgspec.json.decode(first.detail)["state"]["reason"]
    assert msgspec.json.decode(first.detail)["previousState"]["reason"] == "Unchecked: Initial alarm creation"
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"]["metric"]["dimensions"] == {"QueueName": "mail-dlq"}
    assert first.event_id != second.event_id
    await world.reopen()
    await world.evaluator.evaluate()
    assert len(world.events) == 2


async def test_an_event_that_finds_the_disk_full_is_put_when_it_is_not(world: World):
    world.full = True
    await world.fail()
    await world.evaluator.evaluate()
    assert (world.state, world.events, await world.told()) == (ALARM, [], [(ROUTE, ALARM)])
    world.full = False
    await world.evaluator.evaluate()
    assert [msgspec.json.decode(event.detail)["state"]["value"] for event in world.events] == [ALARM]


async def test_a_full_disk_ends_no_evaluation(world: World):
    put, full = world.engine.records.put, True

    async def refusing(key: str, data: bytes, expect: int | None = None) -> int:
        if full:
            raise StorageFull
        return await put(key, data, expect)

    world.engine.records.put = refusing  # type: ignore[method-assign]
    running = asyncio.create_task(world.evaluator.run())
    await world.fail()
    await settle(30)
    assert world.state == INSUFFICIENT_DATA
    full = False
    await world.clock.advance(1.0)
    await settle(30)
    assert (world.state, await world.told()) == (ALARM, [(ROUTE, ALARM)])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def lived_through(world: World, deaths: int) -> int:
    """Evaluate with a death at the `deaths`-th write, before and then after it; how many writes there were."""
    writes = 0
    engine = world.engine
    record_put, queue_put = engine.records.put, engine.queues.put

    async def counted_record(key: str, data: bytes, expect: int | None = None) -> int:
        nonlocal writes
        writes += 1
        if writes == deaths:
            raise EngineStopped("died before a record was written")
        version = await record_put(key, data, expect)
        if writes == -deaths:
            raise EngineStopped("died after a record was written")
        return version

    async def counted_queue(puts: list[Put], *, accepted: bool = False) -> list[int]:
        nonlocal writes
        writes += 1
        if writes == deaths:
            raise EngineStopped("died before work was queued")
        ids = await queue_put(puts, accepted=accepted)
        if writes == -deaths:
            raise EngineStopped("died after work was queued")
        return ids

    engine.records.put, engine.queues.put = counted_record, counted_queue  # type: ignore[method-assign]
    try:
        await world.evaluator.evaluate()
    except EngineStopped:
        pass
    finally:
        engine.records.put, engine.queues.put = record_put, queue_put  # type: ignore[method-assign]
    return writes


@pytest.mark.parametrize("death", [1, -1, 2, -2, 3, -3])
@pytest.mark.parametrize("healed", [False, True])
async def test_a_death_at_any_write_neither_loses_nor_doubles_a_notice(death: int, healed: bool):
    world = World()
    await world.open()
    await world.alarms.put(SCOPE, settings(), {})
    await world.evaluator.evaluate()
    await world.fail()
    assert await lived_through(world, death) > 0
    await world.reopen()
    if healed:
        await world.heal()
    await world.evaluator.evaluate()
    told = await world.told()
    assert told == ([] if healed and death == 1 else [(ROUTE, ALARM)])
    await world.deliver()
    await world.heal()
    await world.evaluator.evaluate()
    await world.evaluator.evaluate()
    assert await world.told() == ([(ROUTE, OK)] if told else [])
    # Of an event put twice, both are the same.
    states = {event.event_id: msgspec.json.decode(event.detail)["state"]["value"] for event in world.events}
    assert list(states.values()) == ([OK, ALARM, OK] if told else [OK])
    await world.close()


WORK = "arn:aws:lambda:us-east-1:000000000000:function:mail"


async def sent_back(world: World) -> Item:
    """The letter as a redrive does it: the work first, then the letter ends."""
    (number,) = await world.engine.queues.put([Put(WORK, b"{}", 0.0)])
    world.watched.sent_back(QUEUE, [(WORK, abs(number))])
    await world.heal()
    world.evaluator.changed(QUEUE)
    (item,) = await world.engine.queues.lease(WORK, 1, 600)
    return item


@pytest.mark.parametrize("well", [True, False])
async def test_a_letter_that_was_sent_back_is_well_only_when_its_work_is_done(world: World, well: bool):
    await world.fail()
    await world.evaluator.evaluate()
    assert world.state == ALARM
    work = await sent_back(world)
    for _ in range(30):
        await world.clock.advance(1)
        await world.evaluator.evaluate()
        assert world.state == ALARM
    if not well:
        # What fails again lies where it lay before its work ends.
        await world.fail()
    await world.engine.queues.done([work])
    await world.clock.advance(1)
    await world.evaluator.evaluate()
    assert world.state == (OK if well else ALARM)
    assert await world.told() == [(ROUTE, ALARM)]
