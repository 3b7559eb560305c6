"""`busway new` and `busway init`: a project of a few files that a person wants to own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from busway.cli.options import json_option, language_option
from busway.cli.output import print_json, say
from busway.cli.prompts import ask_text, may_ask, missing

if TYPE_CHECKING:
    from busway.road.root import Language

_INSTALL = {"python": "", "typescript": "npm install && "}


@click.command()
@click.argument("folder", metavar="NAME", required=False)
@language_option
@click.option("--bus", default="default", show_default=True, help="The bus that its handlers listen to.")
@json_option
def new(folder: str | None, language: Language | None, bus: str, as_json: bool) -> None:
    """Make a new project in the folder NAME, which on a terminal is asked for.

    \b
    Example:
      busway new shop
      busway new shop --language typescript
    """
    from busway.road.project_files import new_project

    if not folder and (as_json or not may_ask()):
        raise missing(["NAME"], "busway new shop")
    folder = folder or ask_text("Name of the project, and of its folder?", check=_as_project_name)
    root, language = Path(folder), language or "python"
    name = _project_name(folder, root.resolve().name)
    _report(root, name, new_project(root, name, bus, language), as_json)
    if not as_json:
        say(f"\nnext: cd {shlex.quote(folder)} && {_INSTALL[language]}busway add handler")


@click.command()
@language_option
@click.option("--bus", default="default", show_default=True, help="The bus that its handlers listen to.")
@json_option
def init(language: Language | None, bus: str, as_json: bool) -> None:
    """Make a project of this folder, beside what is in it.

    Adds to .gitignore, and to pyproject.toml or package.json; no other file that exists is touched.

    \b
    Example:
      busway init
      busway init --language typescript
    """
    from busway.road.project_files import init_project, is_module, language_of

    root = Path.cwd()
    language = language or language_of(root)
    name = _project_name(root.name, root.name)
    was_module = is_module(root)
    written = init_project(root, name, bus, language)
    _report(root, name, [file.relative_to(root) for file in written], as_json)
    if not as_json:
        if language == "typescript" and root / "tsconfig.json" not in written:
            say('\ntsconfig.json stays as it is; imports here end in .ts: "allowImportingTsExtensions": true')
        if language == "typescript" and not was_module:
            _say_type(root)
        say(f"\nnext: {_INSTALL[language]}busway add handler")


def _say_type(root: Path) -> None:
    """What became of a package that is CommonJS, where tsc refuses import and export (TS1295)."""
    from busway.road.project_files import is_module, own_code

    if is_module(root):
        say('\npackage.json has "type": "module" now, as events and handlers import and export')
        return
    say(
        f"\npackage.json stays CommonJS, as {own_code(root)} may depend on that; events and handlers are modules, and"
        ' tsc refuses them so (TS1295).\nhint: set "type": "module" and call what uses require() .cjs; or make a'
        " project in a folder of its own: busway new NAME --language typescript"
    )


def _as_project_name(text: str) -> str:
    return _project_name(text, Path(text).name)


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
