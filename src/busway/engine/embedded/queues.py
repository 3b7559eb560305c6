"""Queues: one row an item, found by queue and due time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from busway.clock import Clock
from busway.engine import Counts, Ended, Item, Origin, Put
from busway.engine.embedded.committer import Call, Committer
from busway.engine.embedded.groups import Groups
from busway.engine.embedded.looking import ITEM_COLUMNS, checked_queue, items_where, while_prefixed, wrong_item
from busway.engine.embedded.numbers import Numbers
from busway.engine.embedded.reader import Reader
from busway.engine.embedded.sealing import seal_item, seal_name
from busway.engine.embedded.space import Space
from busway.engine.embedded.subscribers import Subscribers, read_outcomes, read_pending
from busway.engine.waiting import Bells, until_due

# Items that one transaction of a purge ends: other calls get their turn in between.
PURGE_ROWS = 500
# An outcome is a word that is kept for each delivery: short.
OUTCOME_BYTES_MAX = 64
# What SQLite can count to: above every id.
NUMBER_MAX = (1 << 63) - 1

_INSERT = (
    "INSERT INTO items (id, queue, due, token, attempts, put_at, subscriber, offset, crc, body, meta)"
    " VALUES (?, ?, ?, 0, 0, ?, ?, ?, ?, ?, ?)"
)
_DUE = f"SELECT {ITEM_COLUMNS} FROM items WHERE queue = ? AND due <= ? AND id < ? ORDER BY due, token, id LIMIT ?"
_LEASE = (
    "UPDATE items SET due = ?, token = token + 1, attempts = attempts + 1,"
    " first_leased_at = coalesce(first_leased_at, ?) WHERE id = ?"
)
_HELD = "SELECT id, subscriber, offset, attempts FROM items WHERE id = ? AND token = ?"


class EmbeddedQueues:
    def __init__(
        self,
        committer: Committer,
        reader: Reader,
        space: Space,
        clock: Clock,
        numbers: Numbers,
        subscribers: Subscribers,
    ) -> None:
        self._committer, self._reader, self._space, self._clock = committer, reader, space, clock
        self._numbers, self._subscribers = numbers, subscribers
        self._groups = Groups(committer)
        self._ids: dict[str, int] = {}
        self._next_queue = (committer.query("SELECT max(id) FROM queues")[0][0] or 0) + 1
        # Of the open batch: the first id that was put, and whether it ends anything (its number, then).
        self._fresh = (0, 0)
        self._ended_in = 0
        self.bells = Bells()
        committer.on_stop.append(self.bells.stop)

    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        self._committer.check_open()
        # What came from a journal was promised when it was appended.
        refusable = not accepted and any(put.origin is None for put in puts)
        if refusable:
            self._space.check()
        return await self._committer.call(lambda call: self._put(call, puts), durable=True, refusable=refusable)

    def _put(self, call: Call[list[int]], puts: Sequence[Put]) -> list[int]:
        first, now = self._numbers.take(len(puts)), self._clock.now()
        marks: dict[int, int] = {}
        ordered = self._groups.ordered
        ids: list[int] = []
        rows: list[tuple[Any, ...]] = []
        for number, put in enumerate(puts, first):
            subscriber = offset = None
            if put.origin is not None:
                known, offset = self._subscribers.get(put.origin), put.origin.offset
                subscriber = known.id
                if offset <= marks.get(subscriber, known.mark):
                    ids.append(0)
                    continue
                marks[subscriber] = offset
            queue = self._ids.get(put.queue) or self._queue(put.queue) or self._create(put.queue)
            if put.group or put.once is not None or queue in ordered:
                original = self._ordered(call, queue, number, put, rows, now)
                if original is not None:
                    ids.append(-original)
                    continue
            crc = seal_item(number, queue, subscriber, offset, now, put.body, put.meta)
            rows.append((number, queue, put.due_at, now, subscriber, offset, crc, put.body, put.meta))
            ids.append(number)
        if marks:
            self._subscribers.move(marks)
        if rows:
            call.write_many(_INSERT, rows)
            if self._fresh[0] != self._committer.open_batch():
                self._fresh = self._committer.open_batch(), first
            names = {put.queue for put in puts}
            call.on_commit(lambda: self._ring(names))
        return ids

    def _ordered(
        self, call: Call[Any], queue: int, number: int, put: Put, before: list[tuple[Any, ...]], now: float
    ) -> int | None:
        """Note group and key of a put that has some; the item that it repeats, if it is left out."""
        self._groups.check_kind(queue, put.queue, bool(put.group), before)
        original = None if put.once is None else self._groups.original(call, queue, put.once, now)
        if original is None:
            if put.once is not None:
                self._groups.remember(call, queue, put.once, number)
            if put.group:
                self._groups.add(call, queue, put.group, number, put.due_at)
            return None
        if put.origin is not None:
            subscriber = self._subscribers.get(put.origin).id
            self._subscribers.ended(subscriber, Ended(put.origin.offset, "duplicate", 0, now))
        if original >= self._below() and not call.refusable and all(row[0] != original for row in before):
            # A full disk may still refuse the original, and this put not: then this one stands in for it.
            crc = seal_item(original, queue, None, None, now, put.body, put.meta)
            row = (original, queue, put.due_at, now, None, None, crc, put.body, put.meta)
            call.write(_INSERT.replace("INSERT", "INSERT OR IGNORE", 1), row)
            if put.once is not None:
                self._groups.remember(call, queue, put.once, original, again=True)
            if put.group:
                self._groups.add(call, queue, put.group, original, put.due_at)
        return original

    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        return await self._committer.call(lambda call: self._lease(call, queue, limit, lease_s))

    def _lease(self, call: Call[list[Item]], name: str, limit: int, lease_s: float) -> list[Item]:
        queue, now = self._queue(name), self._clock.now()
        if queue is None or limit <= 0:
            return []
        due_at = now + lease_s
        if queue in self._groups.ordered:
            rows = self._groups.lease(call, (queue, name), now, self._below(), limit, due_at)
        else:
            rows = self._committer.query(_DUE, (queue, now, self._below(), limit))
        found = [self._item(name, row, due_at, now) for row in rows]
        if found:
            call.write_many(_LEASE, [(due_at, now, item.id) for item in found])
            # That it was tried must not be forgotten: a crash here would try a deadly event for ever. And who ended
            # work and asks for more gets it when the end is durable: a crash repeats only what is in flight.
            tried = any(item.token > 1 for item in found)
            ended = self._ended_in == self._committer.open_batch()
            # And a group's lease is remembered, or after a crash another would get what somebody still works on.
            call.durable = tried or ended or queue in self._groups.ordered
        return found

    def _item(self, queue: str, row: tuple[Any, ...], due_at: float, now: float) -> Item:
        """The leased item of a row."""
        number, queue_id, _, token, attempts, put_at, first, subscriber, offset, crc, body, meta = row
        if crc != seal_item(number, queue_id, subscriber, offset, put_at, body, meta):
            raise wrong_item(queue, number)
        origin = None if subscriber is None else Origin(self._subscribers.name(subscriber), offset)
        first = now if first is None else first
        return Item(queue, number, token + 1, attempts + 1, put_at, due_at, body, meta, origin, first)

    async def wait(self, queue: str) -> None:
        async def next_due_at() -> float | None:
            return await self._committer.call(lambda _: self._next_due_at(queue))

        await until_due(self._clock, self.bells, queue, next_due_at)

    def _next_due_at(self, name: str) -> float | None:
        queue = self._queue(name)
        if queue in self._groups.ordered:
            return self._groups.next_free_at(queue, self._below())
        rows = self._committer.query(
            "SELECT due FROM items WHERE queue = ? AND id < ? ORDER BY due LIMIT 1", (queue, self._below())
        )
        return rows[0][0] if rows else None

    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        if len(outcome.encode()) > OUTCOME_BYTES_MAX:
            raise ValueError(f"outcome {outcome!r}: found more than {OUTCOME_BYTES_MAX} bytes, wanted a word")

        def work(call: Call[int]) -> int:
            # By id and token alone: the caller may have rebuilt the item from a receipt.
            held = {row[0]: row for item in items for row in self._committer.query(_HELD, (item.id, item.token))}
            self._end(call, list(held.values()), outcome)
            if self._groups.ordered and held:
                self._end_grouped(call, items, list(held))
            return len(held)

        return await self._committer.call(work)

    def _end_grouped(self, call: Call[Any], items: Sequence[Item], ended: list[int]) -> None:
        """Free the groups of ended items, and wake who waits for them."""
        names = {item.queue for item in items if self._is_ordered(item.queue)}
        if names:
            self._groups.ended(call, ended)
            call.durable = True
            call.on_commit(lambda: self._ring(names))

    def _is_ordered(self, queue: str) -> bool:
        return bool(self._groups.ordered) and self._queue(queue) in self._groups.ordered

    def _end(self, call: Call[Any], rows: list[tuple[Any, ...]], outcome: str) -> None:
        """Remove items, given as rows of `_HELD`, and note what became of those with an origin."""
        if not rows:
            return
        call.write_many("DELETE FROM items WHERE id = ?", [row[:1] for row in rows])
        self._ended_in = self._committer.open_batch()
        now = self._clock.now()
        for _, subscriber, offset, attempts in rows:
            if subscriber is not None:
                self._subscribers.ended(subscriber, Ended(offset, outcome, attempts, now))

    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        def work(call: Call[bool]) -> bool:
            if meta is None:
                changed = call.write(
                    "UPDATE items SET due = ? WHERE id = ? AND token = ?", (due_at, item.id, item.token)
                )
                return self._moved(call, item, changed > 0)
            return self._moved(call, item, self._release_with(call, item, due_at, meta))

        return self._ring_if(await self._committer.call(work), item.queue)

    def _release_with(self, call: Call[bool], item: Item, due_at: float, meta: bytes) -> bool:
        rows = self._committer.query(
            "SELECT queue, subscriber, offset, put_at, crc, body, meta FROM items WHERE id = ? AND token = ?",
            (item.id, item.token),
        )
        if not rows:
            return False
        queue, subscriber, offset, put_at, crc, body, old = rows[0]
        if crc != seal_item(item.id, queue, subscriber, offset, put_at, body, old):
            raise wrong_item(item.queue, item.id)
        sealed = seal_item(item.id, queue, subscriber, offset, put_at, body, meta)
        call.write("UPDATE items SET due = ?, meta = ?, crc = ? WHERE id = ?", (due_at, meta, sealed, item.id))
        return True

    async def refund(self, item: Item, due_at: float) -> bool:
        def work(call: Call[bool]) -> bool:
            # The token goes stale, or the same attempt could be given back twice.
            sql = "UPDATE items SET due = ?, attempts = attempts - 1, token = token + 1 WHERE id = ? AND token = ?"
            return self._moved(call, item, call.write(sql, (due_at, item.id, item.token)) > 0)

        return self._ring_if(await self._committer.call(work), item.queue)

    def _moved(self, call: Call[bool], item: Item, changed: bool) -> bool:
        if changed and self._is_ordered(item.queue):
            self._groups.changed(call, item.id)
            call.durable = True
        return changed

    async def purge(self, queue: str) -> int:
        ended, below = 0, self._numbers.following
        while True:
            count, keys = await self._committer.call(lambda call: self._purge(call, queue, below))
            ended += count
            if count < PURGE_ROWS and keys < PURGE_ROWS:
                return ended

    def _purge(self, call: Call[Any], name: str, below: int) -> tuple[int, int]:
        """Purge a piece; return how many items ended, and how many keys were forgotten."""
        queue = self._queue(name)
        if queue is None:
            return 0, 0
        rows = self._committer.query(
            "SELECT id, subscriber, offset, attempts FROM items WHERE queue = ? AND id < ? LIMIT ?",
            (queue, min(below, self._below()), PURGE_ROWS),
        )
        self._end(call, rows, "purged")
        if queue in self._groups.ordered:
            self._groups.ended(call, [row[0] for row in rows])
            call.durable = True
        return len(rows), self._groups.forget(call, queue, PURGE_ROWS)

    # --- looking, without changing anything ---

    async def browse(self, queue: str, limit: int, after_id: int = 0) -> list[Item]:
        # By rowid within the index, so that only the chosen rows are fetched.
        ids = "SELECT i.id FROM items i JOIN queues q ON i.queue = q.id WHERE q.name = ? AND i.id > ?"
        where = f"i.id IN ({ids} ORDER BY i.id LIMIT ?) ORDER BY i.id"
        return await self._reader.read(lambda db: items_where(db, queue, where, (queue, after_id, max(0, limit))))

    async def find(self, queue: str, item_id: int) -> Item | None:
        where = "i.id = ? AND i.queue = (SELECT id FROM queues WHERE name = ?)"
        found = await self._reader.read(lambda db: items_where(db, queue, where, (item_id, queue)))
        return found[0] if found else None

    async def counts(self, queue: str) -> Counts:
        now = self._clock.now()
        sql = (
            "SELECT count(*) FILTER (WHERE due <= ?1), count(*) FILTER (WHERE due > ?1 AND token > 0),"
            " count(*) FILTER (WHERE due > ?1 AND token = 0)"
            " FROM items WHERE queue = (SELECT id FROM queues WHERE name = ?2)"
        )
        return Counts(*await self._reader.read(lambda db: db.execute(sql, (now, queue)).fetchone()))

    async def names(self, prefix: str = "") -> list[str]:
        sql = (
            "SELECT name, id, crc FROM queues q WHERE name >= ? AND EXISTS (SELECT 1 FROM items WHERE queue = q.id)"
            " ORDER BY name"
        )
        rows = await self._reader.read(lambda db: while_prefixed(db.execute(sql, (prefix,)), prefix))
        for row in rows:
            checked_queue(*row)
        return [row[0] for row in rows]

    async def pending(self, subscriber: str) -> list[int]:
        return await self._reader.read(lambda db: read_pending(db, subscriber))

    async def outcomes(self, subscriber: str, after: int = 0, limit: int = 10_000) -> list[Ended]:
        return await self._reader.read(lambda db: read_outcomes(db, subscriber, after, limit))

    # --- inside the committer's calls ---

    def _below(self) -> int:
        """Only items with a lower id may be handed out: the others are not durable yet, and may be refused."""
        batch, first = self._fresh
        return first if batch and batch == self._committer.open_batch() else NUMBER_MAX

    def _queue(self, name: str) -> int | None:
        known = self._ids.get(name)
        if known is None:
            rows = self._committer.query("SELECT id, crc FROM queues WHERE name = ?", (name,))
            if rows:
                known = self._ids[name] = checked_queue(name, *rows[0])
        return known

    def _create(self, name: str) -> int:
        # Not part of the call that may be refused: others of the same batch may use the id.
        made, self._next_queue = self._next_queue, self._next_queue + 1
        self._committer.write_always(
            "INSERT INTO queues (id, name, crc) VALUES (?, ?, ?)", (made, name, seal_name(name, made))
        )
        self._ids[name] = made
        return made

    def _ring(self, queues: Iterable[str]) -> None:
        for queue in queues:
            self.bells.ring(queue)

    def _ring_if(self, changed: bool, queue: str) -> bool:
        if changed:
            self.bells.ring(queue)
        return changed
