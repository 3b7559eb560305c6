"""`busway redrive`: dead letters back to exactly the handler that failed, and to no other."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from busway.cli.aws_options import aws_options, chosen as chosen_aws
from busway.cli.dlq import Chosen, show_groups, show_items
from busway.cli.edits import Editing, edit
from busway.cli.options import check_handler, connect, function_for, read_given, server_options
from busway.cli.output import counted, line, moment, print_json, print_line, problem_of, say
from busway.cli.timeline import name_of

if TYPE_CHECKING:
    from busway.road.connection import Connection

# Ours: how long a person is ready to wait for what becomes of it; a program says so itself.
WAIT_S, WAIT_S_MAX = 10.0, 3600.0
# Of what failed again, or is under way, so many kinds are told.
KINDS_MAX = 20
_STATE_STYLES = {"delivered": "green", "failed": "bold red", "under way": "yellow"}


@click.command()
@click.argument("handler", required=False)
@click.option(
    "--event", "--id", "ids", multiple=True, metavar="ID",
    help="Only the letter of this event or message; may be given again.",
)  # fmt: skip
@click.option("--matching", metavar="PATTERN", help="Only events that match: a file, - for stdin, or JSON itself.")
@click.option("--error", metavar="CODE", help="Only what failed with this error.")
@click.option("--queue", help="Only what is in this queue.")
@click.option("--all", "everything", is_flag=True, help="Every dead letter of every handler.")
@click.option("--dry-run", is_flag=True, help="Tell what would be sent back, and send nothing.")
@click.option(
    "--edit", "editor", is_flag=True, help="Edit the event in $EDITOR first; it is checked before it is sent."
)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change one member of the event's detail."
)
@click.option("--raw", is_flag=True, help="Send an edited event though it does not fit its class.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0, WAIT_S_MAX), metavar="SECONDS",
    help="Wait so long for what becomes of each.  [default: 10 on a terminal, else 0]",
)  # fmt: skip
@aws_options
@server_options
def redrive(
    handler: str | None,
    ids: tuple[str, ...],
    matching: str | None,
    error: str | None,
    queue: str | None,
    everything: bool,
    dry_run: bool,
    editor: bool,
    changes: tuple[str, ...],
    raw: bool,
    wait_s: float | None,
    profile: str | None,
    region: str | None,
    environment: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Send dead letters back to HANDLER, which failed on them, and tell what becomes of each.

    Exits 1 when some could not be sent back, or failed again while it waited. --json prints lines: "progress" on the
    way, a "letter" for each that was waited for, and "done".

    \b
    Example:
      busway redrive send-receipt
      busway redrive send-receipt --matching '{"detail": {"total": [{"numeric": [">", 99]}]}}' --dry-run
      busway redrive --event 7bf73129-1428-4cd3-a780-95db273d1602 --set location=Oslo
      busway redrive send-receipt --profile prod
    """
    if not (handler or ids or queue or everything or matching or error):
        raise click.UsageError("HANDLER is missing: name one, or --event, --matching, --error, --queue or --all")
    chosen = Chosen(handler, ids, _pattern(matching), error, queue)
    how, on_aws = Editing(editor, changes, raw), chosen_aws(profile, region, environment)
    if how.wanted and len(ids) != 1:
        raise click.UsageError("--edit and --set are for one dead letter: name it with --event")
    if on_aws.wanted:
        from busway.cli.aws_letters import send_back

        if wait_s:
            raise click.UsageError("--wait is for a server of Busway: AWS does not tell what becomes of an event")
        went = send_back(on_aws, chosen, how, dry_run, as_json)
    else:
        wait_s = _wait_s(wait_s, as_json)
        went = _redrive(connect(endpoint), chosen, how, None if dry_run else wait_s, as_json)
    click.get_current_context().exit(0 if went else 1)


def _redrive(connection: Connection, chosen: Chosen, how: Editing, wait_s: float | None, as_json: bool) -> bool:
    """On a server; whether all went well. Without `wait_s` only told what would be sent back."""
    order = _order(chosen)
    if how.wanted:
        if (made := _edited(connection, order, how)) is None:
            say("nothing was changed, and nothing was sent")
            return True
        order |= made
    if wait_s is None:
        tell_plan(connection.post("/_busway/redrive", {**order, "dry_run": True}), as_json)
        return True
    stream = connection.stream("/_busway/redrive", order={**order, "stream": True, "wait_s": wait_s})
    done, letters = follow(stream, as_json)
    nothing = not (done["redriven"] or done["busy"] or done["skipped"] or done["refused"])
    if nothing and "handler" in order:
        check_handler(connection, order["handler"])
    if as_json:
        print_line(done)
    else:
        _tell(done, letters, chosen)
    return not (done["refused"] or done.get("failed") or (nothing and chosen.ids))


def _order(chosen: Chosen) -> dict[str, Any]:
    """What to send back, as the server takes it."""
    import msgspec

    order: dict[str, Any] = {"all": True} if chosen == Chosen(None) else {}
    order |= {"handler": function_for(chosen.handler)} if chosen.handler else {}
    order |= {"ids": list(chosen.ids)} if chosen.ids else {}
    order |= {"queue": chosen.queue} if chosen.queue else {}
    order |= {"error": chosen.error} if chosen.error else {}
    order |= {"matching": msgspec.Raw(chosen.matching.encode())} if chosen.matching else {}
    return order


def _pattern(given: str | None) -> str | None:
    """The text of --matching. Raises InvalidPattern, which says where."""
    from busway.pattern import parse

    if given is None:
        return None
    text = read_given("--matching", given)
    parse(text)
    return text


def _wait_s(given: float | None, as_json: bool) -> float:
    if given is not None:
        return given
    return WAIT_S if sys.stdout.isatty() and not as_json else 0.0


def _edited(connection: Connection, order: Mapping[str, Any], how: Editing) -> dict[str, Any] | None:
    """The edited event of the one letter that is meant; None when nothing was changed."""
    (wanted,) = order["ids"]
    chosen = {"handler": order.get("handler"), "queue": order.get("queue")}
    letters = connection.get(f"/_busway/dead-letters/{quote(wanted, safe='')}", **chosen)["letters"]
    if len(letters) > 1:
        names = ", ".join(sorted({name_of(letter["handler"]) for letter in letters}))
        raise click.UsageError(
            f"{wanted} has {len(letters)} dead letters, of {names}: name the handler or the message"
        )
    made = edit(letters[0]["payload"], how)
    if made is None:
        return None
    return {"ids": [letters[0]["message_id"]], "payload": made.text, "changed": made.changed}


def follow(told: Iterable[dict[str, Any]], as_json: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What was done, and what became of each letter; shown as it comes. Raises RedriveUnfinished."""
    from busway.errors import RedriveUnfinished, ServerUnreachable

    letters: list[dict[str, Any]] = []
    sent_back, shows = 0, sys.stderr.isatty() and not as_json
    try:
        for one in told:
            if one["kind"] == "done":
                if shows and sent_back:
                    say("")
                return one, letters
            if one["kind"] == "error":
                raise RedriveUnfinished(one["redriven"], one["error"])
            if as_json:
                print_line(one)
            if one["kind"] == "letter":
                if not as_json:
                    letters.append(one)
                continue
            sent_back = one["redriven"]
            if shows:
                click.echo(f"\r{sent_back} sent back …", nl=False, err=True)
    except ServerUnreachable as error:
        if not sent_back:
            raise
        raise RedriveUnfinished(sent_back, str(error)) from error
    raise RedriveUnfinished(sent_back, "the server ended before it was done")


def tell_plan(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found["total"]:
        say("there is no such dead letter")
        return
    show_groups(found["groups"])
    line("")
    show_items(found["items"])
    left = found["total"] - len(found["items"])
    at_least = "at least " if found["cut"] else ""
    say(f"{f'and {left} more; ' if left > 0 else ''}{at_least}{found['total']} would be sent back; nothing was")


def _tell(done: Mapping[str, Any], letters: Sequence[Mapping[str, Any]], chosen: Chosen) -> None:
    """The sum, then what became of them."""
    click.echo(f"{done['redriven']} sent back")
    if done["busy"]:
        say(f"{done['busy']} are held by somebody who reads the queue, or not due yet")
    if done["skipped"]:
        say(f"{done['skipped']} have no known handler and stay")
    if not (done["redriven"] or done["busy"] or done["skipped"] or done["refused"]):
        say(f"{chosen.none}; `busway dlq` shows those there are, `busway status` what is retried")
    for refusal in done["refused"]:
        say(f"{refusal['message_id']} stays: {refusal['reason']}")
    tell_outcomes(done, letters)


def tell_outcomes(done: Mapping[str, Any], letters: Sequence[Mapping[str, Any]]) -> None:
    """How many were delivered, failed again, or are under way; of the latter with which error."""
    if "delivered" not in done or not done["redriven"]:
        return
    for state, name in (("delivered", "delivered"), ("failed", "failed"), ("under way", "under_way")):
        if done[name]:
            again = " again" if state == "failed" else ""
            line((f"{done[name]} {state}{again}", _STATE_STYLES[state]))
            _tell_errors([letter for letter in letters if letter["state"] == state and problem_of(letter)])
    if done["failed"]:
        say("`busway dlq HANDLER` lists what failed again, `busway dlq --event EVENT` shows one with its attempts")


def _tell_errors(letters: Sequence[Mapping[str, Any]]) -> None:
    kinds = Counter((name_of(letter["handler"]), problem_of(letter)) for letter in letters)
    due: dict[tuple[str, str], float] = {}
    for letter in letters:
        if letter.get("due_at"):
            kind = (name_of(letter["handler"]), problem_of(letter))
            due[kind] = min(letter["due_at"], due.get(kind, letter["due_at"]))
    for kind, count in kinds.most_common(KINDS_MAX):
        again = f"; tried again from {moment(due[kind])[:8]} on" if kind in due else ""
        line(f"  └ {counted(count, 'event')} of {kind[0]}: ", (kind[1], "yellow"), again)
