"""Why an event reached a handler or did not: /_busway/events/{id}."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from busway.arn import Scope
from busway.bus.buses import Bus
from busway.bus.envelope import event_id as identity
from busway.bus.history import Found, find_event, newest_event
from busway.bus.record import Rule
from busway.bus.router import READER
from busway.bus.rules import rules_at
from busway.delivery import Delivery, Subscriber
from busway.delivery.outbox import QUEUE_PREFIX, Parcel
from busway.engine import Ended, Item
from busway.errors import EventNotFound, InvalidPattern, NoEventYet
from busway.function.invocation.letters import Work, error_message, error_type
from busway.function.logs import Line
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.pattern import Pattern, closest, explain, parse
from busway.redrive import DeadLetter, Selection
from busway.targets.identity import delivery_uuid

# Ours: how many rules that did not match are explained, and how many of a queue's items are looked through.
CLOSEST_MAX = 5
EXPLAINED_MAX = 100
LOOKED_AT_MAX = 20_000
PAGE = 1_000
# How the log of a try tells that it failed: a runtime's line of an exception, and in REPORT what the server ended.
EXCEPTION, ENDED_BY_SERVER = "[ERROR] ", "\tStatus: "


async def why(server: Inspection, request: Request) -> Answer:
    """The event, and for each rule in force where it lies whether it matched and what became of it."""
    event_id = request.path.rsplit("/", 1)[-1]
    return await _told(server, request.scope, event_id, await find_event(server.buses, server.publisher, event_id))


async def newest(server: Inspection, request: Request) -> Answer:
    """The same of the event that was accepted last, on whichever bus of the caller's."""
    found = await newest_event(server.buses, request.scope)
    if found is None:
        raise NoEventYet
    return await _told(server, request.scope, identity(found.event), found)


async def _told(server: Inspection, scope: Scope, event_id: str, found: Found | None) -> Answer:
    bus = None if found is None else next((b for b in server.buses.all() if b.arn == found.bus_arn), None)
    if found is None or bus is None or not _owns(scope, found.bus_arn):
        raise EventNotFound(event_id, _dropped(server, event_id))
    rules = rules_at(bus, found.entry.offset)
    patterns = {rule.arn: pattern for rule in rules if (pattern := _pattern(rule)) is not None}
    matched = [rule for rule in rules if rule.enabled and _matches(patterns.get(rule.arn), found.event)]
    letters = await server.redrive.look(scope, Selection(ids={event_id}))
    deliveries = [
        await _delivery(server, bus, found, event_id, rule, subscriber, letters)
        for rule in matched
        for subscriber in rule.subscribers
    ]
    enabled = {rule.arn: patterns[rule.arn] for rule in rules if rule.enabled and rule.arn in patterns}
    names = {rule.arn: rule.name for rule in rules}
    return Answer(
        {
            "event_id": event_id,
            "bus": bus.name,
            "bus_arn": bus.arn,
            "offset": found.entry.offset,
            "accepted_at": found.entry.at,
            "event": msgspec.Raw(found.event),
            "rules": [_verdict(rule, rule in matched, patterns.get(rule.arn), found.event) for rule in rules][
                :EXPLAINED_MAX
            ],
            "deliveries": deliveries,
            "closest": [
                {"rule": names[arn], "rule_arn": arn, "pattern": enabled[arn].text, **explanation.as_dict()}
                for arn, explanation in closest(enabled, found.event, CLOSEST_MAX)
            ],
            "steps": [
                {"sequence": step.sequence, "at": step.at, "kind": step.kind, **step.facts}
                for step in server.trail.recent(event_id=event_id)
            ],
        }
    )


def _owns(scope: Scope, bus_arn: str) -> bool:
    return bus_arn.startswith(scope.arn("events", "event-bus/"))


def _dropped(server: Inspection, event_id: str) -> str:
    """What the trail knows of an event that no journal has."""
    dropped = server.trail.recent(kind="dropped", event_id=event_id)
    return f": it was for the bus {dropped[-1].facts.get('bus')!r}, which did not exist" if dropped else ""


def _pattern(rule: Rule) -> Pattern | None:
    try:
        return parse(rule.pattern) if rule.pattern is not None else None
    except InvalidPattern:
        # Shown as a rule that matches nothing, which is what the router makes of it.
        return None


def _matches(pattern: Pattern | None, event: bytes) -> bool:
    return pattern is not None and pattern.matches(event)


def _verdict(rule: Rule, matched: bool, pattern: Pattern | None, event: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"rule": rule.name, "rule_arn": rule.arn, "enabled": rule.enabled, "pattern": rule.pattern}
    explanation = explain(pattern, event).as_dict() if pattern is not None else {}
    return {**told, **explanation, "matched": matched}


async def _delivery(
    server: Inspection,
    bus: Bus,
    found: Found,
    event_id: str,
    rule: Rule,
    subscriber: Subscriber,
    letters: list[DeadLetter],
) -> dict[str, Any]:
    """One subscriber's share of the event. `state` is unrouted, pending, lost, or the outcome's word."""
    delivery = Delivery(event_id=event_id, target_arn="", payload=b"", accepted_at=0.0, subscriber=subscriber.name)
    request_id = delivery_uuid(delivery)
    told: dict[str, Any] = {
        "rule": rule.name,
        "target_id": subscriber.target_id,
        "target": subscriber.target_arn,
        "request_id": request_id,
        "attempts": 0,
        **await _state(server, bus, found.entry.offset, subscriber),
    }
    letter = next((one for one in letters if _is_of(one, rule, subscriber)), None)
    if letter is not None and letter.source is not None:
        source = letter.source
        told |= {"state": "dead-lettered", "dead_letter_queue": letter.queue_arn, "message_id": letter.message_id}
        told |= {"attempts": source.attempts, "at": source.failed_at}
        told |= {"error_code": source.error_code, "error_message": source.error_message}
    lines = await server.logs.of_request(request_id)
    if letter is None and told["state"] == "dead-lettered":
        told |= await _redriven(server, subscriber, request_id, told["at"], lines)
    return {**told, "logs": [{"at": line.at, "attempt": line.attempt, "line": line.line} for line in lines]}


async def _redriven(
    server: Inspection, subscriber: Subscriber, request_id: str, given_up_at: float, lines: Sequence[Line]
) -> dict[str, Any]:
    """What became of a dead letter that is gone, as `redriven`: pending or delivered. Nothing when none can tell.

    A function keeps its request id when it is redriven, and the log outlives a restart: work that ran after it was
    given up, waits nowhere, and ended without an error has been delivered.
    """
    item = await _item(server, subscriber, lambda item: _request_of(item) == request_id)
    if item is not None:
        return {"redriven": {"state": "pending", **_progress(item)}}
    begun = max((i for i, line in enumerate(lines) if line.line.startswith("START RequestId: ")), default=None)
    if begun is None or lines[begun].at <= given_up_at:
        return {}
    last = lines[begun:]
    report = next((line for line in last if line.line.startswith("REPORT RequestId: ")), None)
    failed = any(line.line.startswith(EXCEPTION) for line in last)
    if report is None or failed or ENDED_BY_SERVER in report.line:
        return {}
    return {"redriven": {"state": "delivered", "at": report.at}}


def _request_of(item: Item) -> str:
    return "" if item.queue.startswith(QUEUE_PREFIX) else msgspec.json.decode(item.meta, type=Work).request_id


def _is_of(letter: DeadLetter, rule: Rule, subscriber: Subscriber) -> bool:
    source = letter.source
    if source is None or source.rule_arn != rule.arn:
        return False
    return subscriber.target_arn in (source.target_arn, source.function_arn)


async def _state(server: Inspection, bus: Bus, offset: int, subscriber: Subscriber) -> dict[str, Any]:
    # Pending before ended: what ends in between is then seen as ended.
    pending = offset in await server.engine.queues.pending(subscriber.name)
    ended = await _ended(server, subscriber, offset)
    if ended is not None:
        return {"state": ended.outcome, "attempts": ended.attempts, "at": ended.at}
    if not pending:
        routed = offset <= await server.engine.journal.position(bus.arn, READER)
        return {"state": "lost" if routed else "unrouted"}
    if subscriber.target_arn.split(":", 3)[2] == "sqs":
        # The bus has done its part: the message waits for whoever reads the queue.
        return {"state": "delivered", "waits_in": subscriber.target_arn}
    origin = (subscriber.name, offset)
    item = await _item(
        server, subscriber, lambda item: item.origin and (item.origin.subscriber, item.origin.offset) == origin
    )
    return {"state": "pending", **(_progress(item) if item is not None else {})}


async def _ended(server: Inspection, subscriber: Subscriber, offset: int) -> Ended | None:
    found = await server.engine.queues.outcomes(subscriber.name, offset - 1, 1)
    return found[0] if found and found[0].offset == offset else None


async def _item(server: Inspection, subscriber: Subscriber, wanted: Callable[[Item], object]) -> Item | None:
    """The queued work: in the target's own queue (functions) or in the outbox."""
    for queue in (subscriber.target_arn, QUEUE_PREFIX + subscriber.target_arn):
        after = seen = 0
        while seen < LOOKED_AT_MAX and (page := await server.engine.queues.browse(queue, PAGE, after)):
            for item in page:
                if wanted(item):
                    return item
            after, seen = page[-1].id, seen + len(page)
    return None


def _progress(item: Item) -> dict[str, Any]:
    """How often it was tried, when next, and how it failed last; of a function whether it is being tried now."""
    told: dict[str, Any] = {"attempts": item.attempts, "due_at": item.due_at}
    if item.queue.startswith(QUEUE_PREFIX):
        parcel = msgspec.json.decode(item.meta, type=Parcel)
        return {**told, "error_code": parcel.error_code, "error_message": parcel.error_message}
    work = msgspec.json.decode(item.meta, type=Work)
    # While it is leased, the try that runs is counted and has not failed yet.
    told["running"] = item.attempts > work.errors
    return {**told, "error_code": error_type(work.error), "error_message": error_message(work.error)}
