"""What EventBridge's own log says of one event on its way through a bus. Pure.

A bus has a log where its `LogConfig` says so: at level ERROR what failed, at INFO also what came and how each
invocation ended, at TRACE also which rules matched, and each attempt.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-logs-schema.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus-logs.html
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from busway.road.aws.read_json import read_json

# What the console calls the group of a bus.
GROUP_PREFIX = "/aws/vendedlogs/events/event-bus/"

# What became of an event for one target.
PENDING, DELIVERED, DROPPED, DEAD_LETTERED = "pending", "delivered", "dropped", "dead-lettered"
_ENDS = {"INVOCATION_SUCCESS": DELIVERED, "INVOCATION_FAILURE": DROPPED, "INVOCATION_DLQ": DEAD_LETTERED}
_ATTEMPTS = {
    "INVOCATION_ATTEMPT_SUCCESS": "ok",
    "INVOCATION_ATTEMPT_RETRYABLE_FAILURE": "failed",
    "INVOCATION_ATTEMPT_PERMANENT_FAILURE": "failed",
    "INVOCATION_ATTEMPT_THROTTLE": "throttled",
}
# Each of them says what the event was.
_CAME = ("EVENT_INGEST_SUCCESS", "EVENT_RECEIPT", "RULE_MATCH_START")


class BusAttempt(msgspec.Struct, frozen=True):
    """One attempt to hand the event over: `outcome` is ok, failed or throttled; `ended_at` in Unix seconds."""

    attempt: int
    ended_at: float
    outcome: str
    error_code: str = ""
    error_message: str = ""


class BusDelivery(msgspec.Struct):
    """A rule's target: `state` is pending, delivered, dropped or dead-lettered, since `at` (Unix seconds)."""

    rule: str
    target: str
    state: str = PENDING
    at: float | None = None
    error_code: str = ""
    error_message: str = ""
    attempts: list[BusAttempt] = []


class Passage(msgspec.Struct):
    """An event on one bus. `event` is all of it as JSON, "" where the log leaves its detail out.

    `matched` are the rules that the log says it matched, at level ERROR those that failed, None where it says none.
    `error` is why the event was not taken.
    """

    bus: str
    received_at: float
    source: str = ""
    detail_type: str = ""
    event: str = ""
    matched: list[str] | None = None
    error: str = ""
    deliveries: list[BusDelivery] = []


class _Error(msgspec.Struct):
    http_status_code: int | str = ""
    error_message: str = ""
    aws_service: str = ""


class _Details(msgspec.Struct):
    caller_account_id: str = ""
    source_time_ms: Any = None
    source: str = ""
    detail_type: str = ""
    resources: list[str] = []
    event_detail: str = ""
    rule_arn: str = ""
    target_arn: str = ""
    target_arns: list[str] = []
    attempt_count: int = 0


class _Record(msgspec.Struct):
    message_type: str
    event_id: str
    resource_arn: str = ""
    details: _Details = msgspec.field(default_factory=_Details)
    error: _Error | None = None
    dropped_fields: list[str] = []


def passages_of(event_id: str, lines: Iterable[tuple[float, str]]) -> list[Passage]:
    """Of (Unix seconds, record) in the order of time, by bus. What is no record, or another event's, says nothing."""
    found: dict[str, _Reading] = {}
    for at, text in lines:
        record = read_json(text, _Record, strict=False)
        if record is not None and record.event_id == event_id:
            found.setdefault(record.resource_arn, _Reading(record.resource_arn, at)).add(at, record)
    return [reading.end() for reading in found.values()]


class _Reading:
    """A passage as it grows, record by record."""

    def __init__(self, bus_arn: str, at: float) -> None:
        self._arn = bus_arn
        self._known: dict[tuple[str, str], BusDelivery] = {}
        self.passage = Passage(bus_arn.rpartition("/")[2], at)

    def add(self, at: float, record: _Record) -> None:
        passage, details, kind = self.passage, record.details, record.message_type
        if kind in _CAME:
            passage.source, passage.detail_type = details.source, details.detail_type.strip()
            passage.event = passage.event or _whole(self._arn, record)
        elif kind == "EVENT_INGEST_FAILURE":
            passage.error = ": ".join(filter(None, _problem(record)))
        elif kind == "NO_STANDARD_RULES_MATCHED":
            passage.matched = passage.matched or []
        elif kind == "RULE_MATCH":
            for target in details.target_arns or [""]:
                self._delivery(details.rule_arn, target, at)
        elif kind in _ATTEMPTS or kind in _ENDS:
            self._ended(self._delivery(details.rule_arn, details.target_arn, at), at, record)

    def _delivery(self, rule_arn: str, target: str, at: float) -> BusDelivery:
        place = rule_arn.rpartition("/")[2], target
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = BusDelivery(*place, at=at, attempts=[])
        return known

    def end(self) -> Passage:
        """All that was said of it."""
        if self._known:
            self.passage.deliveries = list(self._known.values())
            self.passage.matched = list(dict.fromkeys(rule for rule, _ in self._known))
        return self.passage

    def _ended(self, delivery: BusDelivery, at: float, record: _Record) -> None:
        code, message = _problem(record)
        outcome = _ATTEMPTS.get(record.message_type)
        if outcome is not None:
            number = record.details.attempt_count or len(delivery.attempts) + 1
            delivery.attempts.append(BusAttempt(number, at, outcome, code, message))
        else:
            # The failure comes before or after its letter: a letter is what counts.
            ended = _ENDS[record.message_type]
            delivery.state = delivery.state if delivery.state == DEAD_LETTERED else ended
            delivery.at = at
        if code or message:
            delivery.error_code, delivery.error_message = code, message


def _problem(record: _Record) -> tuple[str, str]:
    """(code, message); the code is the status that the target's service answered."""
    error = record.error
    if error is None:
        return "", ""
    status = str(error.http_status_code)
    return " ".join(filter(None, (error.aws_service, status))), error.error_message


def _whole(bus_arn: str, record: _Record) -> str:
    """The event as rules see it, as far as its log record has all of it; else "".

    Made for matching: `time` is the record's own, and `version` is always 0.
    """
    details = record.details
    if not details.event_detail or "event_detail" in record.dropped_fields:
        return ""
    detail = read_json(details.event_detail, dict[str, Any])
    if detail is None:
        return ""
    region = bus_arn.split(":")[3] if bus_arn.count(":") > 3 else ""
    event = {
        "version": "0", "id": record.event_id, "detail-type": details.detail_type.strip(), "source": details.source,
        "account": details.caller_account_id, "time": _time(details.source_time_ms), "region": region,
        "resources": details.resources, "detail": detail,
    }  # fmt: skip
    return msgspec.json.encode(event).decode()


def _time(ms: Any) -> str:
    """AWS's documentation leaves open whether it is a number."""
    try:
        at = datetime.fromtimestamp(int(ms) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return ""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
