"""Sending and receiving: visibility, delay, long polling, redrive policy, retention."""

from __future__ import annotations

import asyncio
import json

import pytest

from busway.arn import Scope
from busway.clock import ManualClock, settle
from busway.engine import Counts
from busway.engine.memory import MemoryEngine
from busway.errors import (
    InvalidMessage,
    InvalidQueueRequest,
    InvalidReceiptHandle,
    MessageNotInFlight,
    QueueNotFound,
    StorageFull,
)
from busway.metrics import Metrics
from busway.queue.message import AttributeValue, Outgoing
from busway.queue.queues import Sent, SqsQueues, VisibilityChange
from busway.queue.receiving import Received
from busway.queue.record import QueueRecord


@pytest.fixture
async def orders(queues: SqsQueues, scope: Scope) -> QueueRecord:
    return await queues.create(scope, "orders")


async def send(queues: SqsQueues, queue: QueueRecord, *bodies: str, delay_s: int | None = None) -> list[Sent]:
    answers = await queues.send(queue.arn, [Outgoing(body, delay_s) for body in bodies], "me")
    return [answer for answer in answers if isinstance(answer, Sent)]


async def bodies(queues: SqsQueues, queue: QueueRecord, limit: int = 10) -> list[str]:
    return [r.item.body.decode() for r in await queues.receive(queue.arn, limit)]


def handle(received: Received) -> str:
    return received.receipt.handle()


async def polling(queues: SqsQueues, queue: QueueRecord, wait_s: float | None = 20) -> asyncio.Task[list[Received]]:
    """A long poll that stands in line already."""
    poll = asyncio.create_task(queues.receive(queue.arn, wait_s=wait_s))
    await settle()
    return poll


async def with_dead_letters(queues: SqsQueues, scope: Scope, receives: int) -> tuple[QueueRecord, QueueRecord]:
    dead = await queues.create(scope, "dead")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": receives})
    return await queues.create(scope, "work", {"RedrivePolicy": policy, "VisibilityTimeout": "10"}), dead


async def test_a_message_is_received_as_it_was_sent(queues: SqsQueues, orders: QueueRecord):
    attributes = {"n": AttributeValue("Number", text="1"), "b": AttributeValue("Binary", binary=b"\x00\xff")}
    (sent,) = await queues.send(orders.arn, [Outgoing("héllo", None, attributes, "Root=1")], "me")
    (received,) = await queues.receive(orders.arn)
    assert isinstance(sent, Sent)
    assert received.item.body == "héllo".encode()
    assert (received.meta.message_id, received.meta.attributes) == (sent.message_id, attributes)
    assert (received.meta.sender, received.meta.sent_ms, received.meta.trace_header) == (
        "me",
        1_700_000_000_000,
        "Root=1",
    )
    assert (received.receive_count, received.first_received_ms) == (1, 1_700_000_000_000)


async def test_a_message_in_flight_comes_back_when_its_visibility_timeout_runs_out(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    await send(queues, orders, "a")
    assert await bodies(queues, orders) == ["a"]
    await clock.advance(29.9)
    assert await bodies(queues, orders) == []
    await clock.advance(0.1)
    (again,) = await queues.receive(orders.arn)
    assert (again.receive_count, again.first_received_ms) == (2, 1_700_000_000_000)


async def test_a_deleted_message_never_comes_back(queues: SqsQueues, orders: QueueRecord, clock: ManualClock):
    await send(queues, orders, "a", "b")
    received = await queues.receive(orders.arn, 10)
    assert await queues.remove(orders.arn, [handle(r) for r in received]) == [None, None]
    await clock.advance(100)
    assert await bodies(queues, orders) == []


async def test_an_old_receipt_handle_deletes_nothing_and_is_no_error(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    await send(queues, orders, "a")
    (first,) = await queues.receive(orders.arn)
    await clock.advance(30)
    (second,) = await queues.receive(orders.arn)
    assert await queues.remove(orders.arn, [handle(first)]) == [None]
    assert (await queues.counts(orders.arn)).leased == 1
    assert await queues.remove(orders.arn, [handle(second)]) == [None]
    assert (await queues.counts(orders.arn)).leased == 0


async def test_a_handle_past_its_timeout_still_deletes_what_nobody_else_received(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    await send(queues, orders, "a")
    (late,) = await queues.receive(orders.arn)
    await clock.advance(31)
    await queues.remove(orders.arn, [handle(late)])
    assert await bodies(queues, orders) == []


async def test_one_bad_handle_does_not_spoil_a_batch(queues: SqsQueues, orders: QueueRecord):
    await send(queues, orders, "a")
    (received,) = await queues.receive(orders.arn)
    refused, done = await queues.remove(orders.arn, ["nonsense", handle(received)])
    assert isinstance(refused, InvalidReceiptHandle)
    assert done is None
    assert await queues.counts(orders.arn) == Counts(ready=0, leased=0, delayed=0)


async def test_visibility_zero_gives_a_message_back_at_once(queues: SqsQueues, orders: QueueRecord):
    await send(queues, orders, "a")
    (received,) = await queues.receive(orders.arn)
    assert await queues.change_visibility(orders.arn, [VisibilityChange(handle(received), 0)]) == [None]
    assert await bodies(queues, orders) == ["a"]


async def test_a_longer_visibility_keeps_a_message_away(queues: SqsQueues, orders: QueueRecord, clock: ManualClock):
    await send(queues, orders, "a")
    (received,) = await queues.receive(orders.arn, visibility_s=10)
    await clock.advance(5)
    await queues.change_visibility(orders.arn, [VisibilityChange(handle(received), 60)])
    assert (await queues.counts(orders.arn)).leased == 1
    await clock.advance(59)
    assert await bodies(queues, orders) == []
    await clock.advance(1)
    assert await bodies(queues, orders) == ["a"]


async def test_visibility_is_changed_only_of_what_is_in_flight(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    await send(queues, orders, "late", "gone")
    late, gone = await queues.receive(orders.arn, 10)
    await queues.remove(orders.arn, [handle(gone)])
    await clock.advance(30)
    changes = [VisibilityChange(handle(late), 5), VisibilityChange(handle(gone), 5), VisibilityChange("x", 5)]
    was_late, was_gone, was_nonsense = await queues.change_visibility(orders.arn, changes)
    assert isinstance(was_late, MessageNotInFlight)
    assert isinstance(was_gone, InvalidQueueRequest)
    assert "Message does not exist or is not available for visibility timeout change" in str(was_gone)
    assert isinstance(was_nonsense, InvalidReceiptHandle)


async def test_visibility_never_exceeds_twelve_hours_from_the_receive(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    await send(queues, orders, "a")
    (received,) = await queues.receive(orders.arn, visibility_s=43_200)
    await clock.advance(10)
    (refused,) = await queues.change_visibility(orders.arn, [VisibilityChange(handle(received), 43_191)])
    assert "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]" in str(refused)
    assert await queues.change_visibility(orders.arn, [VisibilityChange(handle(received), 43_190)]) == [None]
    (refused,) = await queues.change_visibility(orders.arn, [VisibilityChange(handle(received), 43_201)])
    assert "Value 43201 for parameter VisibilityTimeout is invalid" in str(refused)


async def test_a_delayed_message_waits_its_time(queues: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await queues.create(scope, "slow", {"DelaySeconds": "20"})
    await send(queues, queue, "by queue")
    await send(queues, queue, "by message", delay_s=5)
    await send(queues, queue, "at once", delay_s=0)
    assert await bodies(queues, queue) == ["at once"]
    assert (await queues.counts(queue.arn)).delayed == 2
    await clock.advance(5)
    assert await bodies(queues, queue) == ["by message"]
    await clock.advance(15)
    assert await bodies(queues, queue) == ["by queue"]


async def test_a_message_that_is_refused_does_not_hold_up_the_others(queues: SqsQueues, orders: QueueRecord):
    good, bad, also_good = await queues.send(orders.arn, [Outgoing("a"), Outgoing("\x00"), Outgoing("b")], "me")
    assert isinstance(good, Sent)
    assert isinstance(also_good, Sent)
    assert isinstance(bad, InvalidMessage)
    assert await bodies(queues, orders) == ["a", "b"]


async def test_the_limit_of_the_queue_holds(queues: SqsQueues, scope: Scope):
    small = await queues.create(scope, "small", {"MaximumMessageSize": "1024"})
    fits, does_not = await queues.send(small.arn, [Outgoing("a" * 1024), Outgoing("a" * 1025)], "me")
    assert isinstance(fits, Sent)
    assert "Message must be shorter than 1024 bytes" in str(does_not)


async def test_a_full_disk_refuses_a_message(queues: SqsQueues, orders: QueueRecord, engine: MemoryEngine):
    engine.full = True
    with pytest.raises(StorageFull):
        await queues.send(orders.arn, [Outgoing("a")], "me")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"limit": 0}, "Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10"),
        ({"limit": 11}, "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10"),
        ({"wait_s": 21}, "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20"),
        ({"visibility_s": -1}, "Value -1 for parameter VisibilityTimeout is invalid."),
    ],
)
async def test_a_receive_out_of_range_is_refused(
    queues: SqsQueues, orders: QueueRecord, asked: dict[str, int], reason: str
):
    with pytest.raises(InvalidQueueRequest) as caught:
        await queues.receive(orders.arn, **asked)
    assert str(caught.value).startswith(reason)


async def test_a_long_poll_returns_as_soon_as_a_message_comes(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    poll = await polling(queues, orders)
    await clock.advance(7)
    assert not poll.done()
    await send(queues, orders, "a")
    assert [r.item.body for r in await poll] == [b"a"]
    assert clock.now() == 1_700_000_007


async def test_a_long_poll_gives_up_after_its_time(queues: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await queues.create(scope, "patient", {"ReceiveMessageWaitTimeSeconds": "5"})
    poll = await polling(queues, queue, None)
    await clock.advance(4.9)
    assert not poll.done()
    await clock.advance(0.1)
    assert await poll == []


async def test_a_long_poll_gets_what_becomes_due_meanwhile(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    await send(queues, orders, "later", delay_s=3)
    poll = await polling(queues, orders)
    await clock.advance(3)
    assert [r.item.body for r in await poll] == [b"later"]


async def test_long_pollers_are_served_in_the_order_in_which_they_came(queues: SqsQueues, orders: QueueRecord):
    polls = [await polling(queues, orders) for _ in range(5)]
    for number in range(5):
        await send(queues, orders, str(number))
        await settle(40)
        assert [poll.done() for poll in polls] == [n <= number for n in range(5)]
        assert [r.item.body.decode() for r in polls[number].result()] == [str(number)]


async def test_many_messages_at_once_wake_all_pollers(queues: SqsQueues, orders: QueueRecord):
    polls = [asyncio.create_task(queues.receive(orders.arn, 3, wait_s=20)) for _ in range(4)]
    await settle()
    await send(queues, orders, *"abcdefghij")
    got = await asyncio.gather(*polls)
    assert sorted(len(batch) for batch in got) == [1, 3, 3, 3]


async def test_a_poller_that_goes_away_loses_nothing_and_makes_room(
    queues: SqsQueues, orders: QueueRecord, clock: ManualClock
):
    gone, stays = await polling(queues, orders), await polling(queues, orders)
    gone.cancel()
    await settle()
    await send(queues, orders, "a")
    assert [r.item.body for r in await stays] == [b"a"]
    assert gone.cancelled()


async def test_a_poller_that_is_cancelled_as_its_message_comes_passes_it_on(queues: SqsQueues, orders: QueueRecord):
    gone, stays = await polling(queues, orders), await polling(queues, orders)
    await send(queues, orders, "a")
    gone.cancel()
    assert [r.item.body for r in await stays] == [b"a"]


async def test_a_poll_ends_when_its_queue_is_deleted(queues: SqsQueues, orders: QueueRecord, clock: ManualClock):
    poll = await polling(queues, orders)
    await queues.delete(orders.arn)
    await clock.advance(20)
    assert await poll == []
    with pytest.raises(QueueNotFound):
        await queues.receive(orders.arn)


async def test_long_polls_end_when_the_server_goes_down(queues: SqsQueues, orders: QueueRecord):
    polls = [await polling(queues, orders) for _ in range(3)]
    queues.stop_polling()
    assert await asyncio.gather(*polls) == [[], [], []]
    assert await queues.receive(orders.arn, wait_s=20) == []
    await send(queues, orders, "a")
    assert await bodies(queues, orders) == ["a"]


async def test_a_message_received_too_often_moves_to_the_dead_letter_queue(
    queues: SqsQueues, scope: Scope, clock: ManualClock
):
    work, dead = await with_dead_letters(queues, scope, receives=2)
    (sent,) = await send(queues, work, "poison")
    for _ in range(2):
        assert await bodies(queues, work) == ["poison"]
        await clock.advance(10)
    assert await bodies(queues, work) == []
    (letter,) = await queues.receive(dead.arn)
    assert (letter.meta.message_id, letter.meta.sent_ms) == (sent.message_id, 1_700_000_000_000)
    assert letter.meta.source_queue_arn == work.arn
    # Over all queues: twice in the first one, once here.
    assert (letter.receive_count, letter.first_received_ms) == (3, 1_700_000_000_000)
    await clock.advance(1_000)
    assert await bodies(queues, work) == []


async def test_good_messages_behind_a_poison_one_are_received_in_the_same_call(
    queues: SqsQueues, scope: Scope, clock: ManualClock
):
    work, dead = await with_dead_letters(queues, scope, receives=1)
    await send(queues, work, "poison")
    await bodies(queues, work)
    await clock.advance(11)
    await send(queues, work, "good")
    assert await bodies(queues, work, 1) == ["good"]
    assert (await queues.counts(dead.arn)).ready == 1


async def test_a_missing_dead_letter_queue_leaves_the_message_where_it_is(
    queues: SqsQueues, scope: Scope, clock: ManualClock
):
    work, dead = await with_dead_letters(queues, scope, receives=1)
    await queues.delete(dead.arn)
    await send(queues, work, "poison")
    for _ in range(3):
        assert await bodies(queues, work) == ["poison"]
        await clock.advance(10)


async def test_a_poller_waits_on_when_what_came_was_poison(queues: SqsQueues, scope: Scope, clock: ManualClock):
    work, dead = await with_dead_letters(queues, scope, receives=1)
    await send(queues, work, "poison")
    await bodies(queues, work)
    poll = await polling(queues, work)
    await clock.advance(10)
    assert (await queues.counts(dead.arn)).ready == 1
    await send(queues, work, "good")
    assert [r.item.body for r in await poll] == [b"good"]


async def test_a_message_past_its_retention_is_never_received(queues: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await queues.create(scope, "brief", {"MessageRetentionPeriod": "60"})
    await send(queues, queue, "old")
    await clock.advance(30)
    await send(queues, queue, "new")
    await clock.advance(30)
    assert await bodies(queues, queue, 1) == ["new"]
    assert (await queues.counts(queue.arn)).ready == 0


async def test_retention_in_a_dead_letter_queue_counts_from_the_first_queue(
    queues: SqsQueues, scope: Scope, clock: ManualClock
):
    work, dead = await with_dead_letters(queues, scope, receives=1)
    await queues.set_attributes(dead.arn, {"MessageRetentionPeriod": "60"})
    await send(queues, work, "poison")
    await bodies(queues, work)
    await clock.advance(59)
    await bodies(queues, work)
    assert (await queues.counts(dead.arn)).ready == 1
    await clock.advance(1)
    assert await bodies(queues, dead) == []


async def test_expired_messages_end_in_queues_that_nobody_reads(queues: SqsQueues, scope: Scope, clock: ManualClock):
    queue = await queues.create(scope, "brief", {"MessageRetentionPeriod": "60"})
    await send(queues, queue, "a", "b")
    background = asyncio.create_task(queues.run())
    await settle()
    await clock.advance(59)
    await send(queues, queue, "c")
    await clock.advance(1)
    assert (await queues.counts(queue.arn)).ready == 1
    background.cancel()
    assert await bodies(queues, queue) == ["c"]


async def test_listeners_hear_of_each_change(queues: SqsQueues, scope: Scope, orders: QueueRecord):
    heard: list[str] = []
    queues.listeners.append(heard.append)
    await send(queues, orders, "a")
    (received,) = await queues.receive(orders.arn)
    await queues.remove(orders.arn, [handle(received)])
    await queues.purge(orders.arn)
    assert heard == [orders.arn] * 4


async def test_messages_are_counted_under_cloudwatchs_names(queues: SqsQueues, orders: QueueRecord, metrics: Metrics):
    await send(queues, orders, "ab", "cde")
    received = await queues.receive(orders.arn, 10)
    await queues.receive(orders.arn)
    await queues.remove(orders.arn, [handle(r) for r in received])
    counted = {s.name: s.value for s in metrics.snapshot() if s.dimensions == (("QueueName", "orders"),)}
    assert counted == {
        "NumberOfMessagesSent": 2,
        "SentMessageSize": 5,
        "NumberOfMessagesReceived": 2,
        "NumberOfEmptyReceives": 1,
        "NumberOfMessagesDeleted": 2,
    }
