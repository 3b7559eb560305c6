"""What the committer works with: a caller's work, and the batch it becomes part of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

# A statement of a batch: whether a full disk refuses it (None: it stays even if its call fails), whether it has many
# rows, its SQL and its row or rows.
Note = tuple[bool | None, bool, str, Any]


class Writer(Protocol):
    """The committer, as a call sees it."""

    def write(self, sql: str, row: Sequence[Any], refusable: bool = False) -> int: ...

    def write_many(self, sql: str, rows: list[tuple[Any, ...]], refusable: bool = False) -> None: ...

    def on_commit(self, hook: Callable[[], None], refusable: bool) -> None: ...

    def on_refused(self, hook: Callable[[], None]) -> None: ...


class Call(Generic[T]):
    """One caller's work in a batch. `durable`: answered after the commit. `refusable`: dropped on a full disk."""

    __slots__ = ("_committer", "answer", "durable", "refusable", "result", "work")

    def __init__(self, committer: Writer, work: Callable[[Call[T]], T], durable: bool, refusable: bool) -> None:
        self._committer, self.work, self.durable, self.refusable = committer, work, durable, refusable
        self.answer: asyncio.Future[T] | None = None
        self.result: T | None = None

    def write(self, sql: str, row: Sequence[Any]) -> int:
        """Run one statement; return how many rows it changed."""
        return self._committer.write(sql, row, self.refusable)

    def write_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self._committer.write_many(sql, rows, self.refusable)

    def on_commit(self, hook: Callable[[], None]) -> None:
        """Run `hook` once this is durable, before anyone is answered. Needs a write before it."""
        self._committer.on_commit(hook, self.refusable)

    def on_refused(self, hook: Callable[[], None]) -> None:
        """Run `hook` if a full disk refuses this after all. Needs a write before it."""
        self._committer.on_refused(hook)


class Batch:
    """What one COMMIT makes durable."""

    __slots__ = ("calls", "hooks", "notes", "refusals")

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.calls: list[Call[Any]] = []
        self.hooks: list[tuple[bool, Callable[[], None]]] = []
        self.refusals: list[Callable[[], None]] = []
