"""Events, patterns, and the decorator of handlers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from busway.errors.root import BuswayError

_POSITION = re.compile(r"; line: ([0-9]+), column: ([0-9]+)\]\Z")


class InvalidPattern(BuswayError):
    """An event pattern that does not compile. `reason` is AWS's text, `location` its second line or ""."""

    def __init__(self, reason: str, location: str = "") -> None:
        super().__init__(f"Event pattern is not valid. Reason: {reason}{location}")
        self.reason, self.location = reason, location

    @property
    def position(self) -> tuple[int, int] | None:
        """The line and the column, from 1, where reading stopped; None for the few reasons without a place."""
        found = _POSITION.search(self.location)
        return (int(found[1]), int(found[2])) if found else None


class InvalidCase(BuswayError):
    """A line of `busway pattern check` that is no JSON object with an id, a pattern and an event."""


class EngineNotInstalled(BuswayError):
    """A matcher that was asked for by name is in a package that is not there, or not as it is wanted."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the matcher {name!r} is not installed: {reason}")
        self.name, self.reason = name, reason


class InvalidEvent(BuswayError):
    """A text that should be an event but is not a JSON object."""


class MalformedJson(BuswayError):
    """A text that stops being JSON after `consumed` characters; `reason` is worded as AWS words it.

    Inside the pattern room only: callers see `InvalidPattern` or `InvalidEvent`.
    """

    def __init__(self, reason: str, consumed: int) -> None:
        super().__init__(f"{reason} (after {consumed} character{'' if consumed == 1 else 's'})")
        self.reason, self.consumed = reason, consumed


class NoSample(BuswayError):
    """No event was found that a pattern matches, or misses as asked. `field`: the one that none can meet, if any."""

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class InvalidEventClass(BuswayError):
    """An event class, or a sample asked of it, that makes no sense as written."""


class EventMismatch(BuswayError):
    """An event that arrived does not fit the class that the handler asks for."""


class NoEnvelope(BuswayError):
    """An event that was built, not received, has nothing around its detail."""

    def __init__(self, event_class: str) -> None:
        super().__init__(f"this {event_class} was built here and not received, so it has no envelope")
        self.hint = f"in a test, take the `event` fixture or {event_class}.sample(envelope={{...}})"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that did not get onto the bus: its place among those given, and the bus's code and reason."""

    place: int
    detail_type: str
    bus: str
    code: str
    reason: str

    @classmethod
    def of(cls, entry: Mapping[str, Any], code: str, reason: str, place: int = 0) -> Self:
        """`entry` is the one that was refused, as boto3's `put_events` takes it."""
        return cls(place, str(entry.get("DetailType")), str(entry.get("EventBusName")), code, reason)

    def __str__(self) -> str:
        return f"{self.detail_type!r} was not put on bus {self.bus!r}: {self.code}: {self.reason}"


class PublishFailed(BuswayError):
    """Some events did not get onto the bus. `event_ids` has the ids of the others at their places, None for these.

    Where the answer to a request was lost, its events count as failed here and may be on the bus all the same.
    """

    def __init__(self, refusals: Sequence[Refusal], event_ids: Sequence[str | None] = ()) -> None:
        more = f"; and {len(refusals) - 1} more of {len(event_ids)} events" if len(refusals) > 1 else ""
        super().__init__(f"{refusals[0]}{more}")
        self.refusals, self.event_ids = tuple(refusals), tuple(event_ids)
        self.code, self.reason = refusals[0].code, refusals[0].reason


class EventTooLarge(BuswayError):
    """An event beyond what a bus takes; nothing was sent."""

    def __init__(self, detail_type: str, size: int, limit: int) -> None:
        super().__init__(f"an event {detail_type!r} has {size} bytes; wanted at most {limit}")
        self.hint = "put what is large elsewhere, and a reference to it into the event"


class InvalidHandler(BuswayError):
    """Options of `@handler` outside what AWS Lambda and EventBridge allow."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class StillRunning(BuswayError):
    """Another invocation runs this step of `once` at the moment; the one that finds it is tried again later."""

    def __init__(self, key: str) -> None:
        super().__init__(f"once({key}): another invocation runs this step; wanted it to have ended")
        self.key = key


class OnceUnavailable(BuswayError):
    """What keeps the steps of `once` could not be asked, so the step was not run (or its end is not recorded)."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(f"once: {problem}")
        self.hint = hint


class HandlerNotOnBus(BuswayError):
    """A test asks about a handler that its bus does not have."""

    def __init__(self, asked: str, known: Sequence[str]) -> None:
        super().__init__(f"this bus has no handler {asked!r}; it has {', '.join(known) or 'none'}")
        self.hint = "those of the project around the test are found by folder; bus.add(handler) adds another one"


class RuleNotOnBus(BuswayError):
    """A test asks about a rule that its bus does not have."""

    hint = "a test has the project's rules if it is no handler's: in rules/, for one"

    def __init__(self, asked: str, known: Sequence[str]) -> None:
        super().__init__(f"this bus has no rule {asked!r}; it has {', '.join(known) or 'none'}")


class HandlerHangs(BuswayError):
    """A handler that a test's bus calls does not come back."""

    def __init__(self, patience_s: float) -> None:
        super().__init__(f"events of this bus were not worked off within {patience_s:g} s: a handler hangs")
