"""What a project's TypeScript defines, as manifest entries: the files are bundled, run by Node, and told as JSON."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from busway.errors import BrokenProject, EventMismatch, InvalidHandler
from busway.event import ScheduledEvent
from busway.function.runtimes.node import MAJOR_MIN, find_node
from busway.road.entries import handler_entry
from busway.road.manifest import EventEntry, HandlerEntry
from busway.road.root import NODE_HANDLER, ProjectConfig, event_files
from busway.road.samples import find_sample
from busway.road.typescript.bundle import bundle_handlers, bundle_loader
from busway.road.typescript.options import event_class_of, made, made_for_batches, typescript_words
from busway.road.typescript.package import put_package

DESCRIBE = Path(__file__).parent / "describe.mjs"
# Where a project's bundles lie: below it, so that Node finds its packages, and out of everybody's sight.
BUILD = Path(".busway", "build")
# What a function's Runtime is called where it runs; Busway runs any Node.js name on the Node.js that is there.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
RUNTIME = "nodejs22.x"
_numbers = itertools.count()


class _Event(msgspec.Struct):
    name: str
    file: str
    source: str
    detail_type: str
    json_schema: dict[str, Any]
    sample: dict[str, Any]
    no_sample: str = ""


class _Handler(msgspec.Struct):
    file: str
    name: str
    event: str
    options: dict[str, Any]
    batch: bool = False


class _Told(msgspec.Struct):
    events: list[_Event] = []
    handlers: list[_Handler] = []
    error: str = ""
    hint: str = ""


async def read_typescript(root: Path, config: ProjectConfig) -> tuple[list[EventEntry], list[HandlerEntry]]:
    """The events and handlers in TypeScript; each handler's bundle is made too. Raises BrokenProject."""
    events, handlers = event_files(root), sorted((root / "handlers").glob(f"*/{NODE_HANDLER}"))
    if not events and not handlers:
        return [], []
    put_package(root)
    told = await _told(root, [*events, *handlers])
    if handlers:
        await bundle_handlers(root, handlers, root / BUILD)
    entries = [_event_entry(root, event) for event in told.events]
    by_name = {entry.name: entry for entry in entries}
    return entries, [_handler_entry(config, found, by_name) for found in told.handlers]


async def read_events(root: Path) -> list[EventEntry]:
    """The events in TypeScript alone: they can be sent while a handler is being written. Raises BrokenProject."""
    if not (files := event_files(root)):
        return []
    put_package(root)
    return [_event_entry(root, event) for event in (await _told(root, files)).events]


async def read_event(root: Path, name: str) -> EventEntry:
    """One event that a file in `events/` exports. Raises BrokenProject."""
    found = next((event for event in await read_events(root) if event.name == name), None)
    if found is None:
        raise BrokenProject(f"{root}: no file in events/ exports {name}")
    return found


async def check_fit(root: Path, entry: EventEntry, envelope: Mapping[str, Any]) -> None:
    """Raises EventMismatch as a handler would that got this envelope."""
    try:
        await _told(root, [root / entry.file], entry.name, msgspec.json.encode(envelope))
    except BrokenProject as error:
        raise EventMismatch(str(error)) from error


async def _told(root: Path, files: Sequence[Path], event: str = "", envelope: bytes = b"") -> _Told:
    """Of the files, or of how an envelope fits one event. Raises BrokenProject with the project's own fault."""
    # Another command may read the project at the same time.
    loader = root / ".busway" / f"loader-{os.getpid()}-{next(_numbers)}.mjs"
    try:
        await bundle_loader(root, files, loader)
        process = await asyncio.create_subprocess_exec(
            *(need_node(), "--enable-source-maps", str(DESCRIBE), str(loader), event),
            cwd=root,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, complaints = await process.communicate(envelope)
    finally:
        loader.unlink(missing_ok=True)
        loader.with_name(f"{loader.name}.map").unlink(missing_ok=True)
    # What the project's modules print while they are imported comes before; the answer is the last line.
    answer = output.rsplit(b"\n", 1)[-1]
    if not answer.startswith(b"{"):
        raise BrokenProject(f"{root} cannot be described: {complaints.decode(errors='replace').strip()[-2000:]}")
    try:
        told = msgspec.json.decode(answer, type=_Told)
    except msgspec.ValidationError as error:
        raise BrokenProject(f"{root}: what it defines cannot be read: {error}") from error
    if told.error:
        raise BrokenProject(told.error, told.hint)
    return told


def need_node() -> str:
    """Node's path. Raises BrokenProject."""
    node = find_node()
    if node is None:
        raise BrokenProject(
            f"TypeScript needs Node.js {MAJOR_MIN} or newer", "install it, or pip install 'busway[node]'"
        )
    return node.path


def _event_entry(root: Path, event: _Event) -> EventEntry:
    found = find_sample(root, event.source, event.detail_type)
    return EventEntry(
        name=event.name,
        file=event.file,
        source=event.source,
        detail_type=event.detail_type,
        sample=found or event.sample,
        json_schema=event.json_schema,
        no_sample="" if found else event.no_sample,
    )


def _handler_entry(config: ProjectConfig, found: _Handler, events: dict[str, EventEntry]) -> HandlerEntry:
    """Judged by the decorators that Python's handlers have: the same handlers, two ways to write them."""
    entry, folder = events.get(found.event), found.file.split("/")[1]
    try:
        event_class = ScheduledEvent if entry is None else event_class_of(entry.source, entry.detail_type)
        if found.batch:
            fields: dict[str, Any] = {} if entry is None else entry.json_schema.get("properties", {})
            judged = made_for_batches(event_class, found.options, fields)
        else:
            judged = made(event_class, found.options, lambda _: None)
    except (InvalidHandler, EventMismatch, TypeError) as error:
        hint = str(getattr(error, "hint", ""))
        raise BrokenProject(f"{found.file}: {typescript_words(str(error))}", typescript_words(hint)) from error
    return handler_entry(
        config,
        found.file,
        judged,
        event=found.event,
        schema=None if entry is None else entry.json_schema,
        entry_point=f"{Path(found.file).stem}.{found.name}",
        runtime=RUNTIME,
        code=str(BUILD / folder),
    )
