"""How callers wait inside one process: bells that are rung when something was stored, and watches on keys.

Nothing here is durable and nothing here knows what is stored: an engine rings after its commit.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable

from busway.clock import Clock, first_of
from busway.errors import EngineStopped


class Bells:
    """One bell a name. Whoever waits at a bell is woken by the next ring.

    Rings are not remembered, only counted (all names together): who looks, finds nothing and then waits passes the
    count from before the look, so that a ring in between isn't missed.
    """

    def __init__(self) -> None:
        self.rings = 0
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._stopped: str | None = None

    def ring(self, name: str) -> None:
        self.rings += 1
        for waiter in self._waiters.pop(name, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def heard(self, name: str, since: int | None = None) -> None:
        """Return at the next ring of `name`, or at once if anything rang after `rings` was `since`.

        Raises `EngineStopped` once the bells are stopped.
        """
        if self._stopped is not None:
            raise EngineStopped(self._stopped)
        if since is not None and since != self.rings:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(name, [])
        waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter.cancelled():
                self._forget(name, waiter)

    def stop(self, why: str) -> None:
        """Wake everyone with `EngineStopped(why)`; nobody can wait afterwards."""
        self._stopped = why
        waiting, self._waiters = self._waiters, {}
        for waiters in waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(EngineStopped(why))

    def _forget(self, name: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(name, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[name]


async def until_due(
    clock: Clock, bells: Bells, name: str, next_due_at: Callable[[], Awaitable[float | None]]
) -> None:
    """Return once `next_due_at()` is not after now; looks again at each ring of `name` and when time is up.

    `next_due_at` gives Unix seconds, or None when there is nothing to wait for yet.
    """
    while True:
        since = bells.rings
        due_at = await next_due_at()
        delay_s = None if due_at is None else due_at - clock.now()
        if delay_s is not None and delay_s <= 0:
            return
        await first_of(clock, bells.heard(name, since), delay_s)


class Watch:
    """The keys under a prefix as they change. A key that changes twice before it is read comes once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._changed: dict[str, None] = {}
        self._wake: asyncio.Future[None] | None = None
        self._stopped: str | None = None

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> str:
        while not self._changed:
            if self._stopped is not None:
                raise EngineStopped(self._stopped)
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        key = next(iter(self._changed))
        del self._changed[key]
        return key

    def tell(self, key: str) -> None:
        self._changed[key] = None
        self._rouse()

    def stop(self, why: str) -> None:
        self._stopped = why
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class Watches:
    """All watches of an engine. One that its owner dropped is forgotten by itself."""

    def __init__(self) -> None:
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()

    def open(self, prefix: str) -> Watch:
        watch = Watch(prefix)
        self._watches.add(watch)
        return watch

    def changed(self, key: str) -> None:
        for watch in list(self._watches):
            if key.startswith(watch.prefix):
                watch.tell(key)

    def stop(self, why: str) -> None:
        for watch in list(self._watches):
            watch.stop(why)
