"""`busway add handler` and `busway add schedule`: every question is also a flag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from busway.cli.add_event import asked_event, check_given, known_by
from busway.cli.filter import asked_filter, filter_of
from busway.cli.options import chosen_language, json_option, language_option, project_root
from busway.cli.output import print_json, say
from busway.cli.prompts import ask_choice, ask_text, may_ask, missing

if TYPE_CHECKING:
    from busway.road.generator import BatchSpec
    from busway.road.root import Language

ONE, MANY, TIMED = "each event", "many events at a time, in batches", "a schedule"


@click.command(short_help="Generate a handler, its test and a sample; and the event if it is new.")
@click.argument("name", required=False)
@click.option(
    "--event",
    "event_name",
    metavar="CLASS",
    help="Its event: a class in events/, found by some of its letters in small, or the name of a new one.",
)
@click.option("--source", help='Source of a new event, for example "com.example.Shop".')
@click.option("--detail-type", help="Detail-type of a new event.  [default: its name as words]")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME:TYPE[?][=SAMPLE]",
    help="A field of a new event; may be given again. Types: str, int, float, bool, decimal, datetime, uuid, ...",
)
@click.option(
    "--filter",
    "filter_json",
    metavar="JSON",
    help='Only some events, by their detail: {"total": [{"numeric": [">", 100]}]}.',
)
@click.option("--schedule", metavar="WHEN", help='No event but the time: "rate(5 minutes)", "cron(0 9 * * ? *)".')
@click.option("--batch", metavar="SIZE/WINDOW", help="Many events at a time, from a stream: 100/5s.")
@click.option(
    "--rate", metavar="NUMBER/UNIT", help="Start it at most so often, where a third party throttles: 10/s, 600/m."
)
@click.option("--concurrency", type=int, help="How many of its events are handled at a time, at most.")
@click.option("--retries", type=int, help="Tries after a first failed one: 0 to 2 on AWS, more on a Busway server.")
@click.option("--max-age", help="How old an event may get before it is given up.  [default: 6h]")
@click.option("--timeout", help="How long one try may take.  [default: 30s, or 1m for a batch]")
@click.option("--memory-mb", type=int, default=256, show_default=True, help="Memory of one worker, in MB.")
@click.option("--alert", metavar="ROUTE", help="The alert route that is told of dead letters, for example slack.")
@click.option(
    "--template",
    "body",
    metavar="NAME",
    help="What it does at first: plain, email, or one of your own in _templates/handler/.  [default: plain]",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME",
    help="A variable whose value is kept sealed (`busway secret set NAME`); may be given again.",
)
@click.option("--resource", "resources", multiple=True, help="A resource of the sample event; may be given again.")
@click.option("--async", "is_async", is_flag=True, help="Make the handler an async function (plain template).")
@language_option
@click.option("--yes", "-y", is_flag=True, help="Take the defaults instead of asking for what isn't needed.")
@json_option
def handler(
    name: str | None,
    event_name: str | None,
    source: str | None,
    detail_type: str | None,
    fields: tuple[str, ...],
    filter_json: str | None,
    schedule: str | None,
    batch: str | None,
    concurrency: int | None,
    retries: int | None,
    max_age: str | None,
    alert: str | None,
    body: str | None,
    resources: tuple[str, ...],
    is_async: bool,
    language: Language | None,
    yes: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Generate a handler, its test, a sample event, and the event if it is new.

    On a terminal it asks for what isn't given.

    \b
    Example:
      busway add handler send-receipt --event OrderPlaced --source com.example.Shop \\
        --detail-type "Order Placed" --field order-id:str --field total:float=9.99
      busway add handler post-orders --event OrderPlaced --batch 100/5s --rate 10/s
      busway add handler nightly-report --schedule "cron(0 2 * * ? *)"
    """
    from busway.road.generator import SCHEDULED, HandlerSpec, add_handler

    root, asking = project_root(), may_ask() and not as_json
    language = chosen_language(root, language, asking=asking and not yes)
    if schedule is not None and (event_name or source or detail_type or fields or filter_json or batch):
        raise click.UsageError("--schedule is a trigger: leave out --filter, --batch and the flags of an event")
    event_name = known_by(root, language, event_name, is_new=bool(source or detail_type or fields))
    if not asking:
        check_given(root, language, name, event_name, source, schedule)
    folder = _name(name, language)
    if asking and not (yes or event_name or schedule or batch or body):
        schedule, batch = _trigger()
    event = SCHEDULED if schedule else asked_event(root, language, event_name, source, detail_type, fields, asking)
    single, asking = not (batch or schedule), asking and not yes
    body = body or (_body(root, language) if asking and single else "plain")
    filter_json = asked_filter(root, event, filter_json, asking and not schedule)
    if asking and not batch:
        retries, concurrency = _retries(retries), _concurrency(concurrency)
    max_age, alert = (_max_age(max_age), ask_alert(alert)) if asking else (max_age, alert)
    spec = HandlerSpec(
        name=folder,
        event=event,
        body=body,
        is_async=is_async and body == "plain",
        retries=retries,
        max_age=max_age or "6h",
        alert=alert or None,
        filter=filter_of(filter_json),
        # The email's handler writes to whom the event is about.
        resources=resources or (("user@example.com",) if body == "email" else ()),
        batch=_batch(batch),
        schedule=schedule and _schedule(schedule),
        concurrency=concurrency,
        language=language,
        **limits,
    )
    _report(root, "" if schedule else event.class_name, add_handler(root, spec), as_json)


@click.command(short_help="Generate a handler that runs on a schedule, with its test.")
@click.argument("name", required=False)
@click.argument("expression", required=False)
@click.option("--alert", metavar="ROUTE", help="The alert route that is told of dead letters, for example pagerduty.")
@click.option("--async", "is_async", is_flag=True, help="Make the handler an async function.")
@language_option
@json_option
def schedule(
    name: str | None,
    expression: str | None,
    alert: str | None,
    is_async: bool,
    language: Language | None,
    as_json: bool,
) -> None:
    """Generate the handler NAME that runs when EXPRESSION says, in UTC: a rate(...) or a cron(...).

    On a terminal it asks for what isn't given.

    \b
    Example:
      busway add schedule nightly-report "cron(0 2 * * ? *)"
      busway add schedule poll-supplier "rate(5 minutes)" --alert pagerduty
    """
    from busway.road.generator import SCHEDULED, HandlerSpec, add_handler

    root = project_root()
    absent = [flag for flag, given in (("NAME", name), ("EXPRESSION", expression)) if not given]
    asking = bool(absent) and may_ask() and not as_json
    if absent and not asking:
        shown = f'{name or "nightly-report"} "{expression or "cron(0 2 * * ? *)"}"'
        raise missing(absent, f"busway add schedule {shown}")
    language = chosen_language(root, language, asking=asking)
    folder = _name(name, language)
    when = _schedule(expression or _ask_when())
    alert = ask_alert(alert) if asking else alert
    spec = HandlerSpec(folder, SCHEDULED, schedule=when, alert=alert or None, is_async=is_async, language=language)
    _report(root, "", add_handler(root, spec), as_json)


def _name(given: str | None, language: Language) -> str:
    from busway.road.naming import handler_name

    def check(text: str) -> str:
        return handler_name(text, language)

    return check(given or ask_text("Name of the handler?", check=check))


def _ask_when() -> str:
    question = "When, in UTC? For example rate(5 minutes), or cron(0 9 ? * MON-FRI *) for nine on working days:"
    return ask_text(question, default="rate(5 minutes)", check=_schedule)


def _schedule(text: str) -> str:
    """A schedule's expression that is one. Raises GeneratorRefused."""
    from busway.bus.schedule import parse_schedule
    from busway.errors import GeneratorRefused, InvalidBusRequest

    try:
        parse_schedule(text)
    except InvalidBusRequest as error:
        raise GeneratorRefused(
            f"schedule {text!r}: {error} {error.__cause__}",
            'for example "rate(5 minutes)", "cron(0 9 ? * MON-FRI *)"',
        ) from error
    return text


def _trigger() -> tuple[str | None, str | None]:
    """(schedule, batch): what starts the handler, if it isn't each event by itself."""
    trigger = ask_choice("What triggers it?", [ONE, MANY, TIMED], ONE)
    if trigger == TIMED:
        return _ask_when(), None
    if trigger == MANY:
        question = "At most how many in a batch, and how long to wait for them (100/5s)?"
        return None, ask_text(question, default="100/5s", check=_possible_batch)
    return None, None


def _possible_batch(text: str) -> None:
    """Raises BuswayError as the decorator would, but while it can still be mended."""
    from busway.batch_handling import batch_handler
    from busway.event import ScheduledEvent
    from busway.road.generator import batch_spec

    spec = batch_spec(text)
    batch_handler(ScheduledEvent, size=spec.size, window=spec.window)


def _batch(text: str | None) -> BatchSpec | None:
    from busway.road.generator import batch_spec

    return batch_spec(text) if text else None


def _body(root: Path, language: Language) -> str:
    from busway.road.rendering import bodies

    return ask_choice("What should it do at first?", bodies(root, language), "plain")


def _retries(given: int | None) -> int:
    return given if given is not None else int(ask_choice("Tries after a first failed one?", ["0", "1", "2"], "2"))


def _max_age(given: str | None) -> str:
    from busway.handling import MAX_AGE_S, seconds_of

    question = "Given up when older than?"
    return given or ask_text(question, default="6h", check=lambda text: seconds_of("max_age", text, MAX_AGE_S))


def ask_alert(given: str | None) -> str:
    return given if given is not None else ask_text("Alert route that is told of dead letters, or empty:")


def _concurrency(given: int | None) -> int | None:
    from busway.errors import GeneratorRefused
    from busway.handling import CONCURRENCY, within

    def check(text: str) -> None:
        if text and not text.isdecimal():
            raise GeneratorRefused(f"{text!r} is no number")
        if text:
            within("concurrency", int(text), CONCURRENCY, "at a time")

    if given is not None:
        return given
    return int(ask_text("At most how many at a time, or empty for no limit:", check=check) or 0) or None


def _report(root: Path, event: str, files: Sequence[Path], as_json: bool) -> None:
    names = [str(file.relative_to(root)) for file in files]
    written = next(name for name in names if Path(name).stem == "handler")
    folder = Path(written).parent.name
    if as_json:
        print_json({"handler": folder, "event": event or None, "files": names})
        return
    for name in names:
        click.echo(name)
    then = f"`busway send {event}`" if event else f"`busway invoke {folder.replace('_', '-')}`"
    say(f"\nnext: write {written}; `busway test`; `busway dev`; {then}")
