"""`busway rule sample`: events made from a pattern. Needs no server, unless the pattern is a rule's."""

from __future__ import annotations

from typing import Any

import click

from busway.cli.explain import pattern_of
from busway.cli.options import GIVEN, read_given, server_options
from busway.cli.output import print_text, say, visible

COUNT_MAX = 1_000


@click.command(short_help="Make events that a pattern matches, or nearly.")
@click.argument("pattern", required=False)
@click.option("--miss", is_flag=True, help="Events that it does not match, each because of one field.")
@click.option("--rule", "rule_name", metavar="NAME", help="Take the pattern of this rule of the server.")
@click.option("--bus", default="default", show_default=True, help="The bus of --rule.")
@click.option(
    "--count", type=click.IntRange(1, COUNT_MAX), default=1, show_default=True, help="How many, if there are."
)
@server_options
def sample(
    pattern: str | None, miss: bool, rule_name: str | None, bus: str, count: int, endpoint: str, as_json: bool
) -> None:
    """Make an event that PATTERN matches: a file (a pattern or a rule), - for stdin, or JSON itself.

    It is a whole event as EventBridge delivers it, the same each time. With --count each is a line of JSON, with
    --json they are one list. --json adds to a near miss which field it misses by and what that wanted.

    \b
    Example:
      busway rule sample rules/big-orders.json > event.json
      busway rule sample '{"detail": {"total": [{"numeric": [">", 100]}]}}' --miss
      busway rule sample --rule shop-send-receipt --count 3
    """
    from busway.pattern import near_misses, parse, samples

    compiled = parse(_chosen(pattern, rule_name, bus, endpoint))
    told: list[dict[str, Any]] = (
        [{"event": near.event, "field": near.field, "wanted": near.wanted} for near in near_misses(compiled, count)]
        if miss
        else [{"event": event} for event in samples(compiled, count)]
    )
    _show(told, count, as_json)
    if len(told) < count:
        say(f"note: {len(told)} {'was' if len(told) == 1 else 'were'} found, not {count}")


def _chosen(pattern: str | None, rule_name: str | None, bus: str, endpoint: str) -> str:
    from busway.cli.rule_files import pattern_in

    if (pattern is None) == (rule_name is None):
        raise click.UsageError(f"give PATTERN ({GIVEN}) or --rule NAME, one of them")
    if pattern is None:
        return pattern_of(str(rule_name), bus, endpoint)
    return pattern_in(read_given("PATTERN", pattern), pattern)


def _show(told: list[dict[str, Any]], count: int, as_json: bool) -> None:
    """Events to stdout; what a near miss misses by to stderr, so that the event can go on into a file."""
    from busway.pattern import event_text

    if as_json:
        print_text(event_text(told if count > 1 else told[0], step="  "))
        return
    for each in told:
        print_text(event_text(each["event"], step="" if count > 1 else "  "))
        if "field" in each:
            say(visible(f"misses by {each['field']}: wanted {each['wanted']}"))
