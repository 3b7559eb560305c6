"""Where the records of asynchronous invocations go: on-success and on-failure destinations of functions.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from busway.arn import parse_arn
from busway.bus.put_events import EventEntry, Publisher
from busway.clock import Entropy, uuids
from busway.delivery.dead_letter import Source
from busway.engine import Engine, Put
from busway.errors import NoSuchDestination, StorageFull
from busway.targets.queue import Messages

RESULT = "Lambda Function Invocation Result - "


class InvocationPut(Protocol):
    """The function room's way to queue an asynchronous invocation."""

    def __call__(
        self, function_arn: str, payload: bytes, *, request_id: str, now: float, trace_header: str | None = None
    ) -> Put: ...


class FunctionDestinations:
    """Sends records to queues, functions and buses of this server. `invocation_put` may be known later."""

    def __init__(
        self,
        engine: Engine,
        entropy: Entropy,
        queues: Messages,
        publisher: Publisher,
        invocation_put: Callable[[], InvocationPut],
    ) -> None:
        self._engine, self._entropy = engine, entropy
        self._queues, self._publisher, self._invocation_put = queues, publisher, invocation_put

    async def send(
        self, destination_arn: str, record: bytes, *, function_arn: str, success: bool, trace_header: str, now: float,
        source: Source | None = None,
    ) -> None:  # fmt: skip
        """Return when it is durable there; `function_arn` has its qualifier. With a `source`, it is a dead letter.

        Raises `NoSuchDestination`, `QueueNotFound`, `FunctionNotFound`.
        """
        arn = parse_arn(destination_arn)
        service = arn.service if arn else ""
        if service == "sqs":
            put = self._queues.message_put(
                destination_arn, record, now=now, trace_header=trace_header or None, source=source
            )
            await self._engine.queues.put([put], accepted=True)
        elif service == "lambda":
            request_id = uuids(self._entropy, 1)[0]
            put = self._invocation_put()(
                destination_arn, record, request_id=request_id, now=now, trace_header=trace_header or None
            )
            await self._engine.queues.put([put], accepted=True)
        elif service == "events" and arn is not None:
            entry = EventEntry(
                source="lambda",
                detail_type=RESULT + ("Success" if success else "Failure"),
                detail=record.decode(),
                resources=[destination_arn, function_arn],
                event_bus_name=destination_arn,
            )
            (result,) = await self._publisher.put_events([entry], arn.scope, trace_header or None)
            if result.error_code:
                raise StorageFull(f"{destination_arn}: {result.error_message}")
        else:
            raise NoSuchDestination(destination_arn, KINDS)


KINDS: Mapping[str, str] = {"sqs": "a queue", "lambda": "a function", "events": "an event bus"}
