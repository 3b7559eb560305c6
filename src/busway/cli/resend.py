"""`busway resend`: one event once more, to one handler."""

from __future__ import annotations

import click

from busway.cli.options import connect, function_for, server_options
from busway.cli.output import print_json, say
from busway.cli.timeline import name_of


@click.command()
@click.argument("event_id", metavar="EVENT")
@click.option("--handler", required=True, help="Who gets it; no other handler does.")
@server_options
def resend(event_id: str, handler: str, endpoint: str, as_json: bool) -> None:
    """Give EVENT (its id) once more to one handler, also if that had handled it, or its rule does not match it.

    \b
    Example:
      busway resend 7bf73129-1428-4cd3-a780-95db273d1602 --handler send-receipt
    """
    order = {"event": event_id, "handler": function_for(handler)}
    done = connect(endpoint).post("/_busway/resend", order)
    if as_json:
        print_json(done)
        return
    click.echo(f"{event_id} sent again to {name_of(done['target'])}")
    say(f"`busway logs {handler}` shows what it makes of it; `busway tail`, as it happens")
