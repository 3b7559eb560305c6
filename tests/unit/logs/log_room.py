"""Log groups over an engine in memory, moved by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec

from busway.arn import Scope
from busway.aws.services.logs import Logs as LogsDoor
from busway.clock import ManualClock, SeededEntropy
from busway.engine.memory import MemoryEngine
from busway.function.logs import Line, Logs
from busway.logs.functions import FunctionLines
from busway.logs.groups import LogGroups, Query
from busway.logs.live_tail import LiveTails
from busway.logs.page import Page
from busway.logs.record import milliseconds

SCOPE = Scope()
FUNCTION = SCOPE.arn("lambda", "function:shop")
GROUP_BYTES = 64_000


class Room:
    """Groups over an engine that outlives them."""

    def __init__(self, clock: ManualClock, folder: Path | None = None) -> None:
        self.clock, self.engine = clock, MemoryEngine(clock)
        self.printed = Logs(folder, clock)
        self.groups = self.anew()

    def anew(self) -> LogGroups:
        self.groups = LogGroups(self.engine, self.clock, FunctionLines(self.printed), GROUP_BYTES)
        return self.groups

    async def made(self, name: str, *streams: str) -> str:
        await self.groups.create(SCOPE, name)
        for stream in streams:
            await self.groups.create_stream(SCOPE, name, stream)
        return name

    async def put(self, group: str, stream: str, *messages: str, ago_ms: int = 0) -> None:
        at = milliseconds(self.clock.now()) - ago_ms
        await self.groups.put(SCOPE, group, stream, [(at, message) for message in messages])

    async def read(self, group: str, **query: object) -> list[str]:
        page = Page(forward=True)
        await self.groups.read(SCOPE, group, msgspec.convert(query, Query), page)
        return [event.message for event in page.events()]

    async def size(self, group: str) -> int:
        return next(view.size for view in await self.groups.views(SCOPE) if view.record.name == group)

    async def stored(self, group: str) -> int:
        """Entries of the journal."""
        found = self.groups.find(SCOPE, group)
        assert found is not None
        return len(await self.engine.journal.read(found.record.journal, 0, 1_000_000))

    def door(self) -> LogsDoor:
        return LogsDoor(self.groups, LiveTails(self.groups, self.clock), SeededEntropy(1))


def printed(room: Room, *texts: str, worker: str = "") -> None:
    for text in texts:
        room.printed.write(Line(FUNCTION, room.clock.now(), "r", "e", 1, text, worker))
