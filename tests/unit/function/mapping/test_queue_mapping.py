"""A queue's messages on their way to a function."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from busway.clock import settle
from busway.errors import FunctionThrottled
from busway.queue.message import AttributeValue, Outgoing

from .mapping_world import FAILURES, FUNCTION, QUEUE, SCOPE, HandlerFailed, World, all_bodies, bodies, report


async def test_a_message_is_handed_over_and_deleted(world: World):
    await world.queue()
    await world.map()
    await world.send("one")
    assert all_bodies(world.runner.events) == ["one"]
    assert await world.left() == 0


async def test_a_record_has_awss_members(world: World):
    await world.queue()
    await world.map()
    attributes = {"kind": AttributeValue("String", text="a"), "raw": AttributeValue("Binary", binary=b"\1")}
    await world.queues.send(QUEUE, [Outgoing("one", attributes=attributes, trace_header="Root=1-a")], SCOPE.account)
    await settle(30)
    ((record,),) = [event["Records"] for event in world.runner.events]
    assert list(record) == [
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfMessageAttributes",
        "md5OfBody", "eventSource", "eventSourceARN", "awsRegion",
    ]  # fmt: skip
    assert record["attributes"] == {
        "ApproximateReceiveCount": "1", "SentTimestamp": "1700000000000", "SenderId": SCOPE.account,
        "ApproximateFirstReceiveTimestamp": "1700000000000", "AWSTraceHeader": "Root=1-a",
    }  # fmt: skip
    assert record["messageAttributes"] == {
        "kind": {"stringValue": "a", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "raw": {"binaryValue": "AQ==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }
    assert record["md5OfBody"] == "f97c5d29941bfb1b2fdab0874906ab82"
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", QUEUE, SCOPE.region)


async def test_a_failed_batch_comes_again_after_the_visibility_timeout(world: World):
    await world.queue(VisibilityTimeout="30")
    await world.map()
    attempts: list[str] = []

    async def fail_once(event: dict[str, Any]) -> None:
        attempts.append(event["Records"][0]["attributes"]["ApproximateReceiveCount"])
        if len(attempts) == 1:
            raise HandlerFailed

    world.runner.handler = fail_once
    await world.send("one")
    await world.pass_time(29, 1.0)
    assert attempts == ["1"]
    assert await world.left() == 1
    await world.pass_time(2, 1.0)
    assert attempts == ["1", "2"]
    assert await world.left() == 0


async def test_only_the_reported_messages_stay(world: World):
    await world.queue()

    async def second_fails(event: dict[str, Any]) -> Any:
        return report(*(one["messageId"] for one in event["Records"] if one["body"] == "two"))

    world.runner.handler = second_fails
    await world.send("one", "two", "three")
    await world.map(reports_failures=True)
    assert await world.left() == 1
    await world.pass_time(31, 1.0)
    assert all_bodies(world.runner.events) == ["one", "two", "three", "two"]


async def test_a_report_is_ignored_where_it_was_not_asked_for(world: World):
    await world.queue()

    async def everything_fails(event: dict[str, Any]) -> Any:
        return report(*(one["messageId"] for one in event["Records"]))

    world.runner.handler = everything_fails
    await world.map()
    await world.send("one")
    assert await world.left() == 0


async def test_a_failed_batch_without_a_readable_report_stays_whole(world: World):
    await world.queue()

    async def unknown(_: dict[str, Any]) -> Any:
        return report("nobody")

    world.runner.handler = unknown
    await world.map(reports_failures=True)
    await world.send("one", "two")
    assert await world.left() == 2


async def test_a_poison_message_ends_in_the_dead_letter_queue(world: World):
    await world.queue("failures")
    await world.queue(
        VisibilityTimeout="3", RedrivePolicy=f'{{"deadLetterTargetArn":"{FAILURES}","maxReceiveCount":2}}'
    )

    async def fail(_: dict[str, Any]) -> None:
        raise HandlerFailed

    world.runner.handler = fail
    await world.map()
    await world.send("one")
    await world.pass_time(10, 0.5)
    assert len(world.runner.events) == 2
    assert await world.left(FAILURES) == 1


async def test_without_a_window_what_is_there_goes_at_once(world: World):
    await world.queue()
    await world.send("one", "two")
    await world.map(batch_size=10)
    assert [bodies(event) for event in world.runner.events] == [["one", "two"]]


async def test_a_window_gathers_until_it_is_over(world: World):
    await world.queue()
    await world.map(batch_size=100, window_s=5)
    await world.send("one")
    await world.pass_time(3)
    await world.send("two")
    assert world.runner.events == []
    await world.pass_time(3)
    assert [bodies(event) for event in world.runner.events] == [["one", "two"]]


async def test_a_full_batch_does_not_wait_for_its_window(world: World):
    await world.queue()
    await world.map(batch_size=20, window_s=300)
    for tens in range(3):
        await world.send(*(str(10 * tens + n) for n in range(10)))
    await world.pass_time(1)
    assert [len(bodies(event)) for event in world.runner.events] == [20]
    assert await world.left() == 10


async def test_a_batch_ends_where_a_function_could_take_no_more(world: World):
    await world.queue()
    for _ in range(4):
        await world.send(*("x" * 1_000_000 for _ in range(2)))
    await world.map(batch_size=100, window_s=1)
    await world.pass_time(3)
    assert [len(bodies(event)) for event in world.runner.events] == [6, 2]
    assert await world.left() == 0


async def test_unwanted_messages_are_deleted_unseen(world: World):
    await world.queue()
    await world.map(filters=('{"body":{"kind":["a"]}}',))
    await world.send('{"kind":"a"}', '{"kind":"b"}', "plain")
    assert all_bodies(world.runner.events) == ['{"kind":"a"}']
    assert await world.left() == 0


async def test_throttled_messages_come_again_soon_and_are_not_taken_for_failed(world: World):
    await world.queue("failures")
    await world.queue(RedrivePolicy=f'{{"deadLetterTargetArn":"{FAILURES}","maxReceiveCount":1}}')
    await world.map()
    world.runner.refuse = FunctionThrottled("ReservedFunctionConcurrentInvocationLimitExceeded")
    await world.send("one")
    await world.pass_time(5)
    world.runner.refuse = None
    await world.pass_time(15)
    assert all_bodies(world.runner.events) == ["one"]
    assert world.runner.events[0]["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert await world.left(FAILURES) == 0


async def test_messages_stay_hidden_while_their_function_runs(world: World):
    await world.queue(VisibilityTimeout="5")
    done = asyncio.Event()

    async def long_work(_: dict[str, Any]) -> None:
        await done.wait()

    world.runner.handler = long_work
    await world.map()
    await world.send("one")
    await world.pass_time(20, 0.5)
    assert len(world.runner.events) == 1
    done.set()
    await world.pass_time(0.2)
    assert await world.left() == 0


@pytest.mark.parametrize(("asked", "places", "expected"), [(2, 100, 2), (None, 3, 3), (None, 0, 1)])
async def test_as_many_batches_run_as_there_is_room_for(world: World, asked: int | None, places: int, expected: int):
    await world.queue()
    done = asyncio.Event()

    async def wait(_: dict[str, Any]) -> None:
        await done.wait()

    world.runner.handler, world.runner.places = wait, places
    await world.map(batch_size=1, concurrency_max=asked)
    await world.send(*(str(n) for n in range(8)))
    await world.pass_time(2)
    assert len(world.runner.events) == expected
    done.set()
    await world.pass_time(2)
    assert sorted(all_bodies(world.runner.events)) == [str(n) for n in range(8)]


async def test_two_mappings_share_a_queue(world: World):
    await world.queue()
    await world.map()
    await world.send("one")
    await world.restart()
    await world.send("two")
    assert all_bodies(world.runner.events) == ["one", "two"]


async def test_a_stopped_mapping_puts_back_what_waits_for_its_window(world: World):
    await world.queue()
    record = await world.map(batch_size=100, window_s=300)
    await world.send("one")
    await world.mappings.delete(record.uuid)
    await world.pass_time(2)
    received = await world.queues.receive(QUEUE, 10)
    assert [one.receive_count for one in received] == [1]


async def test_a_queue_that_went_away_and_came_back_is_polled_again(world: World):
    await world.queue()
    record = await world.map()
    await world.queues.delete(QUEUE)
    await world.queue()
    await world.pass_time(2)
    await world.send("one")
    await world.pass_time(2)
    assert all_bodies(world.runner.events) == ["one"]
    assert world.mappings.last_result(record.uuid) == "OK"


async def test_messages_wait_for_a_function_that_is_gone(world: World):
    await world.queue()
    record = await world.map()
    world.runner.known = False
    await world.send("one")
    assert world.mappings.last_result(record.uuid) == f"PROBLEM: Function not found: {FUNCTION}"
    world.runner.known = True
    await world.pass_time(5)
    assert all_bodies(world.runner.events) == ["one"]


# --- FIFO ---

FIFO = SCOPE.arn("sqs", "orders.fifo")


async def fifo(world: World) -> None:
    await world.queue("orders.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="10")


async def send_to(world: World, group: str, *texts: str) -> None:
    for text in texts:
        await world.queues.send(FIFO, [Outgoing(text, group_id=group)], SCOPE.account)


async def test_one_batch_of_a_group_runs_at_a_time(world: World):
    await fifo(world)
    done = asyncio.Event()

    async def wait(_: dict[str, Any]) -> None:
        await done.wait()

    world.runner.handler = wait
    await world.map(FIFO, batch_size=2)
    await send_to(world, "a", "1", "2", "3")
    await send_to(world, "b", "4")
    await world.pass_time(1)
    running = all_bodies(world.runner.events)
    assert "3" not in running
    done.set()
    await world.pass_time(2)
    in_a = [body for body in all_bodies(world.runner.events) if body != "4"]
    assert in_a == ["1", "2", "3"]
    assert await world.left(FIFO) == 0


async def test_a_failed_group_keeps_its_order_and_others_go_on(world: World):
    await fifo(world)
    failing = {"2"}
    handled: list[str] = []

    async def stop_at_a_failure(event: dict[str, Any]) -> Any:
        failed: list[str] = []
        for one in event["Records"]:
            if failed or one["body"] in failing:
                failed.append(one["messageId"])
            else:
                handled.append(one["body"])
        return report(*failed)

    world.runner.handler = stop_at_a_failure
    await world.map(FIFO, batch_size=10, reports_failures=True)
    await send_to(world, "a", "1", "2", "3")
    await world.pass_time(2)
    await send_to(world, "b", "4")
    await world.pass_time(2)
    assert sorted(handled) == ["1", "4"]
    failing.clear()
    await world.pass_time(12, 0.5)
    assert [body for body in handled if body != "4"] == ["1", "2", "3"]


async def test_a_fifo_record_says_its_group_and_place(world: World):
    await fifo(world)
    await world.map(FIFO)
    await send_to(world, "a", "1")
    await world.pass_time(1)
    attributes = world.runner.events[0]["Records"][0]["attributes"]
    assert attributes["MessageGroupId"] == "a"
    assert attributes["SequenceNumber"].isdigit()
    assert len(attributes["MessageDeduplicationId"]) == 64
