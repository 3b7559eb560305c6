"""`busway clock`: the server's time, and moving it (a server with `--clock manual`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from busway.cli.options import connect, server_options
from busway.cli.output import print_json

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@click.command()
@click.argument("move", required=False, metavar="[+DURATION]")
@server_options
def clock(move: str | None, endpoint: str, as_json: bool) -> None:
    """Show the server's clock, or move it forward by +DURATION, which runs whatever becomes due.

    \b
    Example:
      busway clock
      busway clock +24h
    """
    connection = connect(endpoint)
    if move is None:
        found = connection.get("/_busway/clock")
    else:
        found = connection.post("/_busway/clock", {"advance_s": seconds(move)})
    if as_json:
        print_json(found)
    else:
        click.echo(f"{datetime.fromtimestamp(found['now'], UTC).isoformat()} ({found['clock']})")


def seconds(move: str) -> float:
    """`+90s`, `+3m`, `+24h`, `+7d`, `+1h30m`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", move)
    if not parts or move != "+" + "".join(number + unit for number, unit in parts):
        raise click.UsageError(f"{move!r} is no way to move a clock; wanted for example +90s, +3m, +24h or +7d")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
