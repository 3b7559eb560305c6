"""Dead letters: what failed, by handler and error, and putting it back."""

from __future__ import annotations

from typing import Any

import msgspec

from busway.errors import InvalidQuestion
from busway.function.mapping.runner import event_id_of
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.redrive import DeadLetter, Selection, named

# Ours.
LOOKED_AT_MAX = 10_000
SHOWN_DEFAULT, SHOWN_MAX = 100, 1_000
PAYLOAD_CHARS_MAX = 4_096


class RedriveOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to put back. `function` and `handler` are the same: a name or an ARN."""

    function: str | None = None
    handler: str | None = None
    queue: str | None = None
    ids: list[str] | None = None
    all: bool = False


class Group(msgspec.Struct):
    """Dead letters of one handler with one error in one queue. Times are Unix seconds."""

    handler: str
    queue: str
    error_code: str
    error_message: str
    count: int
    first_at: float
    last_at: float


async def dead_letters(server: Inspection, request: Request) -> Answer:
    """`total`, the groups with the largest first, and the items, up to `limit`; `cut` says that there are more."""
    shown = request.number("limit", SHOWN_DEFAULT, SHOWN_MAX)
    handler = request.query.get("handler")
    selection = Selection(handler, request.query.get("queue"), feeds=_feeds(server, handler))
    letters = await server.redrive.look(request.scope, selection, LOOKED_AT_MAX)
    told = {
        "total": len(letters),
        "cut": len(letters) >= LOOKED_AT_MAX,
        "groups": groups(letters),
        "items": [_item(letter) for letter in letters[:shown]],
    }
    return Answer(told)


def groups(letters: list[DeadLetter]) -> list[Group]:
    """The largest first."""
    found: dict[tuple[str, str, str, str], Group] = {}
    for letter in letters:
        source = letter.source
        if source is None:
            continue
        key = (letter.handler, letter.queue_arn, source.error_code, source.error_message)
        group = found.setdefault(key, Group(*key, 0, source.failed_at, source.failed_at))
        group.count += 1
        group.first_at = min(group.first_at, source.failed_at)
        group.last_at = max(group.last_at, source.failed_at)
    return sorted(found.values(), key=lambda group: (-group.count, group.handler))


def _item(letter: DeadLetter) -> dict[str, Any]:
    """`event_id` is "" where no single event failed; then `place` (a stream's records) or the message says what."""
    source = letter.source
    if source is None:
        return {"message_id": letter.message_id, "queue": letter.queue_arn}
    return {
        "message_id": letter.message_id,
        "event_id": source.event_id or event_id_of(source.payload),
        "place": _place(letter.item.body) if source.kind == "batch" else "",
        "queue": letter.queue_arn,
        "handler": letter.handler,
        "kind": source.kind,
        "rule_arn": source.rule_arn,
        "error_code": source.error_code,
        "error_message": source.error_message,
        "attempts": source.attempts,
        "first_at": source.first_at,
        "failed_at": source.failed_at,
        "request_id": source.request_id,
        "payload": source.payload.decode(errors="replace")[:PAYLOAD_CHARS_MAX],
    }


def _feeds(server: Inspection, handler: str | None) -> set[str]:
    """The queues whose messages mappings give to a function of this name or ARN."""
    if handler is None:
        return set()
    return {record.source_arn for record in server.mappings.all() if named(record.function, handler)}


class _BatchInfo(msgspec.Struct):
    shardId: str
    startSequenceNumber: str
    batchSize: int


class _BatchLetter(msgspec.Struct):
    KinesisBatchInfo: _BatchInfo


def _place(body: bytes) -> str:
    """Where in their stream the records lie that were given up: shard, sequence number, and how many follow."""
    try:
        lost = msgspec.json.decode(body, type=_BatchLetter).KinesisBatchInfo
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A letter that a user sent on in other words.
        return ""
    more = f" +{lost.batchSize - 1}" if lost.batchSize > 1 else ""
    return f"{lost.shardId}:{lost.startSequenceNumber}{more}"


async def redrive(server: Inspection, request: Request) -> Answer:
    """Put back what the order names. Raises `InvalidQuestion` for an order that names nothing."""
    order = request.read(RedriveOrder)
    handler = order.function or order.handler
    if handler is None and order.queue is None and order.ids is None and not order.all:
        raise InvalidQuestion("redrive what? Name a function, a handler, a queue or ids, or say all: true")
    ids = set(order.ids) if order.ids is not None else None
    selection = Selection(handler, order.queue, ids, _feeds(server, handler))
    return Answer(await server.redrive.redrive(request.scope, selection))
