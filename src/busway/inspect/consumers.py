"""What became of an event behind a stream or a queue: which batch of which mapping took it, and how that went.

A record of a stream is found by the event's id, in its data or as its key; a message of a queue by the delivery that
it is. What the batches did stands in each mapping's ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

from busway.bus.history import Found
from busway.delivery import Delivery, Subscriber
from busway.function.mapping.ledger import (
    DELIVERED,
    FINAL,
    GIVEN_UP,
    Note,
    delivery_mark,
    pages,
)
from busway.function.mapping.letters import redriven_id
from busway.function.mapping.proof import begin_of
from busway.function.mapping.record import MappingRecord
from busway.function.mapping.runner import event_id_of
from busway.inspect.ports import Inspection
from busway.inspect.work import find_item, redriven, shown
from busway.redrive import DeadLetter, Selection
from busway.stream.record import Shard, StreamEntry
from busway.targets.identity import delivery_uuid

# Ours: how many records, and pages of a ledger, are looked through; and how many of an event's batches are told.
RECORDS_MAX, PAGES_MAX, BATCHES_MAX = 20_000, 20_000, 20
PAGE = 500
# Ours: how many redrives of one record are followed.
REDRIVES_MAX = 8
# Ours: how much later than its delivery ended a record may have come, on a clock that is set.
LATER_S = 1.0


@dataclass(frozen=True, slots=True)
class Passed:
    """A delivery to a stream or a queue that is done; `at` is when it ended. `letters` are those of the event."""

    event_id: str
    found: Found
    subscriber: Subscriber
    at: float | None
    letters: Sequence[DeadLetter]


async def consumers(server: Inspection, passed: Passed) -> list[dict[str, Any]]:
    """For each mapping that reads the target: what became of the event there. [] for a target that none reads."""
    arn = passed.subscriber.target_arn
    readers = [record for record in server.mappings.all() if record.source_arn == arn]
    if not readers:
        return []
    if readers[0].kind == "kinesis":
        place = await _record_of(server, passed)
        return [] if place is None else [await _of_stream(server, passed, record, *place) for record in readers]
    return await _of_queue(server, passed, readers)


# --- streams ---


async def _record_of(server: Inspection, passed: Passed) -> tuple[Shard, StreamEntry] | None:
    """The first record of the event in the stream."""
    begun = passed.found.entry.at
    ended = float("inf") if passed.at is None else passed.at + LATER_S
    left = RECORDS_MAX
    for shard in server.streams.shards(passed.subscriber.target_arn):
        after = await server.streams.offset_at(shard, begun)
        while left > 0 and (entries := await server.streams.read(shard, after, min(PAGE, left))):
            for entry in entries:
                if entry.arrived_at <= ended and _is_event(entry, passed.event_id):
                    return shard, entry
            after, left = entries[-1].offset, left - len(entries)
            if entries[-1].arrived_at > ended:
                break
    return None


def _is_event(entry: StreamEntry, event_id: str) -> bool:
    return entry.partition_key == event_id or (
        event_id.encode() in entry.data and event_id_of(entry.data) == event_id
    )


async def _of_stream(
    server: Inspection, passed: Passed, record: MappingRecord, shard: Shard, entry: StreamEntry
) -> dict[str, Any]:
    told = _about(server, record) | {"shard": shard.id, "sequence_number": entry.sequence_number}
    checkpoint = await server.engine.journal.position(shard.journal, record.uuid)
    notes = await _notes(server, record, shard.journal, entry.arrived_at, lambda note: note.has(entry.offset))
    final = _final(notes)
    if final is None:
        begun = await begin_of(server.engine, record, shard)
        state = "not read" if entry.offset <= begun else "lost" if entry.offset <= checkpoint else "pending"
        return told | {"state": state, **_history(notes)}
    told |= {"state": _word(final), **_last(final), **_history(notes)}
    lines = await server.logs.of_request(final.request_id) if final.request_id else []
    if final.outcome == GIVEN_UP and final.queue:
        request_ids = _redriven_ids(final.request_id, f"{shard.id}:{entry.sequence_number}")
        letter = await _letter(server, passed, record, final, {final.request_id, *request_ids})
        if letter is not None:
            told |= {"dead_letter_queue": letter.queue_arn, "message_id": letter.message_id}
        else:
            told |= await _after_redrives(server, record, request_ids, final.at)
    return told | {"logs": shown(lines)}


def _redriven_ids(request_id: str, record_event_id: str) -> list[str]:
    """The request ids of a record's redrives: each is made of the one before it."""
    found = [request_id]
    for _ in range(REDRIVES_MAX):
        found.append(redriven_id(found[-1], record_event_id))
    return found[1:]


async def _after_redrives(
    server: Inspection, record: MappingRecord, request_ids: Sequence[str], given_up_at: float
) -> dict[str, Any]:
    """How the newest redrive goes, or went; nothing when no log tells of one that ended well."""
    for request_id in request_ids:
        lines = await server.logs.of_request(request_id)
        told = await redriven(server, record.function, request_id, given_up_at, lines)
        if told or not lines:
            return told
    return {}


async def _letter(
    server: Inspection, passed: Passed, record: MappingRecord, final: Note, request_ids: Set[str]
) -> DeadLetter | None:
    """The letter of the batch, or of the record if it was redriven and failed again."""
    own = [letter for letter in passed.letters if letter.source is not None and letter.source.kind == "batch"]
    named = await server.redrive.look(record.scope, Selection(queue=final.queue))
    return next(
        (one for one in (*named, *own) if one.source is not None and one.source.request_id in request_ids),
        next((one for one in own if one.handler.startswith(record.function)), None),
    )


# --- queues ---


async def _of_queue(server: Inspection, passed: Passed, readers: Sequence[MappingRecord]) -> list[dict[str, Any]]:
    """Only one of several readers takes a message; while none has, all are told."""
    subscriber, offset = passed.subscriber, passed.found.entry.offset
    marks = {delivery_mark(subscriber.name, offset)}
    told: list[dict[str, Any]] = []
    for record in readers:
        since = passed.found.entry.at
        notes = await _notes(server, record, record.source_arn, since, lambda note: not marks.isdisjoint(note.marks))
        final = _final(notes)
        if final is not None:
            lines = await server.logs.of_request(final.request_id) if final.request_id else []
            ended = {"state": _word(final), **_last(final), **_history(notes), "logs": shown(lines)}
            return [_about(server, record) | ended]
        told.append(_about(server, record) | _history(notes))
    state = await _state_in_queue(server, passed)
    tried = [one for one in told if one["batches"]]
    return [{**one, **state} for one in (tried or told)]


async def _state_in_queue(server: Inspection, passed: Passed) -> dict[str, Any]:
    """Of a message that no batch is done with: put aside by the redrive policy, waiting, or taken by another."""
    subscriber, offset = passed.subscriber, passed.found.entry.offset
    delivery = Delivery(
        event_id=passed.event_id, target_arn="", payload=b"", accepted_at=0.0, subscriber=subscriber.name
    )
    message_id = delivery_uuid(delivery)
    for letter in passed.letters:
        source = letter.source
        if source is None or source.kind != "queue" or source.target_arn != subscriber.target_arn:
            continue
        if letter.message_id == message_id or event_id_of(source.payload) == passed.event_id:
            where = {"dead_letter_queue": letter.queue_arn, "message_id": letter.message_id, "at": source.failed_at}
            told = {"state": "dead-lettered", "attempts": source.attempts, **where}
            return {**told, "error_code": source.error_code, "error_message": source.error_message}
    origin = (subscriber.name, offset)
    item = await find_item(
        server,
        subscriber.target_arn,
        lambda item: item.origin and (item.origin.subscriber, item.origin.offset) == origin,
    )
    if item is None:
        return {"state": "taken"}
    return {"state": "pending", "attempts": item.attempts, "due_at": item.due_at}


# --- both ---


def _about(server: Inspection, record: MappingRecord) -> dict[str, Any]:
    return {
        "mapping": record.uuid,
        "mapping_state": server.mappings.state(record.uuid),
        "function": record.function_arn,
        "attempts": 0,
    }


async def _notes(
    server: Inspection, record: MappingRecord, part: str, since: float, wanted: Callable[[Note], bool]
) -> list[Note]:
    """The notes that tell of it, oldest first, up to the one that ends it."""
    found: list[Note] = []
    left = PAGES_MAX
    async for page in pages(server.engine, record.uuid, since):
        found += [note for note in page.get(part, ()) if wanted(note)]
        left -= 1
        if left == 0 or (found and found[-1].outcome in FINAL):
            break
    return found


def _final(notes: Sequence[Note]) -> Note | None:
    return next((note for note in notes if note.outcome in FINAL), None)


def _word(final: Note) -> str:
    if final.outcome == GIVEN_UP:
        return "dead-lettered" if final.queue else GIVEN_UP
    return final.outcome


def _last(note: Note) -> dict[str, Any]:
    return {"request_id": note.request_id, "attempts": note.attempt, **_error(note), "at": note.at}


def _error(note: Note) -> dict[str, Any]:
    return {} if note.outcome == DELIVERED else {"error_code": note.code, "error_message": note.message}


def _history(notes: Sequence[Note]) -> dict[str, Any]:
    """The newest batches that it was in."""
    return {
        "batches": [
            {"outcome": note.outcome, "at": note.at, "request_id": note.request_id, "attempt": note.attempt}
            | {"records": _size(note), **_error(note)}
            for note in notes[-BATCHES_MAX:]
        ]
    }


def _size(note: Note) -> int:
    return len(note.marks) or sum(last - first + 1 for first, last in note.ranges())
