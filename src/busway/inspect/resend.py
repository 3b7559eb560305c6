"""An event that a bus retains, once more to one handler and to no other: POST /_busway/resend."""

from __future__ import annotations

import msgspec

from busway.bus.history import Found
from busway.bus.rules import rules_at
from busway.delivery import Delivery, Subscriber
from busway.delivery.parameters import parameters_of
from busway.delivery.transform import compile_input
from busway.errors import NotATarget
from busway.function.invocation.lineage import without
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection
from busway.inspect.why import located
from busway.redrive import named


class ResendOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which event (its id), and which target of a rule of its bus (its name or ARN)."""

    event: str
    handler: str


async def resend(server: Inspection, request: Request) -> Answer:
    """Give it to the handler as the rule in force now would, whether or not that rule matches the event.

    Raises `EventNotFound`, `NotATarget`, and what the target says against it.
    """
    order = request.read(ResendOrder)
    found, bus = await located(server, request.scope, order.event)
    rules = rules_at(bus, await server.engine.journal.head(bus.arn))
    targets = [subscriber for rule in rules for subscriber in rule.subscribers]
    to = next((each for each in targets if named(each.target_arn, order.handler)), None)
    if to is None:
        raise NotATarget(order.handler, bus.name, sorted({each.target_arn.rpartition(":")[2] for each in targets}))
    now = server.clock.now()
    delivery = _delivery(to, found, order.event, now)
    await server.engine.queues.put(server.anew(delivery, now), accepted=True)
    server.trail.note("resent", event_id=order.event, bus=bus.arn, rule=to.rule_arn, target=to.target_arn)
    return Answer({"event_id": order.event, "target": to.target_arn, "rule_arn": to.rule_arn})


def _delivery(to: Subscriber, found: Found, event_id: str, now: float) -> Delivery:
    """Its age begins anew; it has no origin, as the journal asked for it once only."""
    trace_header = found.notes.trace_header
    return Delivery(
        event_id=event_id,
        target_arn=to.target_arn,
        payload=compile_input(to)(found.event, found.entry.at),
        accepted_at=now,
        bus_arn=found.bus_arn,
        rule_arn=to.rule_arn,
        target_id=to.target_id,
        retry=to.retry,
        dead_letter_arn=to.dead_letter_arn,
        message_group_id=to.message_group_id,
        parameters=parameters_of(to.parameters)(found.event),
        trace_header=None if trace_header is None else without(trace_header),
    )
