"""`busway logs`: what a handler printed, invocation by invocation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import click

from busway.cli.options import connect, function_for, server_options
from busway.cli.output import line, moment, print_line
from busway.handling import duration_s


@click.command()
@click.argument("handler")
@click.option("--follow", "-f", is_flag=True, help="Go on with lines as they come.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), help="How many lines to begin with. [200; with --since 10000]"
)
@click.option("--since", metavar="TIME", help="Only lines of the last TIME: 30s, 10m, 2h.")
@click.option("--request-id", help="Only the lines of this invocation.")
@server_options
def logs(
    handler: str,
    follow: bool,
    limit: int | None,
    since: str | None,
    request_id: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Show the log lines of HANDLER.

    \b
    Example:
      busway logs send-receipt --follow
    """
    since_s = _since_s(since)
    limit = limit or (10_000 if since_s else 200)
    connection = connect(endpoint)
    path = f"/_busway/logs/{quote(function_for(handler), safe='')}"
    lines: Iterable[Mapping[str, Any]]
    if follow and request_id is None:
        lines = connection.stream(path, follow=1, limit=limit, since_s=since_s)
    else:
        lines = connection.get(path, limit=limit, since_s=since_s, request_id=request_id)["lines"]
    shown = 0
    for printed in lines:
        shown += 1
        if as_json:
            print_line(printed)
        else:
            line(
                (f"{moment(printed['at'])}  {str(printed['request_id'])[:8]:8}  ", "dim"),
                (str(printed["line"]), _style(str(printed["line"]))),
            )
    if shown >= limit and not as_json:
        line((f"the newest {limit} lines; --limit shows more", "dim"))


def _since_s(text: str | None) -> int:
    try:
        return 0 if text is None else duration_s(text)
    except ValueError as problem:
        raise click.UsageError(f"--since: {problem}") from problem


def _style(text: str) -> str:
    """The runtime's own lines step back; errors step forward."""
    if text.startswith(("START ", "END ", "REPORT ")):
        return "dim"
    return "red" if text.startswith(("[ERROR]", "Traceback")) else ""
