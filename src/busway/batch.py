"""A batch as Lambda hands it over: its records, their events, and what becomes of each.

    queue         every message by itself; of a FIFO queue, what comes behind a failure in its group waits for it
    stream        the shard goes on from the first failure, so nothing behind a failure is run before it is settled

Light: runs in a worker and in a Lambda zip.
"""

from __future__ import annotations

import base64
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from busway.errors import EventMismatch
from busway.event import Event

# The group of a stream's records: all of a batch are in one.
STREAM = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a batch: its name in the answer, its event as JSON, and the group whose order is kept, if any."""

    id: str
    where: str
    body: Callable[[], str | bytes]
    group: str | None


class Batch:
    """What becomes of the records of one batch."""

    def __init__(self, event_class: type[Event], records: Sequence[Record]) -> None:
        self._event_class, self._records = event_class, records
        # By place; None for a record that is to come again without an error of its own.
        self._failed: dict[int, Exception | None] = {}
        self._stopped: set[str] = set()
        self._succeeded = False
        # The first failure, until something succeeds: then it is told, else it is raised.
        self._held: tuple[Record, Exception] | None = None

    def run_each(self, handle: Callable[[Event], Any]) -> None:
        __tracebackhide__ = True
        for place, record in enumerate(self._records):
            if self._waits(place, record):
                continue
            try:
                handle(self._event(record))
            except Exception as error:  # noqa: BLE001 - whatever it raised is this record's failure
                self._fail(place, record, error)
            else:
                self._succeed()

    def run_together(self, handle: Callable[[list[Event]], Any]) -> None:
        __tracebackhide__ = True
        events: dict[int, Event] = {}
        for place, record in enumerate(self._records):
            if self._waits(place, record):
                continue
            try:
                events[place] = self._event(record)
            except EventMismatch as error:
                self._fail(place, record, error)
        if not events:
            return
        again = _again(handle(list(events.values())), list(events.values()))
        self._stopped.clear()
        for place, event in events.items():
            if event.envelope.id in again:
                self._fail(place, self._records[place], None)
            elif not self._waits(place, self._records[place]):
                self._succeed()

    def report(self) -> dict[str, Any]:
        """Lambda's answer. Raises the first error when nothing succeeded."""
        __tracebackhide__ = True
        if self._held is not None:
            raise self._held[1]
        failed = [self._records[place] for place in sorted(self._failed)]
        # Of a stream the first says it all: everything from there on comes again.
        named = [record.id for record in failed if record.group != STREAM] or [record.id for record in failed[:1]]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in named]}

    def _event(self, record: Record) -> Event:
        """Raises EventMismatch for a record that is no event of the class."""
        try:
            raw = json.loads(record.body())
        except ValueError as error:
            raise EventMismatch(f"{record.where} is no event: {error}; wanted the JSON of one") from error
        if not isinstance(raw, dict):
            raise EventMismatch(f"{record.where} is no event: found {type(raw).__name__}, wanted a JSON object")
        return self._event_class.from_envelope(cast(dict[str, Any], raw))

    def _waits(self, place: int, record: Record) -> bool:
        """Whether something before it in its group failed: then it comes again, behind that."""
        if record.group not in self._stopped:
            return False
        self._failed.setdefault(place, None)
        return True

    def _fail(self, place: int, record: Record, error: Exception | None) -> None:
        first = not self._succeeded and all(found is None for found in self._failed.values())
        self._failed[place] = error
        if record.group is not None:
            self._stopped.add(record.group)
        if error is not None and first:
            self._held = (record, error)
        elif error is not None:
            _tell(record, error)

    def _succeed(self) -> None:
        self._succeeded = True
        if self._held is not None:
            _tell(*self._held)
            self._held = None


def records_of(event: Mapping[str, Any], handler: str) -> list[Record]:
    """The records of an event as Lambda gives it. Raises TypeError for another one."""
    found: Any = event.get("Records")
    records = [_record(one) for one in cast(list[Any], found)] if isinstance(found, list) else []
    if not records or None in records:
        wanted = "wanted Lambda's event of a Kinesis stream or an SQS queue, with its Records"
        raise TypeError(f"batch handler {handler} was called with {_shown(event)}; {wanted}")
    return cast(list[Record], records)


def _record(record: Any) -> Record | None:
    """None for what is no record of a stream or a queue."""
    match record:
        case {"eventSource": "aws:kinesis", "kinesis": {"sequenceNumber": str(number), "data": str(data)}}:
            return Record(number, f"record {number}", lambda: base64.b64decode(data), STREAM)
        case {"eventSource": "aws:sqs", "messageId": str(name), "body": str(body)}:
            known = cast(dict[str, Any], record)
            in_order = str(known.get("eventSourceARN", "")).endswith(".fifo")
            group = str(known.get("attributes", {}).get("MessageGroupId", "")) if in_order else None
            return Record(name, f"message {name}", lambda: body, group)
        case _:
            return None


def _again(result: Any, events: Sequence[Event]) -> set[str]:
    """The ids of the events that a handler of lists gave back. Raises TypeError for anything else that it gave."""
    if result is None:
        return set()
    known = {event.envelope.id for event in events}
    given: list[Any] = list(cast(Iterable[Any], result)) if isinstance(result, Iterable) else [result]
    for one in given:
        if not isinstance(one, Event) or one.envelope.id not in known:
            raise TypeError(
                f"the handler gave back {_shown(one)}; wanted the events of the batch to try again, or None"
            )
    return {cast(Event, one).envelope.id for one in given}


def _tell(record: Record, error: Exception) -> None:
    """The failure of one record in the function's log; its traceback begins in the handler."""
    frame = None if isinstance(error, EventMismatch) else error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").startswith("busway."):
        frame = frame.tb_next
    trace = "".join(traceback.format_tb(frame))
    sys.stdout.write(f"[ERROR] {record.where} failed: {type(error).__name__}: {error}\n{trace}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
