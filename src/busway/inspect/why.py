"""Why an event reached a handler or did not: /_busway/events/{id}."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from busway.engine import Ended
from busway.errors import EventNotFound, InvalidPattern, NoEventYet
from busway.inspect.consumers import Passed, consumers
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.inspect.work import edited_in, find_item, progress, redriven, shown
from busway.pattern import Pattern, closest, edits, explain, parse
from busway.redrive import DeadLetter, Selection
from busway.targets.identity import delivery_uuid

# Ours: how many rules that did not match are explained.
CLOSEST_MAX = 5
EXPLAINED_MAX = 100


async def why(server: Inspection, request: Request) -> Answer:
    """The event, and for each rule in force where it lies whether it matched and what became of it."""
    event_id = request.path.rsplit("/", 1)[-1]
    return await _told(server, request.scope, event_id, *await located(server, request.scope, event_id))


async def newest(server: Inspection, request: Request) -> Answer:
    """The same of the event that was accepted last, on whichever bus of the caller's."""
    found = await newest_event(server.buses, request.scope)
    if found is None:
        raise NoEventYet
    event_id = identity(found.event)
    return await _told(server, request.scope, event_id, *of_caller(server, request.scope, event_id, found))


async def located(server: Inspection, scope: Scope, event_id: str) -> tuple[Found, Bus]:
    """An event of the caller's and the bus that retains it. Raises `EventNotFound`."""
    return of_caller(server, scope, event_id, await find_event(server.buses, server.publisher, event_id))


def of_caller(server: Inspection, scope: Scope, event_id: str, found: Found | None) -> tuple[Found, Bus]:
    bus = None if found is None else next((b for b in server.buses.all() if b.arn == found.bus_arn), None)
    if found is None or bus is None or not _owns(scope, found.bus_arn):
        raise EventNotFound(event_id, _dropped(server, event_id))
    return found, bus


async def _told(server: Inspection, scope: Scope, event_id: str, found: Found, bus: Bus) -> Answer:
    judged = judge(bus, found)
    rules, patterns, matched = judged.rules, judged.patterns, judged.matched
    deliveries = await deliveries_of(server, scope, found, bus, matched)
    names = {rule.arn: rule.name for rule in rules}
    return Answer(
        {
            "event_id": event_id,
            "bus": bus.name,
            "bus_arn": bus.arn,
            "offset": found.entry.offset,
            "accepted_at": found.entry.at,
            "event": msgspec.Raw(found.event),
            # Those that matched first: none of them is cut off.
            "rules": [
                _verdict(rule, rule in matched, patterns.get(rule.arn), found.event)
                for rule in sorted(rules, key=lambda rule: rule not in matched)[:EXPLAINED_MAX]
            ],
            "deliveries": deliveries,
            "closest": [
                {"rule": names[arn], "rule_arn": arn, "pattern": patterns[arn].text, **told}
                for arn, told in _closest(judged, found.event)
            ],
            "steps": [
                {"sequence": step.sequence, "at": step.at, "kind": step.kind, **step.facts}
                for step in server.trail.recent(event_id=event_id)
            ],
        }
    )


def _closest(judged: Judged, event: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The closest rules by ARN; those that missed by the fewest fields with the edits that would make them match.

    `edits` of the others is None: it is not known whether there are any.
    """
    near = closest(judged.enabled, event, CLOSEST_MAX)
    for arn, explanation in near:
        fewest = explanation.missed == near[0][1].missed
        mended = [edit.as_dict() for edit in edits(judged.patterns[arn], event)] if fewest else None
        yield arn, {**explanation.as_dict(), "edits": mended}


@dataclass(frozen=True, slots=True)
class Judged:
    """The rules in force where an event lies, those that match it, and by ARN the patterns that can be read."""

    rules: list[Rule]
    patterns: dict[str, Pattern]
    matched: list[Rule]

    @property
    def enabled(self) -> dict[str, Pattern]:
        return {
            rule.arn: self.patterns[rule.arn] for rule in self.rules if rule.enabled and rule.arn in self.patterns
        }


def judge(bus: Bus, found: Found) -> Judged:
    rules = rules_at(bus, found.entry.offset)
    patterns = {rule.arn: pattern for rule in rules if (pattern := _pattern(rule)) is not None}
    matched = [rule for rule in rules if rule.enabled and _matches(patterns.get(rule.arn), found.event)]
    return Judged(rules, patterns, matched)


async def deliveries_of(
    server: Inspection, scope: Scope, found: Found, bus: Bus, matched: Sequence[Rule]
) -> list[dict[str, Any]]:
    """What became of the event for each subscriber of the rules that match it."""
    event_id = identity(found.event)
    ids = {event_id, *(_request_id(event_id, subscriber) for rule in matched for subscriber in rule.subscribers)}
    letters = await server.redrive.look(scope, Selection(ids=ids))
    return [
        await _delivery(server, bus, found, event_id, rule, subscriber, letters)
        for rule in matched
        for subscriber in rule.subscribers
    ]


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
    request_id = _request_id(event_id, subscriber)
    told: dict[str, Any] = {
        "rule": rule.name,
        "target_id": subscriber.target_id,
        "target": subscriber.target_arn,
        "request_id": request_id,
        "attempts": 0,
        **await _state(server, bus, found.entry.offset, subscriber),
    }
    letter = next((one for one in letters if _is_of(one, rule, subscriber, event_id)), None)
    if letter is not None and letter.source is not None:
        source = letter.source
        told |= {"state": "dead-lettered", "dead_letter_queue": letter.queue_arn, "message_id": letter.message_id}
        told |= {"attempts": source.attempts, "at": source.failed_at}
        told |= {"error_code": source.error_code, "error_message": source.error_message}
    lines = await server.logs.of_request(request_id)
    edited = edited_in(lines) or (letter.source.edited if letter is not None and letter.source else "")
    told |= {"edited": edited} if edited else {}
    if letter is None and told["state"] == "dead-lettered":
        told |= await redriven(server, subscriber.target_arn, request_id, told["at"], lines)
    if told["state"] == "delivered" or (letter is not None and ":sqs:" in subscriber.target_arn):
        told["consumers"] = await consumers(server, Passed(event_id, found, subscriber, told.get("at"), letters))
    return {**told, "logs": shown(lines)}


def _request_id(event_id: str, subscriber: Subscriber) -> str:
    """The id of a delivery: of the invocation, or of the message, that it becomes."""
    return delivery_uuid(
        Delivery(event_id=event_id, target_arn="", payload=b"", accepted_at=0.0, subscriber=subscriber.name)
    )


def _is_of(letter: DeadLetter, rule: Rule, subscriber: Subscriber, event_id: str) -> bool:
    source = letter.source
    if source is not None and source.kind == "queue" and source.target_arn == subscriber.target_arn:
        return letter.message_id == _request_id(event_id, subscriber) or letter.event_id == event_id
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
    item = await find_item(
        server,
        subscriber.target_arn,
        lambda item: item.origin and (item.origin.subscriber, item.origin.offset) == origin,
    )
    return {"state": "pending", **(progress(item) if item is not None else {})}


async def _ended(server: Inspection, subscriber: Subscriber, offset: int) -> Ended | None:
    found = await server.engine.queues.outcomes(subscriber.name, offset - 1, 1)
    return found[0] if found and found[0].offset == offset else None
