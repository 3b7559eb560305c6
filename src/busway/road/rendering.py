"""Templates into files: those in the project's `_templates/` come before those beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from busway.errors import GeneratorRefused
from busway.road.root import SUFFIXES, Language

TEMPLATES = Path(__file__).parent / "templates"
# A team's own, by the same names as ours: `_templates/handler/plain_handler.py.jinja`.
OVERRIDES = "_templates"


def render(root: Path, template: str, **facts: Any) -> str:
    """A template's text, for the project at `root`. Raises GeneratorRefused for a broken one."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([root / OVERRIDES, TEMPLATES]),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    # A TOML basic string is a JSON string.
    environment.filters["toml"] = lambda text: msgspec.json.encode(text).decode()
    try:
        return environment.get_template(template).render(**facts)
    except jinja2.TemplateError as error:
        line = f", line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise GeneratorRefused(
            f"{OVERRIDES}/{template}{line}: {type(error).__name__}: {error.message}",
            f"the names it may use are {', '.join(sorted(facts))}",
        ) from error


def bodies(root: Path, language: Language = "python") -> list[str]:
    """What a handler may do at first: a template each, ours and the project's own."""
    ending = f"_handler{SUFFIXES[language]}.jinja"
    folders = (TEMPLATES / "handler", root / OVERRIDES / "handler")
    names = {file.name.removesuffix(ending) for folder in folders for file in folder.glob(f"*{ending}")}
    return sorted(names - {"batch", "schedule"})


def write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write new files, all or none; return their paths. Raises GeneratorRefused when one is there already."""
    paths = {folder / name: text for name, text in files.items()}
    for path in paths:
        if path.exists():
            raise GeneratorRefused(
                f"{path} exists; nothing was written", "take another name, or remove the file first"
            )
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)
