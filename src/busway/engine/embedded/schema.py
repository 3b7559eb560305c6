"""The database file: its tables, how it is opened, how it is brought up to date.

Durability rests on the settings below, so each is read back and compared: SQLite answers some of them with the
old value, and no error, when they could not be set.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from busway.errors import BuswayError, DataTooNew

DATABASE_NAME = "busway.db"

# One inner list a version. Never edit a list that was released: append a new one.
MIGRATIONS: Sequence[Sequence[str]] = (
    (
        "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO counters VALUES ('id', 0), ('offset', 0)",
        # Journals. `last` is the offset of an append's last entry, `prev` that of the append before it in its
        # journal: a reader that meets another `prev` has found a hole. `floor` is the last offset that was trimmed.
        "CREATE TABLE journals (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, floor INTEGER NOT NULL,"
        " crc INTEGER NOT NULL)",
        "CREATE TABLE appends (last INTEGER PRIMARY KEY, journal INTEGER NOT NULL, prev INTEGER NOT NULL,"
        " count INTEGER NOT NULL, at REAL NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL)",
        "CREATE INDEX appends_of_journal ON appends (journal)",
        "CREATE TABLE positions (journal INTEGER NOT NULL, reader TEXT NOT NULL, offset INTEGER NOT NULL,"
        " crc INTEGER NOT NULL, PRIMARY KEY (journal, reader)) WITHOUT ROWID",
        # Queues. `mark` is the highest offset that a subscriber put.
        "CREATE TABLE queues (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, crc INTEGER NOT NULL)",
        "CREATE TABLE subscribers (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, journal INTEGER NOT NULL,"
        " mark INTEGER NOT NULL, crc INTEGER NOT NULL)",
        "CREATE INDEX subscribers_of_journal ON subscribers (journal)",
        "CREATE TABLE items (id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, due REAL NOT NULL,"
        " token INTEGER NOT NULL, attempts INTEGER NOT NULL, put_at REAL NOT NULL, first_leased_at REAL,"
        " subscriber INTEGER, offset INTEGER, crc INTEGER NOT NULL, body BLOB NOT NULL, meta BLOB NOT NULL)",
        "CREATE INDEX items_due ON items (queue, due, token)",
        "CREATE INDEX items_of_subscriber ON items (subscriber, offset) WHERE subscriber IS NOT NULL",
        "CREATE TABLE outcomes (subscriber INTEGER NOT NULL, bucket INTEGER NOT NULL, seq INTEGER NOT NULL,"
        " crc INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (subscriber, bucket, seq)) WITHOUT ROWID",
        "CREATE TABLE records (key TEXT PRIMARY KEY, version INTEGER NOT NULL, crc INTEGER NOT NULL,"
        " data BLOB NOT NULL)",
    ),
    (
        # Ordered groups: which item is in which, and of each group with items its first one and when that can be
        # leased. Items without a group have no rows here, and cost nothing more.
        "CREATE TABLE grouped (item INTEGER PRIMARY KEY, queue INTEGER NOT NULL, name TEXT NOT NULL,"
        " crc INTEGER NOT NULL)",
        "CREATE INDEX grouped_in_order ON grouped (queue, name, item)",
        "CREATE TABLE item_groups (queue INTEGER NOT NULL, name TEXT NOT NULL, free REAL NOT NULL,"
        " first INTEGER NOT NULL, PRIMARY KEY (queue, name)) WITHOUT ROWID",
        "CREATE INDEX item_groups_free ON item_groups (queue, free, first)",
        # What is to be put once: the keys, and the items that came first.
        "CREATE TABLE keys (queue INTEGER NOT NULL, key TEXT NOT NULL, item INTEGER NOT NULL, until REAL NOT NULL,"
        " crc INTEGER NOT NULL, PRIMARY KEY (queue, key)) WITHOUT ROWID",
        "CREATE INDEX keys_until ON keys (until)",
    ),
)

# https://sqlite.org/pragma.html. In this order: the page size is fixed by the first write.
PRAGMAS: Sequence[tuple[str, object]] = (
    # An append or a few items fill one of these; with smaller ones a row is more pieces to look after.
    ("page_size", 8192),
    ("journal_mode", "wal"),
    # FULL syncs the log at each commit; NORMAL would lose acknowledged work in a power cut.
    ("synchronous", 2),
    # macOS: fsync leaves data in the drive's cache. Elsewhere these two change nothing.
    ("fullfsync", 1),
    ("checkpoint_fullfsync", 1),
    # The committer makes checkpoints itself: SQLite's own keep quiet about an I/O error.
    ("wal_autocheckpoint", 0),
    # Nothing is written before COMMIT, so that a full disk shows there and nowhere else.
    ("cache_spill", 0),
    ("cache_size", -32_000),
    ("secure_delete", 0),
    ("cell_size_check", 1),
    ("temp_store", 2),
    ("journal_size_limit", 64 << 20),
    ("busy_timeout", 5_000),
)


def connect(path: Path, connection: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """The connection that writes. Raises BuswayError when a setting did not take."""
    db = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256, factory=connection
    )
    try:
        for name, wanted in PRAGMAS:
            apply_pragma(db, name, wanted)
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for use in one other thread."""
    return sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )


def apply_pragma(db: sqlite3.Connection, name: str, wanted: object) -> None:
    db.execute(f"PRAGMA {name} = {wanted}").fetchall()
    row = db.execute(f"PRAGMA {name}").fetchone()
    found = row[0] if row else None
    # A database that was made with another page size keeps it.
    if found != wanted and name != "page_size":
        raise BuswayError(f"database setting {name}: found {found!r}, wanted {wanted!r}")


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring the tables up to date, a transaction a version. Raises `DataTooNew`."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if found > len(MIGRATIONS):
        raise DataTooNew(
            f"{path}: found data of version {found}, wanted at most {len(MIGRATIONS)}: "
            "it was written by a newer Busway"
        )
    for version, statements in enumerate(MIGRATIONS[found:], found + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def error_code(exc: BaseException) -> int:
    """SQLite's primary result code, 0 when the error isn't SQLite's own (a wrong argument, for example)."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


def is_full(exc: BaseException) -> bool:
    # The index of the log, a file too, reports a full disk in its own way.
    extended = getattr(exc, "sqlite_errorcode", 0)
    return error_code(exc) == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE


def is_callers_fault(exc: BaseException) -> bool:
    """Whether the error comes from what the caller handed in: then only that call fails."""
    if not isinstance(exc, sqlite3.Error):
        return isinstance(exc, Exception)
    return error_code(exc) in (0, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH)
