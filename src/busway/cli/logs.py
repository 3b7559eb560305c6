"""`busway logs`: what a handler printed, invocation by invocation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import click

from busway.cli.aws_options import aws_options, chosen as chosen_aws
from busway.cli.options import connect, function_for, known_handler, server_options, since_s
from busway.cli.output import harmless, line, moment, print_line, say


@click.command()
@click.argument("handler")
@click.option("--follow", "-f", is_flag=True, help="Go on with lines as they come.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), help="How many lines to begin with. [200; with --since 10000]"
)
@click.option("--since", metavar="TIME", help="Only lines of the last TIME: 30s, 10m, 2h.  [with --profile: 10m]")
@click.option("--filter", "pattern", metavar="PATTERN", help="Only lines that this CloudWatch Logs pattern finds.")
@click.option("--request-id", help="Only the lines of this invocation.")
@aws_options
@server_options
def logs(
    handler: str,
    follow: bool,
    limit: int | None,
    since: str | None,
    pattern: str | None,
    request_id: str | None,
    profile: str | None,
    region: str | None,
    environment: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Show the log lines of HANDLER.

    \b
    Example:
      busway logs send-receipt --follow
      busway logs send-receipt --since 10m --filter '?ERROR ?Traceback'
      busway logs send-receipt --filter '{ $.total > 100 }'
      busway logs send-receipt --profile prod --since 2h
    """
    on_aws = chosen_aws(profile, region, environment)
    if on_aws.wanted:
        from busway.cli.aws_logs import LOGS_SINCE, show_log

        if request_id is not None:
            raise click.UsageError("with --profile it is `busway why --request-id ID --profile NAME`")
        since = since or LOGS_SINCE
        show_log(on_aws, handler, since, since_s(since), pattern or "", follow, limit or 10_000, as_json)
        return
    if pattern is not None and request_id is not None:
        raise click.UsageError("--filter and --request-id do not go together")
    back_s = since_s(since)
    limit = limit or (10_000 if back_s else 200)
    connection = connect(endpoint)
    function = function_for(handler)
    path = f"/_busway/logs/{quote(function, safe='')}"
    follow = follow and request_id is None
    with known_handler(connection, function):
        asked = {"since_s": back_s, "filter": pattern, "request_id": request_id}
        found = connection.get(path, limit=1 if follow else limit, **asked)
    _tell_failure(handler, found)
    lines: Iterable[Mapping[str, Any]] = found["lines"]
    if follow:
        lines = connection.stream(path, follow=1, limit=limit, since_s=back_s, filter=pattern)
    shown = 0
    for printed in lines:
        shown += 1
        if as_json:
            print_line(printed)
        else:
            show_line(printed)
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


def show_line(printed: Mapping[str, Any]) -> None:
    """One line, behind its time and its invocation."""
    text = str(printed["line"])
    line((f"{moment(printed['at'])}  {str(printed['request_id'])[:8]:8}  ", "dim"), (text, _style(text)))


def _style(text: str) -> str:
    """The runtime's own lines step back; errors step forward."""
    if text.startswith(("START ", "END ", "REPORT ", "INIT_REPORT ")):
        return "dim"
    return "red" if text.startswith(("[ERROR]", "Traceback")) else ""
