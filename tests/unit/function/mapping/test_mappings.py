"""Mappings themselves: what they may be, their states, and what outlives a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from busway.clock import settle
from busway.errors import (
    FunctionConflict,
    FunctionFeatureNotBuilt,
    FunctionResourceNotFound,
    InvalidFunction,
    MappingInUse,
)
from busway.function.mapping.record import MappingChange, NewMapping
from busway.queue.message import Outgoing

from .mapping_world import FAILURES, FUNCTION, QUEUE, SCOPE, STREAM, World

FIFO = SCOPE.arn("sqs", "orders.fifo")


def new(source: str, **change: Any) -> NewMapping:
    position = change.pop("position", None)
    position_at = change.pop("position_at", None)
    function = change.pop("function_arn", FUNCTION)
    return NewMapping(
        source_arn=source, change=MappingChange(function_arn=function, **change), position=position,
        position_at=position_at,
    )  # fmt: skip


@pytest.fixture
async def sources(world: World) -> World:
    await world.queue()
    await world.queue("failures")
    await world.queue("orders.fifo", FifoQueue="true")
    await world.stream()
    return world


async def test_defaults_are_those_of_the_source(sources: World):
    queue, stream = await sources.map(), await sources.map(STREAM)
    assert (queue.batch_size, queue.window_s) == (10, 0)
    assert (stream.batch_size, stream.retries_max, stream.age_s_max, stream.lanes) == (100, -1, -1, 1)


HORIZON = {"position": "TRIM_HORIZON"}


@pytest.mark.parametrize(
    ("source", "change", "words"),
    [
        (
            QUEUE,
            {"batch_size": 11},
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is",
        ),
        (FIFO, {"batch_size": 11}, "must not exceed 10"),
        (FIFO, {"window_s": 1}, "Batching window is not supported for FIFO queues"),
        (QUEUE, {"on_failure": FAILURES}, "Unsupported DestinationConfig parameter for given event source mapping"),
        (QUEUE, {"bisect": True}, "Unsupported BisectBatchOnFunctionError parameter"),
        (QUEUE, {"lanes": 2}, "Unsupported ParallelizationFactor parameter"),
        (QUEUE, {"retries_max": 2}, "Unsupported MaximumRetryAttempts parameter"),
        (QUEUE, HORIZON, "StartingPosition is not valid for SQS event sources."),
        (STREAM, {}, "Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."),
        (STREAM, {**HORIZON, "position_at": 1.0}, "Timestamp only valid with StartingPosition AT_TIMESTAMP"),
        (STREAM, {"position": "AT_TIMESTAMP"}, "Unsupported starting position"),
        (STREAM, {"position": "AT_TIMESTAMP", "position_at": -1.0}, "can not be converted to a Timestamp"),
        (STREAM, {**HORIZON, "concurrency_max": 2}, "Unsupported ScalingConfig parameter"),
        (STREAM, {**HORIZON, "age_s_max": 59}, "wanted -1 or 60 to 604800"),
        (STREAM, {**HORIZON, "on_failure": SCOPE.arn("sqs", "nobody")}, "there is no such queue"),
        (STREAM, {**HORIZON, "on_failure": FUNCTION}, "The destination ARN .* is invalid"),
        (STREAM, {**HORIZON, "filters": ("{",)}, "Invalid filter pattern definition"),
        (SCOPE.arn("sqs", "nobody"), {}, "AWS.SimpleQueueService.NonExistentQueue"),
        (SCOPE.arn("kinesis", "stream/nobody"), HORIZON, "Stream not found"),
        (SCOPE.arn("sns", "topic"), {}, "Unrecognized event source"),
        ("", {}, "Unrecognized event source"),
        (QUEUE, {"function_arn": f"{FUNCTION}-2"}, "Function does not exist"),
    ],
)
async def test_what_a_mapping_cannot_be_is_refused_in_awss_words(
    sources: World, source: str, change: dict[str, Any], words: str
):
    with pytest.raises(InvalidFunction, match=words):
        await sources.mappings.create(new(source, **change))
    assert sources.mappings.find(SCOPE) == []


@pytest.mark.parametrize(
    ("source", "change"),
    [
        (SCOPE.arn("dynamodb", "table/t/stream/1"), {}),
        (SCOPE.arn("kinesis", "stream/orders/consumer/c:1"), HORIZON),
        (STREAM, {**HORIZON, "on_failure": SCOPE.arn("sns", "topic")}),
    ],
)
async def test_what_aws_has_and_busway_has_not_is_said(sources: World, source: str, change: dict[str, Any]):
    with pytest.raises(FunctionFeatureNotBuilt):
        await sources.mappings.create(new(source, **change))


async def test_a_queue_must_hide_messages_for_as_long_as_the_function_may_run(world: World):
    await world.queue(VisibilityTimeout="2")
    with pytest.raises(InvalidFunction) as refused:
        await world.map()
    text = "Queue visibility timeout: 2 seconds is less than Function timeout: 3 seconds"
    assert str(refused.value) == text


async def test_a_function_has_one_mapping_of_a_source(sources: World):
    record = await sources.map()
    with pytest.raises(FunctionConflict, match=f"already exists. .* with UUID {record.uuid}$"):
        await sources.map()


async def test_a_mapping_is_creating_until_it_polls(world: World):
    await world.queue()
    record = await world.mappings.create(new(QUEUE))
    assert world.mappings.state(record.uuid) == "Creating"
    await settle()
    assert world.mappings.state(record.uuid) == "Enabled"


@pytest.mark.parametrize(("enabled", "states"), [(False, ("Disabling", "Disabled")), (True, ("Updating", "Enabled"))])
async def test_an_update_says_what_it_is_doing(world: World, enabled: bool, states: tuple[str, str]):
    await world.queue()
    record = await world.map()
    await world.mappings.update(record.uuid, MappingChange(enabled=enabled, batch_size=5))
    assert world.mappings.state(record.uuid) == states[0]
    await world.pass_time(0.5)
    assert world.mappings.state(record.uuid) == states[1]
    assert world.mappings.need(record.uuid).batch_size == 5


async def test_a_disabled_mapping_takes_nothing_until_it_is_enabled(world: World):
    await world.queue()
    record = await world.map(enabled=False)
    assert world.mappings.state(record.uuid) == "Disabled"
    await world.send("one")
    assert world.runner.events == []
    await world.mappings.update(record.uuid, MappingChange(enabled=True))
    assert world.mappings.state(record.uuid) == "Enabling"
    await world.pass_time(0.5)
    assert len(world.runner.events) == 1


async def test_a_change_waits_for_the_batch_under_way(world: World):
    await world.queue()
    done = asyncio.Event()

    async def wait(_: dict[str, Any]) -> None:
        await done.wait()

    world.runner.handler = wait
    record = await world.map()
    await world.send("one")
    await world.mappings.delete(record.uuid)
    await world.pass_time(1)
    assert world.mappings.state(record.uuid) == "Deleting"
    for change in (world.mappings.update(record.uuid, MappingChange()), world.mappings.delete(record.uuid)):
        with pytest.raises(MappingInUse):
            await change
    done.set()
    await world.pass_time(1)
    with pytest.raises(FunctionResourceNotFound):
        world.mappings.need(record.uuid)
    assert await world.left() == 0


async def test_an_update_that_is_refused_changes_nothing(sources: World):
    record = await sources.map()
    with pytest.raises(InvalidFunction):
        await sources.mappings.update(record.uuid, MappingChange(batch_size=11))
    assert sources.mappings.need(record.uuid) == record
    assert sources.mappings.state(record.uuid) == "Enabled"


async def test_a_destination_and_filters_can_be_taken_away(sources: World):
    record = await sources.map(STREAM, on_failure=FAILURES, filters=('{"data":["a"]}',))
    await sources.mappings.update(record.uuid, MappingChange(on_failure="", filters=()))
    changed = sources.mappings.need(record.uuid)
    assert (changed.on_failure, changed.filters) == (None, ())


async def test_mappings_outlive_a_restart(sources: World):
    queue, stream = (
        await sources.map(),
        await sources.map(STREAM, enabled=False, lanes=3, filters=('{"data":["a"]}',)),
    )
    await sources.restart()
    assert sources.mappings.need(queue.uuid) == queue
    assert sources.mappings.need(stream.uuid) == stream
    assert sources.mappings.state(stream.uuid) == "Disabled"


async def test_a_delete_that_was_cut_short_is_finished_at_the_next_start(world: World):
    await world.queue()
    done = asyncio.Event()

    async def wait(_: dict[str, Any]) -> None:
        await done.wait()

    world.runner.handler = wait
    record = await world.map()
    await world.send("one")
    await world.mappings.delete(record.uuid)
    await world.restart()
    assert world.mappings.find(SCOPE) == []
    assert await world.engine.records.list("mapping") == []


async def test_mappings_are_found_by_function_and_source(sources: World):
    queue, stream = await sources.map(), await sources.map(STREAM)
    find = sources.mappings.find
    assert {one.uuid for one in find(SCOPE)} == {queue.uuid, stream.uuid}
    assert find(SCOPE, source_arn=QUEUE) == [queue]
    assert len(find(SCOPE, function_arn=FUNCTION)) == 2
    assert find(SCOPE, function_arn=f"{FUNCTION}:1") == []


async def test_the_last_result_says_how_the_newest_batch_went(world: World):
    await world.queue()
    record = await world.map()
    assert world.mappings.last_result(record.uuid) == "No records processed"
    await world.send("one")
    assert world.mappings.last_result(record.uuid) == "OK"


async def test_tags_are_put_and_taken_away(world: World):
    await world.queue()
    record = await world.map()
    await world.mappings.tag(record.uuid, {"a": "1", "b": "2"})
    await world.mappings.untag(record.uuid, {"a"})
    assert world.mappings.need(record.uuid).tags == {"b": "2"}


@pytest.mark.parametrize("source", [QUEUE, STREAM])
async def test_mappings_are_idle_when_only_time_or_news_gives_them_something_to_do(sources: World, source: str):
    world, finish = sources, asyncio.Event()

    async def until_finished(_: dict[str, Any]) -> None:
        await finish.wait()

    async def idle(after_turns: int = 30) -> bool:
        await settle(after_turns)
        return await world.mappings.idle()

    world.runner.handler = until_finished
    await world.mappings.create(new(source, window_s=5, position="TRIM_HORIZON" if source == STREAM else None))
    assert not await idle(after_turns=0)
    assert await idle()
    if source == STREAM:
        await world.streams.put_record(STREAM, b"one", "k")
    else:
        await world.queues.send(QUEUE, [Outgoing("one")], SCOPE.account)
    assert not await idle(after_turns=0)
    assert await idle()
    await world.clock.advance(5)
    assert not await idle()
    finish.set()
    assert await idle()
