"""Topics and functions as actions of alarms: who is told of which move, and of what; no death loses or doubles it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.unit.alarm.test_evaluator import ARN, OUTBOX, ROUTE, SCOPE, World, lived_through, settings

from busway.alarm.event import lambda_event
from busway.alarm.notice import subject_of
from busway.alarm.record import AlarmQuery, AlarmRecord, check, untold
from busway.alarm.region_names import region_name
from busway.alarm.state import ALARM, INSUFFICIENT_DATA, OK, Decision
from busway.errors import AlarmFeatureNotBuilt

TOPIC = SCOPE.arn("sns", "on-call")
FUNCTION = SCOPE.arn("lambda", "function:page:live")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.open()
    yield made
    await made.close()


async def put(world: World, **changes: object) -> None:
    told: dict[str, object] = {"alarm_actions": (TOPIC,), "ok_actions": (TOPIC,), **changes}
    await world.alarms.put(SCOPE, settings(**told), {})


async def move(world: World, state: str) -> list[dict[str, Any]]:
    """Set the state by hand; the deliveries that it made, which are then over."""
    await world.evaluator.set_state(ARN, Decision(state, f"to {state}"))
    return [msgspec.json.decode(item.body) for item in await world.deliver()]


def targets(deliveries: list[dict[str, Any]]) -> list[str]:
    return [delivery["target_arn"] for delivery in deliveries]


async def test_a_topic_is_told_of_every_move_also_to_ok_at_first_and_twice_to_the_same_state(world: World):
    await put(world)
    assert [targets(await move(world, state)) for state in (OK, ALARM, INSUFFICIENT_DATA, ALARM, OK)] == [
        [TOPIC], [TOPIC], [], [TOPIC], [TOPIC],
    ]  # fmt: skip


async def test_a_topic_is_not_told_of_a_state_that_was_there_before_it(world: World):
    await put(world, alarm_actions=(), ok_actions=())
    await move(world, ALARM)
    await world.clock.advance(1)
    await put(world)
    record = world.alarms.get(ARN)
    assert record is not None and untold(record) == []
    assert targets(await move(world, OK)) == [TOPIC]


async def test_a_state_that_is_set_once_more_tells_nobody(world: World):
    await put(world)
    assert [targets(await move(world, ALARM)) for _ in range(2)] == [[TOPIC], []]


async def test_a_new_alarm_tells_its_topic_nothing(world: World):
    await put(world, insufficient_data_actions=(TOPIC,))
    record = world.alarms.get(ARN)
    assert record is not None and untold(record) == []


async def test_a_topic_gets_the_subject_and_a_function_its_own_event(world: World):
    await put(world, alarm_actions=(TOPIC, FUNCTION, ROUTE))
    deliveries = {delivery["target_arn"]: delivery for delivery in await move(world, ALARM)}
    assert deliveries[TOPIC]["parameters"] == {"Subject": 'ALARM: "mail-dlq-not-empty" in US East (N. Virginia)'}
    assert "parameters" not in deliveries[FUNCTION]
    assert "parameters" not in deliveries[ROUTE]
    told = {
        arn: json.loads(msgspec.json.decode(msgspec.json.encode(one["payload"]), type=bytes))
        for arn, one in deliveries.items()
    }
    assert told[TOPIC] == told[ROUTE]
    assert told[TOPIC]["NewStateValue"] == ALARM
    assert told[FUNCTION]["alarmData"]["state"]["reason"] == "to ALARM"


async def test_a_function_is_invoked_for_the_next_state_while_it_has_the_last(world: World):
    await put(world, alarm_actions=(FUNCTION,), ok_actions=(FUNCTION,))
    for state in (ALARM, OK):
        await world.evaluator.set_state(ARN, Decision(state, "x"))
    assert len(await world.engine.queues.browse(OUTBOX, 10)) == 2


@pytest.mark.parametrize("action", [TOPIC, FUNCTION])
@pytest.mark.parametrize("death", [1, -1, 2, -2, 3, -3])
async def test_a_death_at_any_write_neither_loses_nor_doubles_what_an_action_is_told(death: int, action: str):
    world = World()
    await world.open()
    await put(world, alarm_actions=(action,), ok_actions=())
    await world.evaluator.evaluate()
    await world.fail()
    assert await lived_through(world, death) > 0
    await world.reopen()
    for _ in range(2):
        await world.evaluator.evaluate()
    deliveries = [msgspec.json.decode(item.body) for item in await world.deliver()]
    assert targets(deliveries) == [action]
    await world.close()


def test_the_event_of_a_function_has_the_shape_of_cloudwatchs_page():
    queries = (
        AlarmQuery(id="rate", expression="errors / calls", label="Rate"),
        AlarmQuery(id="errors", namespace="n", metric_name="m", dimensions={"d": "v"}, statistic="Sum", period_s=60,
                   returns=False),
    )  # fmt: skip
    record = AlarmRecord(arn=ARN, settings=settings(queries=queries, description="d"), generation="g", updated_at=0.0)
    record = record.moved(Decision(OK, "fine"), 1.0).moved(Decision(ALARM, "test"), 2.5, "{}")
    assert json.loads(lambda_event(record)) == {
        "source": "aws.cloudwatch",
        "alarmArn": ARN,
        "accountId": SCOPE.account,
        "time": "1970-01-01T00:00:02.500+0000",
        "region": SCOPE.region,
        "alarmData": {
            "alarmName": "mail-dlq-not-empty",
            "state": {
                "value": "ALARM", "reason": "test", "reasonData": "{}", "timestamp": "1970-01-01T00:00:02.500+0000",
            },
            "previousState": {"value": "OK", "reason": "fine", "timestamp": "1970-01-01T00:00:01.000+0000"},
            "configuration": {
                "description": "d",
                "metrics": [
                    {"id": "rate", "expression": "errors / calls", "label": "Rate", "returnData": True},
                    {
                        "id": "errors",
                        "metricStat": {
                            "metric": {"namespace": "n", "name": "m", "dimensions": {"d": "v"}},
                            "period": 60, "stat": "Sum",
                        },
                        "returnData": False,
                    },
                ],
            },
        },
    }  # fmt: skip


def test_a_subject_fits_and_names_the_region_as_cloudwatch_does():
    assert region_name("eu-west-1") == "Europe (Ireland)"
    assert region_name("here-1") == "here-1"
    assert len(subject_of("n" * 255, ALARM, "us-east-1")) == 99


@pytest.mark.parametrize("action", [TOPIC, ROUTE, FUNCTION])
def test_topics_routes_and_functions_are_actions(action: str):
    check(settings(alarm_actions=(action,)))


@pytest.mark.parametrize("action", ["x", TOPIC + ":6a", SCOPE.arn("lambda", "layer:x"), SCOPE.arn("sqs", "q")])
def test_nothing_else_is_an_action(action: str):
    with pytest.raises(AlarmFeatureNotBuilt, match="only SNS topics, Lambda functions and alert routes"):
        check(settings(ok_actions=(action,)))
