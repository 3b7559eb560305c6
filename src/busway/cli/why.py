"""`busway why EVENT`: which rules matched, which came close and what they wanted, what became of each delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from busway.cli.aws_options import aws_options, chosen as chosen_aws
from busway.cli.options import connect, server_options, since_s
from busway.cli.output import STYLES, console, counted, line, moment, print_json, problem_of
from busway.cli.timeline import name_of, show_step
from busway.cli.tracebacks import brief_lines
from busway.cli.verdict import show_missed

_STATE_STYLES = {
    **STYLES, "pending": "yellow", "unrouted": "yellow", "lost": "bold red", "purged": "magenta",
    "given up": "bold red", "filtered out": "magenta", "not read": "magenta", "taken": "magenta",
}  # fmt: skip
# Of what a mapping did: words that need some more.
_EXPLAINED = {
    "given up": "the mapping has no on-failure queue, so nobody kept it",
    "filtered out": "the mapping's filters did not want it",
    "not read": "it was put before the place where the mapping began",
    "taken": "a reader other than this mapping took it from the queue",
    "lost": "the checkpoint is above it, and nothing says that it was handled: `busway verify`",
}
_BATCHES_SHOWN = 3


@click.command()
@click.argument("event_id", metavar="[EVENT]", required=False)
@click.option("--all", "every", is_flag=True, help="Explain every rule and show every log line.")
@click.option("--since", metavar="TIME", help="With --profile: of the last 30m, 72h.  [default: 24h]")
@click.option("--request-id", metavar="ID", help="With --profile: tell of this invocation instead of an event.")
@aws_options
@server_options
def why(
    event_id: str | None,
    every: bool,
    since: str | None,
    request_id: str | None,
    profile: str | None,
    region: str | None,
    environment: str | None,
    endpoint: str,
    as_json: bool,
) -> None:
    """Tell what became of EVENT (its id), and why: rule by rule, field by field, try by try.

    Without EVENT it tells of the newest one. With --profile it tells what is known on AWS: the attempts of functions
    whose logs name the event, and its dead letters.

    \b
    Example:
      busway why
      busway why 7bf73129-1428-4cd3-a780-95db273d1602
      busway why 7bf73129-1428-4cd3-a780-95db273d1602 --profile prod --since 72h
    """
    on_aws = chosen_aws(profile, region, environment)
    if on_aws.wanted:
        from busway.cli.aws_history import SINCE
        from busway.cli.aws_why import tell_history

        since = since or SINCE
        tell_history(on_aws, event_id, request_id, since, since_s(since), every, as_json)
        return
    if since or request_id:
        raise click.UsageError("--since and --request-id are for AWS; --profile is missing")
    found = connect(endpoint).get(
        "/_busway/events" + (f"/{quote(event_id, safe='')}" if event_id is not None else "")
    )
    if as_json:
        print_json(found)
        return
    _headline(found)
    for delivery in found["deliveries"]:
        _delivery(delivery, found["steps"], every)
    _matched(found)
    edits = {one["rule"]: one["edits"] for one in found["closest"]}
    missed = [{**rule, "edits": edits.get(rule["rule"])} for rule in found["rules"] if not rule["matched"]]
    show_missed(missed, found["closest"], every, matched=len(missed) < len(found["rules"]))
    if every and any(rule.get("missed") and rule["edits"] is None for rule in missed):
        line(("`busway explain --rule NAME --event ID` looks for an edit where none is shown", "dim"))


def _matched(found: Mapping[str, Any]) -> None:
    """What no delivery tells: that no rule matched, or that one that did has no targets."""
    matched = [rule["rule"] for rule in found["rules"] if rule["matched"]]
    if not matched:
        line(("No rule matched, so it went to nobody.", "bold"))
    served = {delivery["rule"] for delivery in found["deliveries"]}
    for rule in matched:
        if rule not in served:
            line(f"rule {rule} ", ("matched; it has no targets, so it went to nobody", "yellow"))
            put = f"aws events put-targets --rule {rule} --event-bus-name {found['bus']} --targets Id=1,Arn=ARN"
            line(f"  └ `{put}` gives it one")


def _headline(found: Mapping[str, Any]) -> None:
    event = found["event"]
    line((str(event.get("detail-type")), "bold cyan"), f" from {event.get('source')} on bus {found['bus']}")
    line((f"{found['event_id']}, accepted {moment(found['accepted_at'])}", "dim"))
    console().print()


def _delivery(delivery: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], every: bool) -> None:
    state = str(delivery["state"])
    attempts = delivery.get("attempts") or 0
    tries = f" after {attempts} {'try' if attempts == 1 else 'tries'}" if attempts else ""
    stream = ":kinesis:" in delivery["target"]
    line(
        f"rule {delivery['rule']} -> {'stream ' if stream else ''}{name_of(delivery['target'])}: ",
        (state, _STATE_STYLES.get(state, "")),
        f"{tries}{_next_try(delivery)} {moment(delivery.get('at'))}".rstrip(),
    )
    if delivery.get("error_message") or delivery.get("error_code"):
        parts = (str(delivery.get(name) or "") for name in ("error_code", "error_message"))
        line("  └ ", (": ".join(part for part in parts if part), "yellow"))
    if delivery.get("edited"):
        line(f"  └ it was edited before it was sent back: {delivery['edited']}")
    if delivery.get("dead_letter_queue"):
        line(f"  └ kept in {name_of(delivery['dead_letter_queue'])}; `busway redrive {name_of(delivery['target'])}`")
    elif state == "dead-lettered":
        _redriven(delivery, steps)
    for consumer in delivery.get("consumers", []):
        _consumer(consumer, every)
    if stream and state == "delivered" and not delivery.get("consumers"):
        line("  └ no function reads it from there, or none knows it by this id")
    _logs(delivery.get("logs", []), every)


def _consumer(consumer: Mapping[str, Any], every: bool) -> None:
    """What one mapping made of it behind its stream or queue, batch by batch."""
    state, attempts = str(consumer["state"]), consumer.get("attempts") or 0
    again = f" after {attempts} {'try' if attempts == 1 else 'tries'}" if attempts > 1 else ""
    asleep = "" if consumer["mapping_state"] == "Enabled" else f" (its mapping is {consumer['mapping_state']})"
    line(
        f"  -> {name_of(consumer['function'])}: ",
        (state, _STATE_STYLES.get(state, "")),
        f"{again} {moment(consumer.get('at'))}{asleep}".rstrip(),
    )
    if state in _EXPLAINED:
        line(("     ", "dim"), (_EXPLAINED[state], "dim"))
    batches = consumer["batches"]
    shown = batches if every else batches[-_BATCHES_SHOWN:]
    if len(shown) < len(batches):
        line((f"     the last {len(shown)} of {len(batches)} batches; --all shows all", "dim"))
    for batch in shown:
        records = counted(batch["records"], "record")
        request = f", request {batch['request_id']}" if batch["request_id"] else ""
        line((f"     {moment(batch['at'])}  {batch['outcome']}, {records}{request}", "dim"))
        problem = problem_of(batch)
        if problem:
            line("     └ ", (problem, "yellow"))
    if consumer.get("dead_letter_queue"):
        name = name_of(consumer["function"])
        line(f"     └ kept in {name_of(consumer['dead_letter_queue'])}; `busway redrive {name}`")
    elif consumer.get("redriven"):
        word = str(consumer["redriven"]["state"])
        line("     └ sent back: ", (word, _STATE_STYLES.get(word, "")), f" {moment(consumer['redriven'].get('at'))}")
    elif state == "dead-lettered":
        line("     └ its dead letter is gone: somebody took it from the queue, or sent it back")
    _logs(consumer.get("logs", []), every)


def _next_try(delivery: Mapping[str, Any]) -> str:
    """When what failed is tried again; while it is being tried, that."""
    if delivery.get("running"):
        return ", being tried now"
    return f", next at {moment(delivery['due_at'])}" if delivery.get("due_at") and delivery.get("error_code") else ""


def _redriven(delivery: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> None:
    """What happened after the dead letter, as far as the server remembers it."""
    began = next(
        (i for i, step in enumerate(steps) if step["kind"] == "redriven" and _about(step, delivery)), len(steps)
    )
    for step in steps[began:]:
        if _about(step, delivery):
            show_step(step)
    after = delivery.get("redriven")
    if after:
        word = str(after["state"])
        line(
            "  └ sent back: ",
            (word, _STATE_STYLES.get(word, "")),
            f"{_next_try(after)} {moment(after.get('at'))}".rstrip(),
        )
    elif began == len(steps):
        line("  └ its dead letter is gone: somebody took it from the queue, or sent it back")


def _about(step: Mapping[str, Any], delivery: Mapping[str, Any]) -> bool:
    return delivery["target"] in (step.get("target"), step.get("function"))


def _logs(logs: Sequence[Mapping[str, Any]], every: bool) -> None:
    """What was printed in the last try, as `busway dev` shows it; with `every` all of it, as it was printed."""
    last = logs[-1]["attempt"] if logs else 0
    texts = [str(printed["line"]) for printed in logs]
    begins = max((i for i, text in enumerate(texts) if text.startswith("START ")), default=0)
    tried = [text for text in texts[begins:] if not text.startswith(("START ", "END ", "REPORT "))]
    for text in texts if every else brief_lines(tried):
        line((f"  │ {text}", "dim"))
    if begins and not every:
        line((f"  │ (the last of {last} tries; --all shows all)" if last > 1 else "  │ (the last try)", "dim"))
