"""`busway templates update`: what was generated and not touched since, made anew by the templates of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from busway.errors import BuswayError, GeneratorRefused
from busway.road.event_files import EventSpec, find_event
from busway.road.generate_rule import RuleSpec, rule_texts
from busway.road.generated import Generated, Kind, digest, is_untouched, record_text, records
from busway.road.generator import SCHEDULED, HandlerSpec, NewEvent, event_texts, folder_of, handler_texts
from busway.road.naming import event_class_name, handler_name
from busway.road.samples import own_sample

# same      it is what the templates make today
# updated   nobody had touched it: it is made anew
# yours     somebody changed it, moved it or took it away: it stays so; `reason` says which
# failed    it cannot be made anew; `reason` says why
What = Literal["same", "updated", "yours", "failed"]
_SPECS: dict[Kind, Any] = {"handler": HandlerSpec, "event": NewEvent, "rule": RuleSpec}


class Outcome(msgspec.Struct, frozen=True):
    """What became of one file."""

    file: str
    what: What
    reason: str = ""


def update(root: Path, names: Sequence[str] = (), *, write: bool = True) -> list[Outcome]:
    """Make untouched files anew, of all that was generated or of what is so named; `write`: not only say so.

    Raises BrokenProject for a record that cannot be read.
    """
    outcomes: list[Outcome] = []
    for place, record in records(root).items():
        if not names or _name(place) in names:
            outcomes += _update(root, place, record, write=write)
    return outcomes


def generated_names(root: Path) -> list[str]:
    """What was generated, by the names that `update` takes: of handlers' folders, events' and rules' files."""
    return sorted({_name(place) for place in records(root)})


def _name(place: str) -> str:
    folder, _, name = place.partition("/")
    return name.split("/")[0] if folder == "handlers" else name.split(".")[1]


def _update(root: Path, place: str, record: Generated, *, write: bool) -> list[Outcome]:
    if moved := _moved_from(place, record):
        return [Outcome(place, "yours", f"moved from {moved}")]
    touched = {file for file, was in record.files.items() if not is_untouched(root / file, was)}
    try:
        spec = _spec(root, record, touched)
        texts = _texts(root, spec)
    except (BuswayError, msgspec.ValidationError) as error:
        return [Outcome(place, "failed", str(error))]
    outcomes = [Outcome(file, "yours", "changed" if (root / file).exists() else "deleted") for file in touched]
    for file, text in texts.items():
        if file in touched:
            continue
        # One that was not written then is written now; one that somebody else wrote there stays.
        if file not in record.files and (root / file).exists():
            outcomes.append(Outcome(file, "yours", "not written by the generator"))
        else:
            outcomes.append(Outcome(file, "same" if record.files.get(file) == digest(text) else "updated"))
    if write:
        _write(root, place, record, {one.file: texts[one.file] for one in outcomes if one.what == "updated"})
    return sorted(outcomes, key=lambda one: one.file)


def _write(root: Path, place: str, record: Generated, texts: Mapping[str, str]) -> None:
    """Files, and the record of them."""
    if not texts:
        return
    for file, text in texts.items():
        (root / file).write_text(text, encoding="utf-8")
    files = {**record.files, **{file: digest(text) for file, text in texts.items()}}
    (root / place).write_text(record_text(msgspec.structs.replace(record, files=files)), encoding="utf-8")


def _moved_from(place: str, record: Generated) -> str:
    """Where a handler's files were, if their folder is called something else now."""
    folders = {str(Path(file).parent) for file in record.files if file.startswith("handlers/")}
    return "" if record.kind != "handler" or str(Path(place).parent) in folders else ", ".join(sorted(folders))


def _spec(root: Path, record: Generated, touched: set[str]) -> Any:
    """What was asked for; an event that is there is taken as it is now."""

    def pathed(kind: type, value: str) -> Path:
        return root / value

    kind = _SPECS[record.kind]
    unknown = sorted(set(record.spec) - {field.name for field in fields(kind)})
    if unknown:
        raise GeneratorRefused(f"it was made by another version of Busway: this one does not know {unknown[0]!r}")
    spec = msgspec.convert(record.spec, kind, dec_hook=pathed)
    # They end as names in code; the record is a file that anybody may have changed.
    named = event_class_name(spec.event.class_name) == spec.event.class_name
    if not named or (not isinstance(spec, NewEvent) and handler_name(spec.name) != spec.name):
        raise GeneratorRefused("it holds a name that the generator would not have made")
    event: EventSpec | None = None if isinstance(spec, NewEvent) else spec.event
    if event is None or event == SCHEDULED:
        return spec
    there = find_event(root, event.class_name, spec.language)
    if there is None:
        raise GeneratorRefused(f"the event {event.class_name} is gone")
    if event.file is None and str(there.relative_to(root)) in record.files.keys() - touched:
        return spec
    return replace(spec, event=EventSpec(event.class_name, "", "", file=there))


def _texts(root: Path, spec: HandlerSpec | NewEvent | RuleSpec) -> dict[str, str]:
    if isinstance(spec, HandlerSpec):
        return handler_texts(root, spec, own_sample(root, folder_of(spec)))
    return event_texts(root, spec) if isinstance(spec, NewEvent) else rule_texts(root, spec)
