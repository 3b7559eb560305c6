"""Which messages of the queues are dead letters, and which of those somebody means. Looks, and leases nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Set
from dataclasses import dataclass

import msgspec

from busway.alarm.queues import handler_of
from busway.arn import parse_arn
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Item
from busway.errors import InvalidEvent
from busway.function.mapping.redriven import single_contents
from busway.function.mapping.runner import event_id_of
from busway.pattern import Pattern
from busway.queue.fifo import read_meta
from busway.queue.moves import source_of

# Ours: a page is one engine call.
PAGE = 200
# Ours: a queue that was not named is looked at to its end only if one of its first messages is a dead letter, so that
# a long queue of work costs little.
LOOKED_AT_FIRST = 1_000


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

    def contents(self) -> Iterator[bytes]:
        """What the handler would have got; of a batch, what each record carries."""
        source = self.source
        if source is None:
            return
        if source.kind != "batch":
            yield source.payload
            return
        try:
            yield from single_contents(source.payload)
        except (msgspec.DecodeError, ValueError):
            # Written by another version: it carries nothing that a pattern could match.
            return


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: of a handler (name or ARN), in a queue (name or ARN), of ids; what is None is any.

    `ids` are message ids or event ids. `feeds` are the ARNs of the queues from which mappings give the handler its
    messages: what such a queue put aside failed in the handler. `pattern` is an event pattern that what the handler
    would have got matches, of a batch any of its records. `error_code` is the whole code.
    """

    handler: str | None = None
    queue: str | None = None
    ids: Set[str] | None = None
    feeds: Set[str] = frozenset()
    pattern: Pattern | None = None
    error_code: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        if self.handler is not None and not named(letter.handler, self.handler) and letter.handler not in self.feeds:
            return False
        if self.queue is not None and not named(letter.queue_arn, self.queue):
            return False
        if self.error_code is not None and (letter.source is None or letter.source.error_code != self.error_code):
            return False
        if self.ids is not None and not (
            letter.message_id in self.ids or bool(letter.event_id and letter.event_id in self.ids)
        ):
            return False
        return self.pattern is None or any(_matches(self.pattern, content) for content in letter.contents())


def _matches(pattern: Pattern, content: bytes) -> bool:
    try:
        return pattern.matches(content)
    except InvalidEvent:
        # A target's own input may be any text.
        return False


async def pages(
    engine: Engine, queue_arn: str, *, to_the_end: bool, after_id: int = 0
) -> AsyncIterator[list[DeadLetter]]:
    """The messages of a queue by page, in the order of their ids; see `LOOKED_AT_FIRST`."""
    after, seen, letters = after_id, 0, False
    while page := await engine.queues.browse(queue_arn, PAGE, after):
        found = [letter_of(item) for item in page]
        letters = letters or any(letter.source is not None for letter in found)
        yield found
        after, seen = page[-1].id, seen + len(page)
        if seen >= LOOKED_AT_FIRST and not letters and not to_the_end:
            return


def letter_of(item: Item) -> DeadLetter:
    return DeadLetter(item.queue, item, read_meta(item).message_id, source_of(item))


def named(arn: str, name: str) -> bool:
    """Whether `name` is this ARN or the last part of it."""
    parsed = parse_arn(arn)
    return name in (arn, parsed.name if parsed else "")
