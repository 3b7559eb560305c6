"""`busway trace EVENT`: what became of an event and of all that it led to, on one axis of time.

The picture itself is drawn by `trace_picture.py`.
"""

from __future__ import annotations

from urllib.parse import quote

import click

from busway.cli.options import connect, server_options
from busway.cli.output import console, line, print_json
from busway.cli.trace_picture import picture

# Ours: bars are no longer than this on a wide terminal, and in a pipe.
WIDTH_MAX = 110


@click.command()
@click.argument("event_id", metavar="[EVENT]", required=False)
@server_options
def trace(event_id: str | None, endpoint: str, as_json: bool) -> None:
    """Draw what became of EVENT and of the events that its handlers published, each try as a bar in time.

    EVENT is the id of an event, or of a trace (1-7bf73129-14284cd3a78095db273d1602). Without it, the newest event.

    \b
    Example:
      busway trace
      busway trace 7bf73129-1428-4cd3-a780-95db273d1602
    """
    found = connect(endpoint).get(
        "/_busway/traces" + (f"/{quote(event_id, safe='')}" if event_id is not None else "")
    )
    if as_json:
        print_json(found)
        return
    for parts in picture(found, min(console().width, WIDTH_MAX)):
        line(*parts)
