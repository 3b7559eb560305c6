"""What `why` tells of an event behind a stream or a queue."""

from __future__ import annotations

import json
from typing import Any

from busway.bus.record import TargetSpec

from ..function.mapping.mapping_world import HandlerFailed
from .conftest import Door
from .world import READER, ROLE, SCOPE, World


async def refuse(_: dict[str, Any]) -> None:
    raise HandlerFailed("no SMTP server")


async def consumer_of(door: Door, event_id: str) -> dict[str, Any]:
    """What the one mapping made of it."""
    (delivery,) = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert delivery["state"] in ("delivered", "dead-lettered")
    (consumer,) = delivery["consumers"]
    return consumer


async def test_an_event_is_followed_through_a_stream_to_the_batch_that_took_it(door: Door, world: World):
    stream = await world.stream("orders")
    await world.rule("copy", {"source": ["shop"]}, stream)
    mapping = await world.map(stream)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(1)
    consumer = await consumer_of(door, event_id)
    assert (consumer["mapping"], consumer["function"], consumer["state"]) == (mapping.uuid, READER, "delivered")
    assert consumer["attempts"] == 1
    assert consumer["request_id"]
    assert [batch["outcome"] for batch in consumer["batches"]] == ["delivered"]


async def test_an_event_whose_data_was_transformed_is_found_by_its_key(door: Door, world: World):
    stream = await world.stream("orders")
    await world.rule("copy", {"source": ["shop"]})
    await world.rules.put_targets(
        "copy", None, SCOPE, [TargetSpec(id="t", arn=stream, role_arn=ROLE, input_path="$.detail")]
    )
    await world.map(stream)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(1)
    assert (await consumer_of(door, event_id))["state"] == "delivered"


async def test_a_bisected_event_that_was_given_up_tells_each_batch_and_where_its_letter_lies(
    door: Door, world: World
):
    stream, failures = await world.stream("orders"), await world.queue("failures")
    await world.rule("copy", {"source": ["shop"]}, stream)

    async def refuse_second(event: dict[str, Any]) -> None:
        if any(record["kinesis"]["partitionKey"] == ids[1] for record in event["Records"]):
            raise HandlerFailed("no SMTP server")

    world.runner.handler = refuse_second
    ids = await world.put({"n": 1}, {"n": 2})
    await world.pass_time(1)
    await world.map(stream, bisect=True, retries_max=1, on_failure=failures)
    await world.pass_time(3)
    consumer = await consumer_of(door, ids[1])
    assert [batch["outcome"] for batch in consumer["batches"]] == ["bisected", "failed", "given up"]
    assert (consumer["state"], consumer["dead_letter_queue"]) == ("dead-lettered", failures)
    assert (consumer["error_code"], consumer["error_message"]) == ("HandlerFailed", "no SMTP server")
    other = await consumer_of(door, ids[0])
    assert [batch["outcome"] for batch in other["batches"]] == ["bisected", "delivered"]


async def test_an_event_that_keeps_failing_is_pending_and_says_why(door: Door, world: World):
    stream = await world.stream("orders")
    await world.rule("copy", {"source": ["shop"]}, stream)
    world.runner.handler = refuse
    await world.map(stream)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(2)
    consumer = await consumer_of(door, event_id)
    assert consumer["state"] == "pending"
    assert consumer["batches"][-1]["error_message"] == "no SMTP server"


async def test_what_the_filters_did_not_want_says_so(door: Door, world: World):
    stream, queue = await world.stream("orders"), await world.queue("orders")
    for number, source in enumerate((stream, queue)):
        await world.rule(f"copy-{number}", {"source": ["shop"]}, source)
        content = "data" if source == stream else "body"
        await world.map(source, filters=(json.dumps({content: {"detail": {"n": [2]}}}),))
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(1)
    deliveries = (await door.get(f"/_busway/events/{event_id}"))["deliveries"]
    assert [one["consumers"][0]["state"] for one in deliveries] == ["filtered out", "filtered out"]


async def test_without_an_on_failure_queue_it_was_given_up_and_nobody_kept_it(door: Door, world: World):
    stream = await world.stream("orders")
    await world.rule("copy", {"source": ["shop"]}, stream)
    world.runner.handler = refuse
    await world.map(stream, retries_max=0)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(1)
    consumer = await consumer_of(door, event_id)
    assert consumer["state"] == "given up"
    assert "dead_letter_queue" not in consumer


async def test_a_message_is_followed_through_its_queue_to_the_batch_that_took_it(door: Door, world: World):
    queue = await world.queue("orders")
    await world.rule("copy", {"source": ["shop"]}, queue)
    world.runner.handler = refuse
    await world.map(queue)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(1)
    consumer = await consumer_of(door, event_id)
    assert (consumer["state"], consumer["batches"][-1]["error_code"]) == ("pending", "HandlerFailed")

    async def accept(_: dict[str, Any]) -> None:
        """Content with everything."""

    world.runner.handler = accept
    await world.pass_time(32)
    consumer = await consumer_of(door, event_id)
    assert [batch["outcome"] for batch in consumer["batches"]] == ["failed", "delivered"]
    assert consumer["state"] == "delivered"


async def test_a_message_that_was_received_too_often_tells_its_dead_letter_queue(door: Door, world: World):
    queue, dead = await world.queue("orders"), await world.queue("dead")
    await world.queues.set_attributes(
        queue, {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 1})}
    )
    await world.rule("copy", {"source": ["shop"]}, queue)
    world.runner.handler = refuse
    await world.map(queue)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(35)
    consumer = await consumer_of(door, event_id)
    assert (consumer["state"], consumer["dead_letter_queue"]) == ("dead-lettered", dead)


async def test_a_message_that_another_reader_took_says_so(door: Door, world: World):
    queue = await world.queue("orders")
    await world.rule("copy", {"source": ["shop"]}, queue)
    await world.map(queue, enabled=False)
    (event_id,) = await world.put({"n": 1})
    assert (await consumer_of(door, event_id))["state"] == "pending"
    (message,) = await world.queues.receive(queue)
    await world.queues.remove(queue, [message.receipt.handle()])
    assert (await consumer_of(door, event_id))["state"] == "taken"


async def test_a_message_in_a_group_is_followed_though_its_payload_was_transformed(door: Door, world: World):
    queue = await world.queues.create(
        SCOPE, "orders.fifo", {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )
    await world.rule("copy", {"source": ["shop"]})
    target = TargetSpec(id="t", arn=queue.arn, input_path="$.detail", message_group_id="g")
    await world.rules.put_targets("copy", None, SCOPE, [target])
    await world.map(queue.arn)
    (event_id,) = await world.put({"n": 1})
    await world.pass_time(1)
    consumer = await consumer_of(door, event_id)
    assert (consumer["state"], len(consumer["batches"])) == ("delivered", 1)
