"""Events as people have them at hand: as EventBridge delivers them, or as entries of PutEvents."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from msgspec import Raw

_NOTHING = Raw()


class _Entry(msgspec.Struct, rename="pascal"):
    source: str = ""
    detail_type: str = ""
    detail: Raw = _NOTHING
    resources: list[str] = []
    time: str | float | None = None
    entries: Raw = _NOTHING


def delivered(text: str) -> str | None:
    """The event that EventBridge makes of an entry of PutEvents; None for what is no entry.

    An entry stands alone, in a list, or in a request under `Entries`. What the bus adds is made up. Raises UsageError
    for several.
    """
    from busway.pattern.sample_event import ENVELOPE

    entry = _entry_in(text.encode("utf-8", "surrogatepass"))
    if entry is None:
        return None
    event: dict[str, Any] = {**ENVELOPE, "detail-type": entry.detail_type, "source": entry.source}
    event["resources"] = entry.resources
    if isinstance(entry.time, str):
        event["time"] = entry.time
    if entry.detail != _NOTHING:
        event["detail"] = _detail(entry.detail)
    return msgspec.json.encode(event).decode("utf-8", "surrogatepass")


def _entry_in(text: bytes) -> _Entry | None:
    try:
        found = msgspec.json.decode(text, type=_Entry | list[_Entry])
        if isinstance(found, _Entry) and found.entries != _NOTHING:
            found = msgspec.json.decode(found.entries, type=list[_Entry])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    several = [found] if isinstance(found, _Entry) else found
    # One of these names alone may be a member of anything.
    entries = [
        entry
        for entry in several
        if [bool(entry.source), bool(entry.detail_type), entry.detail != _NOTHING].count(True) > 1
    ]
    if len(entries) > 1:
        raise click.UsageError(f"EVENT holds {len(entries)} entries of PutEvents; wanted one")
    return entries[0] if entries else None


def _detail(member: Raw) -> Raw:
    """PutEvents takes a string that holds an object; one that is written as an object is meant as such."""
    try:
        inside = Raw(msgspec.json.decode(member, type=str).encode("utf-8", "surrogatepass"))
        msgspec.json.decode(inside, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return member
    return inside
