"""`busway add`: what a project gets from the generator."""

from __future__ import annotations

import click

from busway.cli.add_ci import ci
from busway.cli.add_event import event
from busway.cli.add_handler import handler, schedule
from busway.cli.add_rule import rule


@click.group()
def add() -> None:
    """Generate a handler with its test, an event, a rule, or what deploys on push."""


add.add_command(handler)
add.add_command(schedule)
add.add_command(event)
add.add_command(rule)
add.add_command(ci)
