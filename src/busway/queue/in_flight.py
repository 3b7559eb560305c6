"""How many messages a queue may have in flight: received, and neither deleted nor visible again."""

from __future__ import annotations

from busway.engine import Engine

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html (both kinds of queue)
IN_FLIGHT_MAX = 120_000


class InFlight:
    """Counts what is handed out and asks the engine only when the sum comes near the limit: a count takes time.

    What it knows of a queue is never less than what is in flight there.
    """

    def __init__(self, engine: Engine, most: int = IN_FLIGHT_MAX) -> None:
        self._engine = engine
        self._most = most
        self._at_most: dict[str, int] = {}

    async def room(self, arn: str, wanted: int) -> int:
        """How many messages may be received now, at most `wanted`; 0 at the limit."""
        known = self._at_most.get(arn)
        if known is None or known + wanted > self._most:
            known = self._at_most[arn] = (await self._engine.queues.counts(arn)).leased
        return max(0, min(wanted, self._most - known))

    def took(self, arn: str, count: int) -> None:
        self._at_most[arn] = self._at_most.get(arn, 0) + count

    def forget(self, arn: str) -> None:
        self._at_most.pop(arn, None)
