"""`busway add rule`: events that go to a queue, a stream, another bus, a job on AWS, or whatever an ARN names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.add_event import meant_event
from busway.cli.add_handler import ask_alert
from busway.cli.filter import asked_filter, filter_of
from busway.cli.options import chosen_language, json_option, language_option, project_root
from busway.cli.output import print_json, say
from busway.cli.prompts import ask_text, by_letters, may_ask, missing

if TYPE_CHECKING:
    from busway.road.event_files import EventSpec
    from busway.road.root import Language


@click.command(short_help="Generate a rule that sends an event somewhere, with its test.")
@click.argument("name", required=False)
@click.option("--event", "event_name", metavar="CLASS", help="Its event: one that a file in events/ defines.")
@click.option(
    "--to",
    "targets",
    multiple=True,
    metavar="TARGET",
    help="queue:NAME, stream:NAME, bus:NAME, handler:NAME, an ARN, or a job on AWS: job:QUEUE, workflow:NAME, "
    "pipeline:NAME, state-machine:NAME (each also by its ARN); may be given again.",
)
@click.option("--job-definition", metavar="NAME", help="Of a job (Batch): its definition.")
@click.option("--job-name", metavar="NAME", help="Of a job (Batch): what it is called.")
@click.option("--array-size", type=int, metavar="N", help="Of a job (Batch): so many of them, 2 to 10000.")
@click.option("--job-attempts", type=int, metavar="N", help="Of a job (Batch): how often Batch tries it, 1 to 10.")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of a pipeline (SageMaker); a value such as $.detail.day is read from the event. May be given again.",
)
@click.option("--role", metavar="ARN", help="Of a job on AWS: the role that AWS's EventBridge starts it with.")
@click.option(
    "--filter",
    "filter_json",
    metavar="JSON",
    help='Only some events, by their detail: {"total": [{"numeric": [">", 100]}]}.',
)
@click.option("--alert", metavar="ROUTE", help="The alert route that is told of dead letters, for example pagerduty.")
@language_option
@json_option
def rule(
    name: str | None,
    event_name: str | None,
    targets: tuple[str, ...],
    filter_json: str | None,
    alert: str | None,
    language: Language | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Generate the rule NAME, a file of JSON in rules/, and its test. `busway dev` deploys it.

    A queue, stream or bus that is not there is made; a job on AWS is not. On a terminal it asks for what isn't given.

    \b
    Example:
      busway add rule big-orders --event OrderPlaced --to queue:audit --filter '{"total": [{"numeric": [">", 100]}]}'
      busway add rule resize --event PictureTaken --to job:pictures --job-definition resize --job-name resize
    """
    from busway.road.generate_rule import JobFlags, RuleSpec, add_rule, rule_targets
    from busway.road.naming import handler_name

    root, asking = project_root(), may_ask() and not as_json
    absent = [flag for flag, given in (("NAME", name), ("--event", event_name), ("--to", targets)) if not given]
    if absent and not asking:
        example = f"busway add rule {name or 'audit'} --event {event_name or 'OrderPlaced'} --to queue:audit"
        raise missing(absent, example)
    language = chosen_language(root, language, asking=asking)
    chosen = handler_name(name or ask_text("Name of the rule?", check=handler_name))
    event = _event(root, language, event_name)
    filter_json = asked_filter(root, event, filter_json, asking and not targets)
    job = JobFlags(**flags)
    question = "Where do they go (queue:NAME, stream:NAME, bus:NAME, handler:NAME, a job on AWS or an ARN)?"
    default = f"queue:{chosen.replace('_', '-')}"
    places = targets or (ask_text(question, default=default, check=lambda text: rule_targets([text], job)),)
    alert = ask_alert(alert) if asking and not targets else alert
    spec = RuleSpec(chosen, event, rule_targets(places, job), filter_of(filter_json), alert, language)
    names = [str(file.relative_to(root)) for file in add_rule(root, spec)]
    if as_json:
        print_json({"rule": chosen.replace("_", "-"), "event": event.class_name, "files": names})
        return
    for file in names:
        click.echo(file)
    say(f"\nnext: `busway test`; `busway dev`; `busway send {event.class_name}`")


def _event(root: Path, language: Language, name: str | None) -> EventSpec:
    """An event that is there. Raises GeneratorRefused."""
    from busway.errors import GeneratorRefused
    from busway.road.event_files import EventSpec, find_event, known_events
    from busway.road.naming import event_class_name

    known = known_events(root, language)
    if not known:
        raise GeneratorRefused(
            "the project has no events yet", "busway add event OrderPlaced --source com.example.Shop"
        )

    def there(text: str) -> Path:
        file = find_event(root, event_class_name(by_letters(text, known)), language)
        if file is None:
            near = meant_event(text, known)
            others = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
            raise GeneratorRefused(f"there is no event {text!r}; {others}", "busway add event")
        return file

    def told(text: str) -> str:
        _ = there(text)
        return f"takes {by_letters(text, known)}"

    question = f"Which event? Enter for {known[0]}, letters find others:"

    def check(text: str) -> object:
        return text and there(text)

    name = by_letters(name or ask_text(question, check=check, live=told, words=known), known) or known[0]
    return EventSpec(event_class_name(name), "", "", file=there(name))
