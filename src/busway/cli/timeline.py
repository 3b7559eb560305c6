"""Shows steps of the trail to a person: one line a step, the event's short id in front.

17:03:12.123  1f0c2d3e  accepted       Customer Notification from com.benlimmer.Monolith on bus default
17:03:12.125  1f0c2d3e  matched        rule shop-notify-customer
17:03:12.180  1f0c2d3e  delivered      shop-notify-customer, attempt 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.arn import parse_arn
from busway.cli.output import STYLES, counted, line, moment

KIND_WIDTH = 13
# Every kind that the server notes.
KINDS = (
    "accepted", "dropped", "matched", "queued", "attempt", "retried", "delivered", "repeated", "dead-lettered",
    "redriven", "resent", "alarm", "alert", "halted",
)  # fmt: skip
# The same as the manifest's, which is not loaded for a tail.
ROUTE_PREFIX = "busway-alert-"


def flat(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step with its facts beside its kind and time."""
    facts = step.get("facts")
    around = {name: value for name, value in step.items() if name != "facts"}
    return {**around, **facts} if isinstance(facts, Mapping) else around


def show_step(step: Mapping[str, Any]) -> None:
    """One line; a step that says more in words (an error) gets it indented under the line."""
    facts = flat(step)
    kind = str(facts.get("kind", "?"))
    event_id = short_id(facts.get("event_id") or next(iter(facts.get("event_ids") or ()), ""))
    style = STYLES.get(kind, "")
    if kind == "attempt" and facts.get("error_message"):
        style = "yellow"
    line(
        (f"{moment(facts.get('at'))}  ", "dim"),
        (f"{event_id:8}  ", "dim"),
        (f"{kind:{KIND_WIDTH}}  ", style),
        told(kind, facts),
    )
    problem = str(facts.get("error_message") or facts.get("reason") or "")
    indent = " " * (len(moment(facts.get("at"))) + 2 + 8 + 2)
    if facts.get("answer"):
        line(indent + "└ ", (str(facts["answer"]), "dim"))
    code = str(facts.get("error_code") or "")
    # A retry without words comes right after the failed attempt that had them.
    # That all is well, and was measured, needs no words.
    if problem and facts.get("state") != "OK":
        line(indent + "└ ", (": ".join(part for part in (code, problem) if part), style or "yellow"))


def told(kind: str, facts: Mapping[str, Any]) -> str:
    """What a step means, in words."""
    attempt = f", attempt {facts['attempt']}" if facts.get("attempt") else ""
    where = name_of(facts.get("function") or facts.get("target")) + _batch(facts)
    match kind:
        case "accepted" | "dropped":
            return f"{facts.get('detail_type')} from {facts.get('source')} on bus {facts.get('bus')}"
        case "matched":
            return f"rule {name_of(facts.get('rule'))}"
        case "attempt" if facts.get("error_message"):
            return f"{where}{attempt} failed"
        case "queued":
            return f"for {where or name_of(facts.get('queue'))}"
        case "retried":
            return f"{where}{attempt} failed; again {_again(facts)}"
        case "dead-lettered":
            queue = name_of(facts.get("queue"))
            return f"{where}{attempt} failed" + (f"; kept in {queue}" if queue else "")
        case "alarm":
            return f"{facts.get('alarm')} is {facts.get('state')}"
        case "alert":
            verdict = "told" if facts.get("delivered") else "could not be told"
            route = name_of(facts.get("route")).removeprefix(ROUTE_PREFIX)
            if facts.get("series"):
                return f"route {route} {verdict}: one point of its series"
            if facts.get("count"):
                return f"route {route} {verdict}: {facts['count']} alarms, {facts.get('alarm')} among them"
            return f"route {route} {verdict}: {facts.get('alarm')} is {facts.get('state')}"
        case "redriven" if facts.get("edited"):
            return f"{where}, edited: {facts['edited']}"
        case "missed":
            return f"{facts.get('count')} steps came faster than they could be shown"
        case _:
            return f"{where or name_of(facts.get('queue')) or facts.get('bus') or ''}{attempt}"


def _batch(facts: Mapping[str, Any]) -> str:
    """What a mapping handed over at once; "" for what was no batch."""
    if "records" not in facts:
        return ""
    number, place = facts["records"], " ".join((name_of(facts.get("source")), str(facts.get("shard") or "")))
    # Records that carry no event are known by their own ids.
    first = f" from {facts['first']}" if facts.get("first") and not facts.get("event_ids") else ""
    return f", {counted(number, 'record')} of {place.strip()}{first}"


def name_of(arn: Any) -> str:
    """The short name in an ARN; what is no ARN is its own name. A subscription's has its topic's in front."""
    text = str(arn or "")
    parsed = parse_arn(text)
    if parsed is None:
        return text
    return parsed.resource if parsed.service == "sns" else parsed.name


def short_id(event_id: Any) -> str:
    """Enough of an event's id to tell it from others; alarms' notices have no event and get none."""
    text = str(event_id or "")
    return "" if text.startswith("arn:") else text[:8]


def _again(facts: Mapping[str, Any]) -> str:
    due, at = facts.get("due_at"), facts.get("at")
    if isinstance(due, int | float) and isinstance(at, int | float):
        return f"in {max(0.0, due - at):.1f} s"
    return "later"
