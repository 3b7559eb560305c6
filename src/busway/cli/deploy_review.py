"""What deploying to a server would change, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from busway.cli.output import line, say
from busway.cli.rule import DAY_S, show_preview

if TYPE_CHECKING:
    from busway.road.connection import Connection
    from busway.road.preview import Preview, RuleChange
    from busway.road.release.changes import Change
    from busway.road.release.drift import Drift
    from busway.road.release.release import Review

Previews = Sequence[tuple["RuleChange", "Preview"]]

# By how many days' events a change of a pattern is judged.
PREVIEW_S = 7 * DAY_S
_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}


def previews_of(found: Review, connection: Connection) -> Previews:
    """What each changed pattern would have matched. Nothing for what is new: it has no events that it lost."""
    from busway.road.preview import preview_change, rule_changes

    manifest = found.project.manifest
    changed = [
        one.name for one in found.changes if {"pattern", "EventPattern"} & {each.name for each in one.differences}
    ]
    if not changed:
        return []
    return [
        (one, preview_change(connection, one.bus, one.deployed, one.wanted, PREVIEW_S))
        for one in rule_changes(connection, manifest, changed)
    ]


def facts_of(found: Review, previews: Previews) -> dict[str, Any]:
    import msgspec

    live = found.history.live
    return {
        "project": found.project.manifest.project,
        "live": live and {"number": live.number, "commit": live.commit, "at": live.begun_at},
        "commit": found.project.commit,
        "changes": [one for one in found.changes if one.kind != "same"],
        "drift": found.drift,
        "unfinished": [one.number for one in found.history.unfinished],
        "previews": [{**msgspec.to_builtins(one), **msgspec.to_builtins(result)} for one, result in previews],
    }


def show_review(found: Review, environment: str, previews: Previews) -> None:
    live = found.history.live
    commit = f" (commit {live.commit})" if live and live.commit else ""
    now = f"deployment {live.number} is live{commit}" if live else "nothing is deployed yet"
    line(f"{found.project.manifest.project} in {environment}: {now}")
    for one in found.history.unfinished:
        why = one.error or "it was cut off"
        say(f"deployment {one.number} did not get to its end: {why}; all it may have touched is made anew")
    _show_changes(found.changes)
    for one, result in previews:
        show_preview(one, result, PREVIEW_S)
    _show_drift(found.drift)


def _show_changes(changes: Sequence[Change]) -> None:
    for one in changes:
        if one.kind == "same":
            continue
        sign, style = _SIGNS[one.kind]
        line((f"{sign} {one.kind} {one.what} ", style), (one.name, "bold"))
        for each in one.differences:
            unseen = each.name == "code" or each.name.startswith("variable ")
            shown = "another" if unseen else f"{each.was!r} -> {each.to!r}"
            line((f"    {each.name}: ", "dim"), shown)


def _show_drift(drift: Sequence[Drift]) -> None:
    for one in drift:
        where = f"{one.thing} {one.setting}".strip()
        line(("! ", "red"), (f"{one.name} ", "bold"), f"{where}: {_drifted(one)}")
        line("    ", ("deploying sets it back", "dim"))


def _drifted(one: Drift) -> str:
    if one.found is None:
        return "it is not there any more"
    if one.wanted is None:
        return f"it is {one.found!r}, and was not deployed"
    return f"it is {one.found!r}, and was deployed as {one.wanted!r}"
