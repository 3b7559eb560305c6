"""Between an alarm and its route: notices wait here until the route is ready, and are told in few messages.

    queue "alert/<route arn>"  →  `pace`: now?  →  one delivery in the outbox  →  it ended: the notices end

A notice stays queued until the message that tells it has ended, so that the evaluator tells the route nothing more of
that alarm until then. Never a lost alert, in three steps that each survive a death after them:

    1. the record says which notices the next message tells, and its number
    2. the message is put into the outbox, with an origin that leaves out a second one
    3. the record says that it was put

What a crash repeats is thus the same row of the outbox, with the same id and payload. When that row is gone, the
notices are ended, then the record forgets the message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from busway.alarm.record import is_route
from busway.alert.pace import PACES, PEOPLE, UNKNOWN, Pace, look_after_s, next_at
from busway.alert.payload import gathered
from busway.alert.routes import Routes
from busway.arn import parse_arn
from busway.clock import Clock, Entropy
from busway.delivery import Delivery, RetryPolicy
from busway.delivery.lanes import Lanes, keep_turning
from busway.engine import Engine, Item, Origin, Put

QUEUE_PREFIX = "alert/"
_RECORD_PREFIX = "telling/"
# Ours: few messages are under way, so they may be tried often; a person waits for them. Their age decides, a day.
RETRY = RetryPolicy(retries_max=10_000, backoff_s_max=120.0)


class Message(msgspec.Struct, frozen=True):
    """A message under way, and the notices (items of the queue) that it tells. `put`: the outbox has had it."""

    number: int
    began_at: float
    items: tuple[int, ...]
    put: bool = False


class Telling(msgspec.Struct, frozen=True):
    """What is kept of a route: `numbered` counts its messages, `last_at` is when the newest began.

    `generation` makes the numbers this record's own: one that was lost would otherwise be taken for told.
    """

    generation: str
    numbered: int = 0
    last_at: float = 0.0
    under_way: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What it is made of. `put_for` gives the outbox's row of a delivery, `state_of` an alarm's state now."""

    engine: Engine
    clock: Clock
    entropy: Entropy
    routes: Routes
    put_for: Callable[[Delivery], Put]
    state_of: Callable[[str], str | None]


class Gathering(Lanes):
    """Tells the routes, for as long as `open` … `close`."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.engine, parts.clock, QUEUE_PREFIX, lambda queue: _Lane(parts, queue).run())
        self._parts = parts

    def put_for(self, delivery: Delivery) -> Put:
        """The row of a notice; whoever gets it puts it. What goes to no route is the outbox's at once."""
        if not is_route(parse_arn(delivery.target_arn)):
            return self._parts.put_for(delivery)
        queue = QUEUE_PREFIX + delivery.target_arn
        self.start(queue)
        bare = replace(delivery, payload=b"", origin=None)
        return Put(queue, delivery.payload, self._parts.clock.now(), msgspec.json.encode(bare), delivery.origin)


class _Lane:
    """The notices to one route."""

    def __init__(self, parts: Parts, queue: str) -> None:
        self._parts, self._queue = parts, queue
        self._route_arn = queue.removeprefix(QUEUE_PREFIX)
        self._key = _RECORD_PREFIX + self._route_arn
        self._telling = Telling("")

    async def run(self) -> None:
        await keep_turning(self._queue, self._turn, self._parts.clock)

    async def _load(self) -> None:
        value = await self._parts.engine.records.get(self._key)
        if value is not None:
            self._telling = msgspec.json.decode(value.data, type=Telling)
        else:
            self._telling = Telling(self._parts.entropy.token(8).hex())

    async def _turn(self) -> None:
        """Do what can be done now, or wait for the next thing that could."""
        clock, queues = self._parts.clock, self._parts.engine.queues
        if not self._telling.generation:
            await self._load()
        await self._put_all()
        await self._end_ended()
        now, under_way = clock.now(), [message.began_at for message in self._telling.under_way]
        pace = self._pace()
        at = next_at(pace, under_way, self._telling.last_at, now)
        if at <= now and await self._begin(pace, now):
            return
        if under_way:
            await clock.sleep(min(look_after_s(max(under_way), now), at - now if at > now else float("inf")))
        elif at > now:
            await clock.sleep(at - now)
        else:
            await queues.wait(self._queue)

    def _pace(self) -> Pace:
        route = self._parts.routes.get(self._route_arn)
        return UNKNOWN if route is None else PACES[route.kind]

    async def _begin(self, pace: Pace, now: float) -> bool:
        """Step 1, with the notices that have waited longest; False when none waits."""
        taken = {item for message in self._telling.under_way for item in message.items}
        found = await self._parts.engine.queues.browse(self._queue, pace.alarms_max + len(taken))
        waiting = [item.id for item in found if item.id not in taken][: pace.alarms_max]
        if not waiting:
            return False
        number = self._telling.numbered + 1
        under_way = (*self._telling.under_way, Message(number, now, tuple(waiting)))
        await self._store(replace(self._telling, numbered=number, last_at=now, under_way=under_way))
        return True

    async def _put_all(self) -> None:
        """Steps 2 and 3 of messages that were begun."""
        for message in self._telling.under_way:
            if not message.put:
                items = await self._items(message)
                if items:
                    put = self._parts.put_for(self._delivery(message, items))
                    await self._parts.engine.queues.put([put], accepted=True)
                changed = tuple(replace(m, put=True) if m is message else m for m in self._telling.under_way)
                await self._store(replace(self._telling, under_way=changed))

    async def _end_ended(self) -> None:
        """End the notices whose message was delivered or given up."""
        if not self._telling.under_way:
            return
        pending = set(await self._parts.engine.queues.pending(self._subscriber))
        for message in self._telling.under_way:
            if message.number not in pending:
                await self._parts.engine.queues.done(await self._items(message), "told")
                left = tuple(m for m in self._telling.under_way if m.number != message.number)
                await self._store(replace(self._telling, under_way=left))

    async def _items(self, message: Message) -> list[Item]:
        found = [await self._parts.engine.queues.find(self._queue, item) for item in message.items]
        return [item for item in found if item is not None]

    def _delivery(self, message: Message, items: Sequence[Item]) -> Delivery:
        """One notice goes as it is, but for routes that people read."""
        first = msgspec.json.decode(items[0].meta, type=Delivery)
        payload, payloads = items[0].body, [item.body for item in items]
        if self._pace() is PEOPLE or len(items) > 1:
            payload = gathered(payloads, self._parts.state_of)
        origin = Origin(self._subscriber, message.number)
        delivery = replace(first, payload=payload, accepted_at=message.began_at, retry=RETRY, origin=origin)
        if len(items) == 1:
            return delivery
        return replace(delivery, event_id=f"{self._subscriber}#{message.number}", target_id=f"{len(items)} alarms")

    @property
    def _subscriber(self) -> str:
        return f"{self._route_arn}#{self._telling.generation}"

    async def _store(self, telling: Telling) -> None:
        await self._parts.engine.records.put(self._key, msgspec.json.encode(telling))
        self._telling = telling
