"""Steps of the trail as spans: when an event was accepted, what matched it, each attempt, its dead letter. Pure.

    accept  <-  match (one a rule)  <-  attempt  <-  the accept of whatever the attempt published
                                                 <-  dead letter

A span's id is made of what it is about, so that a parent need not be remembered: the attempt of a function has the id
that its handler got as `Parent` of the trace header, and what it publishes says it again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from busway.tracing import begun_by, parent, span_id, trace_id
from busway.trail import Step

# Ours: events whose trace came with them, and attempts under way, that are remembered. Of an older event the spans
# are in the trace that it would have begun; of an older attempt there is none.
TRACES_MAX, OPEN_MAX = 20_000, 20_000

PRODUCER, INTERNAL, CONSUMER = "producer", "internal", "consumer"
_ENDS = ("delivered", "dropped", "retried", "dead-lettered", "repeated")


@dataclass(frozen=True, slots=True)
class Span:
    """Ids are hexadecimal digits, "" for no parent; times Unix seconds. `error` is "" for what went well."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    start: float
    end: float
    attributes: Mapping[str, str | int] = field(default_factory=dict[str, "str | int"])
    error: str = ""


class Spans:
    """Remembers what has begun until it ends."""

    def __init__(self) -> None:
        # Of events: the trace header that came with them, and when that was.
        self._accepted: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._open: OrderedDict[str, Step] = OrderedDict()

    def of(self, step: Step) -> Iterator[Span]:
        """The spans that a step ends."""
        facts = step.facts
        event_id = str(facts.get("event_id") or next(iter(facts.get("event_ids") or ()), ""))
        if not event_id:
            return
        if step.kind == "accepted":
            yield self._accept(step, event_id)
        elif step.kind == "matched":
            yield self._match(step, event_id)
        elif step.kind == "attempt" and "error_code" not in facts:
            _remember(self._open, _attempt_id(facts, event_id), step, OPEN_MAX)
        elif step.kind == "attempt" or step.kind in _ENDS:
            yield from self._ended(step, event_id)

    def _accept(self, step: Step, event_id: str) -> Span:
        facts = step.facts
        header = str(facts.get("trace_header") or "")
        _remember(self._accepted, event_id, (header, step.at), TRACES_MAX)
        about = _about(
            event_id, bus=facts.get("bus"), detail_type=facts.get("detail_type"), source=facts.get("source")
        )
        return Span(
            f"accept {facts.get('detail_type')}", PRODUCER, self._trace(event_id), _id("accept", event_id),
            parent(header), step.at, step.at, about,
        )  # fmt: skip

    def _match(self, step: Step, event_id: str) -> Span:
        rule = _short(step.facts.get("rule"))
        _, accepted_at = self._accepted.get(event_id, ("", step.at))
        return Span(
            f"match {rule}", INTERNAL, self._trace(event_id), _id("match", event_id, rule), _id("accept", event_id),
            min(accepted_at, step.at), step.at, _about(event_id, bus=step.facts.get("bus"), rule=rule),
        )  # fmt: skip

    def _ended(self, step: Step, event_id: str) -> Iterator[Span]:
        facts, identity = step.facts, _attempt_id(step.facts, event_id)
        begun = self._open.pop(identity, None)
        target = _short(facts.get("function") or facts.get("target"))
        error = str(facts.get("error_code") or "")
        if begun is not None:
            rule = _short(facts.get("rule"))
            about = _about(
                event_id, rule=rule, target=facts.get("function") or facts.get("target"),
                attempt=facts.get("attempt"), records=facts.get("records"), request_id=facts.get("request_id"),
                error_message=facts.get("error_message"),
            )  # fmt: skip
            cause = _id("match", event_id, rule) if rule else _id("accept", event_id)
            yield Span(
                f"attempt {target}", CONSUMER, self._trace(event_id), identity, cause, begun.at, step.at, about, error
            )
        if step.kind == "dead-lettered":
            about = _about(event_id, queue=facts.get("queue"), error_message=facts.get("error_message"))
            yield Span(
                f"dead letter of {target}", PRODUCER, self._trace(event_id), _id("dead", identity, step.at), identity,
                step.at, step.at, about, error or "dead-lettered",
            )  # fmt: skip

    def _trace(self, event_id: str) -> str:
        header, _ = self._accepted.get(event_id, ("", 0.0))
        return trace_id(header) or trace_id(begun_by(event_id))


def _attempt_id(facts: Mapping[str, Any], event_id: str) -> str:
    """Of a function's attempt what its handler got; a batch is an invocation of its own, and its first attempt."""
    if facts.get("request_id"):
        return span_id(str(facts["request_id"]), 1 if "records" in facts else int(facts.get("attempt") or 1))
    return _id("attempt", event_id, facts.get("target"), facts.get("attempt"))


def _id(*parts: object) -> str:
    return hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=8).hexdigest()


def _about(event_id: str, **facts: object) -> dict[str, str | int]:
    told = {"event_id": event_id, **facts}
    return {
        f"busway.{name}": value if isinstance(value, int) else str(value)
        for name, value in told.items()
        if value not in (None, "")
    }


def _short(name: object) -> str:
    """The last part of an ARN."""
    return str(name or "").replace(":", "/").rsplit("/", 1)[-1]


def _remember(kept: OrderedDict[str, Any], key: str, value: object, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
