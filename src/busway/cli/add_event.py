"""The event that a new handler takes: what of it was given, and the questions about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from busway.cli.prompts import ask_choice, ask_text, missing

if TYPE_CHECKING:
    from busway.road.fields import FieldSpec
    from busway.road.generator import EventSpec

NEW = "a new one"


def check_given(root: Path, name: str | None, event: str | None, source: str | None, detail_type: str | None) -> None:
    """For where nobody can be asked. Raises `UsageError` with everything that is missing, and an example."""
    from busway.road.generator import find_event, known_events
    from busway.road.naming import event_class_name, handler_name, words

    class_name = "OrderPlaced" if event is None else event_class_name(event)
    there = event is not None and find_event(root, class_name) is not None
    absent = {"NAME": not name, "--event": event is None}
    known = [] if event else known_events(root)
    if not there and not known:
        absent |= {"--source": not source, "--detail-type": not detail_type}
    flags = [flag for flag, is_absent in absent.items() if is_absent]
    if not flags:
        return
    shown = handler_name(name).replace("_", "-") if name else "send-receipt"
    example = f"busway add handler {shown} --event {known[0] if known else class_name}"
    if not there and not known:
        example += f' --source {source or _source_of(root)} --detail-type "{detail_type or words(class_name)}"'
        example += " --field order-id:str"
    raise missing(flags, example)


def asked_event(
    root: Path, name: str | None, source: str | None, detail_type: str | None, fields: Sequence[str], asking: bool
) -> EventSpec:
    """The event asked for: one that is there, or what is needed to write it. Not asking: after `check_given`."""
    from busway.errors import GeneratorRefused
    from busway.road.fields import parse_fields
    from busway.road.generator import EventSpec, find_event
    from busway.road.naming import event_class_name, words

    class_name = event_class_name(name or _ask_name(root))
    file = find_event(root, class_name)
    if file is not None:
        if source or detail_type or fields:
            raise GeneratorRefused(
                f"{class_name} is there already, in {file.relative_to(root)}",
                "leave out --source, --detail-type and --field, or name a new event",
            )
        return EventSpec(class_name, "", "", file=file)
    source = source or ask_text("Who puts it on the bus (source)?", default=_source_of(root), check=_not_empty)
    detail_type = detail_type or ask_text("Its detail-type?", default=words(class_name), check=_not_empty)
    specs = parse_fields(fields) if fields or not asking else _ask_fields()
    return EventSpec(class_name, _not_empty(source), _not_empty(detail_type), specs)


def _ask_name(root: Path) -> str:
    from busway.road.generator import known_events
    from busway.road.naming import event_class_name

    known = known_events(root)
    chosen = ask_choice("Which event does it take?", [*known, NEW], known[0]) if known else NEW
    return ask_text("Name of the new event (a class)?", check=event_class_name) if chosen == NEW else chosen


def _source_of(root: Path) -> str:
    """What a project's own events may call their source: as the project is called."""
    from busway.road.project import read_config

    return read_config(root).name


def _ask_fields() -> list[FieldSpec]:
    from busway.road.fields import parse_fields

    given: list[str] = []
    while answer := ask_text("A field (name:type, type? if it may be missing, =sample), or empty:", check=_field):
        given.append(answer)
    return parse_fields(given)


def _field(text: str) -> None:
    from busway.road.fields import parse_field

    if text:
        parse_field(text)


def _not_empty(text: str) -> str:
    from busway.errors import GeneratorRefused

    if not text.strip() or text.startswith("aws."):
        raise GeneratorRefused(f"{text!r}: wanted some text, and none that begins with 'aws.', which is AWS's own")
    return text
