"""SQS-shaped standard queues: what can be done with their messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from busway.clock import Clock, Entropy, uuids
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Item, Origin, Put
from busway.errors import InvalidQueueRequest, InvalidReceiptHandle, MessageNotInFlight, QueueError, StorageFull
from busway.metrics import Metrics
from busway.queue.message import (
    AttributeValue,
    MessageMeta,
    Outgoing,
    Receipt,
    check_outgoing,
    encode_meta,
    md5_of_attributes,
    md5_of_body,
    read_receipt,
    trace_attributes,
)
from busway.queue.receiving import Received, Receiver
from busway.queue.record import QueueRecord
from busway.queue.registry import QueueRegistry

RECEIVE_MAX = 10
WAIT_S_MAX = 20
VISIBILITY_S_MAX = 43_200
# Ours: how often messages past their retention are looked for in queues that nobody reads.
SWEEP_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender is told of a message, to compare checksums."""

    message_id: str
    md5_of_body: str
    md5_of_attributes: str | None
    md5_of_system_attributes: str | None


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

    def __init__(self, engine: Engine, clock: Clock, entropy: Entropy, metrics: Metrics) -> None:
        super().__init__(engine, clock)
        self._entropy = entropy
        self._metrics = metrics
        self.listeners: list[Callable[[str], None]] = []
        self._receiver = Receiver(engine, clock, self, self.tell)

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
        attributes: Mapping[str, tuple[str, str]] | None = None,
        due_at: float | None = None,
        origin: Origin | None = None,
        source: Source | None = None,
        trace_header: str | None = None,
        message_id: str | None = None,
        sender: str | None = None,
        group_id: str | None = None,
    ) -> Put:
        """The put of one message, for rooms that put it in an engine call of their own. No I/O.

        `attributes` are (data type, text) by name. Without `due_at` the queue's delay counts from `now`. Raises
        `QueueNotFound`. Size is not checked: what comes this way was accepted before.
        """
        queue = self.need(arn)
        meta = MessageMeta(
            message_id=message_id or uuids(self._entropy, 1)[0],
            sent_ms=int(now * 1000),
            sender=sender or queue.account,
            attributes={name: AttributeValue(kind, text=text) for name, (kind, text) in (attributes or {}).items()},
            trace_header=trace_header,
            group_id=group_id,
            source=source,
        )
        return Put(arn, body, now + queue.delay_s if due_at is None else due_at, encode_meta(meta), origin)

    async def send(self, arn: str, messages: Sequence[Outgoing], sender: str) -> list[Sent | QueueError]:
        """Send messages; each is accepted or refused by itself, in the order given. Durable before return.

        Raises `QueueNotFound`, `StorageFull`.
        """
        queue = self.need(arn)
        await self.save_new()
        now = self._clock.now()
        answers: list[Sent | QueueError] = []
        puts: list[Put] = []
        for message, message_id in zip(messages, uuids(self._entropy, len(messages)), strict=True):
            try:
                body = check_outgoing(message, queue.message_bytes_max)
            except QueueError as refused:
                answers.append(refused)
                continue
            puts.append(_outgoing_put(queue, message, body, message_id, sender, now))
            answers.append(
                Sent(
                    message_id,
                    md5_of_body(body),
                    md5_of_attributes(message.attributes or {}),
                    md5_of_attributes(trace_attributes(message.trace_header)),
                )
            )
        if puts:
            await self._engine.queues.put(puts)
            self._count(queue, "NumberOfMessagesSent", len(puts))
            self._count(queue, "SentMessageSize", sum(len(put.body) for put in puts))
            self.tell(arn)
        return answers

    async def receive(
        self, arn: str, limit: int = 1, *, visibility_s: int | None = None, wait_s: float | None = None
    ) -> list[Received]:
        """Up to `limit` messages, hidden from others for `visibility_s`; waits up to `wait_s` for the first.

        The queue's own settings hold where None is given. Raises `QueueNotFound`, `InvalidQueueRequest`.
        """
        queue = self.need(arn)
        _check_range("MaxNumberOfMessages", limit, 1, RECEIVE_MAX, "Must be between 1 and 10, if provided.")
        _check_range("WaitTimeSeconds", wait_s, 0, WAIT_S_MAX, "Must be >= 0 and <= 20, if provided.")
        _check_visibility(visibility_s)
        received = await self._receiver.receive(
            queue,
            limit,
            queue.visibility_s if visibility_s is None else visibility_s,
            queue.wait_s if wait_s is None else wait_s,
        )
        self._count(queue, "NumberOfMessagesReceived" if received else "NumberOfEmptyReceives", len(received) or 1)
        if received:
            self.tell(arn)
        return received

    async def remove(self, arn: str, handles: Sequence[str]) -> list[QueueError | None]:
        """Delete messages by receipt handle; an old handle deletes nothing and is no error, as on AWS.

        Raises `QueueNotFound`.
        """
        queue = self.need(arn)
        answers: list[QueueError | None] = []
        items: list[Item] = []
        for handle in handles:
            try:
                items.append(_held(read_receipt(handle, arn)))
                answers.append(None)
            except InvalidReceiptHandle as refused:
                answers.append(refused)
        if items:
            ended = await self._engine.queues.done(items)
            self._count(queue, "NumberOfMessagesDeleted", ended)
            self.tell(arn)
        return answers

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
        """Sweep every minute, until cancelled."""
        while True:
            await self._clock.sleep(SWEEP_EVERY_S)
            await self.sweep()

    def _count(self, queue: QueueRecord, name: str, value: float) -> None:
        self._metrics.count("AWS/SQS", name, value, QueueName=queue.name)


def _outgoing_put(
    queue: QueueRecord, message: Outgoing, body: bytes, message_id: str, sender: str, now: float
) -> Put:
    meta = MessageMeta(
        message_id=message_id,
        sent_ms=int(now * 1000),
        sender=sender,
        attributes=dict(message.attributes or {}),
        trace_header=message.trace_header,
        group_id=message.group_id,
    )
    delay_s = queue.delay_s if message.delay_s is None else message.delay_s
    return Put(queue.arn, body, now + delay_s, encode_meta(meta))


def _held(receipt: Receipt) -> Item:
    """The item of a receipt as `done` needs it: the engine goes by queue, id and token."""
    return Item(receipt.queue_arn, receipt.item_id, receipt.token, 1, 0.0, 0.0, b"", b"")


def _check_range(name: str, value: float | None, low: int, high: int, reason: str) -> None:
    if value is not None and not low <= value <= high:
        raise InvalidQueueRequest(f"Value {value} for parameter {name} is invalid. Reason: {reason}")


def _check_visibility(visibility_s: int | None) -> None:
    reason = f"Must be between 0 and {VISIBILITY_S_MAX}, if provided."
    _check_range("VisibilityTimeout", visibility_s, 0, VISIBILITY_S_MAX, reason)
