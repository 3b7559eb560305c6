"""`busway schema`: the events for others to read, and whether a change of them breaks somebody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from busway.cli.options import json_option, project_root
from busway.cli.output import counted, line, print_json, say


@click.group()
def schema() -> None:
    """JSON Schemas and TypeScript types of the project's events, and a check of what changed."""


@schema.command()
@click.option("--out", default="schemas", show_default=True, metavar="DIR", help="The folder to write to.")
@json_option
def export(out: str, as_json: bool) -> None:
    """Write a JSON Schema of each event's detail, and TypeScript types of all of them.

    \b
    Example:
      busway schema export --out schemas
    """
    from busway.road.describe import describe
    from busway.road.schemas.export import exported

    folder = Path(out)
    files = exported(asyncio.run(describe(project_root())).events)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if as_json:
        print_json({"files": [str(folder / name) for name in files]})
        return
    for name in files:
        click.echo(str(folder / name))


@schema.command()
@click.option(
    "--against", required=True, metavar="REF", help="A commit or branch, or a folder that `schema export` wrote."
)
@json_option
def check(against: str, as_json: bool) -> None:
    """Tell which changes of events since REF break somebody, and what to do. Exits 1 when one does.

    \b
    Example:
      busway schema check --against main
      busway schema check --against schemas
    """
    from busway.road.describe import describe
    from busway.road.schemas.baseline import schemas_at
    from busway.road.schemas.changes import breaks
    from busway.road.schemas.export import document

    root = project_root()
    before = asyncio.run(schemas_at(root, against))
    after = {event.name: document(event) for event in asyncio.run(describe(root)).events}
    found = breaks(before, after)
    if as_json:
        print_json({"against": against, "breaks": found})
    else:
        for each in found:
            line((f"{each.event} {each.path}", "bold"), f": {each.problem}")
            line("  breaks ", (each.breaks, "red"))
            line("  better ", (each.fix, "green"))
        events = counted(len(after), "event")
        say(counted(len(found), "breaking change") if found else f"{events}, nothing that breaks anybody")
    click.get_current_context().exit(1 if found else 0)
