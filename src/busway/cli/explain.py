"""`busway explain`: a pattern and an event, field by field. Needs no server, unless the pattern is a rule's."""

from __future__ import annotations

import click

from busway.cli.options import GIVEN, connect, read_given, server_options
from busway.cli.output import line, print_json
from busway.cli.verdict import show_fields


@click.command()
@click.argument("pattern", required=False)
@click.argument("event", required=False)
@click.option("--rule", metavar="NAME", help="Take the pattern of this rule of the server; then only EVENT is given.")
@click.option("--bus", default="default", show_default=True, help="The bus of --rule.")
@server_options
def explain(pattern: str | None, event: str | None, rule: str | None, bus: str, endpoint: str, as_json: bool) -> None:
    """Tell why PATTERN matches EVENT or not; each is a file, - for stdin, or JSON itself.

    Exits 0 when it matches and 1 when it doesn't.

    \b
    Example:
      busway explain '{"detail": {"total": [{"numeric": [">", 100]}]}}' event.json
      busway explain --rule shop-send-receipt event.json
    """
    from busway.pattern import explain as decide, parse

    if rule is not None:
        if pattern is None or event is not None:
            raise click.UsageError("with --rule, give exactly one argument: the event")
        event, pattern_text = pattern, pattern_of(rule, bus, endpoint)
    elif pattern is None or event is None:
        raise click.UsageError(f"{'PATTERN' if pattern is None else 'EVENT'} is missing: {GIVEN}")
    else:
        if pattern == event == "-":
            raise click.UsageError("only one of PATTERN and EVENT can be read from stdin")
        pattern_text = read_given("PATTERN", pattern)
    explanation = decide(parse(pattern_text), read_given("EVENT", event).encode())
    if as_json:
        print_json(explanation.as_dict())
    else:
        verdict = ("matches", "bold green") if explanation.matched else ("does not match", "bold red")
        line(verdict, "" if explanation.matched else f" ({explanation.missed} of {len(explanation.fields)} fields)")
        show_fields(explanation.as_dict()["fields"])
    click.get_current_context().exit(0 if explanation.matched else 1)


def pattern_of(rule: str, bus: str, endpoint: str) -> str:
    """The pattern of a rule of the server, as JSON text. Raises ServerRefused when there is none."""
    from busway.errors import ServerRefused

    connection = connect(endpoint)
    try:
        answer = connection.call("events", "DescribeRule", {"Name": rule, "EventBusName": bus})
    except ServerRefused as refusal:
        if refusal.code == "ResourceNotFoundException":
            rules = connection.get("/_busway/status")["rules"]
            known = ", ".join(f"{each['name']} on bus {each['bus']}" for each in rules)
            refusal.hint = f"the server has {known or 'no rules yet'}"
        raise
    if "EventPattern" not in answer:
        raise ServerRefused("DescribeRule", "NoPattern", f"rule {rule} runs on a schedule and has no event pattern")
    return str(answer["EventPattern"])
