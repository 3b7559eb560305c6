"""The live feed of what happens to events: a ring of recent steps, and whoever follows along.

A view for people, not a record: it is bounded, in memory, and gone after a restart. What must not be lost is in
the engine (`Queues.pending`, `Queues.outcomes`). Call from the event loop's thread only.

    hot paths     if trail.listening: trail.note("matched", event_id=…, rule=…)
    failures      trail.note("retried", …)       always, so that they can be looked up later
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from busway.clock import Clock

T = TypeVar("T")

# Ours: what a slow follower may be behind before it misses steps (it is told how many).
FOLLOWER_BEHIND_MAX = 10_000
# Ours: what is kept of one fact. Some are the sender's own words, up to a megabyte of them in an event's source.
FACT_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `sequence` counts up from 1; `at` is Unix seconds."""

    sequence: int
    at: float
    kind: str
    facts: dict[str, Any]


def is_of(facts: Mapping[str, Any], event_id: str) -> bool:
    """Whether a step is one of this event, or of a batch that names it."""
    return facts.get("event_id") == event_id or event_id in facts.get("event_ids", ())


class Trail:
    """Steps as they happen. `size` is how many are kept for those who ask later."""

    def __init__(self, clock: Clock, size: int = 10_000) -> None:
        self._clock = clock
        self._sequence = 0
        self._steps: deque[Step] = deque(maxlen=size)
        self._followers: weakref.WeakSet[Follower[Step]] = weakref.WeakSet()

    @property
    def listening(self) -> bool:
        """Whether anyone follows: steps of the hot path are worth noting only then."""
        return bool(self._followers)

    def note(self, kind: str, /, **facts: Any) -> None:
        """Remember a step and show it to all followers."""
        self._sequence += 1
        for name, fact in facts.items():
            if type(fact) is str and len(fact) > FACT_CHARS_MAX:
                facts[name] = f"{fact[:FACT_CHARS_MAX]}…"
        step = Step(self._sequence, self._clock.now(), kind, facts)
        self._steps.append(step)
        for follower in self._followers:
            follower.show(step)

    def recent(
        self, after: int = 0, *, kind: str | None = None, event_id: str | None = None, limit: int | None = None
    ) -> list[Step]:
        """Steps with a sequence above `after`, oldest first; the newest `limit` of those that fit.

        A step of a batch names its events in `event_ids`.
        """
        steps = [
            step
            for step in self._steps
            if step.sequence > after
            and (kind is None or step.kind == kind)
            and (event_id is None or is_of(step.facts, event_id))
        ]
        return steps if limit is None else steps[max(0, len(steps) - limit) :]

    def follow(self, after: int | None = None) -> Follower[Step]:
        """Steps from now on, or from those kept above `after`; it listens from this call until closed or dropped.

        One that falls too far behind gets a step of kind "missed" with the `count` of steps left out there.
        """
        follower = Follower(self._followers.discard, self._missed)
        if after is not None:
            for step in self.recent(after):
                follower.show(step)
        self._followers.add(follower)
        return follower

    def _missed(self, count: int) -> Step:
        return Step(0, self._clock.now(), "missed", {"count": count})


class Follower(AsyncIterator[T]):
    """An endless iterator of what is shown to it; a context manager that stops listening.

    `leave` is called then. Who falls more than `behind_max` behind loses the oldest, and gets `gap` of their number.
    """

    def __init__(
        self, leave: Callable[[Follower[T]], object], gap: Callable[[int], T], behind_max: int = FOLLOWER_BEHIND_MAX
    ) -> None:
        self._leave, self._gap, self._behind_max = leave, gap, behind_max
        self._waiting: deque[T] = deque()
        self._missed = 0
        self._closed = False
        self._changed = asyncio.Event()

    def show(self, one: T) -> None:
        if len(self._waiting) >= self._behind_max:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(one)
        self._changed.set()

    def close(self) -> None:
        """Stop listening; what was shown until now is still given out, then the iteration ends."""
        self._closed = True
        self._leave(self)
        self._changed.set()

    async def __anext__(self) -> T:
        if self._missed:
            missed, self._missed = self._missed, 0
            return self._gap(missed)
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    def __enter__(self) -> Follower[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
