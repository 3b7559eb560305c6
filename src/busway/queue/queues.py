"""SQS-shaped queues: what can be done with their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from busway.clock import Clock, Entropy, uuids
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Item, Origin, Put
from busway.errors import InvalidQueueRequest, MessageNotInFlight, QueueError, StorageFull
from busway.metrics import Metrics
from busway.queue.attempts import Attempts
from busway.queue.in_flight import IN_FLIGHT_MAX, InFlight
from busway.queue.message import Outgoing, Receipt, check_id, read_receipt
from busway.queue.moves import MessageMoves
from busway.queue.receiving import Gone, Received, Receiver
from busway.queue.record import QueueRecord
from busway.queue.registry import QueueRegistry
from busway.queue.sending import Attributes, Sent, outgoing_put, plain_meta, put_of, sent_answer_of

RECEIVE_MAX = 10
WAIT_S_MAX = 20
VISIBILITY_S_MAX = 43_200
# Ours: how often messages past their retention are looked for in queues that nobody reads.
SWEEP_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class VisibilityChange:
    """A message held by `handle` is to become visible `visibility_s` seconds from now."""

    handle: str
    visibility_s: int


class SqsQueues(QueueRegistry):
    """Queues, and what is in them. A queue's name in the engine is its ARN.

    `listeners` are called with the ARN of a queue whose content changed here; `DeadLetters.put` calls them when it
    hands out a put, which may be a moment before the message is there. What other rooms put with `message_put`
    is theirs to tell.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        entropy: Entropy,
        metrics: Metrics,
        *,
        in_flight_max: int = IN_FLIGHT_MAX,
        recreate_s: float = 0.0,
    ) -> None:
        """`in_flight_max` messages of a queue may be in flight; `recreate_s` as for `QueueRegistry`."""
        super().__init__(engine, clock, recreate_s)
        self._entropy = entropy
        self._metrics = metrics
        self.listeners: list[Callable[[str], None]] = []
        self._in_flight = InFlight(engine, in_flight_max)
        self._receiver = Receiver(engine, clock, self, self.tell, self._in_flight)
        self._attempts = Attempts(engine, clock)
        self.moves = MessageMoves(engine, clock, entropy, self, self.tell)

    async def open(self) -> None:
        await super().open()
        await self.moves.open()

    def tell(self, arn: str) -> None:
        """Call the listeners."""
        for listener in self.listeners:
            listener(arn)

    def stop_polling(self) -> None:
        """End every long poll now, empty-handed: for a server that goes down."""
        self._receiver.stop()

    def message_put(
        self,
        arn: str,
        body: bytes,
        *,
        now: float,
        attributes: Attributes | None = None,
        due_at: float | None = None,
        origin: Origin | None = None,
        source: Source | None = None,
        trace_header: str | None = None,
        message_id: str | None = None,
        sender: str | None = None,
        group_id: str | None = None,
    ) -> Put:
        """The put of one message, for rooms that put it in an engine call of their own. No I/O.

        `attributes` are (data type, value) by name. Without `due_at` the queue's delay counts from `now`. A message
        to a FIFO queue needs a `group_id`, is deduplicated by its content, and has an id that the queue gives it.
        Size is not checked: what comes this way was accepted before.

        Raises `QueueNotFound`, `MissingQueueParameter` and `InvalidQueueRequest` for what a FIFO queue can't take.
        """
        queue = self.need(arn)
        meta = plain_meta(
            message_id or uuids(self._entropy, 1)[0], sender or queue.account, now,
            attributes=attributes, trace_header=trace_header, group_id=group_id, source=source,
        )  # fmt: skip
        return put_of(queue, body, meta, now + queue.delay_s if due_at is None else due_at, now, origin)

    async def send(self, arn: str, messages: Sequence[Outgoing], sender: str) -> list[Sent | QueueError]:
        """Send messages; each is accepted or refused by itself, in the order given. Durable before return.

        Raises `QueueNotFound`, `StorageFull`.
        """
        queue = self.need(arn)
        await self.save_new()
        now = self._clock.now()
        answers: dict[int, Sent | QueueError] = {}
        puts: dict[int, Put] = {}
        message_ids = uuids(self._entropy, len(messages))
        for place, message in enumerate(messages):
            try:
                puts[place] = outgoing_put(queue, message, message_ids[place], sender, now)
            except QueueError as refused:
                answers[place] = refused
        if puts:
            item_ids = await self._engine.queues.put(list(puts.values()))
            for (place, put), item_id in zip(puts.items(), item_ids, strict=True):
                answers[place] = sent_answer_of(queue, messages[place], put, message_ids[place], item_id)
            self._count(queue, "NumberOfMessagesSent", len(puts))
            self._count(queue, "SentMessageSize", sum(len(put.body) for put in puts.values()))
            self.tell(arn)
        return [answers[place] for place in range(len(messages))]

    async def receive(
        self,
        arn: str,
        limit: int = 1,
        *,
        visibility_s: int | None = None,
        wait_s: float | None = None,
        attempt_id: str | None = None,
        gone: Gone | None = None,
    ) -> list[Received]:
        """Up to `limit` messages, hidden from others for `visibility_s`; waits up to `wait_s` for the first.

        The queue's own settings hold where None is given. The same `attempt_id` gives the same messages of a FIFO
        queue again, for five minutes. Who waits and is `gone` takes nothing.

        Raises `QueueNotFound`, `InvalidQueueRequest`, `QueueLimitExceeded`.
        """
        queue = self.need(arn)
        _check_range("MaxNumberOfMessages", limit, 1, RECEIVE_MAX, "Must be between 1 and 10, if provided.")
        _check_range("WaitTimeSeconds", wait_s, 0, WAIT_S_MAX, "Must be >= 0 and <= 20, if provided.")
        _check_visibility(visibility_s)
        if attempt_id is not None:
            check_id("ReceiveRequestAttemptId", attempt_id)
        visibility_s = queue.visibility_s if visibility_s is None else visibility_s
        if attempt_id is not None and queue.fifo:
            again = await self._attempts.again(arn, attempt_id, visibility_s)
            if again is not None:
                return again
        received = await self._receiver.receive(
            queue, limit, visibility_s, queue.wait_s if wait_s is None else wait_s, gone
        )
        if received and attempt_id is not None and queue.fifo:
            self._attempts.remember(arn, attempt_id, received)
        self._count(queue, "NumberOfMessagesReceived" if received else "NumberOfEmptyReceives", len(received) or 1)
        if received:
            self.tell(arn)
        return received

    async def remove(self, arn: str, handles: Sequence[str]) -> list[QueueError | None]:
        """Delete messages by receipt handle; an old handle deletes nothing.

        As on AWS that is no error in a standard queue, and one in a FIFO queue. Raises `QueueNotFound`.
        """
        queue = self.need(arn)
        answers: list[QueueError | None] = []
        items: list[Item] = []
        for handle in handles:
            try:
                receipt = read_receipt(handle, arn)
                if queue.fifo:
                    await self._check_not_expired(receipt, handle)
                items.append(_held(receipt))
                answers.append(None)
            except QueueError as refused:
                answers.append(refused)
        if items:
            ended = await self._engine.queues.done(items)
            self._count(queue, "NumberOfMessagesDeleted", ended)
            self.tell(arn)
        return answers

    async def _check_not_expired(self, receipt: Receipt, handle: str) -> None:
        item = await self._engine.queues.find(receipt.queue_arn, receipt.item_id)
        # What was deleted before is deleted.
        if item is not None and (item.token != receipt.token or item.due_at <= self._clock.now()):
            raise InvalidQueueRequest(
                f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
            )

    async def change_visibility(self, arn: str, changes: Sequence[VisibilityChange]) -> list[QueueError | None]:
        """Make messages in flight visible sooner or later. Raises `QueueNotFound`."""
        self.need(arn)
        answers: list[QueueError | None] = []
        for change in changes:
            try:
                await self._change_visibility(arn, change)
                answers.append(None)
            except QueueError as refused:
                answers.append(refused)
        self.tell(arn)
        return answers

    async def _change_visibility(self, arn: str, change: VisibilityChange) -> None:
        _check_visibility(change.visibility_s)
        receipt = read_receipt(change.handle, arn)
        now = self._clock.now()
        if now + change.visibility_s > receipt.received_ms / 1000 + VISIBILITY_S_MAX:
            raise InvalidQueueRequest(
                f"Value {change.visibility_s} for parameter VisibilityTimeout is invalid. Reason: Total "
                f"VisibilityTimeout for the message is beyond the limit [{VISIBILITY_S_MAX} seconds]"
            )
        item = await self._engine.queues.find(arn, receipt.item_id)
        if item is None:
            raise InvalidQueueRequest(
                f"Value {change.handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is "
                "not available for visibility timeout change."
            )
        in_flight = item.token == receipt.token and item.due_at > now
        if not in_flight or not await self._engine.queues.release(item, now + change.visibility_s):
            raise MessageNotInFlight(
                f"The message {receipt.item_id} of {arn} is not in flight: its visibility timeout ran out, or it was "
                "received again."
            )

    async def delete(self, arn: str) -> None:
        await super().delete(arn)
        self._in_flight.forget(arn)

    async def purge(self, arn: str) -> int:
        ended = await super().purge(arn)
        self.tell(arn)
        return ended

    async def sweep(self) -> int:
        """End every message found that is past its queue's retention; return how many."""
        try:
            await self.save_new()
        except StorageFull:
            # They stay unsaved until the next sweep; until then `open` gives them back if they hold anything.
            self._metrics.count("Busway/SQS", "UndeliverableQueuesNotSaved")
        ended = 0
        for arn in await self._engine.queues.names("arn:aws:sqs:"):
            queue = self.get(arn)
            if queue is not None:
                ended += await self._receiver.sweep(queue)
        return ended

    async def run(self) -> None:
        """Sweep every minute and run move tasks, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.moves.run())
            while True:
                await self._clock.sleep(SWEEP_EVERY_S)
                await self.sweep()

    def _count(self, queue: QueueRecord, name: str, value: float) -> None:
        self._metrics.count("AWS/SQS", name, value, of=queue.arn, QueueName=queue.name)


def _held(receipt: Receipt) -> Item:
    """The item of a receipt as `done` needs it: the engine goes by queue, id and token."""
    return Item(receipt.queue_arn, receipt.item_id, receipt.token, 1, 0.0, 0.0, b"", b"")


def _check_range(name: str, value: float | None, low: int, high: int, reason: str) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidQueueRequest(f"Value {value} for parameter {name} is invalid. Reason: {reason}")


def _check_visibility(visibility_s: int | None) -> None:
    reason = f"Must be between 0 and {VISIBILITY_S_MAX}, if provided."
    _check_range("VisibilityTimeout", visibility_s, 0, VISIBILITY_S_MAX, reason)
