"""Ordered groups: the rules that engines in this process share, and the groups of a queue in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

from busway.engine import Item, Put


class Groups:
    """The groups of one queue: ids of items in the order in which they were put."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[int, None]] = {}
        self._name_of: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._ids)

    def add(self, name: str, item_id: int) -> None:
        self._ids.setdefault(name, {})[item_id] = None
        self._name_of[item_id] = name

    def remove(self, item_id: int) -> None:
        name = self._name_of.pop(item_id)
        del self._ids[name][item_id]
        if not self._ids[name]:
            del self._ids[name]

    def due(self, items: Mapping[int, Item], now: float, limit: int) -> list[Item]:
        """Up to `limit` items that may be leased, group by group."""
        found: list[Item] = []
        for group in sorted(self._groups(items), key=lambda group: (free_at(group), group[0].id)):
            if free_at(group) <= now:
                found += takewhile(lambda item: item.due_at <= now, group)
        return found[: max(0, limit)]

    def next_due_at(self, items: Mapping[int, Item]) -> float:
        return min(map(free_at, self._groups(items)))

    def _groups(self, items: Mapping[int, Item]) -> list[list[Item]]:
        return [[items[item_id] for item_id in ids] for ids in self._ids.values()]


def free_at(group: Sequence[Item]) -> float:
    """When the first item of a group can be leased: when all that were leased are back, or when it is due itself."""
    tried = [item.due_at for item in group if item.token > 0]
    return max(tried) if tried else group[0].due_at


def check_kinds(puts: Sequence[Put], kind: Callable[[str], bool | None]) -> None:
    """Raise ValueError when a queue would hold items with a group and others without.

    `kind` tells of a queue whether its items have groups, None when it is empty.
    """
    kinds: dict[str, bool] = {}
    for put in puts:
        present, grouped = kind(put.queue), bool(put.group)
        if grouped != kinds.setdefault(put.queue, grouped if present is None else present):
            raise mixed(put.queue, grouped)


def mixed(queue: str, grouped: bool) -> ValueError:
    found, wanted = ("a", "none") if grouped else ("no", "one")
    return ValueError(f"put into queue {queue!r}: found {found} group, wanted {wanted}, as its other items have")
