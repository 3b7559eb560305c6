"""`busway add handler`: every question is also a flag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from busway.cli.add_event import asked_event, check_given
from busway.cli.options import json_option, project_root
from busway.cli.output import print_json, say
from busway.cli.prompts import ask_choice, ask_text, may_ask

ONE, MANY = "one at a time", "in batches"


@click.group()
def add() -> None:
    """Generate a handler with its test."""


@add.command(short_help="Generate a handler, its test and a sample; and the event if it is new.")
@click.argument("name", required=False)
@click.option(
    "--event", "event_name", metavar="CLASS", help="Its event: a class in events/, or the name of a new one."
)
@click.option("--source", help='Source of a new event, for example "com.example.Shop".')
@click.option("--detail-type", help='Detail-type of a new event, for example "Order Placed".')
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME:TYPE[?][=SAMPLE]",
    help="A field of a new event; may be given again. Types: str, int, float, bool, decimal, datetime, uuid, ...",
)
@click.option(
    "--filter",
    "filter_json",
    metavar="JSON",
    help='Only some events, by their detail: {"total": [{"numeric": [">", 100]}]}.',
)
@click.option("--batch", metavar="SIZE/WINDOW", help="Many events at a time, from a stream: 100/5s.")
@click.option(
    "--rate", metavar="NUMBER/UNIT", help="Start it at most so often, where a third party throttles: 10/s, 600/m."
)
@click.option("--retries", type=int, help="Tries after a first failed one: 0 to 2, or with --batch more.")
@click.option("--max-age", default="6h", show_default=True, help="How old an event may get before it is given up.")
@click.option("--timeout", help="How long one try may take.  [default: 30s, or 1m for a batch]")
@click.option("--memory-mb", type=int, default=256, show_default=True, help="Memory of one worker, in MB.")
@click.option("--alert", metavar="ROUTE", help="The alert route that is told of dead letters, for example pagerduty.")
@click.option(
    "--template",
    "body",
    type=click.Choice(["plain", "email"]),
    help="What the handler does at first.  [default: plain]",
)
@click.option("--resource", "resources", multiple=True, help="A resource of the sample event; may be given again.")
@click.option("--async", "is_async", is_flag=True, help="Make the handler an async function (plain template).")
@click.option("--yes", "-y", is_flag=True, help="Take the defaults instead of asking for what isn't needed.")
@json_option
def handler(
    name: str | None,
    event_name: str | None,
    source: str | None,
    detail_type: str | None,
    fields: tuple[str, ...],
    filter_json: str | None,
    batch: str | None,
    rate: str | None,
    retries: int | None,
    max_age: str,
    timeout: str | None,
    memory_mb: int,
    alert: str | None,
    body: str | None,
    resources: tuple[str, ...],
    is_async: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Generate a handler, its test, a sample event, and the event if it is new.

    On a terminal it asks for what isn't given.

    \b
    Example:
      busway add handler send-receipt --event OrderPlaced --source com.example.Shop \\
        --detail-type "Order Placed" --field order-id:str --field total:decimal=9.99
      busway add handler post-orders --event OrderPlaced --batch 100/5s --rate 10/s
    """
    from busway.road.generator import HandlerSpec, add_handler, batch_spec
    from busway.road.naming import handler_name

    root = project_root()
    asking = may_ask() and not as_json
    if not asking:
        check_given(root, name, event_name, source, detail_type)
    folder = handler_name(name or ask_text("Name of the handler?", check=handler_name))
    event = asked_event(root, event_name, source, detail_type, fields, asking)
    asking = asking and not yes
    batch = _batch(batch, asking and body is None)
    if body is None:
        body = (
            ask_choice("What should it do at first?", ["plain", "email"], "plain")
            if asking and not batch
            else "plain"
        )
    if filter_json is None and asking:
        filter_json = ask_text("Only some of these events? A pattern over the detail, or empty:", check=_filter)
    if retries is None and asking and not batch:
        retries = int(ask_choice("Tries after a first failed one?", ["0", "1", "2"], "2"))
    if alert is None and asking:
        alert = ask_text("Alert route that is told of dead letters, or empty:") or None
    spec = HandlerSpec(
        name=folder,
        event=event,
        body=body,
        is_async=is_async and body == "plain",
        retries=retries,
        max_age=max_age,
        timeout=timeout,
        memory_mb=memory_mb,
        alert=alert,
        filter=_filter(filter_json or ""),
        # The email's handler writes to whom the event is about.
        resources=resources or (("user@example.com",) if body == "email" else ()),
        batch=batch_spec(batch) if batch else None,
        rate=rate,
    )
    _report(root, folder, event.class_name, add_handler(root, spec), as_json)


def _batch(given: str | None, asking: bool) -> str | None:
    """How many events at a time and how long to wait for them, "100/5s"; None for one at a time."""
    from busway.road.generator import batch_spec

    if given is not None or not asking:
        return given
    how = ask_choice("How does it take its events?", [ONE, MANY], ONE)
    return ask_text("At most how many, after how long?", default="100/5s", check=batch_spec) if how == MANY else None


def _filter(text: str) -> dict[str, Any]:
    """A filter that the pattern language accepts; {} for none."""
    import msgspec

    from busway.errors import GeneratorRefused, InvalidPattern
    from busway.pattern import parse

    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise GeneratorRefused(
            f"--filter is not a JSON object: {error}", 'for example: {"total": [{"numeric": [">", 100]}]}'
        ) from error
    try:
        parse(msgspec.json.encode({"detail": found}).decode())
    except InvalidPattern as error:
        example = 'values stand in lists, for example: {"location": ["Oslo"], "total": [{"numeric": [">", 100]}]}'
        raise GeneratorRefused(f"--filter: {error}", example) from error
    return found


def _report(root: Path, folder: str, event: str, files: Sequence[Path], as_json: bool) -> None:
    names = [str(file.relative_to(root)) for file in files]
    if as_json:
        print_json({"handler": folder, "event": event, "files": names})
        return
    for name in names:
        click.echo(name)
    say(f"\nnext: write handlers/{folder}/handler.py; `busway test`; `busway dev`; `busway send {event}`")
