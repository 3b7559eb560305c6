"""The files in `events/`: which classes they define, and the text of a new one."""

from __future__ import annotations

import ast
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from busway.errors import BuswayError, GeneratorRefused
from busway.event import Event, ScheduledEvent
from busway.road.fields import TYPES, FieldSpec
from busway.road.layout import call, literal
from busway.road.manifest import sample_of
from busway.road.naming import event_class_name, event_module
from busway.road.rendering import render
from busway.road.root import SUFFIXES, Language
from busway.road.typescript import texts as typescript
from busway.road.typescript.options import event_class_of
from busway.road.typescript.read import read_event


@dataclass(frozen=True, slots=True)
class EventSpec:
    """The event a handler asks for. `file` is where its class is already, or None for one to be written."""

    class_name: str
    source: str
    detail_type: str
    fields: Sequence[FieldSpec] = ()
    file: Path | None = None


# What stands for the event of a handler that runs on a schedule.
SCHEDULED = EventSpec("ScheduledEvent", ScheduledEvent.event_source, ScheduledEvent.event_detail_type)


def module_of(event: EventSpec) -> str:
    """The module that an event's class is in, or will be."""
    return f"events.{event.file.stem if event.file else event_module(event.class_name)}"


def find_event(root: Path, class_name: str, language: Language = "python") -> Path | None:
    """The file in `events/` that defines an event of this name."""
    if language == "typescript":
        return typescript.defined_events(root).get(class_name)
    return next((file for file, node in _classes(root) if node.name == class_name), None)


def known_events(root: Path, language: Language = "python") -> list[str]:
    """The events that a handler can take: in Python the classes in `events/` that have a source."""
    if language == "typescript":
        return list(typescript.defined_events(root))
    return [node.name for _, node in _classes(root) if any(word.arg == "source" for word in node.keywords)]


def class_and_sample(root: Path, event: EventSpec) -> tuple[type[Event], Mapping[str, Any] | None]:
    """An event's class, and where that knows no detail (TypeScript does) a sample. Raises BuswayError."""
    if event == SCHEDULED:
        return ScheduledEvent, None
    if event.file and event.file.suffix == SUFFIXES["typescript"]:
        entry = asyncio.run(read_event(root, event.class_name))
        return event_class_of(entry.source, entry.detail_type), sample_of(entry)
    source = event.file.read_text() if event.file else event_source(root, event)
    return loaded_class(root, source, module_of(event), event.class_name), None


def event_text(root: Path, event: EventSpec, language: Language) -> dict[str, str]:
    """A new event's file, with its text."""
    if language == "typescript":
        return {typescript.event_file(event): typescript.event_text(root, event)}
    return {f"{module_of(event).replace('.', '/')}.py": event_source(root, event)}


def _classes(root: Path) -> Iterator[tuple[Path, ast.ClassDef]]:
    for file in sorted((root / "events").glob("*.py")):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise GeneratorRefused(f"{file} is not Python: {error.msg}, line {error.lineno}") from error
        except UnicodeDecodeError as error:
            raise GeneratorRefused(f"{file} is not Python: {error}") from error
        yield from ((file, node) for node in tree.body if isinstance(node, ast.ClassDef))


def loaded_class(root: Path, source: str, module: str, name: str) -> type[Event]:
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


def event_source(root: Path, event: EventSpec) -> str:
    """The text of a new event's file."""
    event_class_name(event.class_name)
    needed = {TYPES[spec.type_name][1] for spec in event.fields} - {""}
    if any("Field(" in spec.line for spec in event.fields):
        needed |= {"from typing import Annotated", "from pydantic import Field"}
    modules: dict[str, list[str]] = {}
    for line in sorted(needed):
        _, module, _, name = line.split(" ", 3)
        modules.setdefault(module, []).append(name)
    imports = {module: f"from {module} import {', '.join(names)}" for module, names in modules.items()}
    pydantic_import = imports.pop("pydantic", "")
    bases = ["Event", f"source={literal(event.source)}", f"detail_type={literal(event.detail_type)}"]
    return render(
        root,
        "handler/event.py.jinja",
        event_class=event.class_name,
        standard_imports=sorted(imports.values()),
        pydantic_import=pydantic_import,
        class_header=call(f"class {event.class_name}(", bases, "):"),
        fields=event.fields,
    )
