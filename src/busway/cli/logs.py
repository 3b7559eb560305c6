"""`busway logs`: what a handler printed, invocation by invocation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import click

from busway.cli.options import connect, function_for, known_handler, server_options
from busway.cli.output import harmless, line, moment, print_line, say
from busway.handling import duration_s


@click.command()
@click.argument("handler")
@click.option("--follow", "-f", is_flag=True, help="Go on with lines as they come.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), help="How many lines to begin with. [200; with --since 10000]"
)
@click.option("--since", metavar="TIME", help="Only lines of the last TIME: 30s, 10m, 2h.")
@click.option("--filter", "pattern", metavar="PATTERN", help="Only lines that this CloudWatch Logs pattern finds.")
@click.option("--request-id", help="Only the lines of this invocation.")
@server_options
def logs(
    handler: str,
    follow: bool,
    limit: int | None,
    since: str | None,
    pattern: str | None,
    request_id: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Show the log lines of HANDLER.

    \b
    Example:
      busway logs send-receipt --follow
      busway logs send-receipt --since 10m --filter '?ERROR ?Traceback'
      busway logs send-receipt --filter '{ $.total > 100 }'
    """
    if pattern is not None and request_id is not None:
        raise click.UsageError("--filter and --request-id do not go together")
    since_s = _since_s(since)
    limit = limit or (10_000 if since_s else 200)
    connection = connect(endpoint)
    function = function_for(handler)
    path = f"/_busway/logs/{quote(function, safe='')}"
    follow = follow and request_id is None
    with known_handler(connection, function):
        asked = {"since_s": since_s, "filter": pattern, "request_id": request_id}
        found = connection.get(path, limit=1 if follow else limit, **asked)
    _tell_failure(handler, found)
    lines: Iterable[Mapping[str, Any]] = found["lines"]
    if follow:
        lines = connection.stream(path, follow=1, limit=limit, since_s=since_s, filter=pattern)
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


def _tell_failure(handler: str, found: Mapping[str, Any]) -> None:
    """Why a function that never ran has no lines, or runs other code than was deployed last."""
    if not found.get("failure"):
        return
    failed = found["state"] == "Failed"
    what = f"{handler} is Failed" if failed else f"the last update of {handler} failed, it runs the code before"
    say(f"{harmless(what)}: {harmless(str(found['failure']))}")
    say(
        "\nhint: mend its code or what it requires and deploy it again; docs/runtimes.md says what is built and how\n"
    )


def _since_s(text: str | None) -> int:
    try:
        return 0 if text is None else duration_s(text)
    except ValueError as problem:
        raise click.UsageError(f"--since: {problem}") from problem


def _style(text: str) -> str:
    """The runtime's own lines step back; errors step forward."""
    if text.startswith(("START ", "END ", "REPORT ", "INIT_REPORT ")):
        return "dim"
    return "red" if text.startswith(("[ERROR]", "Traceback")) else ""
