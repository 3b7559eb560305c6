"""Into the outbox from Django, within `transaction.atomic()`.

The table is made by a migration: `migrations.RunSQL(busway.outbox.table.schema("postgresql"))`, or by what
`busway outbox schema` prints.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from busway.errors import NoTransaction
from busway.outbox.add import Entry, rows_of

if TYPE_CHECKING:
    from busway.event import Event


def add(*events: Event | Entry, key: str | None = None, bus: str = "default", using: str = "default") -> None:
    """As `busway.outbox.add`, on Django's connection `using`. Raises `NoTransaction` outside of an atomic block."""
    from busway.outbox.table import NAME

    # Loaded by name, as Busway doesn't stand on Django.
    connection: Any = importlib.import_module("django.db").connections[using]
    if not connection.in_atomic_block:
        raise NoTransaction(using)
    quote = connection.ops.quote_name
    columns = f"{quote('key')}, {quote('entry')}"
    with connection.cursor() as cursor:
        for row in rows_of(events, key, bus):
            statement = f"INSERT INTO {quote(NAME)} ({columns}) VALUES (%s, %s)"
            cursor.execute(statement, [row["key"], row["entry"]])
