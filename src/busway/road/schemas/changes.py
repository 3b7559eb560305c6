"""What changed between two sets of events, and whom it breaks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from busway.road.schemas.compatibility import Gap, gaps
from busway.road.schemas.export import DETAIL_TYPE, SOURCE

HANDLERS, EVENTS = (
    "handlers that are not deployed again",
    "events that are under way, and producers not deployed again",
)


class Break(msgspec.Struct, frozen=True):
    """One thing that breaks somebody. `breaks` says whom, `fix` what would not."""

    event: str
    path: str
    problem: str
    breaks: str
    fix: str


def breaks(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Break]:
    """From the schemas by event name, as exported. An event that is new breaks nobody."""
    return [each for name in sorted(before) for each in _event(name, before[name], after.get(name))]


def _event(name: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[Break]:
    if new is None:
        fix = "keep the class until no handler elsewhere asks for it"
        yield Break(name, "", "is gone", HANDLERS, fix)
        return
    for word, member in ((SOURCE, "source"), (DETAIL_TYPE, "detail-type")):
        if old[word] != new[word]:
            said = f"was {old[word]!r} and is {new[word]!r}: rules that ask for it find it no more"
            yield Break(name, member, said, HANDLERS, "make an event of another name, and put both for a while")
    for gap in gaps(new, old):
        yield _break(name, gap, EVENTS, _NEW_READS_OLD)
    for gap in gaps(old, new):
        yield _break(name, gap, HANDLERS, _OLD_READS_NEW)


_NEW_READS_OLD = {
    "is not there, and is required": "give the field a default",
    "may be missing, and is required": "let the field stay optional",
}
_OLD_READS_NEW = {
    "is not there, and is required": "keep the field until no handler needs it",
    "may be missing, and is required": "keep it required until every handler takes events without it",
}


def _break(name: str, gap: Gap, whom: str, fixes: Mapping[str, str]) -> Break:
    fix = fixes.get(gap.reason, "add a field of another name beside it, or make an event of another name")
    return Break(name, gap.path, gap.reason, whom, fix)
