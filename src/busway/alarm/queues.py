"""SQS-shaped queues as an alarm sees them: how deep, and which failures they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from busway.alarm.notice import Failure, QueueDigest
from busway.delivery.dead_letter import Source
from busway.engine import Engine
from busway.queue.moves import source_of

# Ours: so many letters of a queue that were sent back count as its own until they are settled, the newest.
SENT_BACK_MAX = 200
# Ours: an alert tells of the newest of so many dead letters; `busway dlq` shows all.
DIGEST_ITEMS_MAX = 200
DIGEST_FAILURES_MAX = 10


class DeadLetterQueues:
    """`exists` says whether there is a queue of that ARN."""

    def __init__(self, engine: Engine, exists: Callable[[str], bool]) -> None:
        self._engine, self._exists = engine, exists
        self._searched = Counter[str]()
        # By queue, the work that its letters became: (queue, number of the item).
        self._sent_back: dict[str, list[tuple[str, int]]] = {}

    @contextmanager
    def searched(self, queue_arn: str) -> Generator[None]:
        """Meanwhile what is in flight counts too: a redrive of one letter holds the others, and gives them back."""
        self._searched[queue_arn] += 1
        try:
            yield
        finally:
            self._searched[queue_arn] -= 1

    def sent_back(self, queue_arn: str, work: Sequence[tuple[str, int]]) -> None:
        """Letters of the queue became this work. What fails again was never well, and nobody is told that it was."""
        self._sent_back[queue_arn] = [*self._sent_back.get(queue_arn, []), *work][-SENT_BACK_MAX:]

    async def depth(self, queue_arn: str) -> int | None:
        """How many letters there are, with those that were sent back and are not settled."""
        if not self._exists(queue_arn):
            return None
        # Before the letters are counted: what fails meanwhile is one of them again.
        under_way = await self._under_way(queue_arn)
        counts = await self._engine.queues.counts(queue_arn)
        return counts.ready + under_way + (counts.leased if self._searched[queue_arn] > 0 else 0)

    async def _under_way(self, queue_arn: str) -> int:
        work = self._sent_back.pop(queue_arn, [])
        left = [one for one in work if await self._engine.queues.find(*one) is not None]
        if left:
            # What was sent back meanwhile is behind it.
            self._sent_back[queue_arn] = [*left, *self._sent_back.get(queue_arn, [])]
        return len(left)

    async def filled(self, queue_arn: str) -> None:
        await self._engine.queues.wait(queue_arn)

    async def digest(self, queue_arn: str) -> QueueDigest:
        items = await self._engine.queues.browse(queue_arn, DIGEST_ITEMS_MAX)
        counts = await self._engine.queues.counts(queue_arn)
        sources = [source for item in items if (source := source_of(item)) is not None]
        return QueueDigest(queue_arn, counts.ready, failures_of(sources))


def failures_of(sources: list[Source]) -> tuple[Failure, ...]:
    """Sources by handler and error, the most frequent first."""
    kinds = Counter((handler_of(source), source.error_code, source.error_message) for source in sources)
    newest = {(handler_of(s), s.error_code, s.error_message): s.event_id for s in sources}
    return tuple(
        Failure(*kind, count=count, event_id=newest[kind]) for kind, count in kinds.most_common(DIGEST_FAILURES_MAX)
    )


def handler_of(source: Source) -> str:
    """The ARN of what failed: a function, or a rule's target."""
    return source.function_arn or source.target_arn
