"""Taking messages from a queue: leases, the line of long pollers, the redrive policy and retention.

    room in flight → lease → too old? ends → received too often? to the dead-letter queue → else to the caller

A poller that finds nothing stands in line. Only the first in line watches the engine, so one message wakes one poller
and whoever came first is served first.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass

import msgspec

from busway.clock import Clock, first_of
from busway.engine import Engine, Item, Put
from busway.errors import QueueLimitExceeded
from busway.queue.fifo import moved_once, read_meta, sequence_number
from busway.queue.in_flight import InFlight
from busway.queue.message import MessageMeta, Receipt, decode_meta, encode_meta
from busway.queue.record import FIFO_SUFFIX, QueueRecord
from busway.queue.registry import QueueRegistry

# Ours: how many messages one step of the sweep looks at.
SWEEP_BATCH = 500
# Ours: how often a long poll looks whether a FIFO queue may have more messages in flight again.
FULL_RETRY_S = 1.0

# Returns when the client is gone.
Gone = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Received:
    """One message in a caller's hands until its visibility timeout runs out."""

    item: Item
    meta: MessageMeta
    receipt: Receipt

    @property
    def receive_count(self) -> int:
        """How often it was received, over all queues that it was in."""
        return self.meta.received_before + self.item.attempts

    @property
    def first_received_ms(self) -> int:
        first = self.item.first_leased_at
        return self.meta.first_received_ms or int((first or 0.0) * 1000)

    @property
    def sequence_number(self) -> str | None:
        """The message's place in its FIFO queue, None in a standard one."""
        return sequence_number(self.item.id) if self.item.queue.endswith(FIFO_SUFFIX) else None


class Line:
    """Pollers of one queue in the order in which they came."""

    def __init__(self) -> None:
        self._tickets: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._tickets)

    @contextlib.contextmanager
    def place(self) -> Generator[asyncio.Future[None]]:
        """A ticket that is done once its holder is first in line; leaving passes the turn on."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets.append(ticket)
        self._call_first()
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            self._call_first()

    def _call_first(self) -> None:
        if self._tickets and not self._tickets[0].done():
            self._tickets[0].set_result(None)


class Receiver:
    """Receives from the queues of one registry; `changed` is told the ARN of a queue whose content changed."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        registry: QueueRegistry,
        changed: Callable[[str], None],
        in_flight: InFlight,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._registry = registry
        self._changed = changed
        self._in_flight = in_flight
        self._lines: dict[str, Line] = {}
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End every long poll now, empty-handed; from here on nobody waits."""
        self._stopped.set()

    async def receive(
        self, queue: QueueRecord, limit: int, visibility_s: float, wait_s: float, gone: Gone | None = None
    ) -> list[Received]:
        """Up to `limit` messages; [] when none came within `wait_s` seconds, or the queue was deleted meanwhile.

        Who waits and is `gone` takes nothing. Raises `QueueLimitExceeded` when a standard queue has as many messages
        in flight as it may; a FIFO queue has none to give then.
        """
        line = self._lines.get(queue.arn)
        if line is None or wait_s <= 0:
            received = await self._take(queue.arn, limit, visibility_s)
            if received or wait_s <= 0:
                return received
        with self._leaving(gone) as ended:
            return await self._poll(queue.arn, limit, visibility_s, wait_s, ended)

    @contextlib.contextmanager
    def _leaving(self, gone: Gone | None) -> Generator[asyncio.Future[None]]:
        """A future that is done once the server stops or the client is gone."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end(_: object) -> None:
            if not ended.done():
                ended.set_result(None)

        watches = [asyncio.ensure_future(wait()) for wait in (self._stopped.wait, gone) if wait is not None]
        for watch in watches:
            watch.add_done_callback(end)
        try:
            yield ended
        finally:
            for watch in watches:
                watch.cancel()

    async def _poll(
        self, arn: str, limit: int, visibility_s: float, wait_s: float, ended: asyncio.Future[None]
    ) -> list[Received]:
        deadline = self._clock.monotonic() + wait_s
        line = self._lines.setdefault(arn, Line())
        try:
            with line.place() as ticket:
                while (left_s := deadline - self._clock.monotonic()) > 0 and self._registry.exists(arn):
                    # The lease is outside of the deadline: cut short, it would hide messages that nobody got.
                    await first_of(self._clock, self._due_or_ended(arn, ticket, ended), left_s)
                    if ended.done():
                        break
                    if ticket.done():
                        received = await self._take(arn, limit, visibility_s)
                        if received:
                            return await self._unless_ended(received, ended)
                        await self._wait_for_room(arn, left_s, ended)
        finally:
            if not line and self._lines.get(arn) is line:
                del self._lines[arn]
        return []

    async def _unless_ended(self, received: list[Received], ended: asyncio.Future[None]) -> list[Received]:
        """What was received; given back if there is nobody to be given it."""
        if not ended.done():
            return received
        for message in reversed(received):
            await self._engine.queues.refund(message.item, self._clock.now())
        return []

    async def _wait_for_room(self, arn: str, left_s: float, ended: asyncio.Future[None]) -> None:
        """At the limit of messages in flight something is due all the time: look again after a while."""
        if await self._in_flight.room(arn, 1) == 0:
            await first_of(self._clock, asyncio.shield(ended), min(left_s, FULL_RETRY_S))

    async def _due_or_ended(self, arn: str, ticket: asyncio.Future[None], ended: asyncio.Future[None]) -> None:
        due = asyncio.ensure_future(self._due(arn, ticket))
        try:
            await asyncio.wait({due, ended}, return_when=asyncio.FIRST_COMPLETED)
            if due.done():
                due.result()
        finally:
            due.cancel()
            await asyncio.gather(due, return_exceptions=True)

    async def _due(self, arn: str, ticket: asyncio.Future[None]) -> None:
        # Shielded, because a ticket outlives one wait: cancelling the wait must not cancel the place in line.
        await asyncio.shield(ticket)
        await self._engine.queues.wait(arn)

    async def _take(self, arn: str, limit: int, visibility_s: float) -> list[Received]:
        """Lease until something can be handed out or nothing is due."""
        while (queue := self._registry.get(arn)) is not None:
            room = await self._in_flight.room(arn, limit)
            if room == 0 and not queue.fifo:
                raise QueueLimitExceeded(f"{queue.name} has as many messages in flight as a queue may have.")
            items = await self._engine.queues.lease(arn, room, visibility_s) if room else []
            if not items:
                break
            self._in_flight.took(arn, len(items))
            received = await self._sorted_out(queue, items)
            if received:
                return received
        return []

    async def _sorted_out(self, queue: QueueRecord, items: list[Item]) -> list[Received]:
        now = self._clock.now()
        now_ms = int(now * 1000)
        kept: list[Received] = []
        old: list[Item] = []
        failed: list[tuple[Item, MessageMeta]] = []
        oldest_ms = (now - queue.retention_s) * 1000
        redrive = queue.redrive
        # A dead-letter queue that was deleted cannot take anything: the message stays where it is, as on AWS.
        attempts_max = redrive.receives_max if redrive and self._registry.exists(redrive.dead_letter_arn) else None
        for item in items:
            meta = read_meta(item)
            if meta.sent_ms <= oldest_ms:
                old.append(item)
            elif attempts_max is not None and item.attempts > attempts_max:
                failed.append((item, meta))
            else:
                kept.append(Received(item, meta, Receipt(queue.arn, item.id, item.token, now_ms)))
        if old:
            await self._engine.queues.done(old, "expired")
            self._changed(queue.arn)
        if failed and redrive is not None:
            await self._move(queue.arn, redrive.dead_letter_arn, failed, now)
        return kept

    async def _move(self, arn: str, dead_letter_arn: str, failed: list[tuple[Item, MessageMeta]], now: float) -> None:
        puts = [_moved(item, meta, dead_letter_arn, now) for item, meta in failed]
        # Put first, done after: a crash in between leaves the message in both queues rather than in none.
        await self._engine.queues.put(puts, accepted=True)
        await self._engine.queues.done([item for item, _ in failed], "dead-lettered")
        self._changed(arn)
        self._changed(dead_letter_arn)

    async def sweep(self, queue: QueueRecord) -> int:
        """End messages at the front of the queue that are older than its retention; return how many.

        Messages lie in the order in which they came, so it stops at the first batch in which none is too old.
        """
        oldest_ms = (self._clock.now() - queue.retention_s) * 1000
        ended, after_id = 0, 0
        while items := await self._engine.queues.browse(queue.arn, SWEEP_BATCH, after_id):
            old = [item for item in items if decode_meta(item.meta).sent_ms <= oldest_ms]
            if not old:
                break
            ended += await self._engine.queues.done(old, "expired")
            after_id = items[-1].id
        if ended:
            self._changed(queue.arn)
        return ended


def _moved(item: Item, meta: MessageMeta, dead_letter_arn: str, now: float) -> Put:
    """The put of a message that was received too often; one of a FIFO queue keeps its group, but not its age."""
    # The lease that found it to have failed too often was not a receive.
    first_ms = int(item.first_leased_at * 1000) if item.first_leased_at else None
    meta = msgspec.structs.replace(
        meta,
        source_queue_arn=item.queue,
        received_before=meta.received_before + item.attempts - 1,
        first_received_ms=meta.first_received_ms or first_ms,
    )
    if not dead_letter_arn.endswith(FIFO_SUFFIX):
        return Put(dead_letter_arn, item.body, now, encode_meta(meta))
    meta = msgspec.structs.replace(meta, sent_ms=int(now * 1000))
    once = moved_once(meta.message_id, now)
    return Put(dead_letter_arn, item.body, now, encode_meta(meta), group=meta.group_id or "", once=once)
