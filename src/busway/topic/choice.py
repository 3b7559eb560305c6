"""Which of the messages of one publish each subscription wants, without keeping others from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from busway.clock import settle
from busway.topic.filter_policy import FilterPolicy, Trees
from busway.topic.message import TopicMessage
from busway.topic.record import SubscriptionRecord

# Ours: so many subscriptions are asked before others get their turn of the event loop.
AT_ONCE = 20
# Ours: messages of more than this are matched in a thread. Who doubles a name has them read by the careful reader.
INLINE_BYTES_MAX = 4_096

Waiting = Sequence[tuple[SubscriptionRecord, FilterPolicy | None]]
Chosen = list[tuple[SubscriptionRecord, TopicMessage]]


class Choice:
    """Asks the policies. Large messages have their turn in the thread one after another: it would not be faster
    with several, and others' work in threads would wait behind them."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def of(self, waiting: Waiting, messages: Sequence[TopicMessage]) -> AsyncIterator[Chosen]:
        """What is to be delivered, by so many subscriptions at once, in their order. Every tree is made once."""
        looked = [_Looked(message) for message in messages]
        large = sum(message.size for message in messages) > INLINE_BYTES_MAX
        for start in range(0, len(waiting), AT_ONCE):
            group = waiting[start : start + AT_ONCE]
            if large and any(policy for _, policy in group):
                async with self._turn:
                    chosen = await asyncio.to_thread(_choose, group, looked)
            else:
                chosen = _choose(group, looked)
            yield chosen
            await settle(1)


class _Looked:
    """A message, and the trees of each text that it has for a protocol."""

    def __init__(self, message: TopicMessage) -> None:
        self.message = message
        self._trees: dict[str, Trees] = {}

    def trees(self, protocol: str) -> Trees:
        text, attributes = self.message.text(protocol), self.message.attributes
        return self._trees.get(text) or self._trees.setdefault(text, Trees(text, attributes))


def _choose(group: Waiting, looked: Sequence[_Looked]) -> Chosen:
    return [
        (record, one.message)
        for record, policy in group
        for one in looked
        if policy is None or policy.wants(one.trees(record.protocol))
    ]
