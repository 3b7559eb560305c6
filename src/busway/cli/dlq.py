"""`busway dlq`: what failed for good, by handler and error; one of it with its attempts and what they printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import click

from busway.cli.aws_options import aws_options, chosen as chosen_aws
from busway.cli.options import check_handler, connect, function_for, read_given, server_options
from busway.cli.output import cell, counted, line, moment, print_json, problem_of, say, styled, table
from busway.cli.timeline import name_of
from busway.cli.tracebacks import brief_lines

# What the server writes around an attempt, and a person need not read.
_FRAME = ("START ", "END ", "REPORT ", "INIT_REPORT ")


@click.command()
@click.argument("handler", required=False)
@click.option("--event", "--id", "wanted", metavar="ID", help="Show the letter of this event or message, whole.")
@click.option("--matching", metavar="PATTERN", help="Only events that match: a file, - for stdin, or JSON itself.")
@click.option("--error", metavar="CODE", help="Only what failed with this error.")
@click.option("--queue", help="Only what is in this queue.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many letters to list."
)
@aws_options
@server_options
def dlq(
    handler: str | None,
    wanted: str | None,
    matching: str | None,
    error: str | None,
    queue: str | None,
    limit: int,
    profile: str | None,
    region: str | None,
    environment: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """List dead letters, of all handlers or of HANDLER; with --event one of them, its attempts and their log lines.

    \b
    Example:
      busway dlq
      busway dlq send-receipt --json
      busway dlq --event 7bf73129-1428-4cd3-a780-95db273d1602
      busway dlq --profile prod
    """
    on_aws = chosen_aws(profile, region, environment)
    pattern = read_given("--matching", matching) if matching else None
    if on_aws.wanted:
        from busway.cli.aws_letters import list_letters

        ids = (wanted,) if wanted else ()
        list_letters(on_aws, Chosen(handler, ids, pattern, error, queue), limit, as_json)
        return
    chosen = function_for(handler) if handler else None
    connection = connect(endpoint)
    if wanted is not None:
        path = f"/_busway/dead-letters/{quote(wanted, safe='')}"
        letters = connection.get(path, handler=chosen, queue=queue)["letters"]
        if as_json:
            print_json(letters)
        else:
            show_letters(letters)
        return
    found = connection.get(
        "/_busway/dead-letters", handler=chosen, queue=queue, limit=limit, matching=pattern, error=error
    )
    if chosen and not found["total"]:
        check_handler(connection, chosen)
    if as_json:
        print_json(found)
        return
    hint = "`busway dlq --event EVENT` shows one with its attempts; `busway redrive HANDLER` tries again"
    show_found(found, Chosen(handler, (), pattern, error, queue), hint)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which dead letters, as the options say; None and () are any. `matching` is the text of a pattern."""

    handler: str | None
    ids: tuple[str, ...] = ()
    matching: str | None = None
    error: str | None = None
    queue: str | None = None

    @property
    def none(self) -> str:
        """What there is none of."""
        return (
            "there is no such dead letter" if self.ids or self.matching or self.error else "there are no dead letters"
        )


def show_found(found: Mapping[str, Any], chosen: Chosen, hint: str) -> None:
    """Groups, then items, then what else can be asked."""
    if not found["total"]:
        say(chosen.none)
        return
    show_groups(found["groups"])
    line("")
    show_items(found["items"])
    left = found["total"] - len(found["items"])
    say((f"and {left} more\n" if left > 0 else "") + hint)


def show_groups(groups: Iterable[Mapping[str, Any]]) -> None:
    """By handler and error, the largest first."""
    table(
        ("handler", "letters", "last", "error"),
        [
            (
                styled(name_of(group["handler"]), "bold"),
                styled(str(group["count"]), "red"),
                moment(group["last_at"]),
                cell(problem_of(group)),
            )
            for group in groups
        ],
    )


def show_items(items: Iterable[Mapping[str, Any]]) -> None:
    table(
        ("event or record", "handler", "tries", "failed"),
        [
            (subject(item), name_of(item.get("handler")), _tries(item), moment(item.get("failed_at")))
            for item in items
        ],
    )


def _tries(item: Mapping[str, Any]) -> str:
    return "" if item.get("attempts") is None else str(item["attempts"])


def show_letters(letters: Iterable[Mapping[str, Any]]) -> None:
    """Each whole: how it failed, try by try with what was printed, and what the handler got."""
    for number, letter in enumerate(letters):
        if number:
            line("")
        line((f"{name_of(letter.get('handler'))}: ", "bold"), (problem_of(letter), "yellow"))
        tries = f" after {counted(letter['attempts'], 'attempt')}" if letter.get("attempts") else " untried"
        # Lambda's own letters on AWS do not say how often it was tried.
        tries = "" if letter["attempts"] is None else tries
        line(
            (f"{subject(letter)}, failed {moment(letter.get('failed_at'))}{tries}, ", "dim"),
            (f"kept in {name_of(letter['queue'])} as message {letter['message_id']}", "dim"),
        )
        if letter.get("edited"):
            line(f"it had been sent back edited: {letter['edited']}")
        for attempt in letter.get("tries", []):
            _show_attempt(attempt)
        # On AWS nothing tells of them.
        left = int(letter["attempts"] or 0) - len(letter["tries"]) if "tries" in letter else 0
        if left > 0:
            line((f"of {counted(left, 'attempt')} nothing is remembered any more", "dim"))
        line("")
        _show_payload(str(letter.get("payload", "")))


def _show_attempt(attempt: Mapping[str, Any]) -> None:
    line((f"  {attempt['number']}  {moment(attempt['at'])}  ", "dim"), (problem_of(attempt) or "failed", "yellow"))
    texts = [str(printed["line"]) for printed in attempt["logs"]]
    for text in brief_lines([text for text in texts if not text.startswith(_FRAME)]):
        line((f"  │ {text}", "dim"))


def _show_payload(payload: str) -> None:
    import msgspec

    try:
        shown = msgspec.json.format(payload, indent=2)
    except msgspec.DecodeError:
        shown = payload
    for text in shown.splitlines():
        line(text)


def subject(item: Mapping[str, Any]) -> str:
    """What failed: an event, records of a stream, or a message, by the id under which it is found."""
    if item.get("event_id") or item.get("place"):
        return str(item.get("event_id") or item["place"])
    return f"message {item['message_id']}"
