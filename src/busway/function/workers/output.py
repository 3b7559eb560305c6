"""What a worker prints: read at once and always, so that printing never blocks it, and kept within bounds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

# Ours: what is kept of one invocation's output. AWS bounds one line only, and bills the rest. Lines are bounded too:
# a line costs the server the same, however short it is.
KEPT_BYTES_MAX = 1_048_576
KEPT_LINES_MAX = 10_000
LINE_BYTES_MAX = 65_536
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (LogResult: the last 4 KB)
TAIL_BYTES = 4_096

_READ_BYTES = 65_536
# A thread of the handler may print for ever: what is read at the end of an invocation is bounded too.
_READS_AT_END = 64


class Output:
    """Reads one worker's output and hands out whole lines. `sink` gets them without their line ends."""

    def __init__(self, fd: int, sink: Callable[[str], None]) -> None:
        self._fd, self._sink = fd, sink
        self._open = True
        self._partial = b""
        self._tail = b""
        self._kept = self._lines = self._left_out = 0
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def begin(self) -> None:
        """An invocation begins: its output is counted from here."""
        self._tail = b""
        self._kept = self._lines = self._left_out = 0

    def finish(self) -> bytes:
        """An invocation ended: read what it printed until now; return the last 4 KB of it."""
        for _ in range(_READS_AT_END):
            if not self._open or not self._readable():
                break
        if self._partial:
            self._give(self._partial)
            self._partial = b""
        if self._left_out:
            most = f"{KEPT_BYTES_MAX} bytes or {KEPT_LINES_MAX} lines"
            self._sink(f"[busway: output above {most} is left out here: {self._left_out} bytes]")
        return self._tail

    def close(self) -> None:
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)

    def _readable(self) -> bool:
        """Read once; whether there was something."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-TAIL_BYTES:] if len(data) < TAIL_BYTES else data[-TAIL_BYTES:]
        room = KEPT_BYTES_MAX - self._kept if self._lines < KEPT_LINES_MAX else 0
        if len(data) > room:
            self._left_out += len(data) - room
            data = data[:room]
        self._kept += len(data)
        if not data:
            return
        *lines, self._partial = (self._partial + data).split(b"\n", KEPT_LINES_MAX - self._lines)
        for line in lines:
            self._give(line)
        self._lines += len(lines)
        if self._lines >= KEPT_LINES_MAX:
            self._left_out += len(self._partial)
            self._partial = b""
        if len(self._partial) > LINE_BYTES_MAX:
            self._give(self._partial)
            self._partial = b""

    def _give(self, line: bytes) -> None:
        self._sink(line.decode("utf-8", "replace").rstrip("\r"))
