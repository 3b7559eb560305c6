"""What is known of an event on AWS as one tree, as a server of ours tells of a trace. Pure.

    event  ->  what matched it  ->  attempts, from Lambda's logs, or the bus's  ->  dead letter  ->  alarm  ->  alert

A rule and a function of one handler have the same name, so an invocation belongs to the delivery of that name, also
where a stream or queue lies between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from busway.arn import parse_arn
from busway.road.aws.alarm_log import Rung
from busway.road.aws.attempt_log import FAILED, OK, AwsAttempt
from busway.road.aws.bus_log import DEAD_LETTERED, DELIVERED, PENDING, BusDelivery
from busway.road.aws.history import History, Invocation
from busway.road.aws.letter import AwsLetter
from busway.road.aws.read_json import read_json

# Ours: as many lines of an attempt as a server tells, the first ones and the last ones.
LINES_FIRST, LINES_LAST = 10, 10

Told = dict[str, Any]


def event_tree(event_id: str, found: History, rung: Mapping[str, Rung]) -> Told:
    """The event with its deliveries; `rung`: by dead-letter queue the alarm on it."""
    passage = found.passages[0] if found.passages else None
    known = _about(found)
    deliveries = [_delivery(one) for each in found.passages for one in each.deliveries]
    for invocation in found.invocations:
        _add_invocation(_place(deliveries, invocation.function), invocation)
    for letter in found.letters:
        _add_letter(_place(deliveries, _name(letter.handler) or letter.queue), letter, rung.get(letter.queue))
    for one in deliveries:
        one["attempts_seen"].sort(key=_at)
    matching = [rule["rule"] for rule in found.rules if rule["matched"]]
    missed = [rule for rule in found.rules if not rule["matched"] and rule["enabled"]]
    closest = [{"rule": one["rule"], "missed": one["missed"]} for one in missed[:1]]
    matched = [name for each in found.passages for name in each.matched or ()] or matching
    return {
        "event_id": event_id,
        "detail_type": known.get("detail-type") or "event",
        "source": known.get("source") or "",
        "bus": passage.bus if passage else "",
        "accepted_at": passage.received_at if passage else _first(deliveries),
        "error_message": passage.error if passage else "",
        "matched": matched,
        # Nothing is known of the rules where no log of the bus tells, and no rule could be judged.
        "rules_known": bool(found.rules) or any(each.matched is not None for each in found.passages),
        "closest": [] if matched or deliveries else closest,
        "deliveries": deliveries,
    }  # fmt: skip


def _about(found: History) -> Mapping[str, Any]:
    if found.passages and found.passages[0].detail_type:
        return {"detail-type": found.passages[0].detail_type, "source": found.passages[0].source}
    return read_json(found.event, dict[str, Any]) or {}


def _first(deliveries: Sequence[Told]) -> float:
    """When the first thing happened that is known; 0.0 for nothing."""
    moments = [_at(attempt) for one in deliveries for attempt in one["attempts_seen"]]
    return min([*moments, *(one["at"] for one in deliveries if one["at"] is not None)], default=0.0)


def _at(attempt: Told) -> float:
    return float(attempt.get("began_at") or attempt["ended_at"])


def _delivery(told: BusDelivery) -> Told:
    """As the bus saw it: its attempts are those to hand over, shown where they failed."""
    failed = [msgspec.to_builtins(attempt) for attempt in told.attempts if attempt.outcome != OK]
    return {
        **_empty(told.rule, told.target), "state": told.state, "at": told.at, "attempts_seen": failed,
        "error_code": told.error_code, "error_message": told.error_message,
    }  # fmt: skip


def _empty(rule: str, target: str) -> Told:
    return {
        "rule": rule, "target": target, "state": PENDING, "at": None, "attempts_seen": [], "consumers": [],
        "passed_on": None, "alarms": [], "error_code": "", "error_message": "",
    }  # fmt: skip


def _place(deliveries: list[Told], name: str) -> Told:
    """The delivery to what is called so, else of the rule called so, else one of which no more is known."""
    for key in ("target", "rule"):
        found = next((one for one in deliveries if _name(one[key]) == name), None)
        if found is not None:
            return found
    deliveries.append(_empty("", name))
    return deliveries[-1]


def _name(arn: str) -> str:
    parsed = parse_arn(arn)
    return parsed.name if parsed else arn


def _add_invocation(told: Told, invocation: Invocation) -> None:
    told["attempts_seen"] += [_attempt(invocation, attempt) for attempt in invocation.attempts]
    last = invocation.attempts[-1]
    if told["state"] != DEAD_LETTERED or last.outcome == OK:
        told["state"] = DELIVERED if last.outcome == OK else last.outcome
        told["at"] = last.began_at + (last.duration_ms or 0.0) / 1000
    if last.outcome == FAILED:
        told["error_code"], told["error_message"] = last.error_code, last.error_message


def _attempt(invocation: Invocation, attempt: AwsAttempt) -> Told:
    texts = [text for one in attempt.lines for text in str(one["line"]).split("\n")]
    first, rest = texts[:LINES_FIRST], texts[LINES_FIRST:]
    last = rest[-LINES_LAST:]
    return {
        "attempt": attempt.number,
        "request_id": invocation.request_id,
        "began_at": attempt.began_at,
        "duration_ms": attempt.duration_ms,
        "outcome": attempt.outcome,
        "error_code": attempt.error_code,
        "error_message": attempt.error_message,
        "lines_first": first,
        "lines_left_out": attempt.lines_left_out + len(rest) - len(last),
        "lines_last": last,
    }


def _add_letter(told: Told, letter: AwsLetter, rung: Rung | None) -> None:
    told |= {
        "state": DEAD_LETTERED, "at": letter.failed_at, "dead_letter_queue": letter.queue,
        "error_code": letter.error_code or told["error_code"],
        "error_message": letter.error_message or told["error_message"],
        "alarms": [] if rung is None else [msgspec.to_builtins(rung)],
    }  # fmt: skip
