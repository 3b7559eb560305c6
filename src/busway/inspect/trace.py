"""One trace as a tree: /_busway/traces/{id of an event, or of a trace}.

    event  ->  what matched it  ->  attempts, from their logs     ->  the events that each attempt published  ->  …
                                ->  dead letter  ->  alarm  ->  alert

What a handler sends carries the attempt that sent it as the `Parent` of its trace header (`tracing.span_id`), and the
journal keeps it: nothing is written for this. `bus/traced.py` says how far the journals are looked through, and so
does the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from busway.alarm.record import AlarmRecord
from busway.alarm.state import ALARM
from busway.arn import Scope
from busway.bus.envelope import event_id as identity, summary
from busway.bus.history import Found, newest_event
from busway.bus.traced import AHEAD_MAX, Seen, Window, around, newest, seen_of
from busway.errors import NoEventYet, TraceNotFound
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.inspect.runs import runs_of
from busway.inspect.why import deliveries_of, judge, located, of_caller
from busway.inspect.work import shown
from busway.pattern import closest
from busway.tracing import read_id, root
from busway.trail import Step

# Ours: how many events are told of, how deep, and how many batches of each mapping.
EVENTS_MAX, DEPTH_MAX, BATCHES_MAX = 50, 16, 3
# Ours: a clock that was set may have what was published before the attempt that published it.
EARLIER_S = 1.0
# The last attempt of such a delivery went well.
_HANDLED = frozenset(("delivered", "repeated"))


async def trace(server: Inspection, request: Request) -> Answer:
    """The trace of an event, or the one of this id. Raises `EventNotFound`, `TraceNotFound`."""
    asked = request.path.rsplit("/", 1)[-1]
    trace_id = read_id(asked)
    if not trace_id:
        found, _ = await located(server, request.scope, asked)
        return await _told(server, request.scope, found, asked)
    seen, looked_at = await newest(server.buses, request.scope, trace_id)
    found = None if seen is None else await _entry(server, seen)
    if found is None:
        raise TraceNotFound(trace_id, looked_at, AHEAD_MAX)
    return await _told(server, request.scope, found, "")


async def of_newest(server: Inspection, request: Request) -> Answer:
    """The trace of the event that was accepted last."""
    found = await newest_event(server.buses, request.scope)
    if found is None:
        raise NoEventYet
    return await _told(server, request.scope, found, identity(found.event))


async def _told(server: Inspection, scope: Scope, found: Found, asked: str) -> Answer:
    window = await around(server.buses, scope, found)
    tree, order = _Tree(server, scope, window), window.of_trace
    if len(order) > EVENTS_MAX:
        # Not all are told of: what was asked for is, with what came of it.
        order = [seen_of(found.bus_arn, found.entry), *order]
    events = [node for seen in order if (node := await tree.event(seen, 0)) is not None]
    return Answer(
        {
            "asked": asked,
            "trace_id": window.trace_id,
            "root": root(window.trace_id),
            "events": events,
            "told": len(tree.placed),
            "left_out": sum(seen not in tree.placed for seen in window.of_trace),
            "looked_at": window.looked_at,
            "since": window.since,
            "until": window.until,
        }
    )


class _Tree:
    """Tells of each event once: where it was published, or else at the top."""

    def __init__(self, server: Inspection, scope: Scope, window: Window) -> None:
        self._server, self._scope, self._window = server, scope, window
        self.placed: set[Seen] = set()

    async def event(self, seen: Seen, depth: int) -> dict[str, Any] | None:
        """None for one that was told of, or that is one too many."""
        if seen in self.placed or len(self.placed) >= EVENTS_MAX or depth >= DEPTH_MAX:
            return None
        found = await _entry(self._server, seen)
        if found is None:
            return None
        self.placed.add(seen)
        _, bus = of_caller(self._server, self._scope, seen.event_id, found)
        judged = judge(bus, found)
        deliveries = await deliveries_of(self._server, self._scope, found, bus, judged.matched)
        about = summary(found.event)
        near = [] if judged.matched else closest(judged.enabled, found.event, 1)
        names = {rule.arn: rule.name for rule in judged.rules}
        return {
            **about,
            "bus": bus.name,
            "accepted_at": seen.at,
            "parent": seen.parent,
            "matched": [rule.name for rule in judged.matched],
            "closest": [{"rule": names[arn], "missed": told.as_dict().get("missed")} for arn, told in near],
            "deliveries": [await self._delivery(told, seen, depth) for told in deliveries],
        }

    async def _delivery(self, told: Mapping[str, Any], seen: Seen, depth: int) -> dict[str, Any]:
        after = told.get("redriven", {})
        attempts = runs_of(
            told["request_id"], told["logs"], delivered=not _HANDLED.isdisjoint((told["state"], after.get("state"))),
            running=bool(told.get("running") or after.get("running")),
        )  # fmt: skip
        passed_on = self._window.passed_on(told["target"], seen.event_id)
        node = None if passed_on is None else await self.event(passed_on, depth + 1)
        return {
            **{name: value for name, value in told.items() if name not in ("logs", "consumers")},
            "attempts_seen": [await self._attempt(one, later, depth) for one, later in _with_later(attempts)]
            or self._retries(seen.event_id, told["target"]),
            "consumers": [await self._consumer(consumer, depth) for consumer in told.get("consumers", [])],
            "passed_on": node,
            "alarms": self._alarms(told),
        }

    async def _attempt(self, attempt: dict[str, Any], later: float, depth: int) -> dict[str, Any]:
        """With what it published, as far as that came before a `later` attempt under the same number."""
        sent = self._window.by_parent.get(attempt["span"], [])
        own = [seen for seen in sent if attempt["began_at"] - EARLIER_S <= seen.at < later]
        published = [node for seen in own if (node := await self.event(seen, depth + 1)) is not None]
        return {**attempt, "published": published}

    def _retries(self, event_id: str, target: str) -> list[dict[str, Any]]:
        """Failed attempts at what has no log, as far as the trail remembers them."""
        steps = self._server.trail.recent(kind="retried", event_id=event_id)
        return [
            {
                "attempt": step.facts.get("attempt"), "ended_at": step.at, "outcome": "failed",
                "error_code": step.facts.get("error_code"), "error_message": step.facts.get("error_message"),
            }
            for step in steps
            if step.facts.get("target") == target
        ]  # fmt: skip

    async def _consumer(self, consumer: Mapping[str, Any], depth: int) -> dict[str, Any]:
        """What a mapping made of it, by its newest batches: each is an invocation of its own."""
        told = {name: value for name, value in consumer.items() if name not in ("logs", "batches")}
        told["batches_left_out"] = max(0, len(consumer["batches"]) - BATCHES_MAX)
        told["attempts_seen"] = attempts = list[dict[str, Any]]()
        for batch in consumer["batches"][-BATCHES_MAX:]:
            about = {"records": batch["records"], "batch": batch["outcome"], "ended_at": batch["at"]}
            request_id, delivered = str(batch["request_id"] or ""), batch["outcome"] == "delivered"
            lines = shown(await self._server.logs.of_request(request_id)) if request_id else []
            runs = runs_of(request_id, lines, delivered=delivered, running=False)
            for one, later in _with_later(runs):
                attempts.append({**await self._attempt(one, later, depth), **about, "attempt": batch["attempt"]})
            if not runs:
                attempts.append({**about, "attempt": batch["attempt"], "outcome": "ok" if delivered else "failed"})
        told["alarms"] = self._alarms(consumer)
        return told

    def _alarms(self, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The alarms on the queue in which the dead letter lies, and who was told of them since it came."""
        where, came = told.get("dead_letter_queue"), float(told.get("at") or 0.0)
        if not where:
            return []
        return [self._alarm(record, came) for record, queue in self._server.alarms.on_queues() if queue == where]

    def _alarm(self, record: AlarmRecord, came: float) -> dict[str, Any]:
        """`at` is when it went into ALARM for this letter, or for an earlier one when it was there already."""
        fired = [change.at for change in record.history if change.state == ALARM]
        at = next((one for one in fired if one >= came), fired[-1] if fired and record.state == ALARM else None)
        alerts = [
            {"route": step.facts.get("route"), "delivered": step.facts.get("delivered"), "at": step.at}
            | {key: step.facts[key] for key in ("error_code", "error_message") if key in step.facts}
            for step in self._server.trail.recent(kind="alert")
            if at is not None and step.at >= at and _tells_of(step, record)
        ]
        return {"alarm": record.settings.name, "state": record.state, "at": at, "alerts": alerts}


def _tells_of(step: Step, record: AlarmRecord) -> bool:
    """Whether an alert told of this alarm's ALARM, maybe together with others'; its id names account and Region."""
    told = [(step.facts.get("alarm"), step.facts.get("state")), *map(tuple, step.facts.get("alarms", ()))]
    place = f":{record.scope.region}:{record.scope.account}:"
    return (record.settings.name, ALARM) in told and place in str(step.facts.get("event_id"))


def _with_later(attempts: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], float]]:
    """Each with when an attempt under the same number began after it: a redrive counts anew."""
    return [
        (one, next((other["began_at"] for other in attempts[place:] if other["span"] == one["span"]), float("inf")))
        for place, one in enumerate(attempts, 1)
    ]


async def _entry(server: Inspection, seen: Seen) -> Found | None:
    """None for an event that was forgotten meanwhile."""
    entries = await server.engine.journal.read(seen.bus_arn, seen.offset - 1, 1)
    return Found(seen.bus_arn, entries[0]) if entries and entries[0].offset == seen.offset else None
