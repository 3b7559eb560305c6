"""Queued work as `why` tells of it: where it waits, how it goes on, and what became of it after a redrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from busway.delivery.outbox import QUEUE_PREFIX, Parcel
from busway.engine import Item
from busway.function.invocation.letters import Work, error_message, error_type
from busway.function.logs import Line
from busway.inspect.ports import Inspection

# Ours: how many of a queue's items are looked through.
LOOKED_AT_MAX = 20_000
PAGE = 1_000
# How the log of a try tells that it failed: a runtime's line of an exception, and in REPORT what the server ended.
EXCEPTION, ENDED_BY_SERVER = "[ERROR] ", "\tStatus: "
_EDITED = "[busway: sent back with an edited event: "


async def redriven(
    server: Inspection, target_arn: str, request_id: str, given_up_at: float, lines: Sequence[Line]
) -> dict[str, Any]:
    """What became of a dead letter that is gone, as `redriven`: pending or delivered. Nothing when none can tell.

    A function keeps its request id when it is redriven, and the log outlives a restart: work that ran after it was
    given up, waits nowhere, and ended without an error has been delivered.
    """
    item = await find_item(server, target_arn, lambda item: request_of(item) == request_id)
    if item is not None:
        return {"redriven": {"state": "pending", **progress(item)}}
    begun = max((i for i, line in enumerate(lines) if line.line.startswith("START RequestId: ")), default=None)
    if begun is None or lines[begun].at <= given_up_at:
        return {}
    last = lines[begun:]
    report = next((line for line in last if line.line.startswith("REPORT RequestId: ")), None)
    failed = any(line.line.startswith(EXCEPTION) for line in last)
    if report is None or failed or ENDED_BY_SERVER in report.line:
        return {}
    return {"redriven": {"state": "delivered", "at": report.at}}


def edited_line(changed: str) -> str:
    """The line in a function's log that says what was changed of an event before it was sent back."""
    return f"{_EDITED}{changed}]"


def edited_in(lines: Sequence[Line]) -> str:
    """What the newest such line says, "" for none."""
    texts = [line.line for line in lines if line.line.startswith(_EDITED)]
    return texts[-1].removeprefix(_EDITED).removesuffix("]") if texts else ""


def request_of(item: Item) -> str:
    return "" if item.queue.startswith(QUEUE_PREFIX) else msgspec.json.decode(item.meta, type=Work).request_id


async def find_item(server: Inspection, target_arn: str, wanted: Callable[[Item], object]) -> Item | None:
    """The queued work: in the target's own queue (functions) or in the outbox."""
    for queue in (target_arn, QUEUE_PREFIX + target_arn):
        after = seen = 0
        while seen < LOOKED_AT_MAX and (page := await server.engine.queues.browse(queue, PAGE, after)):
            for item in page:
                if wanted(item):
                    return item
            after, seen = page[-1].id, seen + len(page)
    return None


def progress(item: Item) -> dict[str, Any]:
    """How often it was tried, when next, and how it failed last; of a function whether it is being tried now."""
    told: dict[str, Any] = {"attempts": item.attempts, "due_at": item.due_at}
    if item.queue.startswith(QUEUE_PREFIX):
        parcel = msgspec.json.decode(item.meta, type=Parcel)
        return {**told, "error_code": parcel.error_code, "error_message": parcel.error_message}
    work = msgspec.json.decode(item.meta, type=Work)
    # While it is leased, the try that runs is counted and has not failed yet.
    told["running"] = item.attempts > work.errors
    return {**told, "error_code": error_type(work.error), "error_message": error_message(work.error)}


def shown(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Lines of a log, without what every one of them has."""
    return [{"at": line.at, "attempt": line.attempt, "line": line.line} for line in lines]
