"""`busway dlq`: what failed for good, by handler and error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from busway.cli.options import check_handler, connect, function_for, server_options
from busway.cli.output import cell, line, moment, print_json, say, styled, table
from busway.cli.timeline import name_of


@click.command()
@click.argument("handler", required=False)
@click.option("--queue", help="Only what is in this queue.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many letters to list."
)
@server_options
def dlq(handler: str | None, queue: str | None, limit: int, endpoint: str, as_json: bool) -> None:
    """List dead letters, of all handlers or of HANDLER.

    \b
    Example:
      busway dlq
      busway dlq send-receipt --json
    """
    chosen = function_for(handler) if handler else None
    connection = connect(endpoint)
    found = connection.get("/_busway/dead-letters", handler=chosen, queue=queue, limit=limit)
    if chosen and not found["total"]:
        check_handler(connection, chosen)
    if as_json:
        print_json(found)
        return
    if not found["total"]:
        say("no dead letters")
        return
    table(
        ("handler", "letters", "last", "error"),
        [
            (
                styled(name_of(group["handler"]), "bold"),
                styled(str(group["count"]), "red"),
                moment(group["last_at"]),
                cell(": ".join(part for part in (group["error_code"], group["error_message"]) if part)),
            )
            for group in found["groups"]
        ],
    )
    line("")
    table(
        ("event or record", "handler", "tries", "failed"),
        [
            (subject(item), name_of(item.get("handler")), item.get("attempts"), moment(item.get("failed_at")))
            for item in found["items"]
        ],
    )
    left = found["total"] - len(found["items"])
    say(
        (f"and {left} more\n" if left > 0 else "")
        + "`busway why EVENT` tells why; `busway redrive HANDLER` tries again; --json shows all"
    )


def subject(item: Mapping[str, Any]) -> str:
    """What failed: an event, records of a stream, or a message, by the id under which it is found."""
    if item.get("event_id") or item.get("place"):
        return str(item.get("event_id") or item["place"])
    return f"message {item['message_id']}"
