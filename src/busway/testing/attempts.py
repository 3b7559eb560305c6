"""What a test is shown of its bus: the calls of a handler, and what was given up for it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from busway.engine import Item
from busway.queue.message import decode_meta
from busway.queue.moves import source_of

Envelope = Mapping[str, Any]
"""An event with all that is around it, as a rule's target gets it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a handler, with one event or with a batch of them.

    `number` is 1 for the first call with that event (a batch's first); `at` is Unix seconds of the bus's clock.
    `failed` are the events that the call did not finish: all where it raised, else those that a batch reported
    (of a stream also all behind the first of them, as they come again with it).
    """

    events: Sequence[Envelope]
    number: int
    at: float
    error: Exception | None = None
    failed: Sequence[Envelope] = ()

    @property
    def event(self) -> Envelope:
        """Its event; the first one of a batch."""
        return self.events[0]

    @property
    def handled(self) -> list[Envelope]:
        """The events that it finished."""
        return [event for event in self.events if event not in self.failed]


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the event, the attributes that its queue has of it, and why it was given up.

    A stream's batch that is given up is one message in the queue; here each event in it is one letter.
    """

    event: Envelope
    attributes: Mapping[str, str]
    error_code: str
    error_message: str


def letters_in(item: Item) -> Iterator[Letter]:
    """The letters in one message of a dead-letter queue."""
    attributes = {name: value.text or "" for name, value in decode_meta(item.meta).attributes.items()}
    source = source_of(item)
    code, message = ("", "") if source is None else (source.error_code, source.error_message)
    if source is not None and source.kind == "batch":
        # AWS's letter names the records and leaves them in the stream; ours has them with it.
        records: list[Any] = msgspec.json.decode(source.payload)["Records"]
        bodies = [base64.b64decode(record["kinesis"]["data"]) for record in records]
    else:
        bodies = [item.body]
    for body in bodies:
        yield Letter(msgspec.json.decode(body), attributes, code, message)
