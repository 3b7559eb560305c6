"""The table: `busway_outbox`, a row an event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, String, Table, Text, create_mock_engine, func
from sqlalchemy.schema import CreateTable

from busway.errors import MalformedRow

NAME = "busway_outbox"
KEY_CHARS_MAX = 200
DIALECTS = ("postgresql", "sqlite", "mysql")
# What an entry may hold. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
_TEXTS = ("Source", "DetailType", "Detail")
_OTHERS = ("EventBusName", "Resources", "TraceHeader")

OUTBOX = Table(
    NAME,
    MetaData(),
    # SQLite counts up by itself only what is called INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    # Rows of one key stay in order; one without a key is in no order.
    Column("key", String(KEY_CHARS_MAX)),
    # An entry as PutEvents takes it, as JSON text.
    Column("entry", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Why the bus refused it for good; such a row is passed over, and kept.
    Column("failed", Text),
    # SQLite: an id is never given twice, also not that of the last row after it is gone.
    sqlite_autoincrement=True,
)


def schema(dialect: str) -> str:
    """The statement that makes the table, for one of `DIALECTS`."""

    def ignore(*_: object) -> None: ...

    engine = create_mock_engine(f"{dialect}://", ignore)
    return f"{str(CreateTable(OUTBOX).compile(dialect=engine.dialect)).strip()};\n"


def read_entry(text: str) -> Mapping[str, Any]:
    """The entry in a row. Raises `MalformedRow` for what PutEvents could not take from anybody."""
    try:
        entry: Any = json.loads(text)
    except ValueError as error:
        raise MalformedRow(f"entry is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise MalformedRow("entry is no JSON object")
    members = cast(dict[str, Any], entry)
    for name in _TEXTS:
        if not isinstance(members.get(name), str):
            raise MalformedRow(f"{name} is {members.get(name)!r}; wanted text (Detail: JSON as text)")
    for name in sorted(set(members) - {*_TEXTS, *_OTHERS}):
        raise MalformedRow(f"{name!r} is nothing that an entry has; wanted {', '.join((*_TEXTS, *_OTHERS))}")
    resources: Any = members.get("Resources", [])
    if not isinstance(resources, list) or not all(isinstance(each, str) for each in cast(list[Any], resources)):
        raise MalformedRow(f"Resources is {resources!r}; wanted a list of texts")
    return members
