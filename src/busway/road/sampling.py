"""What a handler of a project gets for its sample, as Lambda would hand it over: the event, or a batch of one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from busway.errors import BrokenProject
from busway.event import ScheduledEvent
from busway.road.manifest import HandlerEntry, Manifest, function_name, sample_of
from busway.road.samples import handler_samples

# Of a record that lies nowhere.
_NUMBER = "1"


def sample_payload(root: Path, manifest: Manifest, handler: str) -> dict[str, Any]:
    """`handler` is its name, its folder's or its function's. Raises `BrokenProject`."""
    entry = _entry(root, manifest, handler)
    files = handler_samples(root, Path(entry.file).parent.name)
    if files:
        event = _read(files[0])
    elif entry.schedule:
        event = dict(ScheduledEvent.sample().envelope.raw)
    else:
        event = next(sample_of(e) for e in manifest.events if e.name == entry.event)
    return event if entry.batch is None else _batch(entry.batch.source, event)


def _entry(root: Path, manifest: Manifest, handler: str) -> HandlerEntry:
    entries, name = manifest.handlers, handler.replace("_", "-")
    for entry in entries:
        if name in (entry.name, function_name(manifest.project, entry.name)):
            return entry
    known = ", ".join(entry.name for entry in entries) or "none yet"
    raise BrokenProject(
        f"{root} has no handler {handler!r} to take a sample from; it has {known}",
        "--event FILE names a file with what the function is to get",
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BrokenProject(f"{file} is not an event: {error}; wanted a JSON object") from error


def _batch(source: str, event: Mapping[str, Any]) -> dict[str, Any]:
    data = msgspec.json.encode(event)
    if source == "queue":
        return {"Records": [{"eventSource": "aws:sqs", "messageId": _NUMBER, "body": data.decode()}]}
    record = {"sequenceNumber": _NUMBER, "partitionKey": _NUMBER, "data": base64.b64encode(data).decode()}
    return {"Records": [{"eventSource": "aws:kinesis", "kinesis": record}]}
