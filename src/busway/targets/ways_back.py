"""How an event gets to one handler again: a dead letter by the kind of its source, any other as a delivery."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from busway.clock import Entropy, uuids
from busway.delivery import Delivery, Failed, Targets
from busway.delivery.dead_letter import Source
from busway.delivery.outbox import Outbox
from busway.engine import Item, Put
from busway.errors import TargetRefused
from busway.function.invocation.lineage import without
from busway.function.mapping.letters import redriven_id
from busway.function.mapping.redriven import single_records
from busway.queue.moves import moved_put
from busway.queue.queues import SqsQueues
from busway.targets.function import Invocations


class WaysBack:
    """The work that gives a handler its payload again; the caller puts it, then ends the dead letter."""

    def __init__(
        self, targets: Targets, outbox: Outbox, functions: Invocations, queues: SqsQueues, entropy: Entropy
    ) -> None:
        self._targets, self._outbox, self._functions, self._entropy = targets, outbox, functions, entropy
        self._queues = queues

    def by_kind(self) -> Mapping[str, Callable[[Source, Item, float], list[Put]]]:
        return {
            "function": self.to_function,
            "batch": self.to_batch,
            "queue": self.to_queue,
            "rule-target": self.to_target,
        }

    def to_function(self, source: Source, letter: Item, now: float) -> list[Put]:
        """A new asynchronous invocation of the function that failed. Raises `FunctionNotFound`."""
        request_id = source.request_id or uuids(self._entropy, 1)[0]
        return [
            self._functions.invocation_put(
                source.function_arn,
                source.payload,
                request_id=request_id,
                now=now,
                event_id=source.event_id or None,
                bus_arn=source.bus_arn or None,
                rule_arn=source.rule_arn or None,
                trace_header=_anew(source),
                again=True,
                edited=source.edited,
            )
        ]

    def to_batch(self, source: Source, letter: Item, now: float) -> list[Put]:
        """An asynchronous invocation for each record, so that each is tried, and given up, by itself.

        Their order is not kept: what came after them was handled long ago. What fails again goes to the queue where
        the letter lay. Raises `FunctionNotFound`.
        """
        return [
            self._functions.invocation_put(
                source.function_arn,
                again.payload,
                request_id=redriven_id(source.request_id, again.record_event_id),
                now=now,
                event_id=again.event_id or None,
                trace_header=_anew(source),
                reports=True,
                again=True,
                letters_to=letter.queue,
                mapping=source.mapping,
            )
            for again in single_records(source.payload)
        ]

    def to_queue(self, source: Source, letter: Item, now: float) -> list[Put]:
        """The message again in the queue whose consumer failed. Raises `QueueNotFound`."""
        queue = self._queues.need(source.target_arn)
        return [moved_put(queue, letter, uuids(self._entropy, 1)[0], None, now)]

    def to_target(self, source: Source, letter: Item, now: float) -> list[Put]:
        """A new delivery to the target that failed, with a fresh age, under the policy that it had.

        What fails again goes to the queue where the letter lay. Raises `TargetRefused`.
        """
        delivery = Delivery(
            event_id=source.event_id,
            target_arn=source.target_arn,
            payload=source.payload,
            accepted_at=now,
            bus_arn=source.bus_arn,
            rule_arn=source.rule_arn,
            target_id=source.target_id,
            message_group_id=source.message_group_id,
            partition_key=source.partition_key,
            parameters=source.parameters,
            trace_header=_anew(source),
            retry=source.retry,
            dead_letter_arn=letter.queue,
        )
        return self._to_target(delivery, now)

    def anew(self, delivery: Delivery, now: float) -> list[Put]:
        """An event once more, also for who had handled it. Raises `TargetRefused`, `FunctionNotFound`."""
        if delivery.target_kind != "lambda":
            return self._to_target(delivery, now)
        return [
            self._functions.invocation_put(
                delivery.target_arn,
                delivery.payload,
                request_id=uuids(self._entropy, 1)[0],
                now=now,
                event_id=delivery.event_id,
                bus_arn=delivery.bus_arn,
                rule_arn=delivery.rule_arn,
                trace_header=delivery.trace_header,
                anew=True,
            )
        ]

    def _to_target(self, delivery: Delivery, now: float) -> list[Put]:
        target = self._targets.get(delivery.target_kind)
        if target is None:
            raise TargetRefused(delivery.target_arn, "this server has no such kind of target")
        work = target.local(delivery, now)
        if isinstance(work, Failed):
            raise TargetRefused(delivery.target_arn, work.message)
        return [self._outbox.put_for(delivery) if work is None else work]


def _anew(source: Source) -> str | None:
    """The trace goes on; how often the event went in circles before somebody sent it on purpose does not count."""
    return None if source.trace_header is None else without(source.trace_header)
