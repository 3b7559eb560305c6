"""What deploying a rule would change, by the events that the server's bus retains. Nothing is deployed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS
from busway.errors import BrokenProject, ServerRefused
from busway.inspect.change import Sample as Sample
from busway.road.connection import Connection
from busway.road.manifest import Manifest, function_name

SAMPLES = 3


class Preview(msgspec.Struct, frozen=True):
    """Of the events on the bus since `since` (Unix seconds): how many the old pattern matched, and the new one does.

    `more` only the new one matches, `fewer` only the old one; samples are the newest. `oldest_at` is the oldest event
    that was looked at, and `stopped` why none before it was: "events" or "time" (a limit), "retention" (the bus has
    forgotten them), or "" for the whole span.
    """

    bus: str
    since: float
    events: int
    old: int
    new: int
    more: int
    fewer: int
    more_samples: list[Sample]
    fewer_samples: list[Sample]
    oldest_at: float | None
    stopped: str


class RuleChange(msgspec.Struct, frozen=True):
    """A rule or handler of the project; a pattern is JSON, None where there is no such rule (or it is disabled)."""

    name: str
    rule: str
    bus: str
    deployed: str | None
    wanted: str | None

    @property
    def changed(self) -> bool:
        return _read(self.deployed) != _read(self.wanted)


def preview_change(
    connection: Connection,
    bus: str,
    old_pattern: str | None,
    new_pattern: str | None,
    since_s: float,
    *,
    samples: int = SAMPLES,
) -> Preview:
    """Ask the server; None is no rule. Raises ServerUnreachable, ServerRefused (no such bus, a bad pattern)."""
    order = {
        "bus": bus, "since_s": since_s, "samples": samples,
        "old": [] if old_pattern is None else [old_pattern], "new": [] if new_pattern is None else [new_pattern],
    }  # fmt: skip
    return msgspec.convert(connection.post("/_busway/preview", order), Preview)


def rule_changes(connection: Connection, manifest: Manifest, names: Sequence[str] = ()) -> list[RuleChange]:
    """The project's patterns, or those of `names`, beside what is deployed of them.

    A name that the project has no more is one that ends. Raises BrokenProject for a name that neither has, and for
    one that has a schedule instead of a pattern.
    """
    wanted = _patterns(manifest)
    unknown = [name for name in names if name not in wanted]
    changes = [_change(connection, manifest, name, wanted.get(name)) for name in names or wanted]
    for change in changes:
        if change.name in unknown and change.deployed is None:
            raise BrokenProject(_not_there(manifest, change.name, sorted(wanted)))
    return changes


def _patterns(manifest: Manifest) -> dict[str, str]:
    """The pattern of each rule and handler that has one, by name."""
    found: dict[str, Mapping[str, Any]] = {entry.name: entry.rule.event_pattern for entry in manifest.rules}
    found |= {entry.name: entry.pattern for entry in manifest.handlers if not entry.schedule}
    return {name: msgspec.json.encode(found[name]).decode() for name in sorted(found)}


def _change(connection: Connection, manifest: Manifest, name: str, wanted: str | None) -> RuleChange:
    rule = function_name(manifest.project, name)
    return RuleChange(name, rule, manifest.bus, _deployed(connection, manifest.bus, rule), wanted)


def _deployed(connection: Connection, bus: str, rule: str) -> str | None:
    try:
        found = connection.call("events", "DescribeRule", {"Name": rule, "EventBusName": bus})
    except ServerRefused as refusal:
        if refusal.code != "ResourceNotFoundException":
            raise
        return None
    return found.get("EventPattern") if found.get("State") != "DISABLED" else None


def _not_there(manifest: Manifest, name: str, known: Sequence[str]) -> str:
    if any(entry.name == name for entry in manifest.handlers):
        return f"{name} runs on a schedule and has no event pattern"
    bus = "" if manifest.bus == DEFAULT_BUS else f" on bus {manifest.bus}"
    there = ", ".join(known) or "none"
    return f"neither the project nor the server{bus} has a rule {name!r}; the project has {there}"


def _read(pattern: str | None) -> Any:
    return None if pattern is None else msgspec.json.decode(pattern)
