"""Dead letters as messages: to the queue that was named, else to the bus's own undeliverable queue."""

from __future__ import annotations

from busway.arn import DEFAULT_BUS, Scope, parse_arn
from busway.delivery.dead_letter import Attributes, Source
from busway.engine import Put
from busway.metrics import Metrics
from busway.queue.queues import SqsQueues


class QueueDeadLetters:
    """The `DeadLetters` port of `delivery`, on SQS-shaped queues.

    AWS drops what has no dead-letter queue, or one that is gone. Ours keeps it in `busway-undeliverable-<bus>`, with
    the same body and attributes; a queue that was named and is gone is counted as AWS counts it.
    """

    def __init__(self, queues: SqsQueues, metrics: Metrics) -> None:
        self._queues = queues
        self._metrics = metrics

    def put(
        self,
        queue_arn: str | None,
        bus_arn: str | None,
        scope: Scope,
        body: bytes,
        attributes: Attributes,
        source: Source,
        now: float,
    ) -> Put:
        """The put of one dead letter; for one with neither queue nor bus, the default bus of `scope` keeps it."""
        arn = self._destination(queue_arn, bus_arn, scope, source)
        self._queues.tell(arn)
        return self._queues.message_put(
            arn, body, now=now, attributes=attributes, source=source, trace_header=source.trace_header
        )

    def _destination(self, queue_arn: str | None, bus_arn: str | None, scope: Scope, source: Source) -> str:
        if queue_arn is not None:
            queue = self._queues.get(queue_arn)
            # Neither rules nor functions can have FIFO queues for dead letters: those have no group.
            if queue is not None and not queue.fifo:
                return queue_arn
            self._note_missing(source)
        bus = parse_arn(bus_arn) if bus_arn else None
        name = bus.resource.removeprefix("event-bus/") if bus else DEFAULT_BUS
        return self._queues.undeliverable(name, bus.scope if bus else scope).arn

    def _note_missing(self, source: Source) -> None:
        if source.kind == "function":
            name = (parse_arn(source.function_arn) or source.function_arn) if source.function_arn else ""
            function = name if isinstance(name, str) else name.name
            self._metrics.count("AWS/Lambda", "DeadLetterErrors", of=source.function_arn, FunctionName=function)
        elif ":events:" in source.rule_arn:
            rule = source.rule_arn.rsplit("/", 1)[-1]
            self._metrics.count("AWS/Events", "InvocationsFailedToBeSentToDlq", of=source.rule_arn, RuleName=rule)
