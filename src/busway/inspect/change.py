"""What other patterns would have made of the events that a bus retains: counts, and samples of the difference. Pure.

An event is matched by patterns when any of them matches it, which is what it means for a handler with several rules.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from busway.bus.envelope import MEMBERS, Envelope, event_id, is_event, unframe
from busway.engine import Entry
from busway.pattern import Pattern, new_matcher

log = logging.getLogger(__name__)

# Ours: how much of a sample's detail is shown.
DETAIL_CHARS_MAX = 500
_OLD, _NEW = "old", "new"


class Sample(msgspec.Struct, frozen=True):
    """An event on which old and new differ. `time` is the sender's; `detail` is cut."""

    event_id: str
    time: str
    source: str
    detail_type: str
    detail: str


class Change:
    """Counts while it looks at events: `more` are what only the new patterns match, `fewer` only the old ones."""

    def __init__(self, old: Sequence[Pattern], new: Sequence[Pattern], samples_max: int) -> None:
        self._matcher = new_matcher(members=MEMBERS)
        for word, patterns in ((_OLD, old), (_NEW, new)):
            for number, pattern in enumerate(patterns):
                self._matcher.add(f"{word} {number}", pattern)
        self._patterns = {_OLD: old, _NEW: new}
        self._samples_max = samples_max
        self.events = self.old = self.new = self.more = self.fewer = 0
        self.more_samples: list[Sample] = []
        self.fewer_samples: list[Sample] = []
        self.oldest_at: float | None = None

    def look(self, entries: Iterable[Entry]) -> None:
        """Count these too; samples are taken of those that come first. What is no event is passed by."""
        for entry in entries:
            if not is_event(entry.data):
                continue
            event, _ = unframe(entry.data)
            before, after = self._matched(event)
            self.events += 1
            self.old += before
            self.new += after
            self.oldest_at = entry.at if self.oldest_at is None else min(self.oldest_at, entry.at)
            if after and not before:
                self.more += 1
                self._keep(self.more_samples, event)
            elif before and not after:
                self.fewer += 1
                self._keep(self.fewer_samples, event)

    def told(self) -> dict[str, Any]:
        """The counts and samples, by name."""
        return {
            "events": self.events, "old": self.old, "new": self.new, "more": self.more, "fewer": self.fewer,
            "more_samples": self.more_samples, "fewer_samples": self.fewer_samples, "oldest_at": self.oldest_at,
        }  # fmt: skip

    def _matched(self, event: bytes) -> tuple[bool, bool]:
        try:
            words = {key.partition(" ")[0] for key in self._matcher.match(event)}
        except Exception:
            log.exception("event %s can't be matched", event_id(event))
            # As the router has it: who can't be asked counts as a match.
            words = {word for word, patterns in self._patterns.items() if patterns}
        return _OLD in words, _NEW in words

    def _keep(self, samples: list[Sample], event: bytes) -> None:
        if len(samples) < self._samples_max:
            samples.append(sample(event))


def sample(event: bytes) -> Sample:
    envelope = msgspec.json.decode(event, type=Envelope)
    detail = bytes(envelope.detail).decode()
    if len(detail) > DETAIL_CHARS_MAX:
        detail = detail[: DETAIL_CHARS_MAX - 1] + "…"
    return Sample(envelope.id, envelope.time, envelope.source, envelope.detail_type, detail)
