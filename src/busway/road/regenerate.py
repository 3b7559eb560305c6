"""`busway templates update`: what was generated and not touched since, made anew by the templates of today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from busway.errors import BuswayError, GeneratorRefused
from busway.road.event_files import EventSpec, find_event
from busway.road.generate_rule import RuleSpec, rule_texts
from busway.road.generated import Generated, Kind, digest, record_text, records
from busway.road.generator import SCHEDULED, HandlerSpec, NewEvent, event_texts, handler_texts

# same      it is what the templates make today
# updated   nobody had touched it: it is made anew
# yours     somebody changed it, or took it away: it stays so
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
    touched = {file for file, was in record.files.items() if not _is(root / file, was)}
    try:
        spec = _spec(root, record, touched)
        texts = _texts(root, spec)
    except (BuswayError, msgspec.ValidationError) as error:
        return [Outcome(place, "failed", str(error))]
    outcomes = [Outcome(file, "yours") for file in sorted(touched)]
    for file, text in texts.items():
        # One that was not written then is written now; one that somebody else wrote there stays.
        if file in touched or (file not in record.files and (root / file).exists()):
            continue
        outcomes.append(Outcome(file, "same" if record.files.get(file) == digest(text) else "updated"))
    made = {one.file: texts[one.file] for one in outcomes if one.what == "updated"}
    if made and write:
        for file, text in made.items():
            (root / file).write_text(text, encoding="utf-8")
        files = {**record.files, **{file: digest(text) for file, text in made.items()}}
        (root / place).write_text(record_text(msgspec.structs.replace(record, files=files)))
    return sorted(outcomes, key=lambda one: one.file)


def _is(file: Path, was: str) -> bool:
    return file.is_file() and digest(file.read_text(encoding="utf-8")) == was


def _spec(root: Path, record: Generated, touched: set[str]) -> Any:
    """What was asked for; an event that is there is taken as it is now."""

    def pathed(kind: type, value: str) -> Path:
        return root / value

    spec = msgspec.convert(record.spec, _SPECS[record.kind], dec_hook=pathed)
    event: EventSpec | None = None if isinstance(spec, NewEvent) else spec.event
    if event is None or event == SCHEDULED:
        return spec
    there = find_event(root, event.class_name, spec.language)
    if event.file is None and there is not None and str(there.relative_to(root)) in record.files.keys() - touched:
        return spec
    if there is None:
        raise GeneratorRefused(f"the event {event.class_name} is gone")
    return replace(spec, event=EventSpec(event.class_name, "", "", file=there))


def _texts(root: Path, spec: HandlerSpec | NewEvent | RuleSpec) -> dict[str, str]:
    if isinstance(spec, HandlerSpec):
        return handler_texts(root, spec)
    return event_texts(root, spec) if isinstance(spec, NewEvent) else rule_texts(root, spec)
