"""A stream's records on their way to a function."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from busway.errors import FunctionThrottled
from busway.stream.hashing import HASH_MAX

from .mapping_world import FAILURES, FUNCTION, ROLE, SCOPE, STREAM, HandlerFailed, World, report

PAST = 1_699_999_000.0


def data(event: dict[str, Any]) -> list[str]:
    return [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]


def batches(world: World) -> list[list[str]]:
    return [data(event) for event in world.runner.events]


class Poisoned:
    """A handler that fails a batch with a poison record in it; `handled` are the records of those that went well."""

    def __init__(self, *poison: str) -> None:
        self.poison = set(poison)
        self.handled: list[str] = []

    async def __call__(self, event: dict[str, Any]) -> None:
        if self.poison & set(data(event)):
            raise HandlerFailed("poison")
        self.handled += data(event)


async def test_records_are_handed_over_in_order_with_awss_members(world: World):
    await world.stream()
    await world.map(STREAM)
    numbers = await world.put(("k", "one"), ("k", "two"))
    (event,) = world.runner.events
    assert event["Records"][0] == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": numbers[0], "data": "b25l",
            "approximateArrivalTimestamp": 1_700_000_000.0,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": f"shardId-000000000000:{numbers[0]}",
        "eventName": "aws:kinesis:record", "invokeIdentityArn": ROLE, "awsRegion": SCOPE.region,
        "eventSourceARN": STREAM,
    }  # fmt: skip
    assert data(event) == ["one", "two"]


async def test_trim_horizon_begins_with_what_is_there(world: World):
    await world.stream()
    await world.put(("k", "old"))
    await world.map(STREAM)
    assert batches(world) == [["old"]]


async def test_latest_begins_behind_what_is_there(world: World):
    await world.stream()
    await world.put(("k", "old"))
    await world.map(STREAM, position="LATEST")
    await world.put(("k", "new"))
    assert batches(world) == [["new"]]


async def test_latest_still_reads_all_of_a_shard_that_opens_later(world: World):
    await world.stream()
    await world.put(("k", "old"))
    await world.map(STREAM, position="LATEST", enabled=False)
    await world.streams.split(STREAM, "shardId-000000000000", HASH_MAX // 2)
    await world.put(("k", "new"))
    (record,) = world.mappings.find(SCOPE)
    await world.mappings.update(record.uuid, _enabled())
    await world.pass_time(3)
    assert batches(world) == [["new"]]


async def test_a_timestamp_begins_with_what_came_from_then_on(world: World):
    await world.stream()
    await world.put(("k", "old"))
    await world.pass_time(10, 1.0)
    at = world.clock.now()
    await world.put(("k", "new"))
    await world.map(STREAM, position="AT_TIMESTAMP", position_at=at)
    assert batches(world) == [["new"]]


async def test_a_timestamp_in_the_future_waits_for_it(world: World):
    await world.stream()
    await world.map(STREAM, position="AT_TIMESTAMP", position_at=world.clock.now() + 10)
    await world.put(("k", "early"))
    await world.pass_time(11, 1.0)
    await world.put(("k", "new"))
    assert batches(world) == [["new"]]


async def test_the_shard_waits_until_a_failed_batch_succeeds(world: World):
    await world.stream()
    handler = world.runner.handler = Poisoned("one")
    await world.map(STREAM)
    await world.put(("k", "one"))
    await world.put(("k", "two"))
    await world.pass_time(5)
    assert handler.handled == []
    handler.poison.clear()
    await world.pass_time(60, 1.0)
    assert handler.handled == ["one", "two"]


async def test_bisecting_finds_the_poison_and_tells_the_destination(world: World):
    await world.stream()
    await world.queue("failures")
    handler = world.runner.handler = Poisoned("3")
    await world.map(STREAM, bisect=True, retries_max=1, on_failure=FAILURES)
    numbers = await world.put(*(("k", str(n)) for n in range(6)))
    await world.pass_time(5)
    assert handler.handled == ["0", "1", "2", "4", "5"]
    (letter,) = world.letters.sent
    assert list(letter) == ["requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo"]
    assert letter["requestContext"]["functionArn"] == f"{FUNCTION}:$LATEST"
    assert letter["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert letter["requestContext"]["approximateInvokeCount"] == 2
    assert letter["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
    }  # fmt: skip
    assert letter["KinesisBatchInfo"] == {
        "shardId": "shardId-000000000000", "startSequenceNumber": numbers[3], "endSequenceNumber": numbers[3],
        "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20.000Z",
        "approximateArrivalOfLastRecord": "2023-11-14T22:13:20.000Z", "batchSize": 1, "streamArn": STREAM,
    }  # fmt: skip


async def test_a_report_moves_the_front_to_the_lowest_failure(world: World):
    await world.stream()
    failing = {"3", "2"}

    async def reporting(event: dict[str, Any]) -> Any:
        bad = [one for one in event["Records"] if base64.b64decode(one["kinesis"]["data"]).decode() in failing]
        return report(*(one["kinesis"]["sequenceNumber"] for one in reversed(bad)))

    world.runner.handler = reporting
    await world.map(STREAM, reports_failures=True)
    await world.put(*(("k", str(n)) for n in range(5)))
    await world.pass_time(0.1)
    failing.clear()
    await world.pass_time(2)
    assert batches(world) == [["0", "1", "2", "3", "4"], ["2", "3", "4"]]


async def test_records_too_old_for_the_mapping_are_given_up_untried(world: World):
    await world.stream()
    await world.queue("failures")
    await world.put(("k", "old"))
    await world.pass_time(70, 10.0)
    await world.put(("k", "new"))
    await world.map(STREAM, age_s_max=60, on_failure=FAILURES)
    await world.pass_time(0.1)
    assert batches(world) == [["new"]]
    (letter,) = world.letters.sent
    assert letter["requestContext"]["condition"] == "RecordAgeExceeded"
    assert letter["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in letter


async def test_a_destination_that_is_gone_does_not_stop_the_shard(world: World):
    await world.stream()
    await world.queue("failures")
    handler = world.runner.handler = Poisoned("bad")
    world.letters.gone = True
    await world.map(STREAM, batch_size=1, retries_max=0, on_failure=FAILURES)
    await world.put(("k", "bad"), ("k", "good"))
    await world.pass_time(1)
    assert handler.handled == ["good"]
    assert world.metrics.value("AWS/Lambda", "DestinationDeliveryFailures", FunctionName="handler") == 1


async def test_without_a_destination_what_is_given_up_leaves_a_note(world: World):
    await world.stream()
    world.runner.handler = Poisoned("bad")
    await world.map(STREAM, retries_max=0)
    await world.put(("k", "bad"))
    assert world.trail.recent(kind="dead-lettered")[0].facts["error_code"] == "RetryAttemptsExhausted"


async def test_unwanted_records_are_passed_over(world: World):
    await world.stream()
    await world.map(STREAM, filters=('{"data":{"kind":["a"]}}',))
    await world.put(("k", '{"kind":"b"}'), ("k", '{"kind":"a"}'), ("k", "plain"))
    assert batches(world) == [['{"kind":"a"}']]


async def test_a_filter_may_look_at_the_partition_key(world: World):
    await world.stream()
    await world.map(STREAM, filters=('{"partitionKey":["b"]}',))
    await world.put(("a", "1"), ("b", "2"))
    assert batches(world) == [["2"]]


async def test_children_wait_for_their_parents(world: World):
    await world.stream()
    handler = world.runner.handler = Poisoned("1")
    await world.map(STREAM)
    await world.put(("k", "1"))
    await world.streams.split(STREAM, "shardId-000000000000", HASH_MAX // 2)
    await world.put(("k", "2"), ("j", "3"))
    await world.pass_time(5)
    assert handler.handled == []
    handler.poison.clear()
    await world.pass_time(20)
    assert handler.handled[0] == "1"
    assert sorted(handler.handled) == ["1", "2", "3"]


async def test_a_merged_shard_waits_for_both_its_parents(world: World):
    await world.stream(2)
    handler = world.runner.handler = Poisoned("stuck")
    await world.map(STREAM)
    await world.put(("a", "1"), ("b", "2"), ("c", "stuck"), ("d", "4"))
    await world.streams.merge(STREAM, "shardId-000000000000", "shardId-000000000001")
    await world.put(("a", "5"))
    await world.pass_time(5)
    assert "5" not in handler.handled
    handler.poison.clear()
    await world.pass_time(20)
    assert sorted(handler.handled) == ["1", "2", "4", "5", "stuck"]


async def test_several_lanes_run_beside_each_other_and_keys_keep_their_order(world: World):
    await world.stream()
    stuck = asyncio.Event()
    handled: list[str] = []

    async def one_is_slow(event: dict[str, Any]) -> None:
        if "slow-0" in data(event):
            await stuck.wait()
        handled.extend(data(event))

    world.runner.handler = one_is_slow
    record = await world.map(STREAM, lanes=10, batch_size=1)
    keys = ["slow", *(f"key-{n}" for n in range(7))]
    await world.put(*((key, f"{key}-{n}") for n in range(2) for key in keys))
    await world.pass_time(1)
    assert handled
    assert "slow-1" not in handled
    shard = world.streams.shards(STREAM)[0]
    assert await world.engine.journal.position(shard.journal, record.uuid) == 0
    stuck.set()
    await world.pass_time(1)
    assert sorted(handled) == sorted(f"{key}-{n}" for n in range(2) for key in keys)
    assert all(handled.index(f"{key}-0") < handled.index(f"{key}-1") for key in keys)


async def test_what_is_finished_is_not_repeated_after_a_restart(world: World):
    await world.stream()
    await world.map(STREAM)
    await world.put(("k", "one"))
    await world.restart()
    await world.put(("k", "two"))
    assert batches(world) == [["one"], ["two"]]


async def test_what_was_in_flight_comes_again_after_a_restart(world: World):
    await world.stream()
    handler = world.runner.handler = Poisoned("one")
    await world.map(STREAM)
    await world.put(("k", "one"))
    await world.restart()
    handler.poison.clear()
    await world.pass_time(2)
    assert handler.handled == ["one"]


async def test_a_throttle_does_not_use_up_retries(world: World):
    await world.stream()
    await world.map(STREAM, retries_max=0)
    world.runner.refuse = FunctionThrottled("ReservedFunctionConcurrentInvocationLimitExceeded")
    await world.put(("k", "one"))
    await world.pass_time(3)
    world.runner.refuse = None
    await world.pass_time(10)
    assert batches(world) == [["one"]]


async def test_a_window_gathers_records(world: World):
    await world.stream()
    await world.map(STREAM, window_s=5)
    await world.put(("k", "one"))
    await world.pass_time(2)
    await world.put(("k", "two"))
    assert batches(world) == []
    await world.pass_time(4)
    assert batches(world) == [["one", "two"]]


async def test_the_age_of_the_last_record_is_measured(world: World):
    await world.stream()
    await world.put(("k", "one"))
    await world.pass_time(30, 10.0)
    await world.map(STREAM)
    assert world.metrics.value("AWS/Lambda", "IteratorAge", FunctionName="handler") == 30_000


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(world: World):
    await world.stream()
    await world.map(STREAM)
    await world.put(("k", "one"))
    await world.streams.delete(STREAM)
    await world.pass_time(2)
    await world.stream()
    await world.put(("k", "two"))
    await world.pass_time(2)
    assert batches(world) == [["one"], ["two"]]


async def test_a_failed_batch_is_noted_with_the_events_in_it(world: World):
    await world.stream()
    event = '{"id":"e-1","source":"shop","detail-type":"Order","detail":{}}'
    world.runner.handler = Poisoned(event)
    await world.map(STREAM, retries_max=0)
    await world.put(("k", event))
    (step,) = world.trail.recent(kind="attempt")
    assert world.trail.recent(kind="attempt", event_id="e-1") == [step]
    assert [lost.kind for lost in world.trail.recent(event_id="e-1")] == ["attempt", "dead-lettered"]
    assert step.facts["error_message"] == "poison"
    assert step.facts["records"] == 1


def _enabled() -> Any:
    from busway.function.mapping.record import MappingChange

    return MappingChange(enabled=True)
