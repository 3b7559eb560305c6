"""Receives that are asked again: a client that got no answer gets the same messages for the same attempt id.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

from __future__ import annotations

from dataclasses import dataclass

from busway.clock import Clock
from busway.engine import Engine
from busway.queue.receiving import Received

ATTEMPT_S = 300.0
# Ours: attempts remembered over all queues; with more the oldest is forgotten. None survives a restart, after which
# a client that asks again gets its messages when their visibility timeout runs out.
ATTEMPTS_MAX = 10_000


@dataclass(slots=True)
class _Attempt:
    """`due_at` is when the messages come back; a message with another due time was changed since."""

    received: list[Received]
    until: float
    due_at: float


class Attempts:
    """What was received by queue and attempt id."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._attempts: dict[tuple[str, str], _Attempt] = {}

    def remember(self, arn: str, attempt_id: str, received: list[Received]) -> None:
        now = self._clock.now()
        while self._attempts and (
            len(self._attempts) >= ATTEMPTS_MAX or next(iter(self._attempts.values())).until <= now
        ):
            del self._attempts[next(iter(self._attempts))]
        self._attempts.pop((arn, attempt_id), None)
        self._attempts[arn, attempt_id] = _Attempt(received, now + ATTEMPT_S, received[0].item.due_at)

    async def again(self, arn: str, attempt_id: str, visibility_s: float) -> list[Received] | None:
        """The same messages for `visibility_s` seconds from now.

        None when there was no such attempt in the last five minutes, or when one of its messages was deleted, changed
        or visible since.
        """
        attempt, now = self._attempts.get((arn, attempt_id)), self._clock.now()
        if attempt is None or attempt.until <= now:
            return None
        if not await self._untouched(arn, attempt, now):
            self._attempts.pop((arn, attempt_id), None)
            return None
        attempt.due_at = now + visibility_s
        for received in attempt.received:
            await self._engine.queues.release(received.item, attempt.due_at)
        return attempt.received

    async def _untouched(self, arn: str, attempt: _Attempt, now: float) -> bool:
        for received in attempt.received:
            item = await self._engine.queues.find(arn, received.item.id)
            if item is None or item.token != received.item.token or item.due_at != attempt.due_at:
                return False
        return attempt.due_at > now
