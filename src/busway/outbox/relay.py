"""The relay: from the table to the bus, at least once, in order per key.

    read → publish, at most one row of a key in a request → take what was accepted from the table

A death between the last two publishes those rows again. One relay works at a time; others that are started wait for
its end and go on. A key whose row cannot be published now waits, and holds back no other. What the bus refuses for
good is kept with the reason and passed over.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, select, text, update

from busway.errors import EventTooLarge, MalformedRow, PublishFailed
from busway.outbox.table import NAME, OUTBOX, read_entry
from busway.publishing import ENTRIES_MAX, publish

# Ours.
PAGE = 500
POLL_S, PAUSE_S, PAUSE_S_MAX = 0.2, 0.5, 30.0
# Any number will do that nobody else takes: "busway" in ASCII.
_LOCK = 0x627573776179
# What is said of an entry itself, which no later attempt mends; all else (no answer, no permission) may pass.
_ENTRYS_OWN = frozenset(
    (
        "MalformedDetail",
        "InvalidArgument",
        "NotAuthorizedForSource",
        "NotAuthorizedForSourceException",
        "ValidationException",
    )
)


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    key: str | None
    entry: str


@dataclass(slots=True)
class Sent:
    """Ids of rows by what became of them: accepted, refused for good, to be tried later; with the reasons."""

    accepted: list[int] = field(default_factory=list[int])
    refused: dict[int, str] = field(default_factory=dict[int, str])
    later: dict[int, str] = field(default_factory=dict[int, str])


def next_batch(rows: Sequence[Row], blocked: set[str]) -> list[Row]:
    """The next request: in order, no two rows of a key, none of a key that is blocked. Pure."""
    batch, keys = list[Row](), set(blocked)
    for row in rows:
        if row.key is not None:
            if row.key in keys:
                continue
            keys.add(row.key)
        batch.append(row)
        if len(batch) == ENTRIES_MAX:
            break
    return batch


class Relay:
    """`client` is a boto3 `events` client; `say` is told of what went wrong."""

    def __init__(
        self, engine: Engine, client: Any, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._engine, self._client, self._say, self._sleep = engine, client, say, sleep
        self.stuck = False

    def run(self, *, once: bool = False) -> int:
        """Publish for ever, or (`once`) until nothing is left that can be published now; the number published.

        `stuck` says after that whether something is left, which the bus did not take.
        """
        published, pause_s = 0, PAUSE_S
        with self._engine.connect() as connection, self._turn(connection):
            while True:
                done, stuck = self._pass(connection)
                published += done
                if once and (stuck or not done):
                    self.stuck = stuck
                    return published
                if stuck:
                    self._sleep(pause_s)
                    pause_s = min(PAUSE_S_MAX, pause_s * 2)
                else:
                    pause_s = PAUSE_S
                    if not done:
                        self._sleep(POLL_S)

    def _pass(self, connection: Connection) -> tuple[int, bool]:
        """One page of rows: how many left the table or were set aside, and whether something could not be sent."""
        done, blocked = 0, set[str]()
        rows = self._read(connection)
        while batch := next_batch(rows, blocked):
            sent = self._send(batch)
            self._settle(connection, sent)
            done += len(sent.accepted) + len(sent.refused)
            if sent.later:
                reason = next(iter(sent.later.values()))
                self._say(f"{len(sent.later)} events could not be published and are tried again: {reason}")
            if len(sent.later) == len(batch):
                return done, True
            blocked |= {row.key for row in batch if row.id in sent.later and row.key is not None}
            tried = {row.id for row in batch}
            rows = [row for row in rows if row.id not in tried]
        return done, bool(blocked)

    def _read(self, connection: Connection) -> list[Row]:
        columns = (OUTBOX.c.id, OUTBOX.c.key, OUTBOX.c.entry)
        query = select(*columns).where(OUTBOX.c.failed.is_(None)).order_by(OUTBOX.c.id).limit(PAGE)
        rows = [Row(*row) for row in connection.execute(query)]
        # Nothing is held while the bus is spoken to.
        connection.rollback()
        return rows

    def _send(self, rows: Sequence[Row]) -> Sent:
        sent, good, entries = Sent(), list[Row](), list[Any]()
        for row in rows:
            try:
                entries.append(read_entry(row.entry))
                good.append(row)
            except MalformedRow as error:
                sent.refused[row.id] = str(error)
        if good:
            self._publish(good, entries, sent)
        for row_id, reason in sent.refused.items():
            self._say(f"row {row_id} is refused and set aside: {reason}")
        return sent

    def _publish(self, rows: Sequence[Row], entries: Sequence[Any], sent: Sent) -> None:
        try:
            publish(*entries, client=self._client, sleep=self._sleep)
            sent.accepted += [row.id for row in rows]
        except EventTooLarge as error:
            self._alone(rows, entries, sent, str(error))
        except PublishFailed as error:
            refused = {each.place: each for each in error.refusals}
            if len(rows) > 1 and all(each.code == "ValidationException" for each in refused.values()):
                # One entry may have spoiled the request for all.
                return self._alone(rows, entries, sent, str(error))
            for place, row in enumerate(rows):
                if place not in refused:
                    sent.accepted.append(row.id)
                    continue
                said = f"{refused[place].code}: {refused[place].reason}"
                (sent.refused if refused[place].code in _ENTRYS_OWN else sent.later)[row.id] = said
        return None

    def _alone(self, rows: Sequence[Row], entries: Sequence[Any], sent: Sent, said: str) -> None:
        """Each in a request of its own; a single one that is too large is refused."""
        if len(rows) == 1:
            sent.refused[rows[0].id] = said
            return
        for row, entry in zip(rows, entries, strict=True):
            self._publish([row], [entry], sent)

    def _settle(self, connection: Connection, sent: Sent) -> None:
        if sent.accepted:
            connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(sent.accepted)))
        for row_id, reason in sent.refused.items():
            connection.execute(update(OUTBOX).where(OUTBOX.c.id == row_id).values(failed=reason))
        connection.commit()

    @contextmanager
    def _turn(self, connection: Connection) -> Generator[None]:
        """Wait until no other relay works on this database; the lock goes with the connection, or the process."""
        with _lock(connection) as attempt:
            told = False
            while not next(attempt):
                if not told:
                    self._say("another relay works on this database; this one waits for its end")
                    told = True
                self._sleep(POLL_S)
            yield


@contextmanager
def _lock(connection: Connection) -> Generator[Iterator[bool]]:
    """Gives whether the lock is ours, each time it is asked."""
    name = connection.dialect.name
    if name == "sqlite":
        database = str(connection.engine.url.database)
        with Path(f"{database}.relay").open("w") as file:
            yield _file_lock(file.fileno())
        return
    question = f"SELECT pg_try_advisory_lock({_LOCK})" if name == "postgresql" else f"SELECT GET_LOCK('{NAME}', 0)"

    def ask() -> Iterator[bool]:
        while True:
            ours = bool(connection.execute(text(question)).scalar())
            connection.rollback()
            yield ours

    yield ask()


def _file_lock(descriptor: int) -> Iterator[bool]:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def counts(connection: Connection) -> dict[str, int]:
    """How many rows wait, and how many were refused."""
    query = select(OUTBOX.c.failed.is_not(None), func.count()).group_by(OUTBOX.c.failed.is_not(None))
    found = {bool(refused): int(number) for refused, number in connection.execute(query)}
    return {"waiting": found.get(False, 0), "refused": found.get(True, 0)}


def refusals(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest rows that were refused: id, key, reason."""
    columns = (OUTBOX.c.id, OUTBOX.c.key, OUTBOX.c.failed)
    query = select(*columns).where(OUTBOX.c.failed.is_not(None)).order_by(OUTBOX.c.id.desc()).limit(limit)
    return [{"id": row.id, "key": row.key, "reason": row.failed} for row in connection.execute(query)]
