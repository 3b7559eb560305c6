"""Live Tail: sessions that tell about once a second what came into log groups since they last looked.

A session remembers how far it has read each group, and looks only when its client has taken the update before. So
one whose groups are quiet reads nothing at all, and one whose client is slow holds one update in memory.

Ours: AWS keeps up to ten updates for a slow client and then drops the oldest. Here a slow client's next update is a
sample of everything that came meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import msgspec

from busway.arn import Scope
from busway.clock import Clock, any_of
from busway.errors import InvalidLogOperation, LogLimitExceeded, LogSessionEnded, LogSessionTimedOut
from busway.logs.groups import LogGroups, Mark, Query
from busway.logs.page import LogEvent
from busway.logs.sample import Sample

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
EVERY_S, SESSION_S, UPDATE_EVENTS_MAX = 1.0, 3 * 3_600.0, 500
# Ours: of the messages of an update. They could have half a gigabyte otherwise.
UPDATE_BYTES_MAX = 1_048_576
# Of an account and Region: https://docs.aws.amazon.com/general/latest/gr/cwl_region.html
SESSIONS_MAX = 15
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
CLASS = "STANDARD"


class Update(msgspec.Struct, frozen=True):
    """What came: (name of the group, event) in the order of their times, `sampled` where that is not all of it."""

    events: Sequence[tuple[str, LogEvent]]
    sampled: bool


class Session(AsyncIterator[Update]):
    """One tail of some groups, from now on. Whoever has it closes it."""

    def __init__(
        self, groups: LogGroups, clock: Clock, scope: Scope, marks: dict[str, Mark], query: Query,
        leave: Callable[[Session], object],
    ) -> None:  # fmt: skip
        """`marks` are the groups with where they end now. `leave` is called when it is closed."""
        self._groups, self._clock, self._scope, self._query = groups, clock, scope, query
        self._marks, self._leave = marks, leave
        self._until = clock.monotonic() + SESSION_S
        self._ended = asyncio.Event()

    async def __anext__(self) -> Update:
        """Wait for a second and look. Raises `LogSessionTimedOut`, `LogSessionEnded`."""
        if not self._ended.is_set():
            await any_of(self._clock, EVERY_S, self._ended.wait())
        if self._ended.is_set():
            raise LogSessionEnded("The server is stopping.")
        if self._clock.monotonic() >= self._until:
            raise LogSessionTimedOut(f"The session was open for {SESSION_S / 3_600:.0f} hours.")
        sample = Sample(UPDATE_EVENTS_MAX, UPDATE_BYTES_MAX)
        for name, mark in self._marks.items():
            take = partial(sample.offer, name)
            self._marks[name] = await self._groups.read_new(self._scope, name, self._query, mark, take)
        return Update(sample.events(), sample.left_out)

    def end(self) -> None:
        """The server's word; the client is told with its next update."""
        self._ended.set()

    def close(self) -> None:
        """Free its place. Idempotent."""
        self._ended.set()
        self._leave(self)


class LiveTails:
    """The sessions that are open, by account and Region. `clock` is the machine's own: clients wait by it."""

    def __init__(self, groups: LogGroups, clock: Clock) -> None:
        self._groups, self._clock = groups, clock
        self._open: dict[Scope, set[Session]] = {}
        self._ending = False

    async def start(self, scope: Scope, names: Sequence[str], query: Query) -> Session:
        """A session about the groups of these names.

        Raises `LogGroupNotFound`, `InvalidLogOperation`, `LogLimitExceeded`.
        """
        marks = {name: await self._mark(scope, name) for name in names}
        if self.count(scope) >= SESSIONS_MAX:
            raise LogLimitExceeded(f"Resource limit exceeded: {SESSIONS_MAX} concurrent Live Tail sessions.")
        session = Session(self._groups, self._clock, scope, marks, query, partial(self._closed, scope))
        self._open.setdefault(scope, set()).add(session)
        if self._ending:
            session.end()
        return session

    def count(self, scope: Scope) -> int:
        """How many are open."""
        return len(self._open.get(scope, ()))

    def end(self) -> None:
        """End all, and whatever begins from now on: for a server that stops."""
        self._ending = True
        for sessions in self._open.values():
            for session in sessions:
                session.end()

    async def _mark(self, scope: Scope, name: str) -> Mark:
        group = self._groups.find(scope, name)
        if group is not None and group.record.kind != CLASS:
            raise InvalidLogOperation(
                f"Live Tail is for log groups of the class {CLASS}; {name} is {group.record.kind}."
            )
        return await self._groups.mark(scope, name)

    def _closed(self, scope: Scope, session: Session) -> None:
        sessions = self._open.get(scope, set())
        sessions.discard(session)
        if not sessions:
            self._open.pop(scope, None)
