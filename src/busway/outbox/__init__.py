"""Events that are written in the caller's own transaction, and put on the bus by a relay once that has committed.

    table       the one table, which any language may write to, and what a row of it holds
    add         for programs that use SQLAlchemy; `busway.outbox.django.add` for Django's
    relay       reads what was committed, publishes it, takes it from the table

A row that was committed is published at least once; one that was rolled back never is. Rows of one key are published
in the order of their ids, each after the one before was accepted. Needs the extra `outbox` (SQLAlchemy); light beside
that: no server part.
"""

from busway.outbox.add import add as add

__all__ = ["add"]
