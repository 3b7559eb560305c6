"""`busway new`: a project of a few files that a person wants to own."""

from __future__ import annotations

from pathlib import Path

import click

from busway.cli.options import json_option
from busway.cli.output import print_json, say


@click.command()
@click.argument("folder", metavar="NAME")
@click.option("--bus", default="default", show_default=True, help="The bus that its handlers listen to.")
@json_option
def new(folder: str, bus: str, as_json: bool) -> None:
    """Make a new project in the folder NAME.

    \b
    Example:
      busway new shop
    """
    from busway.errors import GeneratorRefused
    from busway.road.generator import new_project
    from busway.road.naming import snake

    root = Path(folder)
    name = snake(root.resolve().name).replace("_", "-")
    if not name or not name[0].isalpha() or not name.isascii():
        raise GeneratorRefused(
            f"{folder!r} cannot name a project; wanted ASCII letters, digits and -", "busway new shop"
        )
    files = new_project(root, name, bus)
    if as_json:
        print_json(
            {"project": name, "folder": str(root.resolve()), "files": [str(f.relative_to(root)) for f in files]}
        )
        return
    for file in files:
        click.echo(str(file))
    say(f"\nnext: cd {folder} && busway add handler")
