"""Which minutes are to be judged, and of which nothing could be known because no server ran. Pure.

Two things must not happen when a server comes back: that what broke in its last minute is never judged, and that the
silence while it was away is taken for missing data. Ours: AWS is never away.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from busway.alarm.state import Datapoint
from busway.metrics.points import MINUTE_S

# Minutes that a busy process may be late by, all of which are judged; of more, it slept with its machine.
LATE_MAX = 5
# Minutes after the last that was judged: it ended in the first, and what it took in for the next is judged too.
UNJUDGED = 2
# So many of the last absences are remembered.
ABSENCES_MAX = 20


class Judged(msgspec.Struct, frozen=True):
    """All is judged up to `until`. In `absences` (from, until) no server took anything in. Unix seconds."""

    until: int
    absences: tuple[tuple[int, int], ...] = ()


def minutes_due(judged: Judged | None, now: float, *, started: bool) -> tuple[list[int], Judged]:
    """The ends of the minutes to judge, in order, and what holds then. `started`: the process is new."""
    newest = int(now) - int(now) % MINUTE_S
    if judged is None:
        return [newest], Judged(newest)
    if newest < judged.until - LATE_MAX * MINUTE_S:
        # The clock was ahead, and was set right: who waited for it would judge nothing until then.
        return [newest], Judged(newest, judged.absences)
    behind = list(range(judged.until + MINUTE_S, newest + MINUTE_S, MINUTE_S))
    until = max(judged.until, newest)
    if not started and len(behind) <= LATE_MAX:
        return behind, Judged(until, judged.absences)
    absences = (*judged.absences, (judged.until, newest + MINUTE_S))[-ABSENCES_MAX:]
    return [*behind[:UNJUDGED], *behind[UNJUDGED:][-1:]], Judged(until, absences)


def hidden(points: Sequence[Datapoint], period_s: int, judged: Judged) -> bool:
    """Whether one of these is missing that may be so because no server ran."""
    return any(
        point.value is None and point.at < until and point.at + period_s > begun
        for point in points
        for begun, until in judged.absences
    )
