"""Events in the generator: `busway add event`, and the event that a new handler takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from busway.cli.options import chosen_language, language_option, project_root, server_options
from busway.cli.output import print_json, say
from busway.cli.prompts import ask_text, by_letters, may_ask, missing

if TYPE_CHECKING:
    from busway.road.event_files import EventSpec
    from busway.road.fields import FieldSpec
    from busway.road.root import Language

# Ours: one letter of eleven, but not OrderPaid for OrderPlaced.
SLIP_LIKENESS_MIN = 0.9


@click.command(short_help="Generate an event's class.")
@click.argument("name", required=False)
@click.option("--source", help='Who puts it on the bus, for example "com.example.Shop".')
@click.option("--detail-type", help="Its detail-type.  [default: its name as words]")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME:TYPE[?][=SAMPLE]",
    help="A field; may be given again. Types: str, int, float, bool, decimal, datetime, uuid, ...",
)
@click.option(
    "--from-schema",
    "schema_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Make it of a JSON Schema of its detail, such as `schema export` writes.",
)
@click.option(
    "--from-event", "seen", multiple=True, metavar="ID", help="Make it of an event on the bus; may be given again."
)
@language_option
@server_options
def event(
    name: str | None,
    source: str | None,
    detail_type: str | None,
    fields: tuple[str, ...],
    schema_file: Path | None,
    seen: tuple[str, ...],
    language: Language | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Generate the definition of an event, for those who put it and those who will handle it.

    On a terminal it asks for what isn't given.

    \b
    Example:
      busway add event OrderPlaced --source com.example.Shop --field order-id:str --field total:float=9.99
      busway add event OrderPlaced --source com.example.Shop --from-schema order.json
      busway add event OrderPlaced --from-event 7bf73129-1428-4cd3-a780-95db273d1602
    """
    from busway.cli.add_event_from import add_described
    from busway.errors import GeneratorRefused
    from busway.road.event_files import EventSpec, find_event
    from busway.road.fields import parse_fields
    from busway.road.generator import add_event
    from busway.road.naming import event_class_name, new_class_name, words

    root, asking = project_root(), may_ask() and not as_json
    language = chosen_language(root, language, asking=asking)
    described = bool(schema_file or seen)
    needed = [("NAME", name), *([] if described else [("--source", source)])]
    absent = [flag for flag, value in needed if not value]
    if absent and not asking:
        example = f"busway add event {name or 'OrderPlaced'} --source {source or source_of(root)}"
        raise missing(absent, f"{example} --field order-id:str")
    class_name = event_class_name(name or ask_text("Name of the event (a class)?", check=new_class_name))
    there = find_event(root, class_name, language)
    if there is not None:
        raise GeneratorRefused(f"{class_name} is there already, in {there.relative_to(root)}")
    new_class_name(class_name)
    if described:
        given = EventSpec(class_name, (source or "").strip(), (detail_type or "").strip(), parse_fields(fields))
        file = add_described(root, language, given, schema_file, seen, endpoint, asking=asking)
    else:
        spec = asked_event(root, language, class_name, source, detail_type or words(class_name), fields, asking)
        (file,) = add_event(root, spec, language)
    if as_json:
        print_json({"event": class_name, "file": str(file.relative_to(root))})
        return
    click.echo(str(file.relative_to(root)))
    say(f"\nnext: `busway add handler NAME --event {class_name}`; `busway send {class_name}`")


def known_by(root: Path, language: Language, name: str | None, *, is_new: bool) -> str | None:
    """The event that `--event NAME` means, by some of its letters unless other flags say that it is a new one.

    What finds none is given back. Raises GeneratorRefused where it is so near to one that it is no new name.
    """
    from busway.errors import GeneratorRefused
    from busway.road.event_files import find_event, known_events
    from busway.road.naming import event_class_name

    if not name or is_new:
        return name
    known = known_events(root, language)
    found = by_letters(name, known)
    if found in known or find_event(root, event_class_name(found), language) is not None:
        return found
    near = meant_event(found, known)
    if near:
        raise GeneratorRefused(
            f"there is no event {name!r}; did you mean {near}?", "what a new one is, --source and --field say"
        )
    return found


def meant_event(name: str, known: Sequence[str]) -> str | None:
    """The event whose name this one is but for a slip."""
    from busway.pattern.likeness import likeness

    best = max(known, key=lambda other: likeness(name, other), default="")
    return best if likeness(name, best) >= SLIP_LIKENESS_MIN else None


def check_given(
    root: Path,
    language: Language,
    name: str | None,
    event: str | None,
    source: str | None,
    schedule: str | None = None,
) -> None:
    """For where nobody can be asked. Raises `UsageError` with everything that is missing, and an example."""
    from busway.road.event_files import find_event, known_events
    from busway.road.naming import event_class_name, handler_name

    class_name = "OrderPlaced" if event is None else event_class_name(event)
    there = event is not None and find_event(root, class_name, language) is not None
    absent = {"NAME": not name, "--event": event is None and schedule is None}
    known = [] if event else known_events(root, language)
    if not there and not known and schedule is None:
        absent |= {"--source": not source}
    flags = [flag for flag, is_absent in absent.items() if is_absent]
    if not flags:
        return
    shown = handler_name(name).replace("_", "-") if name else "send-receipt"
    if schedule is not None:
        raise missing(flags, f'busway add handler {shown} --schedule "{schedule}"')
    example = f"busway add handler {shown} --event {known[0] if known else class_name}"
    if not there and not known:
        example += f" --source {source or source_of(root)} --field order-id:str"
    raise missing(flags, example)


def asked_event(
    root: Path,
    language: Language,
    name: str | None,
    source: str | None,
    detail_type: str | None,
    fields: Sequence[str],
    asking: bool,
) -> EventSpec:
    """The event asked for: one that is there, or what is needed to write it. Not asking: after `check_given`."""
    from busway.errors import GeneratorRefused
    from busway.road.event_files import EventSpec, find_event
    from busway.road.fields import parse_fields
    from busway.road.naming import event_class_name, new_class_name, words

    class_name = event_class_name(name or _ask_name(root, language))
    file = find_event(root, class_name, language)
    if file is not None:
        if source or detail_type or fields:
            raise GeneratorRefused(
                f"{class_name} is there already, in {file.relative_to(root)}",
                "leave out --source, --detail-type and --field, or name a new event",
            )
        return EventSpec(class_name, "", "", file=file)
    new_class_name(class_name)
    source = source or ask_source(root)
    if not detail_type:
        named = words(class_name)
        detail_type = ask_text("Its detail-type?", default=named, check=_not_empty) if asking else named
    specs = parse_fields(fields) if fields or not asking else _ask_fields()
    return EventSpec(class_name, _not_empty(source), _not_empty(detail_type), specs)


def _ask_name(root: Path, language: Language) -> str:
    from busway.road.event_files import known_events
    from busway.road.naming import new_class_name

    known = known_events(root, language)
    if not known:
        return ask_text("Name of the new event (a class)?", check=new_class_name)

    def told(text: str) -> str:
        name = by_letters(text, known)
        return f"takes {name}" if name in known else f"makes a new event, {new_class_name(name)}"

    question = f"Which event does it take? Enter for {known[0]}, letters find others, a new Name makes a new one:"

    def check(text: str) -> object:
        name = by_letters(text, known)
        return name in known or not name or new_class_name(name)

    return by_letters(ask_text(question, check=check, live=told, words=known), known) or known[0]


def ask_source(root: Path) -> str:
    return ask_text("Who puts it on the bus (source)?", default=source_of(root), check=_not_empty)


def source_of(root: Path) -> str:
    """What a project's own events may call their source: as the project is called."""
    from busway.road.root import read_config

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

    text = text.strip()
    if not text or text.startswith("aws."):
        raise GeneratorRefused(f"{text!r}: wanted some text, and none that begins with 'aws.', which is AWS's own")
    return text
