"""The stages of a deployment, as plain data. Pure.

    prepare   queues, streams, the functions' code and settings: nothing of it is reached by an event
    try       each function's new version reads a sample event, and does nothing with it
    switch    the aliases, by which events reach the versions, and the rules
    end       what the project has no more gets no more events; what has nothing left to do is deleted

Events in a function's queue go to whatever version takes over; what runs, runs to its end. A handler that is gone
keeps its function as long as a rollback could go back to it, and until it is done with what it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from busway.arn import DEFAULT_BUS
from busway.event import ScheduledEvent
from busway.road.batches import end_calls
from busway.road.calls import Call
from busway.road.function_plan import Ground
from busway.road.manifest import EventEntry, HandlerEntry, Manifest, function_name, sample_of
from busway.road.plan import Codes, Step, bus_calls, bus_of, cut_off, end_rule, forget, plan
from busway.road.release.changes import Change
from busway.road.release.history import Deployment, Released
from busway.road.rule_plan import retire_rule, rule_plan

# The alias by which events reach a handler.
LIVE = "live"

Strays = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Trial:
    """A function whose new version is to read an event before it takes over."""

    handler: str
    function: str
    sample: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """Calls, and what is told when they are made, "" for nothing. `idle` names a function: see `idle.is_idle`."""

    name: str
    calls: Sequence[Call]
    says: str = ""
    idle: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All stages. `released` are versions that take over without a trial: they ran before."""

    prepare: Sequence[Stage]
    switch: Sequence[Stage]
    end: Sequence[Stage]
    trials: Sequence[Trial] = ()
    released: Mapping[str, Released] = field(default_factory=dict[str, Released])


def forward(
    manifest: Manifest,
    codes: Codes,
    ground: Ground,
    changes: Sequence[Change],
    others: Sequence[Manifest],
    redo: frozenset[str] = frozenset(),
    strays: Strays | None = None,
) -> Plan:
    """To the project as it is. `redo`: what is made anew though it is the same, by name.

    `strays`: ids of targets that somebody gave to a handler's or rule's rule, by name: they are taken away.
    `others` are the manifests of the deployments that there may be something of. Raises BrokenProject when a handler
    passes on a variable that is not set, or its event has no sample.
    """
    touched = {(one.what, one.name) for one in changes if one.name in redo or one.kind in ("create", "change")}
    handlers = [one for one in plan(manifest, codes, ground) if ("handler", one.name) in touched]
    rules = [one for one in rule_plan(manifest, ground.scope, LIVE) if ("rule", one.name) in touched]
    samples = {event.name: event for event in manifest.events}
    trials = [
        Trial(entry.name, function_name(manifest.project, entry.name), _sample(entry, samples))
        for entry in manifest.handlers
        if ("handler", entry.name) in touched
    ]
    return Plan(
        prepare=_prepared(manifest, [*handlers, *rules]),
        switch=_without(strays or {}, manifest, _switched([*handlers, *rules])),
        end=_endings(manifest, handlers, others),
        trials=trials,
    )


def back(to: Deployment, ground: Ground, others: Sequence[Manifest]) -> Plan:
    """To a deployment that ran before, whose versions are still there."""
    manifest = to.manifest
    codes: dict[str, dict[str, Any]] = {entry.name: {} for entry in manifest.handlers}
    # The versions have their variables in them.
    known = {variable: "" for entry in manifest.handlers for variable in entry.env}
    handlers = plan(manifest, codes, Ground(ground.scope, ground.runtime, known, ground.qualifier))
    rules = rule_plan(manifest, ground.scope, LIVE)
    prepare = [
        Stage(one.name, [call for call in one.calls if call.operation != "CreateFunction"])
        for one in _prepared(manifest, [*handlers, *rules])
    ]
    return Plan(
        prepare=prepare,
        switch=_switched([*handlers, *rules]),
        end=_endings(manifest, handlers, others),
        released=to.released,
    )


def _prepared(manifest: Manifest, steps: Sequence[Step]) -> list[Stage]:
    first = [Stage(manifest.bus, bus_calls(manifest))]
    return [stage for stage in (*first, *(Stage(step.name, step.prepare) for step in steps)) if stage.calls]


def _switched(steps: Sequence[Step]) -> list[Stage]:
    return [Stage(step.name, step.switch, step.says) for step in steps]


def _without(strays: Strays, manifest: Manifest, stages: Sequence[Stage]) -> list[Stage]:
    """With the calls that take away the targets which are not ours."""
    rules = {
        entry.name: {"Rule": function_name(manifest.project, entry.name), "EventBusName": bus_of(manifest, entry)}
        for entry in (*manifest.handlers, *manifest.rules)
        if entry.name in strays
    }
    return [
        replace(stage, calls=[*stage.calls, _less(rules[stage.name], strays[stage.name])])
        if stage.name in rules
        else stage
        for stage in stages
    ]


def _less(rule: Mapping[str, str], ids: Sequence[str]) -> Call:
    return Call("events", "RemoveTargets", {**rule, "Ids": list(ids)})


def _sample(entry: HandlerEntry, events: Mapping[str, EventEntry]) -> Mapping[str, Any]:
    event = events.get(entry.event)
    return dict(ScheduledEvent.sample().envelope.raw) if event is None else sample_of(event)


def _endings(to: Manifest, handlers: Sequence[Step], others: Sequence[Manifest]) -> list[Stage]:
    """What of other deployments the project has no more. Dead letters stay."""
    stages: list[Stage] = []
    told: set[str] = set()
    for other in others:
        stages += _gone(to, other, told) + _moved(to, other)
    # What batches came from is read to its end first.
    sources = [Stage(one.name, one.end, idle=function_name(to.project, one.name)) for one in handlers]
    return [*stages, *(stage for stage in sources if stage.name in _batched(others))]


def _batched(others: Sequence[Manifest]) -> set[str]:
    return {entry.name for other in others for entry in other.handlers if entry.batch is not None}


def _gone(to: Manifest, other: Manifest, told: set[str]) -> list[Stage]:
    kept = {entry.name for entry in (*to.handlers, *to.rules)}
    stages: list[Stage] = []
    for entry in (one for one in (*other.handlers, *other.rules) if one.name not in kept | told):
        told.add(entry.name)
        if isinstance(entry, HandlerEntry):
            says = f"{entry.name} is gone; it ends what it has, and its dead letters are kept"
            stages.append(Stage(entry.name, cut_off(to.project, other.bus, entry.name), says))
        else:
            calls = retire_rule(to.project, other.bus, entry.name)
            stages.append(Stage(entry.name, calls, f"rule {entry.name} is gone; its dead letters are kept"))
    return stages


def _moved(to: Manifest, other: Manifest) -> list[Stage]:
    """The rules of what is still there, where they were on another bus; on the default one `plan` ends them."""
    if other.bus in (to.bus, DEFAULT_BUS):
        return []
    handlers = {entry.name for entry in to.handlers} & {entry.name for entry in other.handlers}
    rules = {entry.name for entry in to.rules} & {entry.name for entry in other.rules}
    ended = [call for name in sorted(handlers) for call in end_rule(function_name(to.project, name), other.bus)]
    for name in sorted(rules):
        ended += retire_rule(to.project, other.bus, name)[:-1]
    return [Stage(other.bus, ended, f"the rules on bus {other.bus} are gone")] if ended else []


def outlived(project: str, handlers: Sequence[str], ground: Ground) -> list[Stage]:
    """The functions of handlers that no deployment has which a rollback could go back to."""
    stages: list[Stage] = []
    for name in handlers:
        function = function_name(project, name)
        sources = end_calls(None, function, ground.scope, ground.qualifier)
        stages.append(Stage(name, [*sources, *forget(project, name)], f"{name}: its function is deleted", function))
    return stages
