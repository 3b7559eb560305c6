"""The one put that a delivery becomes: what its target finishes here, a row in the outbox, or a dead letter."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from busway.clock import Clock
from busway.delivery import Delivery, Failed, Targets
from busway.delivery.dead_letter import DeadLetters, Verdict, bury
from busway.delivery.outbox import Outbox
from busway.engine import Put


@dataclass(frozen=True, slots=True)
class Handed:
    """`put` is all there is to do. `verdict` says why it is a dead letter; `sent_on`: the outbox ends it later."""

    put: Put
    verdict: Verdict | None = None
    sent_on: bool = False


class HandOver:
    """For rooms whose deliveries come one by one. The router has its own way, which counts by rule."""

    def __init__(self, targets: Targets, outbox: Outbox, dead_letters: DeadLetters, clock: Clock) -> None:
        self._targets, self._outbox, self._dead_letters, self._clock = targets, outbox, dead_letters, clock

    def put_for(self, delivery: Delivery) -> Put:
        """The put alone, for now."""
        return self(delivery, self._clock.now()).put

    def __call__(self, delivery: Delivery, now: float, failed: Failed | None = None) -> Handed:
        """`failed` says that it need not be tried. The put carries the delivery's origin.

        One that is secret is the outbox's in any case, which drops what it gives up.
        """
        work = failed or self._local(delivery, now)
        if work is None or (delivery.secret and isinstance(work, Failed)):
            return Handed(self._outbox.put_for(delivery, now), sent_on=True)
        if isinstance(work, Put):
            return Handed(work)
        verdict = Verdict(work)
        letter = bury(self._dead_letters, delivery, verdict, now)
        return Handed(replace(letter, origin=delivery.origin), verdict)

    def _local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        target = self._targets.get(delivery.target_kind)
        if target is None:
            return Failed("NO_RESOURCE", f"Busway delivers to nothing like {delivery.target_arn}", False)
        return target.local(delivery, now)
