"""The pages as HTML: one file, with nothing that is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jinja2

from busway.road.catalogue.facts import Page

_TEMPLATES = Path(__file__).parents[1] / "templates" / "catalogue"


def html(project: str, pages: Sequence[Page]) -> str:
    """Whatever a project calls its things, it ends as text on the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    return environment.get_template("index.html.jinja").render(project=project, pages=pages)
