"""How a dead letter gets back to exactly the handler that failed, by the kind of its source."""

from __future__ import annotations

from busway.clock import Entropy, uuids
from busway.delivery import Delivery, Failed, Targets
from busway.delivery.dead_letter import Source
from busway.delivery.outbox import Outbox
from busway.engine import Put
from busway.errors import TargetRefused
from busway.function.lineage import without
from busway.targets.function import Invocations


class WaysBack:
    """The work that gives a handler its payload again; the caller puts it, then ends the dead letter."""

    def __init__(self, targets: Targets, outbox: Outbox, functions: Invocations, entropy: Entropy) -> None:
        self._targets, self._outbox, self._functions, self._entropy = targets, outbox, functions, entropy

    def to_function(self, source: Source, now: float) -> Put:
        """A new asynchronous invocation of the function that failed. Raises `FunctionNotFound`."""
        return self._functions.invocation_put(
            source.function_arn,
            source.payload,
            request_id=source.request_id or uuids(self._entropy, 1)[0],
            now=now,
            event_id=source.event_id or None,
            bus_arn=source.bus_arn or None,
            rule_arn=source.rule_arn or None,
            trace_header=_anew(source),
        )

    def to_target(self, source: Source, now: float) -> Put:
        """A new delivery to the target that failed, with a fresh age. Raises `TargetRefused`."""
        delivery = Delivery(
            event_id=source.event_id,
            target_arn=source.target_arn,
            payload=source.payload,
            accepted_at=now,
            bus_arn=source.bus_arn,
            rule_arn=source.rule_arn,
            target_id=source.target_id,
            message_group_id=source.message_group_id,
            trace_header=_anew(source),
        )
        target = self._targets.get(delivery.target_kind)
        if target is None:
            raise TargetRefused(delivery.target_arn, "this server has no such kind of target")
        work = target.local(delivery, now)
        if isinstance(work, Failed):
            raise TargetRefused(delivery.target_arn, work.message)
        return self._outbox.put_for(delivery) if work is None else work


def _anew(source: Source) -> str | None:
    """The trace goes on; how often the event went in circles before somebody sent it on purpose does not count."""
    return None if source.trace_header is None else without(source.trace_header)
