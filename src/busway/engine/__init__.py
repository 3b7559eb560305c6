"""The three seams on which everything stands: journal, queue, records.

    journal   an append-only, retained, ordered log; a reader keeps a position
    queue     durable work with a due time: put, lease, done, retry later
    records   named values with compare-and-set and a watch

What callers may rely on, on any engine:

- *Downstream put first, upstream done or advance after.* The process may die between any two engine
  calls, and nothing is lost; what was in flight may be repeated.
- *Durable before return*: `Journal.append`, `Queues.put`, `Records.put` and `Records.delete`,
  `Queues.lease` for an item that was leased before (so that its attempts are never forgotten), and whatever is done
  to an item of a group (so that a crash changes no order).
- *Durable with the next group commit*, not before return: `Queues.lease` of fresh items, `done`, `release`,
  `Journal.advance`.
- An engine may commit several calls at once (the embedded one does). No caller may need it to.
- A method returns only after its effect is visible to every later call in any process on that engine.

No room but `server` knows which engine runs. `engine/DESIGN.md` shows each method on SQLite, PostgreSQL
and NATS JetStream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing in a journal. `offset` increases along a journal, with gaps; `at` is Unix seconds."""

    offset: int
    at: float
    data: bytes


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a put came from: a subscriber of a journal and the offset it read.

    A subscriber's puts arrive in the order of offsets, so "seen before" is one number per subscriber, its mark:
    a put whose offset is not above the mark is silently left out (so a subscriber has one put for an offset). The
    mark stays when the work is done. A subscriber name is used for one journal, and never for another subscriber.
    """

    subscriber: str
    offset: int


class Once(msgspec.Struct, frozen=True, gc=False):
    """Makes a put take effect once: who comes later with the same key is left out.

    A queue remembers the key until `until` (Unix seconds), also when the item has ended; a repeat doesn't move that.
    """

    key: str
    until: float


class Put(msgspec.Struct, frozen=True, gc=False):
    """Work to be queued.

    `body` is what a consumer gets; `meta` is what is kept beside it, off the wire (the owner of the queue says
    what is in it). `due_at` is Unix seconds; work is leased no earlier. `origin` makes the put idempotent and
    lets `outcomes` account for it.

    Items of one `group` of a queue are leased in the order in which they were put, and none of them while another
    is leased (or released and not due yet). A queue holds items with a group or without one, not both.
    """

    queue: str
    body: bytes
    due_at: float
    meta: bytes = b""
    origin: Origin | None = None
    group: str = ""
    once: Once | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """Queued work as a consumer sees it.

    `id` names it for its whole life. `token` fences: `done` and `release` have no effect once the item was
    leased again. They look at `queue`, `id` and `token` alone, so an item may be rebuilt from a receipt.
    `attempts` counts leases, this one included (0 for an item that was only browsed and never leased). While it
    is leased, `due_at` is when the lease runs out.
    """

    queue: str
    id: int
    token: int
    attempts: int
    put_at: float
    due_at: float
    body: bytes
    meta: bytes
    origin: Origin | None = None
    first_leased_at: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a queue holds: due now; leased or released before, and not due yet; never leased and due later."""

    ready: int
    leased: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a put that had an origin, and when. `outcome` is the word given to `done`."""

    offset: int
    outcome: str
    attempts: int
    at: float


@dataclass(frozen=True, slots=True)
class Value:
    """A record's value. `version` starts at 1 and grows with each write of that key."""

    key: str
    version: int
    data: bytes


class Journal(Protocol):
    """Append-only logs by name. A journal exists once it is appended to; 100,000 of them are cheap."""

    async def append(self, journal: str, entries: Sequence[bytes]) -> int:
        """Append in order, all or nothing; return the offset of the first (the others follow by one).

        Raises `StorageFull` before anything is stored, ValueError without entries. Durable before return.
        """
        ...

    async def read(self, journal: str, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with an offset above `after`, in order; [] at the end. Never waits.

        Raises `CorruptRecord` for an entry whose checksum does not fit; never skips one.
        """
        ...

    async def wait(self, journal: str, after: int) -> None:
        """Return once the journal holds an entry above `after`."""
        ...

    async def head(self, journal: str) -> int:
        """The offset of the newest entry, also when it was trimmed; 0 when there has been none."""
        ...

    async def position(self, journal: str, reader: str) -> int:
        """The offset up to which `reader` is finished, 0 at first."""
        ...

    async def advance(self, journal: str, reader: str, offset: int) -> None:
        """Move the reader's position forward; a lower offset than the present one changes nothing."""
        ...

    async def trim(self, journal: str, before: float, up_to: int) -> int:
        """Forget entries with `at` below `before` and offset at most `up_to`; return how many.

        Of an append that lies on both sides of `up_to` all entries may be kept. Where the clock stepped back, order
        counts: what stands before an entry that is old enough goes with it.
        The caller passes as `up_to` what all readers have finished: trimming never touches what is still to
        be delivered. Forgets also the outcomes of subscribers' offsets that are gone.
        """
        ...

    async def offset_at(self, journal: str, at: float) -> int:
        """The largest offset whose entry was appended before `at`; 0 when there is none.

        Below what was trimmed it is the last offset that was. One of several when the clock stepped back.
        """
        ...


class Queues(Protocol):
    """Durable work by queue name. A queue exists once something is put; 100,000 of them are cheap."""

    async def put(self, puts: Sequence[Put], *, accepted: bool = False) -> list[int]:
        """Queue work, all or nothing; return the item ids in order.

        0 stands for one left out because its origin was seen before, and -n for one left out as a repeat of item n
        (see `Once`); had that an origin, its outcome is "duplicate". Raises ValueError for an item without a group
        in a queue that holds some with one, and the other way round.
        `accepted` says that a promise was already given for this work (a routed event, a dead letter, a redrive):
        such puts may use the reserve of a full disk, others raise `StorageFull` then. Durable before return.
        """
        ...

    async def lease(self, queue: str, limit: int, lease_s: float) -> list[Item]:
        """Take up to `limit` due items, earliest due first, for `lease_s` seconds; [] when none is due.

        Of those that are due at the same time, the ones put first. Groups come one after the other, each with as
        many of its first items as are due: the group first that was free (its first item due, none leased) the
        longest. Raises `CorruptRecord`, and takes nothing, when
        one of them does not fit its checksum.
        """
        ...

    async def wait(self, queue: str) -> None:
        """Return when the queue holds an item that can be leased (also one whose lease ran out)."""
        ...

    async def done(self, items: Sequence[Item], outcome: str = "delivered") -> int:
        """End leased items; return how many still carried their token. Recorded for those with an origin.

        Also after the lease ran out, until somebody else leases the item. `outcome` has at most 64 bytes.
        """
        ...

    async def release(self, item: Item, due_at: float, meta: bytes | None = None) -> bool:
        """Give a leased item back, due at `due_at`, with new `meta` if given; False if the token is stale.

        The attempt it cost stays counted. Also extends a lease: an item released with a later `due_at` is
        not leased before that, and its token stays good until it is.
        """
        ...

    async def refund(self, item: Item, due_at: float) -> bool:
        """As `release`, but the attempt does not count (a throttle, a shutdown), and the token is stale after."""
        ...

    async def browse(self, queue: str, limit: int, after_id: int = 0) -> list[Item]:
        """Look at items in the order of their ids, leased or not, without leasing them."""
        ...

    async def find(self, queue: str, item_id: int) -> Item | None:
        """One item by id, leased or not; None when it is gone."""
        ...

    async def counts(self, queue: str) -> Counts: ...

    async def names(self, prefix: str = "") -> list[str]:
        """The queues that hold something, sorted, those that begin with `prefix`."""
        ...

    async def purge(self, queue: str) -> int:
        """End every item, leased ones too, with the outcome "purged"; return how many. Forgets the keys of `Once`."""
        ...

    async def pending(self, subscriber: str) -> list[int]:
        """The offsets of this subscriber's puts that are still queued somewhere, sorted."""
        ...

    async def outcomes(self, subscriber: str, after: int = 0, limit: int = 10_000) -> list[Ended]:
        """What became of this subscriber's puts, by offset, for as long as the offsets are retained."""
        ...


class Records(Protocol):
    """Named values. Keys are text with `/` or `:` between parts; values are small (under 1 MiB)."""

    async def get(self, key: str) -> Value | None: ...

    async def put(self, key: str, data: bytes, expect: int | None = None) -> int:
        """Write and return the new version.

        `expect` is the version it must have now: 0 for "must not exist", None for "whatever it is".
        Raises `VersionConflict` otherwise. Durable before return.
        """
        ...

    async def delete(self, key: str, expect: int | None = None) -> bool:
        """Remove; False when there was none. `expect` as for `put`. Durable before return."""
        ...

    async def list(self, prefix: str) -> list[Value]:
        """Every record whose key begins with `prefix`, sorted by key."""
        ...

    def watch(self, prefix: str) -> AsyncIterator[str]:
        """Keys under `prefix` as they change, from the moment of the call; a key may come twice."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the engine takes new work, for `/health`: `accepting` is False while the disk is full."""

    accepting: bool
    detail: str


class Engine(Protocol):
    """One store with all three seams."""

    @property
    def journal(self) -> Journal: ...

    @property
    def queues(self) -> Queues: ...

    @property
    def records(self) -> Records: ...

    async def health(self) -> Health: ...

    async def close(self) -> None:
        """Finish the commits under way and let go of files and locks; later calls raise `EngineStopped`."""
        ...
