"""`busway why --profile`: what the logs and the dead letters of a project on AWS know of one event or invocation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from busway.cli.aws_options import OnAws
from busway.cli.output import counted, day, line, moment, print_json, say
from busway.cli.tracebacks import brief_lines
from busway.errors import NothingLogged

if TYPE_CHECKING:
    from busway.road.aws.history import History, Invocation
    from busway.road.aws.letter import AwsLetter

# Ours: how far back is looked where nothing is said.
WHY_SINCE = "24h"
_STYLES = {"ok": "green", "failed": "bold red", "running": "yellow", "interrupted": "magenta"}
_INTERRUPTED = "nothing says how it ended"


def tell_history(
    on_aws: OnAws, event_id: str | None, request_id: str | None, since: str, since_s: int, every: bool, as_json: bool
) -> None:
    """Of an event or a request. Raises NothingLogged for what nothing is known of; with `as_json` exits 1 then."""
    from busway.road.aws.history import history_of_event, history_of_request
    from busway.road.aws.letter import told
    from busway.road.aws.log_groups import function_groups

    wanted = _wanted(event_id, request_id)
    config, site, aws = on_aws.open()
    groups, now = function_groups(aws, site.names), time.time()
    ask = history_of_event if request_id is None else history_of_request
    found = ask(aws, site.names, groups, wanted, now - since_s, now)
    if as_json:
        import msgspec

        shown: dict[str, Any] = {"event_id": event_id, "request_id": request_id, **msgspec.structs.asdict(found)}
        print_json({**shown, "letters": [told(letter) for letter in found.letters]})
        click.get_current_context().exit(1 if found.empty else 0)
    if found.empty:
        raise NothingLogged(wanted, groups, since, by_event=request_id is None)
    _show(found, f"{config.name}-{site.names.environment}-", str(on_aws.profile), every)


def _wanted(event_id: str | None, request_id: str | None) -> str:
    """Raises UsageError."""
    if (event_id is None) == (request_id is None):
        problem = "EVENT and --request-id do not go together" if event_id else "EVENT is missing, or --request-id"
        raise click.UsageError(f"{problem}: AWS does not tell which event was the newest")
    wanted = str(event_id or request_id).strip()
    if not wanted or '"' in wanted or "\\" in wanted:
        raise click.UsageError(f"{wanted!r} is no id")
    return wanted


def _show(found: History, prefix: str, profile: str, every: bool) -> None:
    for number, invocation in enumerate(found.invocations):
        if number:
            line("")
        _invocation(invocation, every)
    for loose in found.lines:
        line((f"{day(loose.at)}  {loose.function}: ", "dim"), loose.text)
    if found.lines:
        line(("of these lines nothing says which invocation printed them", "dim"))
    for letter in found.letters:
        _letter(letter, prefix, profile)
    if not found.letters:
        line(("no dead letter of it is in the project's queues", "dim"))
    if found.cut:
        say("there may be more: only the first lines, invocations and letters were looked at")


def _invocation(invocation: Invocation, every: bool) -> None:
    attempts = invocation.attempts
    last = attempts[-1]
    line(
        (f"{invocation.function}: ", "bold"),
        (last.outcome, _STYLES[last.outcome]),
        f" after {counted(len(attempts), 'attempt')}",
        (f", request {invocation.request_id}, {day(attempts[0].began_at)}", "dim"),
    )
    for attempt in attempts:
        took = "" if attempt.duration_ms is None else f" after {attempt.duration_ms:.0f} ms"
        problem = ": ".join(part for part in (attempt.error_code, attempt.error_message) if part)
        if attempt.outcome == "interrupted":
            problem = _INTERRUPTED
        line(
            (f"  {attempt.number}  {moment(attempt.began_at)}  ", "dim"),
            (f"{attempt.outcome}{took}", _STYLES[attempt.outcome]),
            f": {problem}" if problem else "",
        )
        _lines(attempt.lines, attempt.lines_left_out, every)


def _lines(lines: Sequence[Mapping[str, Any]], left_out: int, every: bool) -> None:
    texts = [text for one in lines for text in str(one["line"]).split("\n")]
    for text in texts if every else brief_lines(texts):
        line((f"  │ {text}", "dim"))
    if left_out:
        line((f"  │ (and {left_out} more in the middle)", "dim"))


def _letter(letter: AwsLetter, prefix: str, profile: str) -> None:
    problem = ": ".join(part for part in (letter.error_code, letter.error_message) if part)
    line(("dead-lettered", "bold red"), f" {day(letter.failed_at)}, kept in {letter.queue}: ", (problem, "yellow"))
    handler = letter.queue.removeprefix(prefix).removesuffix("-dead-letters")
    again = letter.event_id or letter.message_id
    line(f"  └ `busway redrive {handler} --event {again} --profile {profile}` sends it back")
