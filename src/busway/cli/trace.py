"""`busway trace EVENT`: what became of an event and of all that it led to, on one axis of time.

The picture itself is drawn by `trace_picture.py`.
"""

from __future__ import annotations

from urllib.parse import quote

import click

from busway.cli.aws_options import aws_options, chosen as chosen_aws
from busway.cli.options import connect, server_options, since_s
from busway.cli.output import console, line, print_json
from busway.cli.trace_picture import WIDTH_MAX, picture


@click.command()
@click.argument("event_id", metavar="[EVENT]", required=False)
@click.option("--since", metavar="TIME", help="With --profile: of the last 30m, 72h.  [default: 24h]")
@aws_options
@server_options
def trace(
    event_id: str | None,
    since: str | None,
    profile: str | None,
    region: str | None,
    environment: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Draw what became of EVENT and of the events that its handlers published, each try as a bar in time.

    EVENT is the id of an event, or of a trace (1-7bf73129-14284cd3a78095db273d1602). Without it, the newest event.
    With --profile it draws what is known of an event on AWS, from the logs of the bus and of functions, and its dead
    letters.

    \b
    Example:
      busway trace
      busway trace 7bf73129-1428-4cd3-a780-95db273d1602
      busway trace 7bf73129-1428-4cd3-a780-95db273d1602 --profile prod
    """
    on_aws = chosen_aws(profile, region, environment)
    if on_aws.wanted:
        from busway.cli.aws_history import SINCE
        from busway.cli.aws_trace import tell_trace

        since = since or SINCE
        tell_trace(on_aws, event_id, since, since_s(since), as_json)
        return
    if since:
        raise click.UsageError("--since is for AWS; --profile is missing")
    found = connect(endpoint).get(
        "/_busway/traces" + (f"/{quote(event_id, safe='')}" if event_id is not None else "")
    )
    if as_json:
        print_json(found)
        return
    for parts in picture(found, min(console().width, WIDTH_MAX)):
        line(*parts)
