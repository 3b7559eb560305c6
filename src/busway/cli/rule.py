"""`busway rule`: what rules do and what a change of one would do, before it is deployed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from busway.cli.environments import server_of, target_of
from busway.cli.options import connect, project_root, server_options
from busway.cli.output import ago, brief, line, print_json, say
from busway.cli.rule_lint import lint
from busway.cli.rule_sample import sample
from busway.errors import BrokenProject
from busway.handling import duration_s

if TYPE_CHECKING:
    from busway.road.connection import Connection
    from busway.road.preview import Preview, RuleChange, Sample

DAY_S = 86_400
_STOPPED = {
    "retention": "the bus has forgotten what was before: BUSWAY_RETENTION_S says how long it keeps events",
    "events": "there are more events than it looks at; a shorter --since has them all",
    "time": "it takes too long to look at more; a shorter --since has them all",
}


@click.group()
def rule() -> None:
    """What rules match, and what a change of one, or of a handler's pattern, would do.

    \b
    Example:
      busway rule lint rules/*.json
    """


rule.add_command(sample)
rule.add_command(lint)


@rule.command(short_help="Tell what a change of a pattern would do, by past events.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--since", default="7d", show_default=True, metavar="TIME", help="By the events of the last TIME: 30m, 6h, 3d."
)
@click.option("--samples", type=click.IntRange(0, 100), default=3, show_default=True, help="How many events to show.")
@click.option("--env", "environment", metavar="ENV", help="The server of this environment, instead of --endpoint.")
@server_options
def preview(
    names: Sequence[str], since: str, samples: int, environment: str | None, endpoint: str, as_json: bool
) -> None:
    """Tell which events a rule or handler NAME would get more, and which no more, if the project were deployed now.

    Its pattern here is compared with the one that the server has, by the events that the bus keeps. Without NAME it
    is done for every pattern that differs. Nothing is changed.

    \b
    Example:
      busway rule preview big-orders --since 3d
      busway rule preview --env prod
    """
    from busway.road.describe import describe
    from busway.road.preview import preview_change, rule_changes

    since_s = span_s(since)
    root = project_root()
    connection = connect(endpoint) if environment is None else _server_of(root, environment)
    manifest = asyncio.run(describe(root))
    changes = rule_changes(connection, manifest, [name.replace("_", "-") for name in names])
    chosen = [change for change in changes if names or change.changed]
    found = [
        (change, preview_change(connection, change.bus, change.deployed, change.wanted, since_s, samples=samples))
        for change in chosen
    ]
    if as_json:
        print_json([{**_plain(change), **_plain(result)} for change, result in found])
        return
    for change, result in found:
        show_preview(change, result, since_s)
    if not found:
        say(f"all {len(changes)} patterns are those that the server has")


def _server_of(root: Path, environment: str) -> Connection:
    """Raises BrokenProject for AWS, whose buses keep no events that could be asked about."""
    target = target_of(root, environment)
    if target == "aws":
        raise BrokenProject(f"{environment} is on AWS, where past events cannot be asked about: only a server's can")
    return server_of(target)


def span_s(text: str) -> int:
    """Seconds of `"3d"`, and of what a duration may be elsewhere."""
    days = text.strip().removesuffix("d")
    try:
        found = int(days) * DAY_S if days.isdigit() and text.strip().endswith("d") else duration_s(text)
    except ValueError:
        raise click.UsageError(f"--since is {text!r}; wanted a number and m, h or d, for example 6h or 3d") from None
    if found <= 0:
        raise click.UsageError(f"--since is {text!r}; wanted a time that is longer than nothing")
    return found


def _plain(told: RuleChange | Preview) -> dict[str, object]:
    import msgspec

    return msgspec.to_builtins(told)


def show_preview(change: RuleChange, result: Preview, since_s: int) -> None:
    what = "new" if change.deployed is None else "ends" if change.wanted is None else ""
    what = what or ("changed" if change.changed else "as deployed")
    line((change.name, "bold"), f" (rule {change.rule} on bus {change.bus}): {what}")
    line(f"  of {result.events} events of the last {ago(since_s)}, {result.old} matched and {result.new} would:")
    line(
        "  ",
        (f"{result.more} more", "green" if result.more else "dim"),
        ", ",
        (f"{result.fewer} fewer", "red" if result.fewer else "dim"),
    )
    _samples("+", "green", result.more_samples)
    _samples("-", "red", result.fewer_samples)
    if result.stopped:
        line(("  " + _STOPPED[result.stopped], "yellow"))


def _samples(sign: str, style: str, samples: Sequence[Sample]) -> None:
    for each in samples:
        about = f"{each.time}  {each.detail_type} from {each.source}  {brief(each.detail)}"
        line((f"    {sign} ", style), about, (f"  {each.event_id}", "dim"))
