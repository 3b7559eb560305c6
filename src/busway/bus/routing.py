"""From a batch of journal entries to the work that it asks for. Acts on nothing: the router puts and advances.

For every event and every subscriber of a rule that matches it: the payload, the delivery, and what its target makes
of it (a put that finishes it here, a dead letter, or a row in the outbox). What goes wrong with one subscriber's
share of one event becomes that subscriber's dead letter and stops nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from busway.arn import Arn, parse_arn
from busway.bus.buses import Bus
from busway.bus.envelope import event_id, summary
from busway.bus.matching import MatchingRules, Step, walk
from busway.bus.record import Rule, RuleChange
from busway.delivery import Delivery, Failed, Subscriber, Target, Targets
from busway.delivery.dead_letter import DeadLetters, Verdict, bury
from busway.delivery.outbox import Outbox
from busway.delivery.parameters import parameters_of
from busway.delivery.transform import Transform, compile_input, partition_key_of
from busway.engine import Entry, Origin, Put
from busway.errors import UnsendablePayload

log = logging.getLogger(__name__)

NO_ARN = Arn("", "", "", "")
# What a matched event became for one subscriber.
QUEUED, SENT_ON, DEAD = "queued", "sent on", "dead"
# Ours: events above this are matched in a thread, so that the server answers meanwhile. Arrays of objects take some
# 30 us a KB and rule.
LONG_BYTES = 16_384
# Ours: a batch ends after the entry that goes beyond one of these. What is made and written at once must fit into
# memory, or the server would die on it at each start again; an event of 1 MB for 1,500 subscribers is 1.5 GB of work.
BATCH_BYTES = 16 << 20
BATCH_PUTS = 2_000


@dataclass(frozen=True, slots=True)
class Lane:
    """A subscriber with its payload compiled, and who delivers to its kind of target, if anyone."""

    subscriber: Subscriber
    transform: Transform
    target: Target | None
    partition_key: Callable[[bytes], str | None]
    parameters: Callable[[bytes], dict[str, Any]]


class Share(msgspec.Struct, frozen=True, gc=False):
    """One subscriber's share of one event, for counting and telling."""

    became: str
    delivery: Delivery
    put: Put
    verdict: Verdict | None = None


@dataclass(slots=True)
class Batch:
    """What `entries` entries ask for, the last of them at `upto`.

    `size` are the bytes of the entries and of their puts. `puts` are in the order of offsets; `changes` are rule
    changes met on the way. `matched` counts events by rule ARN, `invoked` what finishes here by subscriber. `shares`
    holds the dead letters, and everything when somebody listens (`matches` are then the facts of each match).
    """

    upto: int
    entries: int = 0
    size: int = 0
    puts: list[Put] = field(default_factory=list[Put])
    changes: list[tuple[int, RuleChange]] = field(default_factory=list[tuple[int, RuleChange]])
    matched: Counter[str] = field(default_factory=Counter[str])
    invoked: Counter[str] = field(default_factory=Counter[str])
    shares: list[Share] = field(default_factory=list[Share])
    matches: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


@dataclass(frozen=True, slots=True)
class Ports:
    """Where deliveries go."""

    targets: Targets
    outbox: Outbox
    dead_letters: DeadLetters


class Routing:
    """The rules of one bus at one place of its journal, and what they make of the entries after it."""

    def __init__(self, bus: Bus, rules: Sequence[Rule], ports: Ports) -> None:
        self._bus = bus
        self._rules = MatchingRules(rules)
        self._ports = ports
        self._lanes: dict[str, tuple[Rule, list[Lane]]] = {}

    async def batch(self, entries: Sequence[Entry], now: float, listening: bool) -> Batch:
        """The work of the first of these entries, as many as make a batch; the rules have moved on behind `upto`."""
        batch = Batch(entries[0].offset)
        steps = walk(entries, self._rules)
        for entry in entries:
            # What a long event costs is its sender's choice, up to seconds: everything else goes on meanwhile.
            long = len(entry.data) > LONG_BYTES
            step = await asyncio.to_thread(next, steps) if long else next(steps)
            batch.upto, batch.entries = entry.offset, batch.entries + 1
            if step.change is not None:
                batch.changes.append((entry.offset, step.change))
            elif step.rules:
                self._event(batch, step, now, listening)
            batch.size += len(entry.data)
            if batch.size > BATCH_BYTES or len(batch.puts) > BATCH_PUTS:
                break
        return batch

    def _event(self, batch: Batch, step: Step, now: float, listening: bool) -> None:
        if listening:
            told = {**summary(step.event), "bus": self._bus.name}
            batch.matches.extend({**told, "rule": rule.name} for rule in step.rules)
        identity = event_id(step.event)
        for rule in step.rules:
            batch.matched[rule.arn] += 1
            error = step.errors.get(rule.arn)
            for lane in self._lanes_of(rule):
                share = self._share(step, identity, lane, error, now)
                batch.puts.append(share.put)
                batch.size += len(share.put.body) + len(share.put.meta)
                if share.became == QUEUED:
                    batch.invoked[rule.arn] += 1
                if listening or share.became == DEAD:
                    batch.shares.append(share)

    def _lanes_of(self, rule: Rule) -> list[Lane]:
        """The rule's subscribers with their payloads compiled, as long as the rule is the same."""
        known = self._lanes.get(rule.arn)
        if known is None or known[0] is not rule:
            known = self._lanes[rule.arn] = (rule, [self._lane(subscriber) for subscriber in rule.subscribers])
        return known[1]

    def _lane(self, subscriber: Subscriber) -> Lane:
        service = (parse_arn(subscriber.target_arn) or NO_ARN).service
        return Lane(
            subscriber, compile_input(subscriber), self._ports.targets.get(service), partition_key_of(subscriber),
            parameters_of(subscriber.parameters),
        )  # fmt: skip

    def _share(self, step: Step, identity: str, lane: Lane, error: Exception | None, now: float) -> Share:
        """One subscriber's share, whatever goes wrong with it."""
        entry, to = step.entry, lane.subscriber
        payload, partition_key, failed = step.event, None, None
        parameters: dict[str, Any] = {}
        try:
            if error is not None:
                raise error
            partition_key = lane.partition_key(step.event)
            parameters = lane.parameters(step.event)
            payload = lane.transform(step.event, entry.at)
        except UnsendablePayload as unsendable:
            payload, failed = unsendable.body, Failed("INVALID_JSON", str(unsendable), False)
        except Exception as fault:
            log.exception("event %s for %s: a fault of ours", identity, to.name, extra={"event_id": identity})
            failed = _fault(fault)
        delivery = Delivery(
            event_id=identity,
            target_arn=to.target_arn,
            payload=payload,
            accepted_at=entry.at,
            bus_arn=self._bus.arn,
            subscriber=to.name,
            rule_arn=to.rule_arn,
            target_id=to.target_id,
            retry=to.retry,
            dead_letter_arn=to.dead_letter_arn,
            message_group_id=to.message_group_id,
            partition_key=partition_key,
            parameters=parameters,
            trace_header=step.notes.trace_header,
            hops=step.notes.hops,
            origin=Origin(to.name, entry.offset),
        )
        return self._hand_over(delivery, lane.target, failed, now)

    def _hand_over(self, delivery: Delivery, target: Target | None, failed: Failed | None, now: float) -> Share:
        if failed is None:
            if target is None:
                failed = Failed("NO_RESOURCE", f"Busway delivers to nothing like {delivery.target_arn}", False)
            else:
                try:
                    work = target.local(delivery, now)
                except Exception as fault:
                    facts, subscriber = {"event_id": delivery.event_id}, delivery.subscriber
                    log.exception("event %s for %s: a fault of ours", *facts.values(), subscriber, extra=facts)
                    work = _fault(fault)
                if work is None:
                    return Share(SENT_ON, delivery, self._ports.outbox.put_for(delivery, now))
                if isinstance(work, Put):
                    return Share(QUEUED, delivery, work)
                failed = work
        verdict = Verdict(failed)
        # The origin makes the letter itself idempotent, and the event accounted for.
        letter = replace(bury(self._ports.dead_letters, delivery, verdict, now), origin=delivery.origin)
        return Share(DEAD, delivery, letter, verdict)


def _fault(fault: Exception) -> Failed:
    """What a fault of ours with one share of one event ends as: a dead letter, for it must not stop the bus."""
    return Failed("INTERNAL_ERROR", f"{type(fault).__name__}: {fault}", False)
