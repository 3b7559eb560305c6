"""Targets that are not there are named, and those that are are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from busway.inspect.absent import problem_of
from busway.targets.aws_call import NOT_IN_DEVELOPMENT

from .conftest import Door
from .world import FUNCTION, SCOPE, World

MACHINE = SCOPE.arn("states", "stateMachine:ship")


async def test_the_status_names_each_target_that_gets_nothing(door: Door, world: World):
    await world.queue("there")
    for name in ("there", "gone"):
        await world.rule(name, {"source": ["shop"]}, SCOPE.arn("sqs", name))
    told = {rule["name"]: rule["targets"][0]["problem"] for rule in (await door.get("/_busway/status"))["rules"]}
    assert told == {"there": "", "gone": "there is no queue gone"}
    await world.queue("gone")
    told = {rule["name"]: rule["targets"][0]["problem"] for rule in (await door.get("/_busway/status"))["rules"]}
    assert told == {"there": "", "gone": ""}


async def test_every_kind_is_looked_for(door: Door, world: World):
    await world.buses.create("orders", SCOPE, {}, {})
    stream = await world.stream("log")
    there = (FUNCTION, FUNCTION + ":live", stream, SCOPE.arn("events", "event-bus/orders"), await world.queue("q"))
    assert [problem_of(door.inspection, arn) for arn in there] == [""] * len(there)
    assert [problem_of(door.inspection, arn + "x") for arn in (FUNCTION, *there[2:])] == [
        "there is no function mailx", "there is no stream logx", "there is no event bus ordersx",
        "there is no queue qx",
    ]  # fmt: skip


def test_a_topic_is_looked_for(door: Door):
    topic = SCOPE.arn("sns", "t")
    assert problem_of(door.inspection, topic) == "there is no topic t"
    assert problem_of(replace(door.inspection, topic_exists=topic.__eq__), topic) == ""


@pytest.mark.parametrize("closed", ["", NOT_IN_DEVELOPMENT])
async def test_of_jobs_only_what_stands_in_their_way_here_is_told(door: Door, world: World, closed: str):
    assert problem_of(replace(door.inspection, jobs_closed=closed), MACHINE) == closed
