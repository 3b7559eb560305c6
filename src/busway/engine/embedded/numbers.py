"""Numbers that are never used twice, also after a crash: ids of items and of rows of outcomes."""

from __future__ import annotations

from busway.engine.embedded.committer import Committer

# Numbers are reserved on disk in blocks, so that taking one costs no write; a restart skips the rest of a block.
BLOCK = 1 << 16


class Numbers:
    """`following` is the number that comes next."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self.following: int = committer.query("SELECT value FROM counters WHERE name = 'id'")[0][0] + 1
        self._reserved = self.following - 1

    def take(self, count: int) -> int:
        """The first of `count` numbers in a row. Only inside a committer's call."""
        first = self.following
        self.following += count
        if self.following > self._reserved:
            self._reserved = self.following + BLOCK
            # In the same commit as what uses the numbers, and not part of what a full disk refuses.
            self._committer.write_always("UPDATE counters SET value = ? WHERE name = 'id'", (self._reserved,))
        return first
