"""What the generator writes in TypeScript. Names are identifiers made here, all else is a literal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from busway.batch_handling import RETRIES_DEFAULT, TIMEOUT_DEFAULT
from busway.errors import GeneratorRefused
from busway.road.fields import FieldSpec
from busway.road.layout import LINE_LENGTH
from busway.road.naming import pascal, snake
from busway.road.rendering import render
from busway.road.root import event_files
from busway.road.schemas.typescript import literal
from busway.road.typescript.layout import indented, member_text, value_text
from busway.road.typescript.zod import Detail

if TYPE_CHECKING:
    from busway.road.event_files import EventSpec
    from busway.road.generator import HandlerSpec

# What may stand after a field's colon, as zod says it.
TYPES = {
    "str": "z.string()",
    "int": "z.int()",
    "float": "z.number()",
    "bool": "z.boolean()",
    # As text: a number of JavaScript would round it.
    "decimal": r"z.string().regex(/^-?\d+(\.\d+)?$/)",
    "datetime": "z.iso.datetime({ offset: true })",
    "date": "z.iso.date()",
    "uuid": "z.uuid()",
    "object": "z.record(z.string(), z.unknown())",
    "list[str]": "z.array(z.string())",
    "list[int]": "z.array(z.int())",
    "list[float]": "z.array(z.number())",
    "list[object]": "z.array(z.record(z.string(), z.unknown()))",
}
# What no sample can be made for without an example.
_EXAMPLES = {"decimal": "9.99"}
# ECMAScript's reserved words, and what the generated files use by its name.
_TAKEN = frozenset((
    "arguments", "assert", "async", "await", "batchHandler", "batchOf", "break", "bus", "case", "catch", "class",
    "command", "console", "const", "continue", "debugger", "default", "defineEvent", "delete", "do", "else", "enum",
    "eval", "event", "events", "export", "extends", "false", "finally", "for", "function", "handler", "id", "if",
    "implements", "import", "in", "instanceof", "interface", "let", "letter", "letters", "localBus", "log", "mail",
    "new", "null", "package", "private", "protected", "public", "refuse", "report", "return", "sample", "sent",
    "sentMail", "static", "super", "switch", "t", "test", "this", "throw", "true", "try", "typeof", "undefined",
    "var", "void", "while", "with", "yield",
))  # fmt: skip
_DEFINED = re.compile(r"^export\s+const\s+([A-Za-z_$][\w$]*)\s*(?::[^=]*)?=\s*defineEvent\b", re.MULTILINE)


def kebab(text: str) -> str:
    return snake(text).replace("_", "-")


def constant(handler_name: str) -> str:
    """`send_receipt` as the name of a constant: `sendReceipt`."""
    name = pascal(handler_name)
    name = name[:1].lower() + name[1:]
    return f"{name}Handler" if name in _TAKEN else name


def defined_events(root: Path) -> dict[str, Path]:
    """The events that files in `events/` define, by name, found without running anything."""
    return {name: file for file in event_files(root) for name in _DEFINED.findall(file.read_text(errors="replace"))}


def event_file(event: EventSpec) -> str:
    """Where an event is, or will be: below the project."""
    return f"events/{event.file.name if event.file else f'{kebab(event.class_name)}.ts'}"


def event_text(root: Path, event: EventSpec) -> str:
    """The text of a new event's file."""
    return described_text(root, event, Detail([], [_field(field) for field in event.fields], ""))


def described_text(root: Path, event: EventSpec, detail: Detail) -> str:
    """The text of a new event's file, whose detail is translated already. Raises GeneratorRefused."""
    text = render(
        root,
        "handler/event.ts.jinja",
        event_class=event.class_name,
        source=literal(event.source),
        detail_type=literal(event.detail_type),
        definitions=detail.definitions,
        fields=[indented(member, "    ").lstrip() for member in detail.members],
        notes=detail.notes,
    )
    if any(definition not in text for definition in detail.definitions):
        raise GeneratorRefused("_templates/handler/event.ts.jinja leaves out `definitions`, to which fields refer")
    return text


@dataclass(frozen=True, slots=True)
class Expected:
    """What the test of a handler that always fails is to see. `too_old`: by that it ends, and not by its retries."""

    sample_matches: bool
    tries: int
    minutes: int
    too_old: bool = False


def handler_texts(
    root: Path, spec: HandlerSpec, sample: str, permissions: Mapping[str, str], expected: Expected
) -> dict[str, str]:
    """A handler's three files, below the project."""
    name, folder = constant(spec.name), f"handlers/{kebab(spec.name)}"
    body = "batch" if spec.batch else "schedule" if spec.schedule else spec.body
    facts = {
        "name": name,
        "event_class": spec.event.class_name,
        "event_file": literal(f"../../{event_file(spec.event)}"),
        "head": _head(name, spec, permissions),
        "schedule": spec.schedule,
        "batch": spec.batch,
        **asdict(expected),
    }
    return {
        f"{folder}/handler.ts": render(root, f"handler/{body}_handler.ts.jinja", **facts),
        f"{folder}/handler.test.ts": render(root, f"handler/{body}_test.ts.jinja", **facts),
        f"{folder}/sample.json": sample,
    }


def _head(name: str, spec: HandlerSpec, permissions: Mapping[str, str]) -> str:
    """The line that begins a handler; only what differs from the defaults is written, but retries, always."""
    retries, timeout = (RETRIES_DEFAULT, TIMEOUT_DEFAULT) if spec.batch else (2, "30s")
    options: dict[str, Any] = {"size": spec.batch.size, "window": spec.batch.window} if spec.batch else {}
    options |= {"schedule": spec.schedule, "retries": retries if spec.retries is None else spec.retries}
    options |= {"maxAge": spec.max_age if spec.max_age != "6h" else None}
    options |= {"timeout": spec.timeout if spec.timeout != timeout else None}
    options |= {"memoryMb": spec.memory_mb if spec.memory_mb != 256 else None}
    options |= {
        "rate": spec.rate,
        "concurrency": spec.concurrency,
        "secrets": list(spec.secrets) or None,
        "alert": spec.alert,
        "filter": spec.filter or None,
        "permissions": permissions or None,
    }
    shown = [f"{option}: {value_text(value)}" for option, value in options.items() if value is not None]
    made, given = ("batchHandler", "events") if spec.batch else ("handler", "event")
    start, end = f"export const {name} = {made}({spec.event.class_name}, ", f", async ({given}) => {{"
    line = f"{start}{{ {', '.join(shown)} }}{end}"
    if len(line) <= LINE_LENGTH:
        return line
    return start + "{\n" + "".join(f"  {option},\n" for option in shown) + "}" + end


def _field(field: FieldSpec) -> str:
    """The field's line in the event's definition."""
    example = _EXAMPLES.get(field.type_name) if field.sample is None else field.sample
    meta = "" if example is None else f".meta({{ examples: [{value_text(example)}] }})"
    return f"{member_text(field.wire_name)}: {TYPES[field.type_name]}{meta}{'.optional()' if field.optional else ''}"
