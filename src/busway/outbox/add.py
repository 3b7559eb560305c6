"""Into the outbox with SQLAlchemy, within a transaction that is the caller's to commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from busway.errors import MalformedRow

if TYPE_CHECKING:
    from busway.event import Event

Entry = Mapping[str, Any]


class Executes(Protocol):
    """A SQLAlchemy `Session` or `Connection`."""

    def execute(self, statement: Any, parameters: Any = None, /) -> Any: ...


def add(session: Executes, *events: Event | Entry, key: str | None = None, bus: str = "default") -> None:
    """Write events into the outbox, in order, in the session's transaction.

    Each is a typed event or an entry as boto3's `put_events` takes it. `key`: events of one key are published in the
    order in which they were written. Raises `MalformedRow` before anything is written.
    """
    from sqlalchemy import insert

    from busway.outbox.table import OUTBOX

    rows = rows_of(events, key, bus)
    if rows:
        session.execute(insert(OUTBOX), rows)


def rows_of(events: tuple[Event | Entry, ...], key: object, bus: str) -> list[dict[str, Any]]:
    """What is written: a row an event. `key` is what the caller gave."""
    from busway.outbox.table import KEY_CHARS_MAX, read_entry

    if key is not None and not isinstance(key, str):
        raise MalformedRow(f"key is the {type(key).__name__} {key!r}; wanted text")
    if key is not None and not 1 <= len(key) <= KEY_CHARS_MAX:
        raise MalformedRow(f"key has {len(key)} characters; wanted 1 to {KEY_CHARS_MAX}")
    rows: list[dict[str, Any]] = []
    for event in events:
        entry = {"EventBusName": bus, **event} if isinstance(event, Mapping) else event.to_entry(bus=bus)
        text = json.dumps(entry, ensure_ascii=False)
        read_entry(text)
        rows.append({"key": key, "entry": text})
    return rows
