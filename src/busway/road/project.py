"""A project on disk: where it begins, and what lies in its folders.

Loading imports the project's own modules. Do it once in a process; whoever watches for changes loads in a new
process each time (`describe`).
"""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import msgspec

from busway.batch_handling import BatchHandler, BatchOptions
from busway.bus.schedule import parse_schedule
from busway.errors import BrokenProject, EventMismatch, InvalidBusRequest, ProjectNotFound
from busway.event import Event, ScheduledEvent
from busway.handling import Handler
from busway.road.manifest import BatchEntry, EventEntry, HandlerEntry, Manifest, function_name

AnyHandler = Handler[Any, Any] | BatchHandler[Any, Any]

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
RULE_NAME_LENGTH_MAX = 64
NODE_SUFFIXES = (".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs")
_MODULE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Project:
    """A project with its classes loaded."""

    root: Path
    manifest: Manifest
    event_classes: dict[str, type[Event]]
    handlers: dict[str, AnyHandler]


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a project, without its handlers: they can be sent while a handler is being written."""

    bus: str
    entries: list[EventEntry]
    classes: dict[str, type[Event]]


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """`[tool.busway]` of a pyproject.toml. `name` begins the names of all that is deployed."""

    name: str
    bus: str = "default"


def find_root(start: Path) -> Path:
    """The folder upwards of `start` whose pyproject.toml has `[tool.busway]`. Raises ProjectNotFound."""
    for folder in (start.resolve(), *start.resolve().parents):
        file = folder / "pyproject.toml"
        if file.is_file() and "busway" in _toml(file).get("tool", {}):
            return folder
    raise ProjectNotFound(str(start))


def read_config(root: Path) -> ProjectConfig:
    """Raises BrokenProject naming the key, what was found and what was wanted."""
    file = root / "pyproject.toml"
    document = _toml(file)
    table = cast(dict[str, Any], document.get("tool", {}).get("busway", {}))
    unknown = sorted(set(table) - {"name", "bus"})
    if unknown:
        raise BrokenProject(f"{file}: [tool.busway] has {unknown[0]!r}; it knows name and bus")
    name = table.get("name", document.get("project", {}).get("name", root.name))
    bus = table.get("bus", "default")
    for key, value in (("name", name), ("bus", bus)):
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
            raise BrokenProject(f"{file}: {key} is {value!r}; wanted letters, digits, ., - and _")
    return ProjectConfig(name=re.sub(r"\.", "-", name), bus=bus)


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
    entries = [_handler_entry(config, name, handler) for name, handler in handlers.items()]
    names = [entry.name for entry in entries]
    for entry in entries:
        if names.count(entry.name) > 1:
            raise BrokenProject(f"{entry.file}: another handler has the name {entry.name!r} too")
    manifest = Manifest(
        project=config.name,
        bus=config.bus,
        events=[_event_entry(root, cls) for cls in classes.values()],
        handlers=entries,
    )
    return Project(root, manifest, classes, handlers)


def load_events(root: Path) -> Events:
    """Import every event file and no handler. Raises BrokenProject naming the first file that cannot be used."""
    config = read_config(root)
    with _importing_from(root):
        classes = dict(sorted(_event_classes(root)))
    return Events(config.bus, [_event_entry(root, cls) for cls in classes.values()], classes)


def find_sample(root: Path, event_class: type[Event]) -> dict[str, Any] | None:
    """The sample of a handler that is of this class: the first with resources, as handlers may rely on them."""
    samples = [sample for _, sample in samples_of(root, event_class)]
    return next((sample for sample in samples if sample.get("resources")), samples[0] if samples else None)


def samples_of(root: Path, event_class: type[Event]) -> list[tuple[Path, dict[str, Any]]]:
    """The samples of all handlers that are of this class, each with its file."""
    wanted = (event_class.event_source, event_class.event_detail_type)
    folders = sorted(file.parent.name for file in (root / "handlers").glob("*/handler.py"))
    samples = ((file, _sample(file)) for folder in folders for file in handler_samples(root, folder))
    return [found for found in samples if (found[1].get("source"), found[1].get("detail-type")) == wanted]


def handler_samples(root: Path, name: str) -> list[Path]:
    """A handler's sample events: `sample.json` first, then those in its `events/`."""
    folder = root / "handlers" / name
    return [file for file in (folder / "sample.json", *sorted((folder / "events").glob("*.json"))) if file.is_file()]


def other_handlers(root: Path) -> list[Path]:
    """Handlers in folders of their own that are no Python, and so none that a project deploys."""
    found = [file for suffix in NODE_SUFFIXES for file in (root / "handlers").glob(f"*/handler{suffix}")]
    return sorted(file for file in found if not (file.parent / "handler.py").exists())


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
    return EventEntry(
        name=event_class.__name__,
        file=f"{event_class.__module__.replace('.', '/')}.py",
        source=event_class.event_source,
        detail_type=event_class.event_detail_type,
        sample=find_sample(root, event_class) or _made_sample(event_class),
        json_schema=event_class.model_json_schema(by_alias=True),
    )


def _made_sample(event_class: type[Event]) -> dict[str, Any]:
    try:
        return dict(event_class.sample().envelope.raw)
    except EventMismatch as error:
        raise BrokenProject(
            f"{event_class.__module__.replace('.', '/')}.py: {error}",
            "give the field an example that fits: Annotated[..., Field(examples=[...])]",
        ) from error


def _sample(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BrokenProject(f"{file} is not an event: {error}; wanted a JSON object") from error


def _handler_entry(config: ProjectConfig, folder: str, handler: AnyHandler) -> HandlerEntry:
    options = handler.options
    # The names that AWS's people write have hyphens; `busway add handler send-mail` makes the folder send_mail.
    name = options.name or folder.replace("_", "-")
    if len(function_name(config.name, name)) > RULE_NAME_LENGTH_MAX:
        raise BrokenProject(
            f"{function_name(config.name, name)!r} is longer than {RULE_NAME_LENGTH_MAX} characters, "
            "the most that a rule's name may have",
            f"shorten the folder handlers/{folder} or the project's name in [tool.busway]",
        )
    return HandlerEntry(
        name=name,
        file=f"handlers/{folder}/handler.py",
        entry_point=f"handlers.{folder}.handler.{handler.function.__name__}",
        event=handler.event_class.__name__,
        pattern=handler.pattern(),
        retries=options.retries,
        max_age_s=options.max_age_s,
        timeout_s=options.timeout_s,
        memory_mb=options.memory_mb,
        alert=options.alert,
        env=list(options.env),
        rate=options.rate,
        once=options.once,
        schedule=_schedule(folder, options.schedule),
        concurrency=options.concurrency,
        batch=_batch_entry(handler.batch) if isinstance(handler, BatchHandler) else None,
    )


def _schedule(folder: str, text: str | None) -> str | None:
    """The schedule, if it is one. Raises BrokenProject."""
    try:
        _ = None if text is None else parse_schedule(text)
    except InvalidBusRequest as error:
        raise BrokenProject(
            f"handlers/{folder}/handler.py: schedule={text!r}: {error}", "docs/schedules.md says how they are written"
        ) from error
    return text


def _batch_entry(batch: BatchOptions) -> BatchEntry:
    return BatchEntry(
        source=batch.source,
        size=batch.size,
        window_s=batch.window_s,
        parallelism=batch.parallelism,
        bisect=batch.bisect,
        order_by=batch.order_by,
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
        raise BrokenProject(f"{file.relative_to(root)} cannot be loaded: {_where(root, error)}") from error


def _where(root: Path, error: BaseException) -> str:
    """The error and the last line of the project's own code on the way to it."""
    text = "".join(traceback.format_exception_only(error)).strip()
    if isinstance(error, SyntaxError):
        return text
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(root))]
    if not frames:
        return text
    last = frames[-1]
    return f"{text}\n  {Path(last.filename).relative_to(root)}, line {last.lineno}: {last.line}"


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BrokenProject(f"{file} is not TOML: {error}") from error
