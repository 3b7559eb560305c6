"""An event that is described already: by a JSON Schema, or by events of its kind that the bus has seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.options import connect

if TYPE_CHECKING:
    from busway.road.event_files import EventSpec
    from busway.road.root import Language


def add_described(
    root: Path,
    language: Language,
    given: EventSpec,
    schema_file: Path | None,
    seen: tuple[str, ...],
    endpoint: str,
    *,
    asking: bool,
) -> Path:
    """Write the definition, and return its file. `given` may lack source and detail-type. Raises BuswayError."""
    from busway.road.from_schema import class_text
    from busway.road.generator import add_event_text
    from busway.road.typescript.texts import described_text
    from busway.road.typescript.zod import detail_text

    if (schema_file and seen) or given.fields:
        raise click.UsageError("--from-schema, --from-event and --field are three ways to say one thing: take one")
    about, schema = _of_file(schema_file) if schema_file else _of_events(seen, endpoint)
    spec = _named(given, *about, root if asking else None)
    if language == "typescript":
        text = described_text(root, spec, detail_text(spec.class_name, schema))
    else:
        text = class_text(spec, schema)
    return add_event_text(root, spec, text, language)


def _named(given: EventSpec, source: str, detail_type: str, root: Path | None) -> EventSpec:
    """`root` if somebody can be asked who puts it on the bus."""
    from busway.cli.add_event import ask_source
    from busway.road.event_files import EventSpec
    from busway.road.naming import words

    source = given.source or source or (ask_source(root) if root else "")
    if not source:
        raise click.UsageError('--source is missing: who puts it on the bus, for example "com.example.Shop"')
    return EventSpec(given.class_name, source, given.detail_type or detail_type or words(given.class_name))


def _of_file(file: Path) -> tuple[tuple[str, str], dict[str, Any]]:
    """(source, detail-type), where `schema export` wrote the file, and the schema."""
    from busway.road.from_schema import read_schema
    from busway.road.schemas.export import DETAIL_TYPE, SOURCE

    schema = read_schema(file.read_bytes(), str(file))
    about = str(schema.pop(SOURCE, "")), str(schema.pop(DETAIL_TYPE, ""))
    return about, schema


def _of_events(seen: tuple[str, ...], endpoint: str) -> tuple[tuple[str, str], dict[str, Any]]:
    from urllib.parse import quote

    from busway.errors import GeneratorRefused
    from busway.road.inference import schema_of

    connection = connect(endpoint)
    events = [connection.get(f"/_busway/events/{quote(one, safe='')}")["event"] for one in seen]
    kinds = {(str(event["source"]), str(event["detail-type"])) for event in events}
    if len(kinds) > 1:
        told = ", ".join(f"{kind!r} from {source!r}" for source, kind in sorted(kinds))
        raise GeneratorRefused(f"these events are of {len(kinds)} kinds: {told}", "name events of one kind")
    return kinds.pop(), schema_of([event["detail"] for event in events])
