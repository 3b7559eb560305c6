"""`busway inbox`: emails that handlers sent and that were kept instead of sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from busway.cli.options import connect, server_options
from busway.cli.output import line, moment, print_json, say


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many, newest first.")
@server_options
def inbox(limit: int, endpoint: str, as_json: bool) -> None:
    """Show emails that handlers sent through SES; without `serve --smtp` they are kept here.

    \b
    Example:
      busway inbox
    """
    connection = connect(endpoint)
    found = connection.get("/_busway/inbox", limit=limit)
    if as_json:
        print_json(found)
        return
    if not found["messages"]:
        status = connection.get("/_busway/status")
        going = any(bus["behind"] for bus in status["buses"]) or any(
            any(function["invocations"].values()) for function in status["functions"]
        )
        say("no mail yet; a handler is at work: ask again in a moment" if going else "no mail")
    for mail in found["messages"]:
        _show(mail)


def _show(mail: Mapping[str, Any]) -> None:
    line((str(mail.get("subject", "")), "bold cyan"), (f"  {moment(mail.get('at'))}", "dim"))
    line(("to ", "dim"), ", ".join(mail.get("to", [])), (" from ", "dim"), str(mail.get("sender", "")))
    for each in str(mail.get("text", "")).rstrip().split("\n"):
        line(each)
    line("")
