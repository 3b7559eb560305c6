"""Puts dead letters back to exactly the handler that failed.

    look     which messages are dead letters: those whose meta has a `Source`           (browses, leases nothing)
    redrive  lease → put the work back → end the dead letter as "redriven"

The put comes first and is durable before the letter ends, so a death between the two loses nothing; the work of a
letter has a key of its own, so that whoever goes on after the death does not put it twice. What a queue's redrive
policy put aside goes back to that queue. A message that was sent by a user has no `Source`; nobody knows where it
belongs, so it stays, and is counted as skipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass
from itertools import islice

import msgspec
from msgspec.structs import replace

from busway.arn import Scope
from busway.clock import Clock
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Item, Once, Put
from busway.errors import BuswayError, NotEditable, NoWayBack
from busway.metrics import Metrics
from busway.redrive.letters import PAGE, DeadLetter, Selection, letter_of, named, pages
from busway.redrive.outcomes import Outcomes
from busway.trail import Trail

# Ours. A lease outlives what one page can take, and after a crash its letters are due again within seconds; a key is
# known for as long as somebody may go on after a death.
LEASE_S = 10.0
KNOWN_S = 3_600.0

# Kind of source -> the work that gives its handler the payload again, from the source, the letter and the time now.
Ways = Mapping[str, Callable[[Source, Item, float], Sequence[Put]]]


@dataclass(frozen=True, slots=True)
class Edit:
    """What a handler gets instead of what failed. `changed` names the members that differ, for people."""

    payload: bytes
    changed: str


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
    """`changed` is called with the ARN of each queue that got shorter; `searched` is open while one is worked on.

    `sent_back` gets what its letters became.
    """

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
        sent_back: Callable[[str, Sequence[tuple[str, int]]], None] = lambda _, __: None,
    ) -> None:
        self._engine, self._clock, self._ways = engine, clock, ways
        self._metrics, self._trail, self._changed = metrics, trail, changed
        self._searched, self._sent_back = searched, sent_back

    async def found(self, scope: Scope, selection: Selection) -> AsyncIterator[DeadLetter]:
        """The dead letters that `selection` takes, oldest first by queue, a page of them in memory at a time."""
        for queue_arn in await self._queues(scope, selection):
            async for page in pages(self._engine, queue_arn, to_the_end=selection.queue is not None):
                for letter in page:
                    if letter.source and selection.takes(letter):
                        yield letter

    async def look(self, scope: Scope, selection: Selection, limit: int | None = None) -> list[DeadLetter]:
        """Up to `limit` of those that `found` gives."""
        chosen: list[DeadLetter] = []
        async for letter in self.found(scope, selection):
            if limit is not None and len(chosen) >= limit:
                break
            chosen.append(letter)
        return chosen

    async def redrive(
        self, scope: Scope, selection: Selection, progress: Callable[[int], None] = lambda _: None
    ) -> Redriven:
        """Put back what `selection` takes; `progress` gets the number redriven until now, page by page."""
        total = Redriven()
        async for so_far in self.run(scope, selection):
            if so_far.redriven > total.redriven:
                progress(so_far.redriven)
            total = so_far
        return total

    async def run(
        self, scope: Scope, selection: Selection, *, edit: Edit | None = None, follow: Outcomes | None = None
    ) -> AsyncGenerator[Redriven]:
        """Put back what `selection` takes, and give the sum until now after each page; the last one is all of it.

        Who stops asking stops it after a page. `edit` is for the one letter that is taken; `follow` is told of each.
        """
        total = Redriven()
        for queue_arn in await self._queues(scope, selection):
            run = _Run(self._engine, queue_arn, selection, _PutBack(self, edit, follow))
            before = total
            try:
                with self._searched(queue_arn):
                    async with aclosing(run.pages()) as steps:
                        async for so_far in steps:
                            total = _sum(before, so_far)
                            if so_far.redriven > 0:
                                yield total
            finally:
                self._changed(queue_arn)
        yield total

    async def _queues(self, scope: Scope, selection: Selection) -> list[str]:
        names = await self._engine.queues.names(scope.arn("sqs", ""))
        return [name for name in names if selection.queue is None or named(name, selection.queue)]

    async def put_back(
        self, letters: Iterable[DeadLetter], edit: Edit | None, follow: Outcomes | None
    ) -> tuple[list[DeadLetter], list[Refusal]]:
        """Put the work of leased letters, then end them; those for which there is no way are refused."""
        now = self._clock.now()
        puts: list[Put] = []
        back: list[tuple[DeadLetter, int]] = []
        refused: list[Refusal] = []
        for letter in letters:
            try:
                made = self._puts_of(letter, edit, now)
            except BuswayError as error:
                refused.append(Refusal(letter.message_id, letter.queue_arn, str(error)))
                continue
            puts += made
            back.append((letter, len(made)))
        if not puts:
            return [], refused
        # A number below zero names the work that a redrive before a death put already.
        numbers = [abs(number) for number in await self._engine.queues.put(puts, accepted=True)]
        for queue_arn, work in _work_of(back, puts, numbers).items():
            self._sent_back(queue_arn, work)
        await self._engine.queues.done([letter.item for letter, _ in back], "redriven")
        first = 0
        for letter, count in back:
            if follow is not None:
                follow.add(letter, puts[first : first + count], numbers[first : first + count], now)
            self._note(letter, edit)
            first += count
        return [letter for letter, _ in back], refused

    def _puts_of(self, letter: DeadLetter, edit: Edit | None, now: float) -> Sequence[Put]:
        source, item = letter.source, letter.item
        if source is None or source.kind not in self._ways:
            raise NoWayBack(letter.message_id, source.kind if source else "")
        if edit is not None:
            if source.kind == "batch":
                raise NotEditable(letter.message_id)
            source = replace(source, payload=edit.payload, edited=edit.changed)
            item = replace(item, body=edit.payload)
        puts = self._ways[source.kind](source, item, now)
        mark = f" {hashlib.blake2b(edit.payload, digest_size=16).hexdigest()}" if edit is not None else ""
        return [
            replace(put, once=Once(f"redriven  {letter.queue_arn} {item.id} {number}{mark}", now + KNOWN_S))
            for number, put in enumerate(puts)
        ]

    def _note(self, letter: DeadLetter, edit: Edit | None) -> None:
        source = letter.source
        if source is None:
            return
        facts = {"queue": letter.queue_arn, "message_id": letter.message_id, "event_id": letter.event_id}
        facts |= {"function": source.function_arn} if source.function_arn else {"target": source.target_arn}
        facts |= {"request_id": source.request_id} if source.request_id else {}
        facts |= {"edited": edit.changed} if edit is not None else {}
        self._trail.note("redriven", **facts)
        self._metrics.count("Busway/DeadLetters", "Redriven", of=letter.queue_arn, Handler=letter.handler)


def _work_of(
    back: Sequence[tuple[DeadLetter, int]], puts: Sequence[Put], numbers: Sequence[int]
) -> dict[str, list[tuple[str, int]]]:
    """By queue, what its letters became, but for messages: those wait for whoever reads their queue."""
    found: dict[str, list[tuple[str, int]]] = {}
    items = iter(zip(puts, numbers, strict=True))
    for letter, count in back:
        work = [(put.queue, number) for put, number in islice(items, count) if ":sqs:" not in put.queue]
        found.setdefault(letter.queue_arn, []).extend(work)
    return found


@dataclass(frozen=True, slots=True)
class _PutBack:
    """How a run puts letters back."""

    redrive: Redrive
    edit: Edit | None
    follow: Outcomes | None

    async def __call__(self, letters: Iterable[DeadLetter]) -> tuple[list[DeadLetter], list[Refusal]]:
        return await self.redrive.put_back(letters, self.edit, self.follow)


class _Run:
    """The redrive of one queue.

    The engine leases what is due first and nothing else, so what is not wanted is leased on the way and given back
    as it was. How much that is, is bounded by looking first: it ends with the last letter that is wanted, or with a
    page that has nothing new of what was looked at, since somebody else holds the rest. Where the way takes longer
    than a lease, what was passed comes again; only its latest lease can be given back, so each one before it stays
    counted. Of what is kept on the way, only what names it stays in memory.
    """

    def __init__(self, engine: Engine, queue_arn: str, selection: Selection, put_back: _PutBack) -> None:
        self._engine, self._queue_arn, self._selection, self._put_back = engine, queue_arn, selection, put_back
        self._due_at: dict[int, float] = {}
        self._wanted: set[int] = set()
        self._kept: dict[int, Item] = {}
        self._redriven = 0
        self._skipped = 0
        self._refused: list[Refusal] = []

    async def pages(self) -> AsyncGenerator[Redriven]:
        """The sum until now after each page; the last one says how many are left because others hold them."""
        await self._look()
        try:
            while self._wanted and (items := await self._engine.queues.lease(self._queue_arn, PAGE, LEASE_S)):
                going_on = any(item.id in self._due_at and item.id not in self._kept for item in items)
                await self._take(items)
                if not going_on:
                    break
                if self._wanted:
                    yield Redriven(self._redriven, self._skipped, 0, tuple(self._refused))
        finally:
            for item in self._kept.values():
                await self._engine.queues.refund(item, self._due_at.get(item.id, item.put_at))
        yield Redriven(self._redriven, self._skipped, len(self._wanted), tuple(self._refused))

    async def _look(self) -> None:
        """Learn what is wanted, and count what was chosen though nobody knows its handler."""
        async for page in pages(self._engine, self._queue_arn, to_the_end=self._selection.queue is not None):
            for letter in page:
                self._due_at[letter.item.id] = letter.item.due_at
                if self._selection.takes(letter):
                    self._skipped += letter.source is None
                    if letter.source is not None:
                        self._wanted.add(letter.item.id)

    async def _take(self, items: list[Item]) -> None:
        wanted = [item for item in items if item.id in self._wanted]
        self._wanted.difference_update(item.id for item in wanted)
        back, refused = await self._put_back(map(letter_of, wanted))
        ended = {letter.item.id for letter in back}
        self._kept |= {item.id: replace(item, body=b"", meta=b"") for item in items if item.id not in ended}
        self._redriven += len(back)
        self._refused += refused


def _sum(left: Redriven, right: Redriven) -> Redriven:
    return Redriven(
        left.redriven + right.redriven,
        left.skipped + right.skipped,
        left.busy + right.busy,
        left.refused + right.refused,
    )
