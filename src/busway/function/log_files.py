"""The files of function logs: JSON lines, a few files a function, rotated, and bounded for all functions together.

    logs/<function>/log.jsonl, log.1.jsonl, … (the older, the higher)

Everything here blocks: it runs in a thread. A disk that refuses costs the lines, nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from busway.arn import DEFAULT_ACCOUNT, DEFAULT_REGION, parse_arn

# Ours: the files of one function.
FILES = 4
# Ours: when all files together are too large, the oldest go until there is this part of the room again.
SHRINK_TO = 0.9

# Ours: what is read through to find a moment in a file that is looked for by halves.
NEAR_BYTES = 65_536
# Ours: in so much of a file's end there is a whole line, however its characters are escaped.
ENDING_BYTES = 1_048_576

_NEWEST = "log.jsonl"
log = logging.getLogger(__name__)


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. `at` is Unix seconds; `request_id` is "" for what was printed outside an invocation.

    `worker` is the mark of who printed it, "" where that is nobody (`log_streams.py`).
    """

    function: str
    at: float
    request_id: str
    event_id: str
    attempt: int
    line: str
    worker: str = ""


class Kept(msgspec.Struct, frozen=True):
    """What there is of a function: the time of its oldest line, Unix seconds, and the bytes of its files."""

    function: str
    first_at: float
    size: int


def folder_name(function_arn: str) -> str:
    """What a function's folders are called: its name, and in another scope than the default one, whose it is."""
    arn = parse_arn(function_arn)
    if arn is None:
        return function_arn.replace("/", "_")
    if (arn.account, arn.region) == (DEFAULT_ACCOUNT, DEFAULT_REGION):
        return arn.name
    return f"{arn.name}@{arn.account}.{arn.region}"


class LogFiles:
    """Not for two threads at once."""

    def __init__(self, folder: Path, function_bytes: int, total_bytes: int) -> None:
        """`function_bytes` bounds one function's files, `total_bytes` all of them."""
        self._folder = folder
        self._file_bytes, self._total_bytes = max(1, function_bytes // FILES), total_bytes
        # What all files have, once it was counted.
        self._held: int | None = None
        self._decoder = msgspec.json.Decoder(Line)

    def append(self, lines: Iterable[Line]) -> None:
        """Append each line to its function's newest file."""
        by_function: dict[str, bytearray] = {}
        for line in lines:
            by_function.setdefault(line.function, bytearray()).extend(msgspec.json.encode(line) + b"\n")
        if self._held is None:
            self._held = sum(_size(file) for file in self._folder.glob("*/log*.jsonl"))
        for function, data in by_function.items():
            newest = self._folder / folder_name(function) / _NEWEST
            try:
                self._append(newest, data)
            except OSError as error:
                # Read by whoever looks why lines are missing; the invocations themselves are unharmed.
                facts = {"function": function}
                log.warning("lines of %s were not written to %s: %s", function, newest, error, extra=facts)
        if self._held > self._total_bytes:
            self._shrink()

    def _append(self, newest: Path, data: bytearray) -> None:
        newest.parent.mkdir(parents=True, exist_ok=True)
        size = _size(newest)
        if size and size + len(data) > self._file_bytes:
            self._rotate(newest)
        with newest.open("ab") as file:
            file.write(data)
        assert self._held is not None
        self._held += len(data)

    def _rotate(self, newest: Path) -> None:
        assert self._held is not None
        self._held -= _size(_older(newest, FILES - 1))
        for number in range(FILES - 1, 0, -1):
            source = newest if number == 1 else _older(newest, number - 1)
            if source.exists():
                source.replace(_older(newest, number))

    def _shrink(self) -> None:
        """Remove the files that were written longest ago, whoever's they are."""
        files = [(file.stat(), file) for file in self._folder.glob("*/log*.jsonl")]
        found = [(stat.st_mtime, file, stat.st_size) for stat, file in files]
        self._held = sum(size for _, _, size in found)
        for _, file, size in sorted(found):
            if self._held <= self._total_bytes * SHRINK_TO:
                return
            file.unlink(missing_ok=True)
            self._held -= size

    def newest(
        self, function: str, limit: int, since: float, wanted: Callable[[str], bool] | None = None
    ) -> list[Line]:
        """Up to `limit` newest lines from `since` (Unix seconds) on, oldest first; those whose text is `wanted`."""
        found: list[Line] = []
        for file in reversed(_files(self._folder / folder_name(function))):
            texts = file.read_bytes().splitlines()
            if wanted is None:
                texts = texts[-(limit - len(found)) :]
            lines = list(self._lines(texts))
            fitting = lines if wanted is None else [line for line in lines if wanted(line.line)]
            found = [*fitting[-(limit - len(found)) :], *found]
            if len(found) >= limit or (lines and lines[0].at < since):
                break
        return [line for line in found if line.at >= since]

    def scan(self, function: str, since: float, take: Callable[[Line], object]) -> None:
        """Hand over every line from `since` (Unix seconds) on, oldest first, holding one of them at a time.

        Where the clock stepped back order counts: lines after one that is old enough may be passed over with it.
        """
        for file in _files(self._folder / folder_name(function)):
            with file.open("rb") as opened:
                opened.seek(self._begin(opened, _size(file), since))
                for line in self._lines(opened):
                    if line.at >= since:
                        take(line)

    def _begin(self, opened: BinaryIO, size: int, since: float) -> int:
        """Where a line begins that stands before all from `since` on, and near them: by halves."""
        low, high = 0, size
        while since > 0 and high - low > NEAR_BYTES:
            opened.seek(middle := (low + high) // 2)
            opened.readline()
            begins = opened.tell()
            line = next(self._lines([opened.readline()]), None)
            if line is not None and line.at < since:
                low = begins
            else:
                high = middle
        return low

    def kept(self) -> list[Kept]:
        """Every function that there are lines of."""
        found = [self._kept(folder) for folder in sorted(self._folder.glob("*/"))]
        return [kept for kept in found if kept is not None]

    def kept_of(self, function: str) -> Kept | None:
        """None when there is no line."""
        return self._kept(self._folder / folder_name(function))

    def _kept(self, folder: Path) -> Kept | None:
        files = _files(folder)
        for file in files:
            with file.open("rb") as opened:
                line = next(self._lines(opened), None)
            if line is not None:
                return Kept(line.function, line.at, sum(_size(file) for file in files))
        return None

    def forget(self, function: str, before: float) -> None:
        """Remove the files whose newest line is older than `before` (Unix seconds)."""
        for file in _files(self._folder / folder_name(function)):
            with file.open("rb") as opened:
                opened.seek(max(0, _size(file) - ENDING_BYTES))
                last = max((line.at for line in self._lines(opened)), default=None)
            if last is not None and last >= before:
                return
            if self._held is not None:
                self._held -= _size(file)
            file.unlink(missing_ok=True)

    def of_request(self, request_id: str) -> list[Line]:
        """The lines of every attempt at one invocation, oldest first. Looks through all files."""
        wanted = request_id.encode()
        found: list[Line] = []
        for function in self._folder.glob("*/"):
            for file in _files(function):
                texts = [text for text in file.read_bytes().splitlines() if wanted in text]
                found += [line for line in self._lines(texts) if line.request_id == request_id]
        return sorted(found, key=lambda line: line.at)

    def _lines(self, texts: Iterable[bytes]) -> Iterator[Line]:
        for text in texts:
            try:
                yield self._decoder.decode(text)
            except msgspec.DecodeError:
                # Half a line: the process or the disk ended in the middle of it.
                continue


def _older(newest: Path, number: int) -> Path:
    return newest.with_suffix(f".{number}.jsonl")


def _files(folder: Path) -> list[Path]:
    """The files of one function, oldest first."""
    newest = folder / _NEWEST
    return [
        file for file in (*(_older(newest, number) for number in range(FILES - 1, 0, -1)), newest) if file.exists()
    ]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
