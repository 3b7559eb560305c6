"""A Lambda function of this server as a target: the delivery is one asynchronous invocation, put by the router."""

from __future__ import annotations

from typing import Protocol

from busway.delivery import Delivery, Failed, Outcome
from busway.engine import Origin, Put
from busway.errors import FunctionNotFound
from busway.targets.identity import delivery_uuid


class Invocations(Protocol):
    """The part of the function room that this needs."""

    def invocation_put(
        self,
        function_arn: str,
        payload: bytes,
        *,
        request_id: str,
        now: float,
        event_id: str | None = None,
        bus_arn: str | None = None,
        rule_arn: str | None = None,
        trace_header: str | None = None,
        origin: Origin | None = None,
        reports: bool = False,
        again: bool = False,
        letters_to: str = "",
        mapping: str = "",
        anew: bool = False,
        edited: str = "",
    ) -> Put: ...


class FunctionTarget:
    """Delivers the payload as the event of an asynchronous invocation; its retries are the function's."""

    def __init__(self, functions: Invocations) -> None:
        self._functions = functions

    def local(self, delivery: Delivery, now: float) -> Put | Failed | None:
        try:
            return self._functions.invocation_put(
                delivery.target_arn,
                delivery.payload,
                request_id=delivery_uuid(delivery),
                now=now,
                event_id=delivery.event_id,
                bus_arn=delivery.bus_arn,
                rule_arn=delivery.rule_arn,
                trace_header=delivery.trace_header,
                origin=delivery.origin,
            )
        except FunctionNotFound as error:
            return Failed("NO_RESOURCE", str(error), False)

    async def attempt(self, delivery: Delivery) -> Outcome:
        """Never needed: `local` finishes every delivery. Asked all the same, it says so."""
        return Failed("INTERNAL_ERROR", f"{delivery.target_arn} is delivered to by the router", False)
