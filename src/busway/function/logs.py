"""What functions print, by invocation: in files (`log_files.py`), and the newest in memory.

Written in the background: an invocation never waits for a disk. A log is a help for people, not a record: it is
bounded everywhere, is not synced, and says where it left something out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from busway.clock import Clock
from busway.function.log_files import Kept as Kept, Line as Line, LogFiles, folder_name as folder_name
from busway.trail import Follower

# Ours, each of them. Lines are long or short as functions please, so memory is bounded in both.
FUNCTION_BYTES_MAX, TOTAL_BYTES_MAX = 32 * 1024 * 1024, 1024 * 1024 * 1024
RECENT_LINES, RECENT_CHARS = 10_000, 16 * 1024 * 1024
BEHIND_LINES_MAX, BEHIND_CHARS_MAX = 100_000, 64 * 1024 * 1024
FOLLOWER_LINES_MAX = 1_000
FLUSH_S = 0.2


class Logs:
    """Lines of all functions. Call from the event loop's thread."""

    def __init__(
        self, folder: Path | None, clock: Clock, *, function_bytes: int = FUNCTION_BYTES_MAX,
        total_bytes: int = TOTAL_BYTES_MAX,
    ) -> None:  # fmt: skip
        """`folder` None keeps lines in memory only; the bounds are those of its files."""
        self._files = None if folder is None else LogFiles(folder, function_bytes, total_bytes)
        self._clock = clock
        self._recent: deque[Line] = deque()
        self._recent_chars = 0
        self._unwritten: list[Line] = []
        self._unwritten_chars = 0
        self._left_out = 0
        self._followers: dict[Follower[Line], str] = {}
        self._printed: dict[str, int] = {}
        self._writing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to write in the background."""
        if self._files is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_writing())

    async def close(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def write(self, line: Line) -> None:
        self._printed[line.function] = self._printed.get(line.function, 0) + 1
        self._remember(line)
        if self._files is not None:
            if len(self._unwritten) < BEHIND_LINES_MAX and self._unwritten_chars < BEHIND_CHARS_MAX:
                self._unwritten.append(line)
                self._unwritten_chars += len(line.line)
                self._wanted.set()
            else:
                self._left_out += 1
        for follower, function in self._followers.items():
            if function == line.function:
                follower.show(line)

    def _remember(self, line: Line) -> None:
        self._recent.append(line)
        self._recent_chars += len(line.line)
        while len(self._recent) > RECENT_LINES or self._recent_chars > RECENT_CHARS:
            self._recent_chars -= len(self._recent.popleft().line)

    async def flush(self) -> None:
        """Return when every line written before the call is in its file."""
        if self._files is None:
            return
        async with self._writing:
            lines, self._unwritten = self._unwritten, []
            self._unwritten_chars = 0
            if self._left_out and lines:
                text = f"[busway: {self._left_out} lines are left out here: the disk was too slow]"
                lines.append(msgspec.structs.replace(lines[-1], line=text))
                self._left_out = 0
            if lines:
                await asyncio.to_thread(self._files.append, lines)

    def printed(self, function: str) -> int:
        """How many lines of a function came since the start: who knows that number has nothing new to read."""
        return self._printed.get(function, 0)

    def recent(self, function: str) -> list[Line]:
        """The lines of a function that are still in memory, oldest first."""
        return [line for line in self._recent if line.function == function]

    async def tail(
        self, function: str, limit: int = 200, since: float = 0.0, wanted: Callable[[str], bool] | None = None
    ) -> list[Line]:
        """The newest lines of a function from `since` (Unix seconds) on, oldest first; those whose text is `wanted`.

        `function` is its ARN.
        """
        if self._files is None:
            fitting = (line for line in self.recent(function) if wanted is None or wanted(line.line))
            return [line for line in fitting if line.at >= since][-limit:]
        await self.flush()
        async with self._writing:
            return await asyncio.to_thread(self._files.newest, function, limit, since, wanted)

    async def scan(self, function: str, since: float, take: Callable[[Line], object]) -> None:
        """Hand `take` every line of a function from `since` (Unix seconds) on, oldest first, in a thread."""
        if self._files is None:
            for line in self.recent(function):
                if line.at >= since:
                    take(line)
            return
        await self.flush()
        async with self._writing:
            await asyncio.to_thread(self._files.scan, function, since, take)

    async def kept(self) -> list[Kept]:
        """Every function that there are lines of, also of one that was deleted."""
        if self._files is None:
            functions = dict.fromkeys(line.function for line in self._recent)
            return [kept for function in functions if (kept := await self.kept_of(function)) is not None]
        await self.flush()
        async with self._writing:
            return await asyncio.to_thread(self._files.kept)

    async def kept_of(self, function: str) -> Kept | None:
        """What there is of one function, None when there is nothing."""
        if self._files is None:
            lines = self.recent(function)
            return Kept(function, lines[0].at, sum(len(line.line) for line in lines)) if lines else None
        await self.flush()
        async with self._writing:
            return await asyncio.to_thread(self._files.kept_of, function)

    async def forget(self, function: str, before: float) -> None:
        """Forget what is older than `before` (Unix seconds), in whole files; all of it for infinity."""
        fresh = [line for line in self._recent if line.function != function or line.at >= before]
        self._recent = deque(fresh)
        self._recent_chars = sum(len(line.line) for line in fresh)
        if self._files is None:
            return
        await self.flush()
        async with self._writing:
            await asyncio.to_thread(self._files.forget, function, before)

    async def of_request(self, request_id: str) -> list[Line]:
        """The lines of every attempt at one invocation, oldest first."""
        found = [line for line in self._recent if line.request_id == request_id]
        if found and found[0] is not self._recent[0]:
            return found
        if self._files is None:
            return found
        await self.flush()
        async with self._writing:
            return await asyncio.to_thread(self._files.of_request, request_id)

    def follow(self, function: str) -> Follower[Line]:
        """Lines of a function from this call on, until closed; one that is too slow misses some, and says so."""

        def gap(count: int) -> Line:
            text = f"[busway: {count} lines are left out here: they came faster than they were read]"
            return Line(function, self._clock.now(), "", "", 0, text)

        follower = Follower[Line](lambda one: self._followers.pop(one, None), gap, FOLLOWER_LINES_MAX)
        self._followers[follower] = function
        return follower

    async def _keep_writing(self) -> None:
        while True:
            await self._wanted.wait()
            await self._clock.sleep(FLUSH_S)
            self._wanted.clear()
            await self.flush()
