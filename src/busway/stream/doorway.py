"""Who may put into a stream now: puts go through side by side, a change of the shards alone.

A shard is closed only while no put is on its way into it, or a reader could find it closed, take what is there for
all there is, and miss the record that arrives a moment later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Doorway:
    """The doorway of one stream, and the bell that tells readers of a change."""

    def __init__(self) -> None:
        self._inside = 0
        self._shut: asyncio.Future[None] | None = None
        self._empty: asyncio.Future[None] | None = None
        self._changed: asyncio.Future[None] | None = None

    async def enter(self) -> None:
        """Wait while it is shut; `leave` must follow."""
        while self._shut is not None:
            await asyncio.shield(self._shut)
        self._inside += 1

    def leave(self) -> None:
        self._inside -= 1
        if self._inside == 0 and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    @asynccontextmanager
    async def shut(self) -> AsyncGenerator[None]:
        """Nobody is inside during the block. One at a time: the caller holds the registry's lock."""
        loop = asyncio.get_running_loop()
        shut = self._shut = loop.create_future()
        try:
            if self._inside:
                self._empty = loop.create_future()
                await self._empty
            yield
        finally:
            self._shut = self._empty = None
            shut.set_result(None)

    def changed(self) -> None:
        """Wake who waits at `change`."""
        bell, self._changed = self._changed, None
        if bell is not None and not bell.done():
            bell.set_result(None)

    def change(self) -> asyncio.Future[None]:
        """Done when the stream's record changes or the stream is deleted, counted from this very call.

        (A coroutine would count from when it first runs, and miss what happens before.)
        """
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._changed)
