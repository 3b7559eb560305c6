"""Writes projects and handlers from the templates beside it. Decides everything before it writes anything.

What a user typed reaches code only as an identifier made by `naming` or as a literal. No file that exists is touched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from busway.batch_handling import RETRIES_DEFAULT, TIMEOUT_DEFAULT, batch_handler
from busway.bus.schedule import parse_schedule
from busway.config import Settings
from busway.errors import GeneratorRefused
from busway.event import Event
from busway.function.invocation.retry import Policy, Retry, after_error, parse_waits
from busway.function.mapping.retry import EXHAUSTED, TOO_OLD, wait_s
from busway.handling import duration_s, handler, pattern_of
from busway.pattern import parse
from busway.road.entries import check_limits
from busway.road.event_files import (
    SCHEDULED as SCHEDULED,
    EventSpec,
    class_and_sample,
    event_text,
    loaded_class,
    module_of,
)
from busway.road.filters import check_filter
from busway.road.generated import Kind, generated, record_of, record_text
from busway.road.layout import call, import_line, laid_out, literal
from busway.road.naming import snake
from busway.road.rendering import bodies, render, write
from busway.road.root import SUFFIXES, Language, read_config
from busway.road.samples import find_sample
from busway.road.typescript import texts as typescript
from busway.road.typescript.package import put_package

# What a template's handler has to be allowed on AWS. The sender's identity, and in SES's sandbox the recipient's.
# https://docs.aws.amazon.com/ses/latest/dg/control-user-access.html
BODY_PERMISSIONS: Mapping[str, Mapping[str, str]] = {
    "email": {"ses:SendEmail": "arn:aws:ses:*:*:identity/*"},
}


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """Up to `size` events at a time, or what came within `window` ("5s")."""

    size: int
    window: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """All that `busway add event` has to know."""

    event: EventSpec
    language: Language = "python"


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
    secrets: Sequence[str] = ()
    schedule: str | None = None
    concurrency: int | None = None
    language: Language = "python"


def batch_spec(text: str) -> BatchSpec:
    """`"100/5s"` → batches of up to 100, or of what came within 5 s. Raises GeneratorRefused."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6}\s*[smh])\s*", text)
    if not found:
        raise GeneratorRefused(
            f"{text!r} is no size of batches; wanted a number of events and how long to wait for them",
            "for example: --batch 100/5s",
        )
    return BatchSpec(int(found[1]), found[2].replace(" ", ""))


def add_handler(root: Path, spec: HandlerSpec) -> list[Path]:
    """Write handler, test, sample and, if new, the event; return the files.

    Raises GeneratorRefused when a file exists, and InvalidHandler or EventMismatch when what was asked for
    could not run.
    """
    return write_generated(root, "handler", folder_of(spec), spec, handler_texts(root, spec))


def handler_texts(root: Path, spec: HandlerSpec, sample: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The files of a handler, below the project, and of its event if that is new. Raises as `add_handler`.

    `sample`: the one that it has already; a new one gets that of the event's other handlers.
    """
    event_class, known = class_and_sample(root, spec.event)
    _check_options(root, event_class, spec)
    known = sample or find_sample(root, event_class.event_source, event_class.event_detail_type) or known
    files = {} if spec.schedule or spec.event.file else event_text(root, spec.event, spec.language)
    return {**files, **_texts(root, event_class, spec, _sample_json(event_class, spec, known))}


def folder_of(spec: HandlerSpec) -> str:
    """A handler's folder in `handlers/`: named as the files of its language are."""
    return spec.name if spec.language == "python" else typescript.kebab(spec.name)


def write_generated(root: Path, kind: Kind, name: str, spec: Any, texts: Mapping[str, str]) -> list[Path]:
    """Write new files, with the record of them and what their imports are found by; return the files."""
    paths = write(root, texts)
    # What is left of one whose files were deleted since is nobody's work.
    (root / record_of(kind, name)).write_text(record_text(generated(root, kind, spec, texts)), encoding="utf-8")
    if spec.language == "typescript":
        put_package(root)
    return paths


def _texts(root: Path, event_class: type[Event], spec: HandlerSpec, sample: str) -> dict[str, str]:
    """Handler, test and sample."""
    matches, (tries, minutes) = _is_matched(event_class, spec, sample), _tries(spec)
    ends_by = EXHAUSTED
    if spec.batch:
        tries, minutes, ends_by = _batch_tries(spec, spec.batch)
    if spec.language == "typescript":
        expected = typescript.Expected(matches, tries, minutes, too_old=ends_by == TOO_OLD)
        return typescript.handler_texts(root, spec, sample, _permissions(spec), expected)
    event, folder = spec.event, f"handlers/{spec.name}"
    handler_import = import_line(f"handlers.{spec.name}.handler", spec.name)
    event_import = import_line(module_of(event), event.class_name)
    facts = {
        "name": spec.name,
        "is_async": spec.is_async,
        "event_class": event.class_name,
        "event_import": event_import,
        "local_imports": handler_import if spec.schedule else f"{event_import}\n{handler_import}",
        "decorator": _decorator(spec),
        "signature": _signature(spec),
        "batch": spec.batch,
        "schedule": spec.schedule,
        "sample_matches": matches,
        "tries": tries,
        "minutes": minutes,
        "too_old": ends_by == TOO_OLD,
    }
    body = "batch" if spec.batch else "schedule" if spec.schedule else spec.body
    return {
        f"{folder}/handler.py": render(root, f"handler/{body}_handler.py.jinja", **facts),
        f"{folder}/test_{spec.name}.py": render(root, f"handler/{body}_test.py.jinja", **facts),
        f"{folder}/sample.json": sample,
    }


def add_event(root: Path, event: EventSpec, language: Language = "python") -> list[Path]:
    """Write an event's definition; return its file. Raises GeneratorRefused when it could not be used, or exists."""
    spec = NewEvent(event, language)
    texts = event_texts(root, spec)
    return write_generated(root, "event", Path(*texts).stem, spec, texts)


def event_texts(root: Path, spec: NewEvent) -> dict[str, str]:
    """The file of an event, below the project. Raises as `add_event`."""
    class_and_sample(root, spec.event)
    return event_text(root, spec.event, spec.language)


def add_event_text(root: Path, event: EventSpec, text: str, language: Language = "python") -> Path:
    """Write an event whose text is made already; return its file. Raises as `add_event`."""
    if language == "typescript":
        put_package(root)
        return write(root, {typescript.event_file(event): text})[0]
    module = module_of(event)
    loaded_class(root, text, module, event.class_name)
    return write(root, {f"{module.replace('.', '/')}.py": text})[0]


def _check_options(root: Path, event_class: type[Event], spec: HandlerSpec) -> None:
    """Let the decorator judge what was asked for."""
    if spec.batch and spec.body != "plain":
        raise GeneratorRefused(
            f"the template {spec.body} handles one event at a time", "leave out --batch, or --template"
        )
    there, suffix = bodies(root, spec.language), SUFFIXES[spec.language]
    if spec.body not in there:
        own = f"_templates/handler/{snake(spec.body)}_handler{suffix}.jinja"
        raise GeneratorRefused(
            f"there is no template {spec.body!r}; there are {', '.join(there)}",
            f"one of your own is {own} with its ..._test{suffix}.jinja",
        )
    asked: dict[str, Any] = {
        "max_age": spec.max_age,
        "memory_mb": spec.memory_mb,
        "alert": spec.alert,
        "name": spec.name,
        "filter": spec.filter,
        "rate": spec.rate,
        "secrets": spec.secrets,
    }
    given = {"retries": spec.retries, "timeout": spec.timeout}
    asked |= {option: value for option, value in given.items() if value is not None}
    if spec.language == "python" or spec.event.file is None:
        check_filter(f"handlers/{spec.name}", spec.filter, event_class.model_json_schema(by_alias=True))
    if spec.batch:
        batch_handler(event_class, size=spec.batch.size, window=spec.batch.window, **asked)
    else:
        if spec.schedule:
            parse_schedule(spec.schedule)
        handler(event_class, schedule=spec.schedule, concurrency=spec.concurrency, **asked)
        check_limits(read_config(root), f"handlers/{spec.name}", spec.retries or 0)


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


def _tries(spec: HandlerSpec) -> tuple[int, int]:
    """How often an event is tried that fails at once every time, and within how many minutes."""
    retries = 2 if spec.retries is None else spec.retries
    policy = Policy(retries, float(duration_s(spec.max_age)), parse_waits(Settings().async_retry_s))
    at, errors = 0.0, 1
    while isinstance(decision := after_error(policy, errors, 0.0, at), Retry):
        at, errors = decision.at, errors + 1
    return errors, max(5, math.ceil(at / 60) + 1)


def _batch_tries(spec: HandlerSpec, batch: BatchSpec) -> tuple[int, int, str]:
    """As `_tries`, of a batch of one event in a stream, whose window is over first; and what ends it."""
    retries = RETRIES_DEFAULT if spec.retries is None else spec.retries
    at, tries = float(duration_s(batch.window)), 0
    while at <= duration_s(spec.max_age) and tries <= retries:
        tries += 1
        at += wait_s(tries)
    return tries, math.ceil(at / 60) + 1, EXHAUSTED if tries > retries else TOO_OLD


def _decorator(spec: HandlerSpec) -> str:
    """Only what differs from the defaults is written, but retries, which a reader looks for, always."""
    retries, timeout = (RETRIES_DEFAULT, TIMEOUT_DEFAULT) if spec.batch else (2, "30s")
    options = [spec.event.class_name]
    options += [f"size={spec.batch.size}", f"window={literal(spec.batch.window)}"] if spec.batch else []
    options += [f"schedule={literal(spec.schedule)}"] if spec.schedule else []
    options += [f"retries={retries if spec.retries is None else spec.retries}"]
    options += [f"max_age={literal(spec.max_age)}"] if spec.max_age != "6h" else []
    options += [f"timeout={literal(spec.timeout)}"] if spec.timeout not in (None, timeout) else []
    options += [f"memory_mb={spec.memory_mb}"] if spec.memory_mb != 256 else []
    options += [f"rate={literal(spec.rate)}"] if spec.rate else []
    options += [f"concurrency={spec.concurrency}"] if spec.concurrency else []
    options += [laid_out("secrets=", list(spec.secrets), "", 4)] if spec.secrets else []
    options += [f"alert={literal(spec.alert)}"] if spec.alert else []
    options += [laid_out("filter=", dict(spec.filter), "", 4)] if spec.filter else []
    options += [laid_out("permissions=", permissions, "", 4)] if (permissions := _permissions(spec)) else []
    return call("@batch_handler(" if spec.batch else "@handler(", options, ")")


def _permissions(spec: HandlerSpec) -> dict[str, str]:
    return {} if spec.schedule else dict(BODY_PERMISSIONS.get(spec.body, {}))


def _signature(spec: HandlerSpec) -> str:
    head, event = f"{'async ' if spec.is_async else ''}def {spec.name}(", spec.event.class_name
    if spec.batch:
        return call(head, [f"events: list[{event}]"], f") -> list[{event}]:")
    return call(head, [f"event: {event}"], ") -> None:")
