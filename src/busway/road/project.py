"""What lies in the folders of a project in Python.

Loading imports the project's own modules. Do it once in a process; whoever watches for changes loads in a new
process each time (`describe`).
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

from busway.batch_handling import BatchHandler
from busway.errors import BrokenProject, BuswayError, EventMismatch
from busway.event import Event, ScheduledEvent
from busway.handling import Handler
from busway.road.entries import AnyHandler, handler_entry, refuse_twins
from busway.road.manifest import EventEntry, Manifest
from busway.road.root import read_config
from busway.road.samples import find_sample

_MODULE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Project:
    """A project with its classes loaded."""

    root: Path
    manifest: Manifest
    event_classes: dict[str, type[Event]]
    handlers: dict[str, AnyHandler]


def load_project(root: Path, *, fresh: bool = True) -> Project:
    """Import every event and handler file. Raises BrokenProject naming the first file that cannot be used.

    `fresh`: as they are on disk now; otherwise what this process imported before stays what it is.
    """
    config = read_config(root)
    with _importing_from(root, fresh=fresh):
        classes = dict(sorted(_event_classes(root)))
        handlers = dict(_handlers(root))
    for name, handler in handlers.items():
        event_class = handler.event_class
        if event_class is not ScheduledEvent and classes.get(event_class.__name__) is not event_class:
            raise BrokenProject(
                f"handlers/{name}/handler.py takes {event_class.__name__} from {event_class.__module__}; "
                "wanted a class from a file in events/"
            )
    events = {cls: _event_entry(root, cls) for cls in classes.values()}
    entries = [
        handler_entry(
            config,
            f"handlers/{folder}/handler.py",
            handler,
            event=handler.event_class.__name__,
            schema=events[handler.event_class].json_schema if handler.event_class in events else None,
            entry_point=f"handlers.{folder}.handler.{handler.function.__name__}",
        )
        for folder, handler in handlers.items()
    ]
    refuse_twins(entries)
    manifest = Manifest(
        project=config.name,
        bus=config.bus,
        events=list(events.values()),
        handlers=entries,
    )
    return Project(root, manifest, classes, handlers)


def load_events(root: Path) -> dict[str, tuple[EventEntry, type[Event]]]:
    """Import every event file and no handler. Raises BrokenProject naming the first file that cannot be used."""
    with _importing_from(root):
        classes = dict(sorted(_event_classes(root)))
    return {name: (_event_entry(root, cls), cls) for name, cls in classes.items()}


def _event_classes(root: Path) -> Iterator[tuple[str, type[Event]]]:
    seen: dict[str, str] = {}
    for file in sorted((root / "events").glob("*.py")):
        if file.stem == "__init__":
            continue
        module = _import(root, f"events.{file.stem}", file)
        for name, value in vars(module).items():
            own = isinstance(value, type) and issubclass(value, Event) and value.__module__ == module.__name__
            if not own or not cast(type[Event], value).event_source:
                continue
            if name in seen:
                raise BrokenProject(f"{file}: {name} is also the name of an event in {seen[name]}")
            seen[name] = str(file.relative_to(root))
            yield name, cast(type[Event], value)


def _handlers(root: Path) -> Iterator[tuple[str, AnyHandler]]:
    for file in sorted((root / "handlers").glob("*/handler.py")):
        folder = file.parent.name
        module = _import(root, f"handlers.{folder}.handler", file)
        found = cast(
            list[AnyHandler], [value for value in vars(module).values() if isinstance(value, Handler | BatchHandler)]
        )
        if len(found) != 1:
            what = "no handler" if not found else f"{len(found)} handlers"
            raise BrokenProject(
                f"{file.relative_to(root)} has {what}; wanted one function under @handler(...) or @batch_handler(...)"
            )
        if getattr(module, found[0].function.__name__, None) is not found[0]:
            raise BrokenProject(f"{file}: the handler must be reached by its function's name, for Lambda to find it")
        yield folder, found[0]


def _event_entry(root: Path, event_class: type[Event]) -> EventEntry:
    sample, problem = find_sample(root, event_class.event_source, event_class.event_detail_type), ""
    if sample is None:
        try:
            sample = dict(event_class.sample().envelope.raw)
        except EventMismatch as error:
            problem = str(error)
    return EventEntry(
        name=event_class.__name__,
        file=f"{event_class.__module__.replace('.', '/')}.py",
        source=event_class.event_source,
        detail_type=event_class.event_detail_type,
        sample=sample or {},
        json_schema=event_class.model_json_schema(by_alias=True),
        no_sample=problem,
    )


@contextmanager
def _importing_from(root: Path, *, fresh: bool = True) -> Generator[None]:
    """The project's folder first on the path, and (`fresh`) no modules left over from another project."""
    for name in [n for n in sys.modules if fresh and n.split(".")[0] in ("events", "handlers")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def _import(root: Path, name: str, file: Path) -> ModuleType:
    if not all(_MODULE_NAME.fullmatch(part) for part in name.split(".")):
        raise BrokenProject(f"{file}: its folder and file must be named as Python modules are: letters, digits and _")
    try:
        return importlib.import_module(name)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        # A user's module may end in anything, also in sys.exit.
        raise BrokenProject(
            f"{file.relative_to(root)} cannot be loaded: {_where(root, error)}",
            error.hint if isinstance(error, BuswayError) else "",
        ) from error


def _where(root: Path, error: BaseException) -> str:
    """The error and the last line of the project's own code on the way to it."""
    # What Busway says of an option stands by itself; of anything else the class is half of what is said.
    said = str(error) if isinstance(error, BuswayError) else "".join(traceback.format_exception_only(error))
    text = said.strip()
    if isinstance(error, SyntaxError):
        return text
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(root))]
    if not frames:
        return text
    last = frames[-1]
    return f"{text}\n  {Path(last.filename).relative_to(root)}, line {last.lineno}: {last.line}"
