"""Rules that run on a schedule, on a clock that moves when told to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from busway.bus.record import TargetSpec
from busway.clock import settle
from busway.engine import Engine
from busway.errors import StorageFull
from busway.verify import verify

RULE = "arn:aws:events:eu-central-1:123456789012:rule/"


class Timed:
    """A running world with its ticker; times are minutes after its beginning."""

    def __init__(self, world: Any) -> None:
        self.world = world

    async def begin(self) -> None:
        self.queue = await self.world.queue("q")
        await self.world.run()
        self.ticker = self.world.room.ticker()
        await self.ticker.open()

    async def rule(self, name: str = "r", **about: str) -> None:
        await self.world.room.rules.put(name, None, self.world.scope, about)
        await self.world.room.rules.put_targets(name, None, self.world.scope, [TargetSpec(id="t", arn=self.queue)])
        await settle(30)

    async def minutes(self, count: float) -> None:
        await self.world.clock.advance(count * 60)
        await settle(60)

    async def fired(self) -> list[str]:
        return [event["resources"][0].rsplit("/", 1)[1] for event in await self.world.bodies(self.queue)]

    async def restart(self, down_minutes: float) -> None:
        await self.ticker.close()
        await self.world.stop()
        await self.world.clock.advance(down_minutes * 60)
        self.world = await self.world.again().start()
        await self.world.run()
        self.ticker = self.world.room.ticker()
        await self.ticker.open()
        await settle(60)


@pytest.fixture
async def timed(world: Any) -> AsyncIterator[Timed]:
    made = Timed(world)
    await made.begin()
    yield made
    await made.ticker.close()
    await made.world.stop()


async def test_a_rule_fires_for_the_first_time_after_one_period_with_aws_s_event(timed: Timed):
    await timed.rule(ScheduleExpression="rate(5 minutes)")
    await timed.minutes(4.9)
    assert await timed.fired() == []
    await timed.minutes(0.1)
    (event,) = await timed.world.bodies(timed.queue)
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
    assert (event["resources"], event["account"]) == ([RULE + "r"], "123456789012")
    await timed.minutes(10)
    assert await timed.fired() == ["r"] * 3


async def test_only_the_rule_that_is_due_fires_and_events_of_users_do_not_fire_it(timed: Timed):
    await timed.rule("often", ScheduleExpression="rate(1 minute)")
    await timed.rule("seldom", ScheduleExpression="rate(3 minutes)")
    await timed.world.put(timed.world.entry(), timed.world.entry(source="aws.events", kind="Scheduled Event"))
    for _ in range(3):
        await timed.minutes(1)
    assert sorted(await timed.fired()) == ["often", "often", "often", "seldom"]


async def test_a_rule_with_a_pattern_and_a_schedule_has_both(timed: Timed):
    await timed.rule(ScheduleExpression="rate(1 minute)", EventPattern='{"source":["shop"]}')
    await timed.world.put(timed.world.entry(), timed.world.entry(source="other"))
    await timed.minutes(1)
    assert [event["source"] for event in await timed.world.bodies(timed.queue)] == ["shop", "aws.events"]


async def test_a_disabled_rule_does_not_fire_and_begins_anew_when_it_is_enabled(timed: Timed):
    rules, scope = timed.world.room.rules, timed.world.scope
    await timed.rule(ScheduleExpression="rate(2 minutes)")
    await timed.minutes(1)
    await rules.set_state("r", None, scope, False)
    await timed.minutes(10)
    await rules.set_state("r", None, scope, True)
    await settle(30)
    await timed.minutes(1.5)
    assert await timed.fired() == []
    await timed.minutes(0.5)
    assert await timed.fired() == ["r"]


async def test_a_new_expression_is_in_force_at_once_and_a_deleted_rule_fires_no_more(timed: Timed):
    rules, scope = timed.world.room.rules, timed.world.scope
    await timed.rule(ScheduleExpression="rate(1 day)")
    await timed.rule(ScheduleExpression="rate(1 minute)")
    await timed.minutes(1)
    assert await timed.fired() == ["r"]
    await rules.remove_targets("r", None, scope, ["t"])
    await rules.delete("r", None, scope)
    await settle(30)
    await timed.minutes(5)
    assert await timed.fired() == ["r"]
    assert await timed.world.engine.records.list("schedule/") == []


async def test_a_restart_keeps_the_rhythm_and_makes_up_once_for_what_was_missed(timed: Timed):
    await timed.rule(ScheduleExpression="rate(10 minutes)")
    await timed.minutes(4)
    await timed.restart(down_minutes=3)
    assert await timed.fired() == []
    await timed.minutes(3)
    assert await timed.fired() == ["r"]
    await timed.restart(down_minutes=35)
    assert await timed.fired() == ["r", "r"]
    await timed.minutes(4.9)
    assert await timed.fired() == ["r", "r"]
    await timed.minutes(0.1)
    assert await timed.fired() == ["r", "r", "r"]


async def test_a_schedule_waits_for_a_full_disk_and_loses_nothing(timed: Timed, monkeypatch: pytest.MonkeyPatch):
    await timed.rule(ScheduleExpression="rate(1 minute)")
    engine: Engine = timed.world.engine

    async def full(*_: object) -> int:
        raise StorageFull("no room")

    with monkeypatch.context() as patched:
        patched.setattr(engine.journal, "append", full)
        await timed.minutes(1)
    assert await timed.fired() == []
    await timed.minutes(0.1)
    assert await timed.fired() == ["r"]


async def test_a_schedule_that_is_put_while_the_disk_is_full_begins_when_there_is_room(
    timed: Timed, monkeypatch: pytest.MonkeyPatch
):
    records, real = timed.world.engine.records, timed.world.engine.records.put

    async def full(key: str, *rest: Any) -> int:
        if key.startswith("schedule/"):
            raise StorageFull("no room")
        return await real(key, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(records, "put", full)
        await timed.rule(ScheduleExpression="rate(1 minute)")
    await timed.minutes(0.1)
    await timed.minutes(1)
    assert await timed.fired() == ["r"]


async def test_the_proof_holds_for_scheduled_rules(timed: Timed):
    await timed.rule(ScheduleExpression="rate(1 minute)")
    for _ in range(3):
        await timed.minutes(1)
    report = await verify(timed.world.engine, timed.world.clock)
    assert report.ok
    assert json.loads((await timed.world.items(timed.queue))[0].body)["time"].endswith("Z")
