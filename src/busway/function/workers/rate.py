"""How often a function may start, by its tag `busway:rate`: at most so many in any second, minute or hour. Pure.

Ours: AWS has no such thing, and third parties that throttle are why people ask for it. Counted by this server, and
from zero when it starts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from busway.errors import InvalidFunction
from busway.handling import RATE_TAG, rate_of


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` starts in any `per_s` seconds."""

    count: int
    per_s: float


def rate_in(tags: Mapping[str, str]) -> Rate | None:
    """The rate that a function's tags name. Raises ValueError that says what was found and wanted."""
    return Rate(*rate_of(tags[RATE_TAG])) if RATE_TAG in tags else None


def check_rate(tags: Mapping[str, str]) -> None:
    """Raises `InvalidFunction` for tags that name a rate which is none."""
    try:
        rate_in(tags)
    except ValueError as error:
        raise InvalidFunction(f"Tag {RATE_TAG}: {error}") from error


class Window:
    """The newest starts of one function. Times are of a clock that only goes forward."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._starts: deque[float] = deque()

    def room(self, now: float) -> int:
        """How many may start now."""
        while self._starts and self._starts[0] + self.rate.per_s <= now:
            self._starts.popleft()
        return max(0, self.rate.count - len(self._starts))

    def wait_s(self, now: float) -> float:
        """Seconds until one may start; 0 when one may now."""
        if self.room(now):
            return 0.0
        return self._starts[len(self._starts) - self.rate.count] + self.rate.per_s - now

    def take(self, now: float) -> bool:
        """Start one, if one may."""
        if not self.room(now):
            return False
        self._starts.append(now)
        return True

    def changed(self, rate: Rate) -> Window:
        """A window of another rate that remembers these starts."""
        window = Window(rate)
        window._starts.extend(self._starts)
        return window
