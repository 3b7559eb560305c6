"""Dead letters: what failed, by handler and error; one of them with its attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from busway.delivery.letter_groups import LetterGroups
from busway.errors import InvalidQuestion, LetterNotFound
from busway.function.logs import Line
from busway.function.mapping.runner import event_id_of
from busway.inspect.attempts import attempts_of
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.pattern import Pattern, parse
from busway.redrive import DeadLetter, Selection, named
from busway.trail import Step

# Ours.
LOOKED_AT_MAX = 10_000
SHOWN_DEFAULT, SHOWN_MAX = 100, 1_000
PAYLOAD_CHARS_MAX = 4_096
# Ours: so many letters of one event are shown with their attempts, and so many requests of one letter are looked up.
OF_EVENT_MAX, REQUESTS_MAX = 20, 20


async def dead_letters(server: Inspection, request: Request) -> Answer:
    """`total`, the groups with the largest first, and the items, up to `limit`; `cut` says that there are more.

    The query may say `handler`, `queue`, `error` (a code) and `matching` (an event pattern).
    """
    shown = request.number("limit", SHOWN_DEFAULT, SHOWN_MAX)
    query = request.query
    handler = query.get("handler")
    selection = Selection(
        handler, query.get("queue"), feeds=feeds(server, handler), pattern=pattern_of(query.get("matching")),
        error_code=query.get("error"),
    )  # fmt: skip
    return Answer(await listed(server.redrive.found(request.scope, selection), shown))


async def listed(letters: AsyncIterator[DeadLetter], shown: int) -> dict[str, Any]:
    """What `dead_letters` tells; of those that are not shown only their number and group stay in memory."""
    groups = LetterGroups()
    items: list[dict[str, Any]] = []
    total = 0
    async for letter in letters:
        if total >= LOOKED_AT_MAX:
            break
        total += 1
        source = letter.source
        if source is not None:
            groups.add(letter.handler, letter.queue_arn, source.error_code, source.error_message, source.failed_at)
        if len(items) < shown:
            items.append(_item(letter))
    return {"total": total, "cut": total >= LOOKED_AT_MAX, "groups": groups.ordered(), "items": items}


async def dead_letter(server: Inspection, request: Request) -> Answer:
    """The letters of one event or message id, each whole and with its attempts: /_busway/dead-letters/{id}.

    Raises `LetterNotFound`.
    """
    wanted = request.path.rsplit("/", 1)[-1]
    handler = request.query.get("handler")
    selection = Selection(handler, request.query.get("queue"), {wanted}, feeds(server, handler))
    letters = await server.redrive.look(request.scope, selection, OF_EVENT_MAX)
    if not letters:
        raise LetterNotFound(wanted)
    return Answer({"letters": [await _whole(server, letter) for letter in letters]})


async def _whole(server: Inspection, letter: DeadLetter) -> dict[str, Any]:
    source = letter.source
    if source is None:
        return _item(letter)
    steps = server.trail.recent(event_id=letter.event_id) if letter.event_id else []
    lines = await _lines(server, letter, steps)
    return {
        **_item(letter),
        "payload": source.payload.decode(errors="replace"),
        "edited": source.edited,
        "tries": attempts_of(source, lines, steps),
    }


async def _lines(server: Inspection, letter: DeadLetter, steps: list[Step]) -> list[Line]:
    """What the letter's attempts printed: by its own request, and those of the batches that its event was in."""
    source = letter.source
    assert source is not None
    wanted = dict.fromkeys([source.request_id] if source.request_id else [])
    if source.kind in ("queue", "batch"):
        of_steps = (str(step.facts["request_id"]) for step in steps if step.facts.get("request_id"))
        wanted |= dict.fromkeys(of_steps)
    found = [line for name in list(wanted)[-REQUESTS_MAX:] for line in await server.logs.of_request(name)]
    return sorted(found, key=lambda line: line.at)


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


def feeds(server: Inspection, handler: str | None) -> set[str]:
    """The queues whose messages mappings give to a function of this name or ARN."""
    if handler is None:
        return set()
    return {record.source_arn for record in server.mappings.all() if named(record.function, handler)}


def pattern_of(text: str | None) -> Pattern | None:
    """Raises `InvalidPattern`, `InvalidQuestion`."""
    if text is not None and not text.strip():
        raise InvalidQuestion('matching is empty; wanted an event pattern such as {"detail": {"total": [5]}}')
    return None if text is None else parse(text)


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
