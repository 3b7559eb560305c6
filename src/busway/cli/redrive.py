"""`busway redrive`: dead letters back to exactly the handler that failed, and to no other."""

from __future__ import annotations

from typing import Any

import click

from busway.cli.options import check_handler, connect, function_for, server_options
from busway.cli.output import print_json, say


@click.command()
@click.argument("handler", required=False)
@click.option(
    "--id", "ids", multiple=True, metavar="ID", help="Only the letter of this event or message; may be given again."
)
@click.option("--queue", help="Only what is in this queue.")
@click.option("--all", "everything", is_flag=True, help="Every dead letter of every handler.")
@server_options
def redrive(
    handler: str | None, ids: tuple[str, ...], queue: str | None, everything: bool, endpoint: str, as_json: bool
) -> None:
    """Send dead letters back to HANDLER, which failed on them. Exits 1 when some could not be sent back.

    \b
    Example:
      busway redrive send-receipt
      busway redrive --id 7bf73129-1428-4cd3-a780-95db273d1602
    """
    if not (handler or ids or queue or everything):
        raise click.UsageError("HANDLER is missing: name one, or --id, --queue or --all")
    order: dict[str, Any] = {"all": everything}
    chosen = function_for(handler) if handler else None
    order |= {"handler": chosen} if chosen else {}
    order |= {"ids": list(ids)} if ids else {}
    order |= {"queue": queue} if queue else {}
    connection = connect(endpoint)
    done = connection.post("/_busway/redrive", order)
    nothing = not (done["redriven"] or done["busy"] or done["skipped"] or done["refused"])
    if nothing and chosen:
        check_handler(connection, chosen)
    if as_json:
        print_json(done)
    else:
        click.echo(f"{done['redriven']} sent back")
        if done["busy"]:
            say(f"{done['busy']} are held by somebody who reads the queue, or not due yet")
        if done["skipped"]:
            say(f"{done['skipped']} have no known handler and stay")
        if nothing:
            say(
                "there is no such dead letter"
                if ids
                else "there are no dead letters; `busway status` shows what is retried"
            )
        for refusal in done["refused"]:
            say(f"{refusal['message_id']} stays: {refusal['reason']}")
    click.get_current_context().exit(1 if done["refused"] or (nothing and ids) else 0)
