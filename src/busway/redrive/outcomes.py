"""What became of work that was put back: under way, failed again, or delivered.

A letter that is put back becomes an item of another queue. As long as that is there, the work is under way; when it
fails again, a new dead letter is durable before the item ends. So the items are looked at first and the new letters
after them: what is in neither was delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from busway.arn import Scope
from busway.clock import Clock
from busway.delivery.dead_letter import MESSAGE_CHARS_MAX
from busway.delivery.outbox import QUEUE_PREFIX, Parcel
from busway.engine import Engine, Item, Put
from busway.function.invocation.letters import Work, error_message, error_type
from busway.queue.fifo import read_meta
from busway.redrive.letters import DeadLetter, pages

# Ours: so many letters of one redrive are followed, and how long it is waited between two looks.
FOLLOWED_MAX = 10_000
LOOK_S, LOOK_S_MAX, LOOK_GROWTH = 0.1, 1.0, 1.5

DELIVERED, FAILED, UNDER_WAY = "delivered", "failed", "under way"


class Outcome(msgspec.Struct, frozen=True):
    """What became of one letter. `due_at` is when what failed once more is tried next, in Unix seconds."""

    event_id: str
    message_id: str
    handler: str
    state: str
    attempts: int = 0
    error_code: str = ""
    error_message: str = ""
    due_at: float | None = None


@dataclass(slots=True)
class Followed:
    """One letter that was put back at `at`, the items of work that it became, and what a new letter of it has.

    `failed` counts the tries that were seen to fail since.
    """

    letter: Outcome
    at: float
    items: Sequence[tuple[str, int]]
    keys: frozenset[str]
    failed: int = 0


@dataclass(slots=True)
class Outcomes:
    """Follows the letters of one redrive. `add` each, then `wait`."""

    engine: Engine
    clock: Clock
    scope: Scope
    _open: list[Followed] = field(default_factory=list[Followed])
    _last: dict[int, Outcome] = field(default_factory=dict[int, Outcome])
    # By queue, how far it was read for new letters.
    _read: dict[str, int] = field(default_factory=dict[str, int])
    _again: dict[str, tuple[float, Outcome]] = field(default_factory=dict[str, tuple[float, Outcome]])

    async def begin(self) -> None:
        """Remember where every queue ends now: letters behind that are new."""
        for queue_arn in await self._queues():
            await self._read_new(queue_arn, keep=False)

    def add(self, letter: DeadLetter, puts: Sequence[Put], numbers: Sequence[int], now: float) -> None:
        """`letter` became these items; more than `FOLLOWED_MAX` are not followed."""
        if len(self._open) >= FOLLOWED_MAX:
            return
        about = Outcome(letter.event_id, letter.message_id, letter.handler, UNDER_WAY)
        keys = {key for put in puts for key in _keys_of_put(put, letter)}
        # A queue that was the target itself has it: the bus's part is done.
        kept = letter.source is not None and letter.source.kind != "queue"
        items = [
            (put.queue, number)
            for put, number in zip(puts, numbers, strict=True)
            if not (kept and put.queue.startswith("arn:") and ":sqs:" in put.queue)
        ]
        self._open.append(Followed(about, now, items, frozenset(keys)))

    async def wait(self, wait_s: float) -> list[Outcome]:
        """What became of each, in the order of `add`.

        Returns when nothing is under way, or what is waits for a try that is later than `wait_s` seconds from now;
        after `wait_s` seconds in any case. It may be cancelled.
        """
        until, pause_s = self.clock.now() + wait_s, LOOK_S
        while True:
            found = await self.look()
            now = self.clock.now()
            moving = [one for one in found if one.state == UNDER_WAY and (one.due_at is None or one.due_at < until)]
            if not moving or now >= until:
                return found
            await self.clock.sleep(min(pause_s, max(until - now, 0.0)))
            pause_s = min(pause_s * LOOK_GROWTH, LOOK_S_MAX)

    async def look(self) -> list[Outcome]:
        """What has become of each until now."""
        waiting = {number: one for number, one in enumerate(self._open) if number not in self._last}
        under_way: dict[int, Outcome] = {}
        for number, one in waiting.items():
            # The last item that is still there tells for a batch whose records are tried one by one.
            for queue, item_id in one.items:
                item = await self.engine.queues.find(queue, item_id)
                if item is not None:
                    under_way[number] = _progress(one.letter, item)
                    one.failed = max(one.failed, under_way[number].attempts)
        ended = [(number, one) for number, one in waiting.items() if number not in under_way]
        if ended:
            for queue_arn in await self._queues():
                await self._read_new(queue_arn, keep=True)
        for number, one in ended:
            self._last[number] = self._ended(one)
        return [self._last.get(number) or under_way[number] for number in range(len(self._open))]

    def _ended(self, one: Followed) -> Outcome:
        found = (self._again[key] for key in one.keys if key in self._again)
        failed = next((outcome for failed_at, outcome in found if failed_at >= one.at), None)
        # At the try after those that were seen to fail.
        return failed or msgspec.structs.replace(one.letter, state=DELIVERED, attempts=one.failed + 1)

    async def _queues(self) -> list[str]:
        return await self.engine.queues.names(self.scope.arn("sqs", ""))

    async def _read_new(self, queue_arn: str, *, keep: bool) -> None:
        wanted = {key for one in self._open for key in one.keys} if keep else set[str]()
        after = self._read.get(queue_arn, 0)
        async for page in pages(self.engine, queue_arn, to_the_end=False, after_id=after):
            self._read[queue_arn] = page[-1].item.id
            for letter in page if keep else ():
                for key in wanted.intersection(_keys_of(letter)):
                    self._again[key] = _failed(letter)


def _keys_of(letter: DeadLetter) -> set[str]:
    """By what a new letter is known to be of work that was put back."""
    source = letter.source
    if source is None:
        return set()
    keys = {f"message {letter.message_id}"}
    if source.request_id:
        keys.add(f"request {source.request_id}")
    elif letter.event_id:
        keys.add(f"event {letter.event_id} {letter.handler}")
    return keys


def _keys_of_put(put: Put, letter: DeadLetter) -> set[str]:
    if put.queue.startswith(QUEUE_PREFIX):
        return {f"event {letter.event_id} {letter.handler}"} if letter.event_id else set()
    if ":lambda:" in put.queue:
        return {f"request {msgspec.json.decode(put.meta, type=Work).request_id}"}
    item = Item(put.queue, 0, 0, 0, 0.0, 0.0, put.body, put.meta)
    found = {f"message {read_meta(item).message_id}"}
    return found | ({f"event {letter.event_id} {letter.handler}"} if letter.event_id else set())


def _failed(letter: DeadLetter) -> tuple[float, Outcome]:
    """When, and what to tell of it: without its payload, of which thousands may be kept."""
    source = letter.source
    assert source is not None
    return source.failed_at, Outcome(
        letter.event_id, letter.message_id, letter.handler, FAILED, source.attempts, source.error_code,
        source.error_message[:MESSAGE_CHARS_MAX],
    )  # fmt: skip


def _progress(letter: Outcome, item: Item) -> Outcome:
    """How it goes with work that is still queued; its last error, if it failed and waits for another try."""
    told: dict[str, Any] = {"attempts": item.attempts}
    if item.queue.startswith(QUEUE_PREFIX):
        parcel = msgspec.json.decode(item.meta, type=Parcel)
        told |= {"error_code": parcel.error_code, "error_message": parcel.error_message}
    elif ":lambda:" in item.queue:
        work = msgspec.json.decode(item.meta, type=Work)
        told |= {"attempts": work.errors, "error_code": error_type(work.error)}
        told |= {"error_message": error_message(work.error)}
        if item.attempts > work.errors:
            return msgspec.structs.replace(letter, **told)
    else:
        return msgspec.structs.replace(letter, **told)
    waits = bool(told["error_code"] or told["error_message"])
    return msgspec.structs.replace(letter, **told, due_at=item.due_at if waits else None)
