"""What functions print, as log groups: `/aws/lambda/<function>`, with a stream for each worker.

The lines are those of `function/logs.py`: in files, bounded, not synced. Nothing of them is kept twice.
"""

from __future__ import annotations

from collections.abc import Callable

from busway.arn import Scope, parse_arn
from busway.function.log_streams import function_of, group_of, stream_of
from busway.function.logs import Kept, Line, Logs
from busway.logs.batch import DAY_MS
from busway.logs.page import LogEvent
from busway.logs.record import Seen, milliseconds

# The second part of a line's place; what users put has another.
SOURCE = 0


class FunctionLines:
    """The groups of functions. A function that printed nothing yet has none, as on AWS."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    async def groups(self, scope: Scope) -> dict[str, Kept]:
        """By the names of the groups: those of functions that were deleted too."""
        kept = await self._logs.kept()
        return {group_of(one.function): one for one in kept if _scope_of(one.function) == scope}

    async def of_group(self, scope: Scope, group: str) -> Kept | None:
        """What a group has of a function's lines; None when that is nothing."""
        arn = function_of(scope, group)
        return None if arn is None else await self._logs.kept_of(arn)

    def printed(self, arn: str) -> int:
        """How many lines came since the server began: who knows that number has nothing new to read."""
        return self._logs.printed(arn)

    async def streams(self, kept: Kept) -> dict[str, Seen]:
        """Each stream with what is known of it."""
        found: dict[str, Seen] = {}

        def take(event: LogEvent) -> None:
            found.setdefault(event.stream, Seen()).add(event.at_ms, event.at_ms, event.ingested_ms)

        await self.walk(kept.function, 0, take)
        return found

    async def walk(self, arn: str, start_ms: int, take: Callable[[LogEvent], object]) -> None:
        """Hand over every line from `start_ms` on, in a thread. Lines of one millisecond are numbered."""
        last_ms, number, names = -1, 0, dict[tuple[int, str], str]()

        def read(line: Line) -> None:
            nonlocal last_ms, number
            at_ms = milliseconds(line.at)
            number = number + 1 if at_ms == last_ms else 1
            last_ms = at_ms
            if at_ms >= start_ms:
                known = at_ms // DAY_MS, line.worker
                stream = names.get(known) or names.setdefault(known, stream_of(arn, line.at, line.worker))
                # AWS's runtimes end every line, also those of the service.
                take(LogEvent((at_ms, SOURCE, number), stream, f"{line.line}\n", at_ms))

        # A line of that very millisecond may be a hair before it in seconds.
        await self._logs.scan(arn, (start_ms - 1) / 1000, read)

    async def forget(self, arn: str, before: float) -> None:
        """Forget lines older than `before` (Unix seconds), a file at a time; all of them for infinity."""
        await self._logs.forget(arn, before)


def _scope_of(arn: str) -> Scope | None:
    parsed = parse_arn(arn)
    return None if parsed is None else parsed.scope
