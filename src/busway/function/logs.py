"""What functions print, by invocation: JSON lines in a few rotated files a function, and the newest in memory.

Written in the background: an invocation never waits for a disk. A log is a help for people, not a record: it is
bounded everywhere, is not synced, and says where it left something out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec

from busway.arn import DEFAULT_ACCOUNT, DEFAULT_REGION, parse_arn
from busway.clock import Clock

# Ours, each of them. Lines are long or short as functions please, so memory is bounded in both.
FILE_BYTES_MAX = 8 * 1024 * 1024
FILES = 4
RECENT_LINES, RECENT_CHARS = 10_000, 16 * 1024 * 1024
BEHIND_LINES_MAX, BEHIND_CHARS_MAX = 100_000, 64 * 1024 * 1024
FOLLOWER_LINES_MAX = 1_000
FLUSH_S = 0.2

_NEWEST = "log.jsonl"
log = logging.getLogger(__name__)


class Line(msgspec.Struct, frozen=True):
    """One line. `at` is Unix seconds; `request_id` is "" for what was printed outside an invocation."""

    function: str
    at: float
    request_id: str
    event_id: str
    attempt: int
    line: str


def folder_name(function_arn: str) -> str:
    """What a function's folders are called: its name, and in another scope than the default one, whose it is."""
    arn = parse_arn(function_arn)
    if arn is None:
        return function_arn.replace("/", "_")
    if (arn.account, arn.region) == (DEFAULT_ACCOUNT, DEFAULT_REGION):
        return arn.name
    return f"{arn.name}@{arn.account}.{arn.region}"


class Logs:
    """Lines of all functions. Call from the event loop's thread."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        """`folder` None keeps lines in memory only."""
        self._folder, self._clock = folder, clock
        self._recent: deque[Line] = deque()
        self._recent_chars = 0
        self._unwritten: list[Line] = []
        self._unwritten_chars = 0
        self._left_out = 0
        self._followers: dict[asyncio.Queue[Line], str] = {}
        self._writing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to write in the background."""
        if self._folder is not None:
            self._task = asyncio.get_running_loop().create_task(self._keep_writing())

    async def close(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def write(self, line: Line) -> None:
        self._remember(line)
        if self._folder is not None:
            if len(self._unwritten) < BEHIND_LINES_MAX and self._unwritten_chars < BEHIND_CHARS_MAX:
                self._unwritten.append(line)
                self._unwritten_chars += len(line.line)
                self._wanted.set()
            else:
                self._left_out += 1
        for follower, function in self._followers.items():
            if function == line.function and not follower.full():
                follower.put_nowait(line)

    def _remember(self, line: Line) -> None:
        self._recent.append(line)
        self._recent_chars += len(line.line)
        while len(self._recent) > RECENT_LINES or self._recent_chars > RECENT_CHARS:
            self._recent_chars -= len(self._recent.popleft().line)

    async def flush(self) -> None:
        """Return when every line written before the call is in its file."""
        if self._folder is None:
            return
        async with self._writing:
            lines, self._unwritten = self._unwritten, []
            self._unwritten_chars = 0
            if self._left_out and lines:
                text = f"[busway: {self._left_out} lines are left out here: the disk was too slow]"
                lines.append(msgspec.structs.replace(lines[-1], line=text))
                self._left_out = 0
            if lines:
                await asyncio.to_thread(_append, self._folder, lines)

    def recent(self, function: str) -> list[Line]:
        """The lines of a function that are still in memory, oldest first."""
        return [line for line in self._recent if line.function == function]

    async def tail(self, function: str, limit: int = 200) -> list[Line]:
        """The newest lines of a function, oldest first. `function` is its ARN."""
        return (await self._lines_of(function))[-limit:]

    async def of_request(self, request_id: str) -> list[Line]:
        """The lines of every attempt at one invocation, oldest first."""
        found = [line for line in self._recent if line.request_id == request_id]
        if found and found[0] is not self._recent[0]:
            return found
        await self.flush()
        return await asyncio.to_thread(_of_request, self._folder, request_id) if self._folder else found

    async def follow(self, function: str) -> AsyncIterator[Line]:
        """Lines of a function as they come; a follower that is too slow misses some."""
        queue: asyncio.Queue[Line] = asyncio.Queue(FOLLOWER_LINES_MAX)
        self._followers[queue] = function
        try:
            while True:
                yield await queue.get()
        finally:
            del self._followers[queue]

    async def _lines_of(self, function: str) -> list[Line]:
        if self._folder is None:
            return self.recent(function)
        await self.flush()
        return await asyncio.to_thread(lambda: list(_read(self._folder_of(function))))

    def _folder_of(self, function: str) -> Path:
        assert self._folder is not None
        return self._folder / folder_name(function)

    async def _keep_writing(self) -> None:
        while True:
            await self._wanted.wait()
            await self._clock.sleep(FLUSH_S)
            self._wanted.clear()
            await self.flush()


def _append(folder: Path, lines: Iterable[Line]) -> None:
    """Append each line to its function's newest file. A disk that refuses costs the lines, nothing else."""
    by_function: dict[str, bytearray] = {}
    for line in lines:
        by_function.setdefault(line.function, bytearray()).extend(msgspec.json.encode(line) + b"\n")
    for function, data in by_function.items():
        newest = folder / folder_name(function) / _NEWEST
        try:
            newest.parent.mkdir(parents=True, exist_ok=True)
            if newest.exists() and newest.stat().st_size + len(data) > FILE_BYTES_MAX:
                _rotate(newest)
            with newest.open("ab") as file:
                file.write(data)
        except OSError as error:
            # Read by whoever looks why lines are missing; the invocations themselves are unharmed.
            log.warning("lines of %s were not written to %s: %s", function, newest, error)


def _rotate(newest: Path) -> None:
    for number in range(FILES - 1, 0, -1):
        older = newest.with_suffix(f".{number}.jsonl")
        source = newest if number == 1 else newest.with_suffix(f".{number - 1}.jsonl")
        if source.exists():
            source.replace(older)


def _files(folder: Path) -> list[Path]:
    """The files of one function, oldest first."""
    names = [f"log.{number}.jsonl" for number in range(FILES - 1, 0, -1)]
    return [folder / name for name in (*names, _NEWEST) if (folder / name).exists()]


def _read(folder: Path) -> Iterable[Line]:
    decoder = msgspec.json.Decoder(Line)
    for path in _files(folder):
        for text in path.read_bytes().splitlines():
            try:
                yield decoder.decode(text)
            except msgspec.DecodeError:
                # Half a line: the process or the disk ended in the middle of it.
                continue


def _of_request(folder: Path, request_id: str) -> list[Line]:
    wanted = request_id.encode()
    found: list[Line] = []
    for function in folder.glob("*/"):
        for path in _files(function):
            if wanted in path.read_bytes():
                found += [line for line in _read(function) if line.request_id == request_id]
                break
    return sorted(found, key=lambda line: line.at)
