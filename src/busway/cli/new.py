"""`busway new` and `busway init`: a project of a few files that a person wants to own."""

from __future__ import annotations

from collections.abc import Sequence
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
    from busway.road.project_files import new_project

    root = Path(folder)
    name = _project_name(folder, root.resolve().name)
    _report(root, name, new_project(root, name, bus), as_json)
    if not as_json:
        say(f"\nnext: cd {folder} && busway add handler")


@click.command()
@click.option("--bus", default="default", show_default=True, help="The bus that its handlers listen to.")
@json_option
def init(bus: str, as_json: bool) -> None:
    """Make a project of this folder, beside what is in it.

    Adds to the end of pyproject.toml and .gitignore; no other file that exists is touched.

    \b
    Example:
      busway init
    """
    from busway.road.project_files import init_project

    root = Path.cwd()
    name = _project_name(root.name, root.name)
    _report(root, name, [file.relative_to(root) for file in init_project(root, name, bus)], as_json)
    if not as_json:
        say("\nnext: busway add handler")


def _project_name(given: str, folder: str) -> str:
    from busway.errors import GeneratorRefused
    from busway.road.naming import snake

    name = snake(folder).replace("_", "-")
    if not name or not name[0].isalpha() or not name.isascii():
        raise GeneratorRefused(
            f"{given!r} cannot name a project; wanted ASCII letters, digits and -", "busway new shop"
        )
    return name


def _report(root: Path, name: str, files: Sequence[Path], as_json: bool) -> None:
    if as_json:
        names = [str(file.relative_to(root) if file.is_relative_to(root) else file) for file in files]
        print_json({"project": name, "folder": str(root.resolve()), "files": names})
        return
    for file in files:
        click.echo(str(file))
