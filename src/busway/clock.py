"""The ports to time and to chance: the only module that touches either.

Everything else is handed a `Clock` and an `Entropy`, so that tests never sleep and a year can be
simulated in a second. `tests/test_tidy.py` holds that.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Time as the rooms see it."""

    def now(self) -> float:
        """Wall time: Unix seconds, UTC. May step; use it for what is stored or shown."""
        ...

    def monotonic(self) -> float:
        """Seconds that only go forward, from an arbitrary start; use it for durations."""
        ...

    def sleep(self, delay_s: float) -> Coroutine[Any, Any, None]:
        """Return after `delay_s` seconds of this clock; at once (after a yield) if not positive."""
        ...

    def timeout(self, delay_s: float | None) -> asyncio.Timeout:
        """An async context manager that raises `TimeoutError` after `delay_s`; None never does."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(max(0.0, delay_s))

    def timeout(self, delay_s: float | None) -> asyncio.Timeout:
        return asyncio.timeout(delay_s)


class ManualClock:
    """A clock that moves only when told to: `advance` wakes the sleepers that became due, in order."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, delay_s: float) -> Coroutine[Any, Any, None]:
        # Counted from this call, not from when the loop comes to it: whoever moves the clock in between would put
        # the sleeper's end out of reach.
        return self._sleep_until(self._now + delay_s)

    async def _sleep_until(self, due_at: float) -> None:
        if due_at <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due_at, next(self._order), woken))
        await woken

    def timeout(self, delay_s: float | None) -> asyncio.Timeout:
        # Manual time does not pass while a test awaits real work, so a deadline never strikes by itself.
        return asyncio.timeout(None)

    async def advance(self, delay_s: float, let_run: Callable[[], Awaitable[None]] | None = None) -> None:
        """Move forward by `delay_s`, waking each sleeper at its own time and letting it run (`settle` by default)."""
        let_run = let_run or settle
        target = self._now + delay_s
        while self._sleepers and self._sleepers[0][0] <= target:
            self._now = max(self._now, self._sleepers[0][0])
            while self._sleepers and self._sleepers[0][0] <= self._now:
                _, _, woken = heapq.heappop(self._sleepers)
                if not woken.done():
                    woken.set_result(None)
            await let_run()
        self._now = target
        await let_run()


async def settle(turns: int = 10) -> None:
    """Let every task that is ready run for a few turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def first_of(clock: Clock, wake: Awaitable[T], delay_s: float | None) -> T | None:
    """Await `wake`, but at most `delay_s` seconds of `clock`; None when time ran out."""
    task = asyncio.ensure_future(wake)
    if delay_s is None:
        return await task
    sleeper = asyncio.ensure_future(clock.sleep(delay_s))
    try:
        await asyncio.wait({task, sleeper}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for pending in (task, sleeper):
            if not pending.done():
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)


async def any_of(clock: Clock, delay_s: float, *wakes: Awaitable[object]) -> None:
    """Return when one of `wakes` does, or after `delay_s` seconds (infinity: never by that); the others end."""
    if delay_s != float("inf"):
        wakes = (*wakes, clock.sleep(delay_s))
    tasks = [asyncio.ensure_future(wake) for wake in wakes]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Entropy(Protocol):
    """Chance as the rooms see it."""

    def token(self, size: int) -> bytes:
        """`size` unguessable bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A float drawn evenly from [low, high]."""
        ...


class SystemEntropy:
    """The machine's own randomness."""

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self, low: float, high: float) -> float:
        return random.uniform(low, high)


class SeededEntropy:
    """The same draws for the same seed: for tests and simulations."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


def uuids(entropy: Entropy, count: int) -> list[str]:
    """`count` random UUIDs (version 4) from one draw: five times cheaper than `uuid.uuid4` each."""
    drawn = entropy.token(16 * count)
    return [format_uuid(drawn[i : i + 16]) for i in range(0, 16 * count, 16)]


def format_uuid(raw: bytes) -> str:
    """Sixteen bytes as the text of a version-4 UUID (version and variant bits are set here)."""
    h = raw.hex()
    variant = "89ab"[raw[8] & 3]
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{variant}{h[17:20]}-{h[20:]}"
