"""`busway add`: what a project gets from the generator."""

from __future__ import annotations

import click

from busway.cli.add_event import event
from busway.cli.add_handler import handler, schedule


@click.group()
def add() -> None:
    """Generate a handler with its test, or an event."""


add.add_command(handler)
add.add_command(schedule)
add.add_command(event)
