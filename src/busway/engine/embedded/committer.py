"""Group commit: many calls, one transaction, one fsync.

    event loop                                            committer thread
    ----------                                            ----------------
    call ── runs its SQL at once ──┐
    call ── runs its SQL at once ──┤ one open batch
    (end of this loop turn) ───────┴──── batch ─────────► COMMIT (write + fsync)
    call ── waits ──┐                                          │
    call ── waits ──┤                     ◄── one wake-up ─────┘  answers the batch
                    └─ run, the next batch ─────────────► COMMIT ...

Statements run on the event loop: they only fill SQLite's page cache (nothing is written before COMMIT) and cost a few
microseconds each. The road not taken, statements in the thread, makes it fight the loop for the interpreter lock at
every row: 12 times slower for a put of 300 rows while the loop is busy. What may block, writing and syncing, is the
thread's, which has the connection to itself meanwhile.

Every statement of a batch is also noted. When COMMIT finds the disk full, the batch is run again from the notes
without the work that may be refused: what was answered early is not decided twice.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar, cast

from busway.engine.embedded.batch import Batch, Call, Note
from busway.engine.embedded.disk import LogIndex
from busway.engine.embedded.schema import is_callers_fault, is_full
from busway.engine.embedded.space import Space
from busway.errors import EngineStopped, StorageFull

T = TypeVar("T")

# Pages of write-ahead log after which its content is moved to the database: about 10 ms of work.
CHECKPOINT_PAGES = 1000
# A log that readers kept from being reused is cut off beyond this many pages.
TRUNCATE_PAGES = 8_000
# Calls that waited for a commit run in one go up to this many, so that the loop is not held for long.
DRAIN_CALLS_MAX = 512
# While even the reserve is used up: how often to try again.
FULL_RETRY_S = 0.25


class Committer:
    """Owns the writing connection. `before_commit` functions add the rows that a batch gathered."""

    def __init__(
        self, db: sqlite3.Connection, log: LogIndex, space: Space, on_fatal: Callable[[BaseException], None]
    ) -> None:
        self._db, self._log, self._space, self._on_fatal = db, log, space, on_fatal
        self._loop = asyncio.get_running_loop()
        self._batch: Batch | None = None
        self._committing: Batch | None = None
        self._waiting: deque[Call[Any]] = deque()
        self._jobs: SimpleQueue[Batch | None] = SimpleQueue()
        self._give_up = threading.Event()
        self._closing = False
        self._batches = 0
        self._stopped: str | None = None
        self._ended = asyncio.Event()
        self.before_commit: list[Callable[[Callable[[str, list[tuple[Any, ...]]], None]], None]] = []
        self.on_stop: list[Callable[[str], None]] = []
        threading.Thread(target=self._work, name="busway-committer", daemon=True).start()

    # --- for the seams, on the event loop ---

    def check_open(self) -> None:
        if self._stopped is not None:
            raise EngineStopped(self._stopped)

    async def call(self, work: Callable[[Call[T]], T], *, durable: bool = False, refusable: bool = False) -> T:
        """Run `work` in the order of calls; return its result, if `durable` after the fsync.

        `work` may set `durable` on its call. Raises what `work` raises (nothing is stored then), `StorageFull`
        for a refusable call that found no room, `EngineStopped`.
        """
        self.check_open()
        call = Call(self, work, durable, refusable)
        if self._committing is not None or self._waiting:
            call.answer = self._loop.create_future()
            self._waiting.append(call)
            return await call.answer
        result = self._run(call)
        if not call.durable or self._batch is None:
            return result
        call.answer, call.result = self._loop.create_future(), result
        self._batch.calls.append(call)
        return await call.answer

    async def settled(self) -> None:
        """Return once everything called before is durable, and so visible to the reading connection."""
        self.check_open()
        if self._batch is not None or self._committing is not None or self._waiting:
            await self.call(lambda _: None, durable=True)

    def open_batch(self) -> int:
        """A number for the batch that is being gathered, 0 when there is none."""
        return self._batches if self._batch is not None else 0

    def query(self, sql: str, row: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows as they stand after all earlier calls. Only inside `work`."""
        return self._db.execute(sql, row).fetchall()

    def write(self, sql: str, row: Sequence[Any], refusable: bool = False) -> int:
        self._note(refusable, False, sql, row)
        return self._db.execute(sql, row).rowcount

    def write_always(self, sql: str, row: Sequence[Any]) -> None:
        """Run a statement that stays, whatever becomes of the call: others may build on it already."""
        self._begin().notes.append((None, False, sql, row))
        try:
            self._db.execute(sql, row)
        except BaseException:
            cast(Batch, self._batch).notes.pop()
            raise

    def write_many(self, sql: str, rows: list[tuple[Any, ...]], refusable: bool = False) -> None:
        self._note(refusable, True, sql, rows)
        self._db.executemany(sql, rows)

    def on_commit(self, hook: Callable[[], None], refusable: bool) -> None:
        cast(Batch, self._batch).hooks.append((refusable, hook))

    def on_refused(self, hook: Callable[[], None]) -> None:
        cast(Batch, self._batch).refusals.append(hook)

    def stop(self, exc: BaseException) -> None:
        """Stop for good after an I/O error: from here on no answer is a success."""
        if self._stopped is not None:
            return
        self._shut(f"the engine stopped itself: {type(exc).__name__}: {exc}")
        self._jobs.put(None)
        self._on_fatal(exc)

    async def close(self) -> None:
        """Commit what was called, write the log back and end the thread; what can't be committed is given up."""
        if self._stopped is None:
            self._give_up.set()
            await asyncio.gather(self.call(self._commit_gathered, durable=True), return_exceptions=True)
        if self._stopped is None:
            self._closing = True
            self._shut("the engine was closed")
            self._jobs.put(None)
        await self._ended.wait()
        self._db.close()

    def _commit_gathered(self, _: Call[None]) -> None:
        """Commit what was gathered for the next commit, though nothing else is there to be committed."""
        self._begin()

    # --- running calls, on the event loop ---

    def _note(self, refusable: bool, many: bool, sql: str, rows: Any) -> None:
        self._begin().notes.append((refusable, many, sql, rows))

    def _begin(self) -> Batch:
        if self._batch is None:
            self._db.execute("BEGIN IMMEDIATE")
            self._batch = Batch()
            self._batches += 1
            self._loop.call_soon(self._hand_over)
        return self._batch

    def _run(self, call: Call[T]) -> T:
        noted = len(self._batch.notes) if self._batch is not None else 0
        try:
            return call.work(call)
        except Exception as exc:
            if not is_callers_fault(exc):
                self.stop(exc)
                raise EngineStopped(str(self._stopped)) from exc
            self._take_back(noted)
            raise

    def _take_back(self, noted: int) -> None:
        try:
            self._undo(noted)
        except sqlite3.Error as exc:
            self.stop(exc)

    def _undo(self, noted: int) -> None:
        """Take back what a failed call wrote, by running the rest of the batch again."""
        if self._batch is None or len(self._batch.notes) == noted:
            return
        self._batch.notes[noted:] = [note for note in self._batch.notes[noted:] if note[0] is None]
        self._db.execute("ROLLBACK")
        self._db.execute("BEGIN IMMEDIATE")
        self._replay(self._batch.notes)

    def _replay(self, notes: Iterable[Note]) -> None:
        for _, many, sql, rows in notes:
            (self._db.executemany if many else self._db.execute)(sql, rows)

    def _hand_over(self) -> None:
        batch = self._batch
        if batch is None or self._stopped is not None:
            return
        try:
            for gathered in self.before_commit:
                gathered(self.write_many)
        except Exception as exc:  # noqa: BLE001
            # What a batch gathered belongs to calls that may have been answered: it can't be left out.
            self.stop(exc)
            return
        self._batch, self._committing = None, batch
        self._jobs.put(batch)

    def _committed(self, batch: Batch, refused: bool, free: bool) -> None:
        if self._stopped is not None:
            return
        for refusable, hook in batch.hooks:
            if not (refused and refusable):
                hook()
        for call in batch.calls:
            if call.answer is not None and not call.answer.done():
                call.answer.set_result(call.result)
        if free:
            self._freed()

    def _refused(self, batch: Batch) -> None:
        """Answer the work that a full disk refuses; the rest of the batch is still being committed."""
        for hook in batch.refusals:
            hook()
        for call in batch.calls:
            if call.refusable and call.answer is not None and not call.answer.done():
                call.answer.set_exception(StorageFull(self._space.detail()))

    def _freed(self) -> None:
        """The thread gave the connection back: run what waited."""
        self._committing = None
        for _ in range(min(len(self._waiting), DRAIN_CALLS_MAX)):
            call = self._waiting.popleft()
            answer = cast("asyncio.Future[Any]", call.answer)
            if answer.cancelled():
                continue
            try:
                call.result = self._run(call)
            except Exception as exc:  # noqa: BLE001 - it is the caller's
                if not answer.done():
                    answer.set_exception(exc)
                continue
            if call.durable and self._batch is not None:
                self._batch.calls.append(call)
            else:
                answer.set_result(call.result)
        if self._waiting and self._batch is None:
            self._loop.call_soon(self._freed)

    def _shut(self, why: str) -> None:
        self._stopped = why
        self._give_up.set()
        calls = [*self._waiting]
        for batch in (self._batch, self._committing):
            calls += batch.calls if batch is not None else []
        self._waiting.clear()
        self._batch = self._committing = None
        for call in calls:
            if call.answer is not None and not call.answer.done():
                call.answer.set_exception(EngineStopped(why))
        for told in self.on_stop:
            told(why)

    # --- the thread ---

    def _work(self) -> None:
        failure: BaseException | None = None
        while failure is None and (batch := self._jobs.get()) is not None:
            failure = self._serve(batch)
        if failure is None and self._closing:
            failure = self._checkpoint("TRUNCATE")
        self._post(self._thread_ended, failure)

    def _serve(self, batch: Batch) -> BaseException | None:
        """Make a batch durable and tell the loop; give back what should stop the engine."""
        try:
            refused = self._commit(batch)
        except Exception as exc:  # noqa: BLE001 - whatever it is, it stops the engine
            return exc
        busy = self._log.pages_waiting() >= CHECKPOINT_PAGES
        self._post(self._committed, batch, refused, not busy)
        if busy:
            if failure := self._checkpoint("PASSIVE"):
                return failure
            self._post(self._freed)
        return None

    def _commit(self, batch: Batch) -> bool:
        """True when the disk was full and the refusable part was left out. Never commits again after an I/O error."""
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            if not is_full(exc):
                raise
        else:
            return False
        self._space.note_full()
        self._post(self._refused, batch)
        kept = [note for note in batch.notes if not note[0]]
        while not self._commit_again(kept):
            if self._give_up.wait(FULL_RETRY_S):
                raise StorageFull(f"closed while the disk was full: {self._space.detail()}")
        return True

    def _commit_again(self, notes: list[Note]) -> bool:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if not notes:
            return True
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._replay(notes)
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            if not is_full(exc):
                raise
            return False
        return True

    def _checkpoint(self, mode: str) -> BaseException | None:
        try:
            _, pages, _ = self._db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        except sqlite3.Error as exc:
            if not is_full(exc):
                return exc
            # The log keeps what could not be moved.
            self._space.note_full()
            return None
        if pages > TRUNCATE_PAGES and mode == "PASSIVE":
            return self._checkpoint("TRUNCATE")
        return None

    def _post(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop was closed without closing the engine: nobody is left to be told.
            self._give_up.set()

    def _thread_ended(self, failure: BaseException | None) -> None:
        if not self._closing or failure is not None:
            # While the reading connection is open, closing this one writes and syncs nothing: what the disk did not
            # take once is not tried again, also not as the process ends.
            self._db.close()
        if failure is not None:
            self.stop(failure)
        self._ended.set()
