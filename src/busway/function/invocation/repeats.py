"""Which events one function has completed, for its dispatcher: an event that it completed is not given to it again.

For functions with the tag `busway:once` = `event`, which handlers of a project have. One dispatcher works for a
function, so what is under way is known here, and only what completed needs a row.

An event that comes for the first time costs no look at the rows: it may be a repeat only if its row in the queue was
leased before, or was put by a redrive; or if its twin completed lately, which is remembered.
"""

from __future__ import annotations

import asyncio
import enum
import logging

from busway.errors import BuswayError, EngineStopped
from busway.function.once import OnceStore

# Ours: how many events of a function are remembered.
RECENT_MAX = 10_000
# Ours: how soon to look again after an event whose twin is being handled.
TURN_S = 0.5

log = logging.getLogger(__name__)


class Turn(enum.Enum):
    """What may be done with an event now."""

    HANDLE = "handle it"
    WAIT = "another invocation handles it"
    COMPLETED = "it was handled"


class Repeats:
    """The events of one function that are under way or completed."""

    def __init__(self, function_arn: str, store: OnceStore) -> None:
        self._arn, self._store = function_arn, store
        self._under_way: set[str] = set()
        # Recorded, the oldest first.
        self._recent: dict[str, None] = {}
        # Completed, and not recorded yet. Under way until then.
        self._unrecorded: set[str] = set()

    async def begin(self, event_id: str, *, seen: bool) -> Turn:
        """After HANDLE the event is under way until `end`, or until it completed and that is recorded.

        `seen`: it may have completed long ago, or before the server started.
        """
        if event_id in self._under_way:
            return Turn.WAIT
        if event_id in self._recent:
            return Turn.COMPLETED
        self._under_way.add(event_id)
        if not seen:
            return Turn.HANDLE
        turn = Turn.WAIT
        try:
            turn = Turn.COMPLETED if await self._store.completed(self._arn, _key(event_id)) else Turn.HANDLE
        finally:
            if turn is not Turn.HANDLE:
                self._under_way.discard(event_id)
        return turn

    def completed(self, event_id: str) -> None:
        """To be recorded, if its repeats are looked after."""
        if event_id in self._under_way:
            self._unrecorded.add(event_id)

    def end(self, event_id: str) -> None:
        """The attempt is over."""
        if event_id not in self._unrecorded:
            self._under_way.discard(event_id)

    async def record(self) -> set[str]:
        """Return the events of which it is now durable that they completed; they are under way until `forget`."""
        recorded = set(self._unrecorded)
        await asyncio.gather(*(self._complete(event_id) for event_id in recorded))
        return recorded

    def forget(self, recorded: set[str]) -> None:
        """Their rows in the queue ended too."""
        self._unrecorded -= recorded
        self._under_way -= recorded
        self._recent.update(dict.fromkeys(recorded))
        while len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]

    async def _complete(self, event_id: str) -> None:
        try:
            await self._store.record(self._arn, _key(event_id))
        except EngineStopped:
            raise
        except BuswayError as error:
            # The end of its row in the queue says the same, of this row.
            facts = {"function": self._arn, "event_id": event_id}
            log.warning("%s completed event %s, which could not be recorded: %s", *facts.values(), error, extra=facts)


def _key(event_id: str) -> str:
    """No step's key: those have the name of a Python function in front."""
    return f"#{event_id}"
