"""A project's events as files: a JSON Schema of each event's detail, and TypeScript types of all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from busway.errors import BrokenProject
from busway.road.manifest import EventEntry
from busway.road.schemas.typescript import declarations

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Ours: what JSON Schema has no word for, the two members by which a rule finds an event.
SOURCE, DETAIL_TYPE = "x-event-source", "x-event-detail-type"
TYPESCRIPT = "events.ts"


def document(event: EventEntry) -> dict[str, Any]:
    """The schema of an event's detail, by the names on the wire."""
    return {
        "$schema": DIALECT,
        **event.json_schema,
        "title": event.name,
        SOURCE: event.source,
        DETAIL_TYPE: event.detail_type,
    }


def exported(events: Sequence[EventEntry]) -> dict[str, str]:
    """File names with their texts."""
    files = {f"{event.name}.json": _pretty(document(event)) for event in events}
    return {**files, TYPESCRIPT: declarations(events)}


def read_document(name: str, text: bytes) -> dict[str, Any]:
    """An exported schema again. Raises BrokenProject for what is none."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BrokenProject(f"{name} is no schema: {error}") from error
    if not isinstance(found.get(SOURCE), str) or not isinstance(found.get(DETAIL_TYPE), str):
        raise BrokenProject(
            f"{name} has no {SOURCE} and {DETAIL_TYPE}", "wanted a folder that `busway schema export` wrote"
        )
    return found


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
