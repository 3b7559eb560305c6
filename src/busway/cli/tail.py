"""`busway tail`: events as they happen, from acceptance to what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from busway.cli.aws_options import aws_options, chosen as chosen_aws
from busway.cli.options import connect, server_options, since_s
from busway.cli.output import print_line, say
from busway.cli.timeline import KINDS, flat, show_step

# What a log on AWS tells: an attempt begins, prints, ends well or not.
AWS_KINDS = ("attempt", "printed", "ended", "failed")


@click.command()
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(tuple(dict.fromkeys((*KINDS, *AWS_KINDS)))),
    metavar="KIND",
    help=f"Only steps of this kind: {', '.join(KINDS)}; with --profile {', '.join(AWS_KINDS)}.",
)
@click.option("--event", "event_id", metavar="ID", help="Only steps of this event.")
@click.option(
    "--since",
    metavar="WHEN",
    help="Begin with the steps after this sequence, as far as they are kept; with --profile of the last 10m, 2h.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many steps.")
@click.option("--once", is_flag=True, help="With --profile: end after what there is since then.")
@aws_options
@server_options
def tail(
    kinds: tuple[str, ...],
    event_id: str | None,
    since: str | None,
    count: int | None,
    once: bool,
    profile: str | None,
    region: str | None,
    environment: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Show events as they happen: accepted, matched, tried, retried, delivered, dead-lettered.

    With --profile, what the functions of the project on AWS do, from their logs: each attempt, what it prints, how it
    ends.

    \b
    Example:
      busway tail
      busway tail --kind dead-lettered --json
      busway tail --profile prod --since 10m
    """
    on_aws = chosen_aws(profile, region, environment)
    if on_aws.wanted:
        from busway.cli.aws_logs import tail_functions

        if event_id is not None:
            raise click.UsageError("with --profile, `busway why EVENT --profile NAME` tells of an event")
        _check_kinds(kinds, AWS_KINDS, "a log on AWS")
        tail_functions(on_aws, kinds, since_s(since), count, once, as_json)
        return
    if once:
        raise click.UsageError("--once is for AWS; --profile is missing")
    _check_kinds(kinds, KINDS, "a server")
    if since is not None and not since.isdecimal():
        raise click.UsageError(f"--since is {since!r}; wanted the sequence of a step, or --profile with it")
    shown = 0
    say(f"following {endpoint}; Ctrl-C ends it")
    for step in connect(endpoint).stream("/_busway/tail", since=since and int(since)):
        facts = flat(step)
        if (kinds and facts.get("kind") not in kinds) or (event_id and not _is_of(facts, event_id)):
            continue
        if as_json:
            print_line(facts)
        else:
            show_step(facts)
        shown += 1
        if shown == count:
            return


def _check_kinds(kinds: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    unknown = [kind for kind in kinds if kind not in known]
    if unknown:
        raise click.UsageError(f"{where} has no steps that are {', '.join(unknown)}, but {', '.join(known)}")


def _is_of(facts: Mapping[str, Any], event_id: str) -> bool:
    """A batch names its events in `event_ids`."""
    return event_id == facts.get("event_id") or event_id in facts.get("event_ids", ())
