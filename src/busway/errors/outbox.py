"""Of the outbox: rows, transactions, its database."""

from __future__ import annotations

from busway.errors.root import BuswayError


class MalformedRow(BuswayError):
    """What was to be written into the outbox, or was found there, is no event that a bus could take."""


class NoTransaction(BuswayError):
    """An event was to be written into the outbox outside of a transaction: it would not be undone with the rest."""

    def __init__(self, using: str) -> None:
        super().__init__(f"the connection {using!r} is in no transaction")
        self.hint = "write the event within `with transaction.atomic():`, beside what it tells of"


class MissingExtra(BuswayError):
    """A part of Busway whose libraries are not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed")
        self.hint = f"pip install 'busway[{extra}]'"


class OutboxUnreachable(BuswayError):
    """The database could not be reached, or has no table of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the outbox's database: {reason.strip()}")
        self.hint = "`busway outbox schema` prints the statement that makes the table"
