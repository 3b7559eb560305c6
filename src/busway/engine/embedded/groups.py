"""Ordered groups of items, and keys that are put once: rows beside the items, for those queues alone that use them.

The items of a group that were ever leased are its first ones, since a lease takes from the front. So when a group is
free is told by those and one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from busway.engine import Once
from busway.engine.embedded.batch import Call
from busway.engine.embedded.committer import Committer
from busway.engine.embedded.looking import ITEM_COLUMNS, wrong_item
from busway.engine.embedded.sealing import seal_name
from busway.engine.ordering import mixed
from busway.errors import CorruptRecord

# Rows of a group that are looked at in one go.
PAGE = 32
# Keys that are forgotten at each put beside those that it brings: more than come, so none stay for long.
FORGET_KEYS = 16

_FREE = "SELECT name FROM item_groups WHERE queue = ? AND free <= ? AND first < ? ORDER BY free, first LIMIT ?"
_FIRST = (
    f"SELECT g.crc, {', '.join(f'i.{column}' for column in ITEM_COLUMNS.split(', '))} FROM grouped g"
    " JOIN items i ON i.id = g.item WHERE g.queue = ? AND g.name = ? AND g.item < ? ORDER BY g.item LIMIT ?"
)
_STATES = (
    "SELECT g.item, i.due, i.token FROM grouped g JOIN items i ON i.id = g.item"
    " WHERE g.queue = ? AND g.name = ? AND g.item > ? ORDER BY g.item LIMIT ?"
)
_FORGET = (
    "DELETE FROM keys WHERE (queue, key) IN (SELECT queue, key FROM keys WHERE until <= ? ORDER BY until LIMIT ?)"
)


class Groups:
    """`ordered` are the queues that hold items with a group, and some that did. All of it inside committer calls."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self.ordered: set[int] = set()
        queue = 0
        while (
            queue := committer.query("SELECT min(queue) FROM item_groups WHERE queue > ?", (queue,))[0][0]
        ) is not None:
            self.ordered.add(queue)

    # --- put ---

    def check_kind(self, queue: int, name: str, grouped: bool, before: Sequence[tuple[Any, ...]]) -> None:
        """Raise ValueError if the queue holds items of the other kind. `before`: rows of this call (id, queue, …)."""
        if grouped and queue not in self.ordered:
            held = self._committer.query("SELECT 1 FROM items WHERE queue = ? LIMIT 1", (queue,))
            if held or any(row[1] == queue for row in before):
                raise mixed(name, grouped)
            self.ordered.add(queue)
        elif not grouped and queue in self.ordered:
            if self._committer.query("SELECT 1 FROM item_groups WHERE queue = ? LIMIT 1", (queue,)):
                raise mixed(name, grouped)
            self.ordered.discard(queue)

    def add(self, call: Call[Any], queue: int, name: str, item: int, due_at: float) -> None:
        # Each put makes the group by itself: a full disk may refuse the one that came first.
        row = (item, queue, name, seal_name(name, item, queue))
        call.write("INSERT OR IGNORE INTO grouped (item, queue, name, crc) VALUES (?, ?, ?, ?)", row)
        call.write(
            "INSERT OR IGNORE INTO item_groups (queue, name, free, first) VALUES (?, ?, ?, ?)",
            (queue, name, due_at, item),
        )

    def original(self, call: Call[Any], queue: int, once: Once, now: float) -> int | None:
        """The item that was put with this key and is remembered still."""
        call.write(_FORGET, (now, FORGET_KEYS))
        rows = self._committer.query(
            "SELECT item, until, crc FROM keys WHERE queue = ? AND key = ?", (queue, once.key)
        )
        if not rows:
            return None
        item, until, crc = rows[0]
        if crc != _seal_key(once.key, queue, item, until):
            raise CorruptRecord(f"keys, {once.key!r}: found a wrong checksum")
        return item if until > now else None

    def remember(self, call: Call[Any], queue: int, once: Once, item: int, *, again: bool = False) -> None:
        """`again` says that it is remembered already, unless a full disk refuses what came before in this batch."""
        row = (queue, once.key, item, once.until, _seal_key(once.key, queue, item, once.until))
        sql = f"INSERT OR {'IGNORE' if again else 'REPLACE'} INTO keys (queue, key, item, until, crc)"
        call.write(f"{sql} VALUES (?, ?, ?, ?, ?)", row)

    def forget(self, call: Call[Any], queue: int, limit: int) -> int:
        """Forget up to `limit` keys of a queue; return how many."""
        sql = "DELETE FROM keys WHERE queue = ?1 AND key IN (SELECT key FROM keys WHERE queue = ?1 LIMIT ?2)"
        held = self._committer.query("SELECT 1 FROM keys WHERE queue = ? LIMIT 1", (queue,))
        return call.write(sql, (queue, limit)) if held else 0

    # --- lease, done, release ---

    def lease(
        self, call: Call[Any], queue: tuple[int, str], now: float, below: int, limit: int, due_at: float
    ) -> list[tuple[Any, ...]]:
        """Rows of items, group by group, and the groups marked as leased until `due_at`. `queue` is id and name."""
        rows: list[tuple[Any, ...]] = []
        for (name,) in self._committer.query(_FREE, (queue[0], now, below, limit)):
            taken = self._first(queue, name, now, below, limit - len(rows))
            if taken:
                call.write("UPDATE item_groups SET free = ? WHERE queue = ? AND name = ?", (due_at, queue[0], name))
            else:
                # A full disk refused the item that was first here. Who waits looks again.
                self._refresh(call, queue[0], name)
            rows += taken
            if len(rows) >= limit:
                break
        return rows

    def _first(self, queue: tuple[int, str], name: str, now: float, below: int, limit: int) -> list[tuple[Any, ...]]:
        taken: list[tuple[Any, ...]] = []
        for crc, *row in self._committer.query(_FIRST, (queue[0], name, below, limit)):
            if row[2] > now:
                break
            if crc != seal_name(name, row[0], queue[0]):
                raise wrong_item(queue[1], row[0])
            taken.append(tuple(row))
        return taken

    def next_free_at(self, queue: int, below: int) -> float | None:
        sql = "SELECT free FROM item_groups WHERE queue = ? AND first < ? ORDER BY free LIMIT 1"
        rows = self._committer.query(sql, (queue, below))
        return rows[0][0] if rows else None

    def changed(self, call: Call[Any], item: int) -> None:
        """The due time of this item is another now."""
        for queue, name in self._committer.query("SELECT queue, name FROM grouped WHERE item = ?", (item,)):
            self._refresh(call, queue, name)

    def ended(self, call: Call[Any], items: Sequence[int]) -> None:
        """These items are gone."""
        groups: dict[tuple[int, str], None] = {}
        for item in items:
            groups.update(
                dict.fromkeys(self._committer.query("SELECT queue, name FROM grouped WHERE item = ?", (item,)))
            )
            call.write("DELETE FROM grouped WHERE item = ?", (item,))
        for queue, name in groups:
            self._refresh(call, queue, name)

    def _refresh(self, call: Call[Any], queue: int, name: str) -> None:
        """Note when the group is free, or that it is no more."""
        free_at, first, after = None, 0, 0
        while page := self._committer.query(_STATES, (queue, name, after, PAGE)):
            for item, due, token in page:
                first = first or item
                if token > 0:
                    free_at = due if free_at is None else max(free_at, due)
                elif free_at is None:
                    free_at = due
            after = page[-1][0]
            if page[-1][2] == 0:
                break
        if free_at is None:
            call.write("DELETE FROM item_groups WHERE queue = ? AND name = ?", (queue, name))
        else:
            row = (free_at, first, queue, name)
            call.write("UPDATE item_groups SET free = ?, first = ? WHERE queue = ? AND name = ?", row)


def _seal_key(key: str, queue: int, item: int, until: float) -> int:
    return seal_name(key, queue, item, round(until * 1000))
