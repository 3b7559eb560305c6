"""Puts dead letters back to exactly the handler that failed.

    look     which messages are dead letters: those whose meta has a `Source`           (browses, leases nothing)
    redrive  lease → put the work back → end the dead letter as "redriven"

The put comes first: a death between the two repeats work and loses none. What a queue's redrive policy put aside goes
back to that queue. A message that was sent by a user has no `Source`; nobody knows where it belongs, so it stays, and
is counted as skipped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import msgspec

from busway.alarm.queues import handler_of
from busway.arn import Scope, parse_arn
from busway.clock import Clock
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Item, Put
from busway.errors import BuswayError, NoWayBack
from busway.function.mapping.runner import event_id_of
from busway.metrics import Metrics
from busway.queue.fifo import read_meta
from busway.queue.moves import source_of
from busway.trail import Trail

# Ours. A page is one engine call; a lease outlives what one call can take.
PAGE = 200
LEASE_S = 60.0
# Ours: a queue that was not named is looked at to its end only if one of its first messages is a dead letter, so that
# a long queue of work costs little.
LOOKED_AT_FIRST = 1_000

# Kind of source -> the work that gives its handler the payload again, from the source, the letter and the time now.
Ways = Mapping[str, Callable[[Source, Item, float], Sequence[Put]]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of a dead-letter queue; `source` is None when nobody knows where it belongs."""

    queue_arn: str
    item: Item
    message_id: str
    source: Source | None

    @property
    def handler(self) -> str:
        """The ARN of what failed: a function or a rule's target; "" when unknown."""
        return handler_of(self.source) if self.source else ""

    @property
    def event_id(self) -> str:
        """The one event that failed; a message that a queue put aside may have it in its body. "" for none."""
        source = self.source
        if source is None:
            return ""
        return source.event_id or (event_id_of(source.payload) if source.kind == "queue" else "")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: of a handler (name or ARN), in a queue (name or ARN), of ids; what is None is any.

    `ids` are message ids or event ids. `feeds` are the ARNs of the queues from which mappings give the handler its
    messages: what such a queue put aside failed in the handler.
    """

    handler: str | None = None
    queue: str | None = None
    ids: Set[str] | None = None
    feeds: Set[str] = frozenset()

    def takes(self, letter: DeadLetter) -> bool:
        if self.handler is not None and not named(letter.handler, self.handler) and letter.handler not in self.feeds:
            return False
        if self.queue is not None and not named(letter.queue_arn, self.queue):
            return False
        return (
            self.ids is None or letter.message_id in self.ids or bool(letter.event_id and letter.event_id in self.ids)
        )


class Refusal(msgspec.Struct, frozen=True):
    """A dead letter that stays, and why."""

    message_id: str
    queue_arn: str
    reason: str


class Redriven(msgspec.Struct, frozen=True):
    """What a redrive did. `skipped` have no known handler, `busy` are held by a consumer or not due yet."""

    redriven: int = 0
    skipped: int = 0
    busy: int = 0
    refused: tuple[Refusal, ...] = ()


class Redrive:
    """`changed` is called with the ARN of each queue that got shorter; `searched` is open while one is worked on."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        ways: Ways,
        *,
        metrics: Metrics,
        trail: Trail,
        changed: Callable[[str], None] = lambda _: None,
        searched: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._engine, self._clock, self._ways = engine, clock, ways
        self._metrics, self._trail, self._changed = metrics, trail, changed
        self._searched = searched

    async def look(self, scope: Scope, selection: Selection, limit: int | None = None) -> list[DeadLetter]:
        """The dead letters that `selection` takes, oldest first by queue; up to `limit`."""
        found: list[DeadLetter] = []
        for queue_arn in await self._queues(scope, selection):
            async for page in pages(self._engine, queue_arn, to_the_end=selection.queue is not None):
                found += [letter for letter in page if letter.source and selection.takes(letter)]
                if limit is not None and len(found) >= limit:
                    return found[:limit]
        return found

    async def redrive(
        self, scope: Scope, selection: Selection, progress: Callable[[int], None] = lambda _: None
    ) -> Redriven:
        """Put back what `selection` takes; `progress` gets the number redriven until now, page by page."""
        total = Redriven()
        for queue_arn in await self._queues(scope, selection):
            run = _Run(self._engine, queue_arn, selection, self._put_back)
            with self._searched(queue_arn):
                total = _sum(total, await run.redrive(total.redriven, progress))
            self._changed(queue_arn)
        return total

    async def _queues(self, scope: Scope, selection: Selection) -> list[str]:
        names = await self._engine.queues.names(scope.arn("sqs", ""))
        return [name for name in names if selection.queue is None or named(name, selection.queue)]

    async def _put_back(self, letters: Iterable[DeadLetter]) -> tuple[list[DeadLetter], list[Refusal]]:
        """Put the work of leased letters, then end them; those for which there is no way are refused."""
        now = self._clock.now()
        puts: list[Put] = []
        back: list[DeadLetter] = []
        refused: list[Refusal] = []
        for letter in letters:
            try:
                puts += self._puts_of(letter, now)
                back.append(letter)
            except BuswayError as error:
                refused.append(Refusal(letter.message_id, letter.queue_arn, str(error)))
        if puts:
            await self._engine.queues.put(puts, accepted=True)
            await self._engine.queues.done([letter.item for letter in back], "redriven")
        for letter in back:
            self._note(letter)
        return back, refused

    def _puts_of(self, letter: DeadLetter, now: float) -> Sequence[Put]:
        source = letter.source
        if source is None or source.kind not in self._ways:
            raise NoWayBack(letter.message_id, source.kind if source else "")
        return self._ways[source.kind](source, letter.item, now)

    def _note(self, letter: DeadLetter) -> None:
        source = letter.source
        if source is None:
            return
        facts = {"queue": letter.queue_arn, "message_id": letter.message_id, "event_id": source.event_id}
        facts |= {"function": source.function_arn} if source.function_arn else {"target": source.target_arn}
        self._trail.note("redriven", **facts)
        self._metrics.count("Busway/DeadLetters", "Redriven", of=letter.queue_arn, Handler=letter.handler)


class _Run:
    """The redrive of one queue.

    The engine leases what is due first and nothing else, so what is not wanted is leased on the way and given back
    as it was. How much that is, is bounded by looking first: it ends with the last letter that is wanted.
    """

    def __init__(
        self,
        engine: Engine,
        queue_arn: str,
        selection: Selection,
        put_back: Callable[[Iterable[DeadLetter]], Awaitable[tuple[list[DeadLetter], list[Refusal]]]],
    ) -> None:
        self._engine, self._queue_arn, self._selection, self._put_back = engine, queue_arn, selection, put_back
        self._due_at: dict[int, float] = {}
        self._wanted: set[int] = set()
        self._kept: list[tuple[Item, float]] = []
        self._redriven = 0
        self._refused: list[Refusal] = []

    async def redrive(self, before: int, progress: Callable[[int], None]) -> Redriven:
        skipped = await self._look()
        try:
            while self._wanted and (items := await self._engine.queues.lease(self._queue_arn, PAGE, LEASE_S)):
                await self._take(items)
                progress(before + self._redriven)
        finally:
            for item, due_at in self._kept:
                await self._engine.queues.refund(item, due_at)
        return Redriven(self._redriven, skipped, len(self._wanted), tuple(self._refused))

    async def _look(self) -> int:
        """Learn what is wanted; return how many were chosen whose handler nobody knows."""
        skipped = 0
        async for page in pages(self._engine, self._queue_arn, to_the_end=self._selection.queue is not None):
            for letter in page:
                self._due_at[letter.item.id] = letter.item.due_at
                if self._selection.takes(letter):
                    skipped += letter.source is None
                    if letter.source is not None:
                        self._wanted.add(letter.item.id)
        return skipped

    async def _take(self, items: list[Item]) -> None:
        wanted = [item for item in items if item.id in self._wanted]
        self._wanted.difference_update(item.id for item in wanted)
        back, refused = await self._put_back(map(_letter, wanted))
        ended = {letter.item.id for letter in back}
        self._kept += [(item, self._due_at.get(item.id, item.put_at)) for item in items if item.id not in ended]
        self._redriven += len(back)
        self._refused += refused


async def pages(engine: Engine, queue_arn: str, *, to_the_end: bool) -> AsyncIterator[list[DeadLetter]]:
    """The messages of a queue by page, in the order of their ids; see `LOOKED_AT_FIRST`."""
    after, seen, letters = 0, 0, False
    while page := await engine.queues.browse(queue_arn, PAGE, after):
        found = [_letter(item) for item in page]
        letters = letters or any(letter.source is not None for letter in found)
        yield found
        after, seen = page[-1].id, seen + len(page)
        if seen >= LOOKED_AT_FIRST and not letters and not to_the_end:
            return


def _letter(item: Item) -> DeadLetter:
    return DeadLetter(item.queue, item, read_meta(item).message_id, source_of(item))


def _sum(left: Redriven, right: Redriven) -> Redriven:
    return Redriven(
        left.redriven + right.redriven,
        left.skipped + right.skipped,
        left.busy + right.busy,
        left.refused + right.refused,
    )


def named(arn: str, name: str) -> bool:
    """Whether `name` is this ARN or the last part of it."""
    parsed = parse_arn(arn)
    return name in (arn, parsed.name if parsed else "")
