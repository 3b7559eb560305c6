"""`busway why --profile`: what the logs and the dead letters of a project on AWS know of one event or invocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from busway.arn import DEAD_LETTERS
from busway.cli.aws_history import look, wanted_id
from busway.cli.aws_options import OnAws
from busway.cli.output import STYLES, counted, day, line, moment, print_json, problem, say, visible
from busway.cli.timeline import name_of
from busway.cli.tracebacks import brief_lines
from busway.cli.verdict import show_missed

if TYPE_CHECKING:
    from busway.road.aws.bus_log import BusDelivery, Passage
    from busway.road.aws.history import History, Invocation
    from busway.road.aws.letter import AwsLetter

_STYLES = {"ok": "green", "failed": "bold red", "running": "yellow", "interrupted": "magenta"}
_INTERRUPTED = "nothing says how it ended"


def tell_history(
    on_aws: OnAws, event_id: str | None, request_id: str | None, since: str, since_s: int, every: bool, as_json: bool
) -> None:
    """Of an event or a request. Raises NothingLogged for what nothing is known of; with `as_json` exits 1 then."""
    from busway.road.aws.letter import told

    wanted = wanted_id(event_id, request_id)
    looked = look(on_aws, wanted, since, since_s, by_request=request_id is not None, may_be_empty=as_json)
    found = looked.found
    if as_json:
        import msgspec

        shown: dict[str, Any] = {"event_id": event_id, "request_id": request_id, **msgspec.structs.asdict(found)}
        print_json({**shown, "letters": [told(letter) for letter in found.letters]})
        click.get_current_context().exit(1 if found.empty else 0)
    _show(found, looked.prefix, str(on_aws.profile), every)


def _show(found: History, prefix: str, profile: str, every: bool) -> None:
    for passage in found.passages:
        _passage(passage)
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
    _rules(found, every)
    for one in found.untold:
        say(f"not known: {visible(one)}")
    if found.cut:
        say("there may be more: only the first lines, invocations and letters were looked at")


def _passage(passage: Passage) -> None:
    """What the bus's own log says."""
    source = f" from {passage.source}" if passage.source else ""
    line((passage.detail_type or "event", "bold cyan"), f"{source} on bus {passage.bus}")
    line((f"received {day(passage.received_at)[:10]} {moment(passage.received_at)}", "dim"))
    if passage.error:
        line(("not taken: ", "bold red"), (passage.error, "yellow"))
    for one in passage.deliveries:
        _handed_over(one)
    if passage.matched == [] and not passage.error:
        line(("No rule matched, so it went to nobody.", "bold"))
    line("")


def _handed_over(told: BusDelivery) -> None:
    tries = f" after {counted(len(told.attempts), 'attempt')}" if told.attempts else ""
    state = (told.state, STYLES.get(told.state, "yellow"))
    line(f"rule {told.rule} -> {name_of(told.target)}: ", state, f"{tries} {moment(told.at)}")
    for attempt in told.attempts:
        failed = problem(attempt.error_code, attempt.error_message)
        if attempt.outcome != "ok":
            line((f"  {attempt.attempt}  {moment(attempt.ended_at)}  ", "dim"), attempt.outcome, f": {failed}")
    failed = problem(told.error_code, told.error_message)
    if failed and told.state != "delivered" and not told.attempts:
        line("  └ ", (failed, "yellow"))


def _rules(found: History, every: bool) -> None:
    """By the rules of now: with `every` all that do not match, else the closest, where it went to nobody."""
    matched = [rule["rule"] for rule in found.rules if rule["matched"]]
    missed = [rule for rule in found.rules if not rule["matched"]]
    went = bool(matched or found.invocations or any(passage.matched for passage in found.passages))
    if matched and not found.passages:
        line((f"by the rules that there are now it matches {', '.join(matched)}", "dim"))
    show_missed(missed, missed, every, went)


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
        failed = problem(attempt.error_code, attempt.error_message)
        if attempt.outcome == "interrupted":
            failed = _INTERRUPTED
        line(
            (f"  {attempt.number}  {moment(attempt.began_at)}  ", "dim"),
            (f"{attempt.outcome}{took}", _STYLES[attempt.outcome]),
            f": {failed}" if failed else "",
        )
        _lines(attempt.lines, attempt.lines_left_out, every)


def _lines(lines: Sequence[Mapping[str, Any]], left_out: int, every: bool) -> None:
    texts = [text for one in lines for text in str(one["line"]).split("\n")]
    for text in texts if every else brief_lines(texts):
        line((f"  │ {text}", "dim"))
    if left_out:
        line((f"  │ (and {left_out} more in the middle)", "dim"))


def _letter(letter: AwsLetter, prefix: str, profile: str) -> None:
    failed = problem(letter.error_code, letter.error_message)
    line(("dead-lettered", "bold red"), f" {day(letter.failed_at)}, kept in {letter.queue}: ", (failed, "yellow"))
    handler = letter.queue.removeprefix(prefix).removesuffix(DEAD_LETTERS)
    again = letter.event_id or letter.message_id
    command = f"busway redrive {quote(handler)} --event {quote(again)} --profile {quote(profile)}"
    line(f"  └ `{command}` sends it back")
