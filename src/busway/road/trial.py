"""A filter, tried on the samples that are known of its event, so that one that matches nothing is seen at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from busway.event import Event
from busway.handling import pattern_of
from busway.pattern import Pattern, explain, parse
from busway.road.event_files import EventSpec, class_and_sample
from busway.road.filters import numbers_of_texts
from busway.road.samples import samples_of

Samples = Mapping[str, Mapping[str, Any]]


def samples_for(root: Path, event: EventSpec) -> tuple[type[Event], Samples]:
    """The event's class, and its samples in the project by their files' names; if none, one made from the class."""
    event_class, known = class_and_sample(root, event)
    found_by = event_class.event_source, event_class.event_detail_type
    found = {str(file.relative_to(root)): sample for file, sample in samples_of(root, *found_by)}
    return event_class, found or {"the sample made from the fields": known or event_class.sample().envelope.raw}


def tried(event_class: type[Event], detail: Mapping[str, Any], samples: Samples) -> str:
    """Which samples a filter matches, in words: "matches all 2 samples", "matches none of 1 sample: ..."."""
    pattern = parse(msgspec.json.encode(pattern_of(event_class, detail)).decode())
    matched = [name for name, sample in samples.items() if pattern.matches(msgspec.json.encode(sample))]
    number = f"{len(samples)} sample{'' if len(samples) == 1 else 's'}"
    if len(matched) == len(samples):
        return f"matches {'all ' if len(samples) > 1 else 'the '}{number}"
    if not matched:
        why = _as_text(event_class, detail) or _why_not(pattern, samples)
        return f"matches none of {number}: {', '.join(samples)}{why}"
    return f"matches {len(matched)} of {number}: {', '.join(matched)}"


def _as_text(event_class: type[Event], detail: Mapping[str, Any]) -> str:
    fields = numbers_of_texts(event_class, detail)
    if not fields:
        return ""
    return f"; detail.{fields[0]}: a decimal travels as text, and numeric matches numbers: use float or int"


def _why_not(pattern: Pattern, samples: Samples) -> str:
    """The first field of the first sample that misses: `; detail.total is "9.99", wanted a number > 5`."""
    first = next(iter(samples.values()))
    fields = explain(pattern, msgspec.json.encode(first)).as_dict()["fields"]
    missed = next((field for field in fields if not field["matched"]), None)
    if missed is None:
        return ""
    found = ", ".join(map(str, missed.get("found") or ())) or "not there"
    return f"; {missed['path']} is {found}, wanted {missed.get('wanted', '')}"
