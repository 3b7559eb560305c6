"""`busway explain`: a pattern and an event, field by field, and what would make them match.

Needs no server, unless the pattern is a rule's or the event is in its journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from busway.cli.options import GIVEN, connect, read_given, server_options
from busway.cli.output import brief, line, print_json, visible
from busway.cli.verdict import DOCUMENT_CHARS_MAX, missed_in_words, show_edits, show_explanation, show_notes

if TYPE_CHECKING:
    from busway.errors import InvalidEvent, InvalidPattern


@click.command()
@click.argument("pattern", required=False)
@click.argument("event", required=False)
@click.option("--rule", metavar="NAME", help="Take the pattern of this rule of the server, instead of PATTERN.")
@click.option("--bus", default="default", show_default=True, help="The bus of --rule.")
@click.option("--event", "event_id", metavar="ID", help="Take this event of the server's journal, instead of EVENT.")
@server_options
def explain(
    pattern: str | None,
    event: str | None,
    rule: str | None,
    bus: str,
    event_id: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Tell why PATTERN matches EVENT or not, and what edit of the one or the other would make them match.

    Each is a file, - for stdin, or JSON itself. PATTERN may be a rule too, EVENT an entry of PutEvents. Of a $or each
    branch is told. An edit that is shown was tried: with it they match. Exits 0 when they match as they are and 1
    when they don't, or when one of them can't be read.

    \b
    Example:
      busway explain '{"detail": {"total": [{"numeric": [">", 100]}]}}' event.json
      busway explain --rule shop-send-receipt event.json
      busway explain pattern.json --event 7bf73129-1428-4cd3-a780-95db273d1602
      busway explain pattern.json event.json --json | jq -r '.edits[0].document'
    """
    from busway.cli.given_event import delivered
    from busway.errors import InvalidEvent, InvalidPattern

    pattern_text, event_text = _given(pattern, event, rule, bus, event_id, endpoint)
    entry = delivered(event_text)
    try:
        told = _told(pattern_text, entry or event_text)
    except InvalidPattern as refusal:
        told = _refused(refusal, pattern_text, entry or event_text)
        if not as_json:
            raise
    except InvalidEvent as refusal:
        told = _no_event(refusal, event_text)
        if not as_json:
            raise
    if entry is not None:
        shown = entry if len(entry) <= DOCUMENT_CHARS_MAX else brief(entry, DOCUMENT_CHARS_MAX)
        told["notes"].insert(0, f"EVENT is an entry of PutEvents; as EventBridge delivers it: {shown}")
    if as_json:
        print_json(told)
    else:
        verdict = ("matches", "bold green") if told["matched"] else ("does not match", "bold red")
        line(verdict, "" if told["matched"] else f": {missed_in_words(told)}")
        show_explanation(told)
        show_notes(told["notes"])
        show_edits(told["edits"], whole=True)
        if not told["matched"] and not told["edits"]:
            line(("no edit was found that makes them match", "dim"))
    click.get_current_context().exit(0 if told["matched"] else 1)


def _given(
    pattern: str | None, event: str | None, rule: str | None, bus: str, event_id: str | None, endpoint: str
) -> tuple[str, str]:
    """The texts of the pattern and of the event; arguments stand for what no option names, in this order."""
    arguments = [given for given in (pattern, event) if given is not None]
    wanted = [name for name, option in (("PATTERN", rule), ("EVENT", event_id)) if option is None]
    if len(arguments) > len(wanted):
        options = " and ".join(name for name, option in (("--rule", rule), ("--event", event_id)) if option)
        left = f"exactly one argument: the {wanted[0].lower()}" if wanted else "no argument"
        raise click.UsageError(f"with {options}, give {left}")
    if len(arguments) < len(wanted):
        raise click.UsageError(f"{wanted[len(arguments)]} is missing: {GIVEN}")
    if arguments == ["-", "-"]:
        raise click.UsageError("only one of PATTERN and EVENT can be read from stdin")
    texts = {name: read_given(name, given) for name, given in zip(wanted, arguments, strict=True)}
    if "PATTERN" in texts:
        from busway.cli.rule_files import pattern_in

        texts["PATTERN"] = pattern_in(texts["PATTERN"], arguments[0])
    if rule is not None:
        texts["PATTERN"] = pattern_of(rule, bus, endpoint)
    if event_id is not None:
        texts["EVENT"] = _event_of(event_id, endpoint)
    return texts["PATTERN"], texts["EVENT"]


def _told(pattern_text: str, event_text: str) -> dict[str, Any]:
    from busway.pattern import edits, explain as decide, parse
    from busway.pattern.outline import overridden

    pattern, event = parse(pattern_text), event_text.encode("utf-8", "surrogatepass")
    return {
        **decide(pattern, event).as_dict(),
        "edits": [edit.as_dict() for edit in edits(pattern, event)],
        "notes": [lost.in_words for lost in overridden(pattern.outline)],
    }


def _refused(refusal: InvalidPattern, pattern_text: str, event_text: str) -> dict[str, Any]:
    """What is told of a pattern that can't be read; gives the refusal a hint with the pattern as it was meant."""
    from busway.cli.verdict import changed_in_words
    from busway.errors import InvalidEvent
    from busway.pattern import mend, mend_for

    try:
        fitting = mend_for(pattern_text, event_text.encode("utf-8", "surrogatepass"))
        otherwise = "can be read, but does not match"
    except InvalidEvent:  # of two faults, the pattern's is told
        fitting, otherwise = None, "can be read"
    mended = fitting or mend(pattern_text)
    if mended is not None:
        changes = "; ".join(changed_in_words(change.as_dict()) for change in mended.changes)
        verdict = "matches" if fitting else otherwise
        refusal.hint = f"{visible(changes)}\nthis {verdict}: {visible(mended.document)}"
    return {
        "matched": False,
        "error": "InvalidEventPatternException",
        "reason": refusal.reason,
        "line": refusal.position[0] if refusal.position else None,
        "column": refusal.position[1] if refusal.position else None,
        "edits": [fitting.as_dict()] if fitting else [],
        "notes": [],
    }


def _no_event(refusal: InvalidEvent, text: str) -> dict[str, Any]:
    """What is told of an event that can't be read; gives the refusal a hint with the event as it was meant."""
    from busway.pattern import mend_event

    mended = mend_event(text)
    if mended is not None:
        refusal.hint = f"this can be read: {visible(mended)}"
    return {"matched": False, "error": "InvalidEvent", "reason": str(refusal), "edits": [], "notes": []}


def _event_of(event_id: str, endpoint: str) -> str:
    """As it was put: numbers keep their spelling, names that stand twice stay."""
    import msgspec

    answer = connect(endpoint).text(f"/_busway/events/{quote(event_id, safe='')}")
    return bytes(msgspec.json.decode(answer, type=dict[str, msgspec.Raw])["event"]).decode()


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
