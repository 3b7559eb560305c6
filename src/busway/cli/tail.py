"""`busway tail`: events as they happen, from acceptance to what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from busway.cli.options import connect, server_options
from busway.cli.output import print_line, say
from busway.cli.timeline import KINDS, flat, show_step


@click.command()
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KINDS),
    metavar="KIND",
    help=f"Only steps of this kind: {', '.join(KINDS)}.",
)
@click.option("--event", "event_id", metavar="ID", help="Only steps of this event.")
@click.option(
    "--since", type=click.IntRange(0), help="Begin with the steps after this sequence, as far as they are kept."
)
@click.option("--count", type=click.IntRange(1), help="End after so many steps.")
@server_options
def tail(
    kinds: tuple[str, ...], event_id: str | None, since: int | None, count: int | None, endpoint: str, as_json: bool
) -> None:
    """Show events as they happen: accepted, matched, tried, retried, delivered, dead-lettered.

    \b
    Example:
      busway tail
      busway tail --kind dead-lettered --json
    """
    shown = 0
    say(f"following {endpoint}; Ctrl-C ends it")
    for step in connect(endpoint).stream("/_busway/tail", since=since):
        facts = flat(step)
        if (kinds and facts.get("kind") not in kinds) or (event_id and not _is_of(facts, event_id)):
            continue
        if as_json:
            print_line(facts)
        else:
            show_step(facts)
        shown += 1
        if shown == count:
            return


def _is_of(facts: Mapping[str, Any], event_id: str) -> bool:
    """A batch names its events in `event_ids`."""
    return event_id == facts.get("event_id") or event_id in facts.get("event_ids", ())
