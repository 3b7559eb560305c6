"""Writes projects and handlers from the templates beside it. Decides everything before it writes anything.

What a user typed reaches code only as an identifier made by `naming` or as a literal. No file that exists is touched.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import msgspec

from busway.batch_handling import RETRIES_DEFAULT, TIMEOUT_DEFAULT, batch_handler
from busway.config import Settings
from busway.errors import BuswayError, GeneratorRefused
from busway.event import Event
from busway.function.invocation.retry import Policy, Retry, after_error, parse_waits
from busway.handling import duration_s, handler, pattern_of
from busway.pattern import parse
from busway.road.fields import TYPES, FieldSpec
from busway.road.layout import LINE_LENGTH, call, import_line, laid_out, literal
from busway.road.naming import event_class_name, snake
from busway.road.project import find_sample

TEMPLATES = Path(__file__).parent / "templates"
BODIES = ("plain", "email")


@dataclass(frozen=True, slots=True)
class EventSpec:
    """The event a handler asks for. `file` is where its class is already, or None for one to be written."""

    class_name: str
    source: str
    detail_type: str
    fields: Sequence[FieldSpec] = ()
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """Up to `size` events at a time, or what came within `window` ("5s")."""

    size: int
    window: str


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """All that `busway add handler` has to know. `retries` and `timeout`: None for the decorator's own."""

    name: str
    event: EventSpec
    body: str = "plain"
    is_async: bool = False
    retries: int | None = None
    max_age: str = "6h"
    timeout: str | None = None
    memory_mb: int = 256
    alert: str | None = None
    filter: Mapping[str, Any] = field(default_factory=dict[str, Any])
    resources: Sequence[str] = ()
    batch: BatchSpec | None = None
    rate: str | None = None


def batch_spec(text: str) -> BatchSpec:
    """`"100/5s"` → batches of up to 100, or of what came within 5 s. Raises GeneratorRefused."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6}\s*[smh])\s*", text)
    if not found:
        raise GeneratorRefused(
            f"{text!r} is no size of batches; wanted a number of events and how long to wait for them",
            "for example: --batch 100/5s",
        )
    return BatchSpec(int(found[1]), found[2].replace(" ", ""))


def new_project(folder: Path, name: str, bus: str = "default") -> list[Path]:
    """Write a project; return its files. Raises GeneratorRefused when the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GeneratorRefused(f"{folder} exists and is not empty", "take another name, or an empty folder")
    files = {
        target: _render(f"project/{template}", name=name, bus=bus, line_length=LINE_LENGTH)
        for target, template in (
            ("pyproject.toml", "pyproject.toml.jinja"),
            ("README.md", "README.md.jinja"),
            (".gitignore", "gitignore.jinja"),
            # An installed package called `events` must not win over the folder: a folder with an __init__.py does.
            ("events/__init__.py", "events_init.py.jinja"),
            ("handlers/__init__.py", "handlers_init.py.jinja"),
        )
    }
    return _write(folder, files)


def add_handler(root: Path, spec: HandlerSpec) -> list[Path]:
    """Write handler, test, sample and, if new, the event; return the files.

    Raises GeneratorRefused when a file exists, and InvalidHandler or EventMismatch when what was asked for
    could not run.
    """
    event = spec.event
    source = event.file.read_text() if event.file else _event_source(event)
    module = f"events.{event.file.stem if event.file else snake(event.class_name)}"
    event_class = _event_class(root, source, module, event.class_name)
    _check_options(event_class, spec)
    sample = _sample_json(event_class, spec, find_sample(root, event_class))
    facts = {
        "name": spec.name,
        "is_async": spec.is_async,
        "event_class": event.class_name,
        "event_import": import_line(module, event.class_name),
        "local_imports": "\n".join(
            (import_line(module, event.class_name), import_line(f"handlers.{spec.name}.handler", spec.name))
        ),
        "decorator": _decorator(spec),
        "signature": _signature(spec),
        "batch": spec.batch,
        "sample_matches": _is_matched(event_class, spec, sample),
        "tries": _tries(spec),
    }
    folder = f"handlers/{spec.name}"
    files = {} if event.file else {f"{module.replace('.', '/')}.py": source}
    body = "batch" if spec.batch else spec.body
    files[f"{folder}/handler.py"] = _render(f"handler/{body}_handler.py.jinja", **facts)
    files[f"{folder}/test_{spec.name}.py"] = _render(f"handler/{body}_test.py.jinja", **facts)
    files[f"{folder}/sample.json"] = sample
    return _write(root, files)


def find_event(root: Path, class_name: str) -> Path | None:
    """The file in `events/` that defines a class of this name."""
    return next((file for file, node in _classes(root) if node.name == class_name), None)


def known_events(root: Path) -> list[str]:
    """The classes in `events/` that have a source: what a handler can take."""
    return [node.name for _, node in _classes(root) if any(word.arg == "source" for word in node.keywords)]


def _classes(root: Path) -> Iterator[tuple[Path, ast.ClassDef]]:
    for file in sorted((root / "events").glob("*.py")):
        try:
            tree = ast.parse(file.read_text())
        except SyntaxError as error:
            raise GeneratorRefused(f"{file} is not Python: {error.msg}, line {error.lineno}") from error
        yield from ((file, node) for node in tree.body if isinstance(node, ast.ClassDef))


def _check_options(event_class: type[Event], spec: HandlerSpec) -> None:
    """Let the decorator judge what was asked for."""
    if spec.batch and spec.body != "plain":
        raise GeneratorRefused(
            f"the template {spec.body} handles one event at a time", "leave out --batch, or --template"
        )
    asked: dict[str, Any] = {
        "max_age": spec.max_age,
        "memory_mb": spec.memory_mb,
        "alert": spec.alert,
        "name": spec.name,
        "filter": spec.filter,
        "rate": spec.rate,
    }
    given = {"retries": spec.retries, "timeout": spec.timeout}
    asked |= {option: value for option, value in given.items() if value is not None}
    if spec.batch:
        batch_handler(event_class, size=spec.batch.size, window=spec.batch.window, **asked)
    else:
        handler(event_class, **asked)


def _sample_json(event_class: type[Event], spec: HandlerSpec, known: Mapping[str, Any] | None) -> str:
    """The sample that another handler of the event has; else one made from the class."""
    made = event_class.sample(envelope={"resources": list(spec.resources)}).envelope.raw
    sample = {**made, **(known or {})}
    sample["resources"] = list(spec.resources) or sample["resources"]
    order = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
    return msgspec.json.format(msgspec.json.encode({name: sample[name] for name in order}), indent=2).decode() + "\n"


def _is_matched(event_class: type[Event], spec: HandlerSpec, sample: str) -> bool:
    """Whether the sample is one of the events that the handler gets."""
    return parse(msgspec.json.encode(pattern_of(event_class, spec.filter)).decode()).matches(sample.encode())


def _tries(spec: HandlerSpec) -> int:
    """How often an event is tried that fails at once every time."""
    retries = 2 if spec.retries is None else spec.retries
    policy = Policy(retries, float(duration_s(spec.max_age)), parse_waits(Settings().async_retry_s))
    at, errors = 0.0, 1
    while isinstance(decision := after_error(policy, errors, 0.0, at), Retry):
        at, errors = decision.at, errors + 1
    return errors


def _event_class(root: Path, source: str, module: str, name: str) -> type[Event]:
    """The class that an event file defines, run from its text: before anything of it is written."""
    space = ModuleType(module)
    sys.path.insert(0, str(root))
    # Annotations written as text are looked up in the module that the class names.
    before = sys.modules.get(module)
    sys.modules[module] = space
    try:
        exec(compile(source, f"{module.replace('.', '/')}.py", "exec"), space.__dict__)
    except BuswayError:
        raise
    except Exception as error:
        raise GeneratorRefused(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(root))
        if before is None:
            del sys.modules[module]
        else:
            sys.modules[module] = before
    found: object = getattr(space, name, None)
    if not (isinstance(found, type) and issubclass(found, Event)):
        raise GeneratorRefused(f"{name} in {module} is not a class of busway's Event")
    return found


def _event_source(event: EventSpec) -> str:
    event_class_name(event.class_name)
    needed = {TYPES[spec.type_name][1] for spec in event.fields} - {""}
    uses_field = any("Field(" in spec.line for spec in event.fields)
    typing_names = {line.rsplit(" ", 1)[1] for line in needed if line.startswith("from typing")}
    typing_names |= {"Annotated"} if uses_field else set()
    datetime_names = {line.rsplit(" ", 1)[1] for line in needed if line.startswith("from datetime")}
    imports = {line for line in needed if not line.startswith(("from typing", "from datetime"))}
    imports |= {f"from datetime import {', '.join(sorted(datetime_names))}"} if datetime_names else set()
    imports |= {f"from typing import {', '.join(sorted(typing_names))}"} if typing_names else set()
    bases = ["Event", f"source={literal(event.source)}", f"detail_type={literal(event.detail_type)}"]
    return _render(
        "handler/event.py.jinja",
        event_class=event.class_name,
        standard_imports=sorted(imports),
        uses_field=uses_field,
        class_header=call(f"class {event.class_name}(", bases, "):"),
        fields=event.fields,
    )


def _decorator(spec: HandlerSpec) -> str:
    """Only what differs from the defaults is written, but retries, which a reader looks for, always."""
    retries, timeout = (RETRIES_DEFAULT, TIMEOUT_DEFAULT) if spec.batch else (2, "30s")
    options = [spec.event.class_name]
    options += [f"size={spec.batch.size}", f"window={literal(spec.batch.window)}"] if spec.batch else []
    options += [f"retries={retries if spec.retries is None else spec.retries}"]
    options += [f"max_age={literal(spec.max_age)}"] if spec.max_age != "6h" else []
    options += [f"timeout={literal(spec.timeout)}"] if spec.timeout not in (None, timeout) else []
    options += [f"memory_mb={spec.memory_mb}"] if spec.memory_mb != 256 else []
    options += [f"rate={literal(spec.rate)}"] if spec.rate else []
    options += [f"alert={literal(spec.alert)}"] if spec.alert else []
    options += [laid_out("filter=", dict(spec.filter), "", 4)] if spec.filter else []
    return call("@batch_handler(" if spec.batch else "@handler(", options, ")")


def _signature(spec: HandlerSpec) -> str:
    head, event = f"{'async ' if spec.is_async else ''}def {spec.name}(", spec.event.class_name
    if spec.batch:
        return call(head, [f"events: list[{event}]"], f") -> list[{event}]:")
    return call(head, [f"event: {event}"], ") -> None:")


def _render(template: str, **facts: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    # A TOML basic string is a JSON string.
    environment.filters["toml"] = lambda text: msgspec.json.encode(text).decode()
    return environment.get_template(template).render(**facts)


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    paths = {folder / name: text for name, text in files.items()}
    for path in paths:
        if path.exists():
            raise GeneratorRefused(
                f"{path} exists; nothing was written", "take another name, or remove the file first"
            )
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)
