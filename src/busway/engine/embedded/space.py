"""Whether the disk has room for new work, and the reserve on which accepted work goes on when it has not.

free >= reserve, ballast held        take everything
free <  reserve                      refuse new work; accepted work uses what is left
a write failed for want of space     give up the ballast: accepted work uses that
free >= 2 x reserve again            make the ballast again, take everything
"""

from __future__ import annotations

from busway.clock import Clock
from busway.engine.embedded.disk import Disk
from busway.errors import StorageFull

# Asking the file system costs about 2 us: often enough to notice, too seldom to cost.
CHECK_EVERY_S = 0.25
# A clock that is moved by hand may stand still while the disk fills.
CHECK_EVERY_CALLS = 256


class Space:
    """Guards the reserve. `note_full` may be called from the committer's thread, the rest from the loop."""

    def __init__(self, disk: Disk, clock: Clock, reserve_bytes: int) -> None:
        self._disk, self._clock = disk, clock
        self._reserve = reserve_bytes
        self._full = False
        self._calls_left = 0
        self._check_at = 0.0
        self._free = 0

    def open(self) -> None:
        """Take the ballast, or begin by refusing new work when there is no room for it."""
        if self._reserve and not self._disk.has_ballast(self._reserve):
            self._full = not self._disk.make_ballast(self._reserve)

    def check(self) -> None:
        """Raise `StorageFull` when new work has no room. Call before anything is stored."""
        now = self._clock.monotonic()
        self._calls_left -= 1
        if self._full or self._calls_left < 0 or now >= self._check_at:
            self._calls_left, self._check_at = CHECK_EVERY_CALLS, now + CHECK_EVERY_S
            self._look()
        if self._full:
            raise StorageFull(self.detail())

    def note_full(self) -> None:
        """A write found no space: give up the ballast and refuse new work until there is room for it again."""
        self._full = True
        self._disk.drop_ballast()

    def accepting(self) -> bool:
        self._look()
        return not self._full

    def detail(self) -> str:
        free_mb, reserve_mb = self._free / 1e6, self._reserve / 1e6
        if not self._full:
            return f"disk: {free_mb:.0f} MB free, {reserve_mb:.0f} MB held in reserve"
        return (
            f"disk of {self._disk.folder}: found {free_mb:.1f} MB free, wanted more than {reserve_mb:.1f} MB; "
            "new work is refused, accepted work goes on"
        )

    def _look(self) -> None:
        self._free = self._disk.free_bytes()
        if self._free < self._reserve:
            self._full = True
        elif self._full and (self._disk.has_ballast(self._reserve) or self._remade()):
            self._full = False

    def _remade(self) -> bool:
        """Twice the reserve, so that what the ballast takes leaves room to work in. Without a reserve: try again."""
        if not self._reserve:
            return True
        return self._free >= 2 * self._reserve and self._disk.make_ballast(self._reserve)
