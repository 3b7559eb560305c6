"""`busway trace --profile`: what is known of an event on AWS, on one axis of time."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from busway.cli.aws_history import look, wanted_id
from busway.cli.aws_options import OnAws
from busway.cli.output import console, line, moment, print_json, say, visible
from busway.cli.trace_picture import WIDTH_MAX, Words, drawn

if TYPE_CHECKING:
    from busway.road.aws.access import Aws
    from busway.road.aws.alarm_log import Rung
    from busway.road.aws.history import History


def tell_trace(on_aws: OnAws, event_id: str | None, since: str, since_s: int, as_json: bool) -> None:
    """Raises NothingLogged for an event of which nothing is known."""
    from busway.road.aws.event_tree import event_tree

    asked = wanted_id(event_id, None)
    looked = look(on_aws, asked, since, since_s)
    found = looked.found
    event = event_tree(asked, found, _rung(looked.aws, found))
    if as_json:
        print_json({"asked": asked, "events": [event], "groups": found.groups, "since": found.since,
                    "cut": found.cut, "untold": found.untold})  # fmt: skip
        return
    line((f"{asked} in {looked.environment}, {looked.aws.region}, from {moment(event['accepted_at'])} on", "bold"))
    profile = f"--profile {quote(str(on_aws.profile))}"
    words = Words(
        why=lambda event_id: f"`busway why {quote(event_id)} {profile}`",
        logs=lambda _: f"`busway why {quote(asked)} {profile} --all`",
        redrive=lambda name: f"`busway redrive {quote(name.removeprefix(looked.prefix))} {profile}`",
        of_attempt=False,
    )
    for parts in drawn([event], min(console().width, WIDTH_MAX), "", words):
        line(*parts)
    line("")
    _tell_gaps(found)


def _rung(aws: Aws, found: History) -> dict[str, Rung]:
    """By dead-letter queue the alarm on it, which has its name."""
    from busway.errors import AwsRefused
    from busway.road.aws.alarm_log import rung_since

    rung: dict[str, Rung] = {}
    for letter in found.letters:
        try:
            told = rung_since(aws, letter.queue, letter.failed_at)
        except AwsRefused as refusal:
            # All else is known without it.
            found.untold = [*found.untold, f"who was told: {refusal}"]
            break
        if told is not None:
            rung[letter.queue] = told
    return rung


def _tell_gaps(found: History) -> None:
    """What the picture cannot have."""
    if not found.passages:
        say("no log of the bus tells of it: when it came, and which rules matched, is not known (docs/aws.md)")
    for one in found.untold:
        say(f"not known: {visible(one)}")
    if found.cut:
        say("there may be more: only the first lines, invocations and letters were looked at")
