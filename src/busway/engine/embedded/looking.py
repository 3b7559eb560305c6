"""Queues and items as they are stored, each checked as it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from busway.engine import Item, Origin
from busway.engine.embedded.sealing import seal_item, seal_name
from busway.errors import CorruptRecord

ITEM_COLUMNS = "id, queue, due, token, attempts, put_at, first_leased_at, subscriber, offset, crc, body, meta"


def items_where(db: sqlite3.Connection, queue: str, where: str, values: Sequence[Any]) -> list[Item]:
    """Items as they are stored, without leasing them."""
    columns = ", ".join(f"i.{column}" for column in ITEM_COLUMNS.split(", "))
    sql = f"SELECT {columns}, s.name FROM items i LEFT JOIN subscribers s ON s.id = i.subscriber WHERE {where}"
    found: list[Item] = []
    for row in db.execute(sql, values):
        number, queue_id, due, token, attempts, put_at, first, subscriber, offset, crc, body, meta, name = row
        if crc != seal_item(number, queue_id, subscriber, offset, put_at, body, meta):
            raise wrong_item(queue, number)
        origin = None if name is None else Origin(name, offset)
        found.append(Item(queue, number, token, attempts, put_at, due, body, meta, origin, first))
    return found


def while_prefixed(rows: sqlite3.Cursor, prefix: str) -> list[tuple[Any, ...]]:
    """Rows, sorted by their first column, as long as it begins with `prefix`."""
    return list(takewhile(lambda row: row[0].startswith(prefix), rows))


def checked_queue(name: str, number: int, crc: int) -> int:
    if crc != seal_name(name, number):
        raise CorruptRecord(f"queues, {name!r}: found a wrong checksum")
    return number


def wrong_item(queue: str, number: int) -> CorruptRecord:
    return CorruptRecord(f"items, queue {queue!r}, id {number}: found a wrong checksum")
