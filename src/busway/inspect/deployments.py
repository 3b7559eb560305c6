"""What was deployed, by project: the newest deployments, each as whoever makes it writes it down.

A deployment is written when it begins, as it goes on, and when it is over. Only one of a project is under way: while
its maker writes, nobody else may begin the next. What a maker left behind that is gone is taken over by the next
one from the same machine at once (it knows that the process is gone), by any other after `QUIET_S`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from busway.arn import Scope
from busway.errors import DeploymentConflict, InvalidQuestion, VersionConflict
from busway.inspect.http import Answer, Request
from busway.inspect.ports import Inspection

# Ours: how many deployments of a project are known.
KEPT = 10
# Ours: a maker writes at each step, and no step without a word of it takes so long.
QUIET_S = 900.0
_PROJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One deployment. `by` is who makes it; `body` what only makers read; `takes_over` a maker known to be gone."""

    number: int
    state: Literal["running", "live", "failed"]
    by: str
    body: msgspec.Raw
    takes_over: str = ""


class Kept(msgspec.Struct, frozen=True):
    """A deployment as it is stored; times are Unix seconds."""

    number: int
    state: str
    by: str
    begun_at: float
    written_at: float
    body: msgspec.Raw


async def newest(server: Inspection, request: Request) -> Answer:
    """The newest deployments of a project, newest first."""
    found = await server.engine.records.list(_prefix(request.scope, _project(request)))
    kept = [msgspec.json.decode(value.data, type=Kept) for value in found]
    return Answer({"deployments": sorted(kept, key=lambda one: -one.number), "quiet_s": QUIET_S})


async def write(server: Inspection, request: Request) -> Answer:
    """Begin the next deployment of a project, or write on the one under way. Raises DeploymentConflict."""
    project, given = _project(request), request.read(Written)
    prefix, now = _prefix(request.scope, project), server.clock.now()
    found = {value.key: value for value in await server.engine.records.list(prefix)}
    kept = {key: msgspec.json.decode(value.data, type=Kept) for key, value in found.items()}
    last = max(kept.values(), key=lambda one: one.number, default=None)
    key = f"{prefix}{given.number:010d}"
    before = kept.get(key)
    _check(project, given, last, now)
    made = Kept(given.number, given.state, given.by, before.begun_at if before else now, now, given.body)
    try:
        await server.engine.records.put(key, msgspec.json.encode(made), found[key].version if before else 0)
    except VersionConflict as conflict:
        raise DeploymentConflict(project, given.number, "somebody wrote it at the same moment") from conflict
    for old in _outlived({**kept, key: made}):
        await server.engine.records.delete(old)
    return Answer({"number": made.number, "begun_at": made.begun_at})


def _outlived(kept: dict[str, Kept]) -> list[str]:
    """What is known no longer. What runs, and what ran before it, always is."""
    ran = sorted(key for key, one in kept.items() if one.state == "live")[-2:]
    return [key for key in sorted(kept)[:-KEPT] if key not in ran]


def _check(project: str, given: Written, last: Kept | None, now: float) -> None:
    """Raises DeploymentConflict."""
    number = last.number if last else 0
    if given.number not in (number, number + 1) or given.number < 1:
        raise DeploymentConflict(project, given.number, f"the newest is {number}")
    if last is None or last.state != "running" or last.by == given.by:
        if given.number == number and last is not None and (last.by != given.by or last.state != "running"):
            raise DeploymentConflict(project, given.number, f"it is {last.state}, made by {last.by}")
        return
    quiet_s = now - last.written_at
    if given.number == number or (given.takes_over != last.by and quiet_s < QUIET_S):
        raise DeploymentConflict(
            project, given.number, f"{last.by} is making deployment {last.number}, and wrote {quiet_s:.0f} s ago"
        )


def _project(request: Request) -> str:
    name = request.path.rsplit("/", 1)[-1]
    if not _PROJECT.fullmatch(name):
        raise InvalidQuestion(f"project is {name[:80]!r}; wanted letters, digits, - and _")
    return name


def _prefix(scope: Scope, project: str) -> str:
    return f"deployment/{scope.account}/{scope.region}/{project}/"
