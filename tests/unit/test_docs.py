"""What the pages say of settings and commands is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from busway.cli import COMMANDS, busway
from busway.config import setting_help

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
# Links of the form [text](target), not to another site.
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)")


def commands() -> Iterator[str]:
    """The words of every command, also of those that are inside others."""
    context = click.Context(busway)
    for name in COMMANDS:
        command = busway.get_command(context, name)
        yield from [f"{name} {inner}" for inner in command.commands] if isinstance(command, click.Group) else [name]


def test_the_settings_page_is_up_to_date():
    check = [sys.executable, ROOT / "scripts" / "settings.py", "--check"]
    done = subprocess.run(check, capture_output=True, check=False)
    assert done.returncode == 0, f"run: python scripts/settings.py\n{done.stderr.decode()}"


def test_every_setting_has_a_row_with_its_variable_and_its_meaning():
    rows = (ROOT / "docs" / "settings.md").read_text().splitlines()
    for name, _, text in setting_help():
        assert [row for row in rows if row.startswith(f"| {name} | `BUSWAY_{name.upper()}` |") and text in row]


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_is_named_in_the_pages(command: str):
    assert any(f"busway {command}" in page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    missing = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert not missing
