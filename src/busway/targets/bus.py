"""Another event bus of this server as a target: the event is appended to its journal.

The event stays what it is: id, time, account, region, source, detail. A bus in another Region gives it a new id and
time, as on AWS. An event that came from another bus is passed on only if that hop was of the other kind.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from busway.arn import parse_arn
from busway.bus.envelope import Envelope, Notes, time_text
from busway.clock import Clock, Entropy, uuids
from busway.delivery import Delivered, Delivery, Failed, Outcome
from busway.engine import Put
from busway.errors import StorageFull
from busway.tracing import of_event

# Hops are by kind: to another bus within the Region, or to another Region. Two of one kind are refused.
WITHIN, ACROSS = "account", "region"
HOP_CODES = {WITHIN: "THIRD_ACCOUNT_HOP_DETECTED", ACROSS: "THIRD_REGION_HOP_DETECTED"}
HOP_MESSAGE = "Events received from another event bus cannot be forwarded to this event bus."


class Forwarding(Protocol):
    """The part of the bus room that this needs."""

    async def forward(self, arn: str, event: bytes, notes: Notes) -> bool:
        """Append; False where there is no such bus."""
        ...


class BusTarget:
    """Passes the event on to another bus."""

    def __init__(self, buses: Forwarding, clock: Clock, entropy: Entropy) -> None:
        self._buses, self._clock, self._entropy = buses, clock, entropy

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        """Only a hop that isn't allowed is final here; an append is no queued work."""
        hop = hop_of(delivery)
        return Failed(HOP_CODES[hop], HOP_MESSAGE, False) if hop in delivery.hops else None

    async def attempt(self, delivery: Delivery) -> Outcome:
        hop, trace = hop_of(delivery), delivery.trace_header
        if hop == ACROSS:
            # There it has another id, and would begin another trace.
            trace = of_event(delivery.event_id, trace)
        notes = Notes(trace, (*delivery.hops, hop))
        event = delivery.payload if hop == WITHIN else self._renewed(delivery.payload)
        try:
            found = await self._buses.forward(delivery.target_arn, event, notes)
        except StorageFull as error:
            return Failed("INTERNAL_ERROR", str(error), True)
        # AWS swallows an event for a bus that is missing; the metrics of the bus room count it.
        return Delivered() if found else Delivered("dropped")

    def _renewed(self, event: bytes) -> bytes:
        envelope = msgspec.json.decode(event, type=Envelope)
        fresh = msgspec.structs.replace(envelope, id=uuids(self._entropy, 1)[0], time=time_text(self._clock.now()))
        return msgspec.json.encode(fresh)


def hop_of(delivery: Delivery) -> str:
    """The kind of the hop from the bus of the rule to the target."""
    here, there = parse_arn(delivery.bus_arn), parse_arn(delivery.target_arn)
    return WITHIN if here is None or there is None or here.region == there.region else ACROSS
