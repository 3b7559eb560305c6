"""`busway catalog`: the project's events as a page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from busway.cli.options import json_option, project_root
from busway.cli.output import counted, print_json, say


@click.command()
@click.option("--out", default="catalog", show_default=True, metavar="DIR", help="The folder to write to.")
@json_option
def catalog(out: str, as_json: bool) -> None:
    """Write a page of the project's events: fields, samples, handlers, owners, versions. It needs no server.

    \b
    Example:
      busway catalog --out site
    """
    from busway.road.catalogue.facts import pages
    from busway.road.catalogue.site import html
    from busway.road.describe import describe

    root = project_root()
    manifest = asyncio.run(describe(root))
    file = Path(out) / "index.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(html(manifest.project, pages(root, manifest)), encoding="utf-8")
    if as_json:
        print_json({"file": str(file), "events": [event.name for event in manifest.events]})
        return
    click.echo(str(file))
    say(f"{counted(len(manifest.events), 'event')}; open it in a browser, or put the folder on any web server")
