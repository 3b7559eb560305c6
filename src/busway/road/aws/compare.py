"""What deploying would change: the template beside the deployed one, and what CloudFormation says it would do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from busway.road.aws.access import Aws
from busway.road.aws.adopt import left_queues
from busway.road.aws.bucket import bucket_of
from busway.road.aws.difference import Change, changes_between
from busway.road.aws.parameters import others, parameters_of
from busway.road.aws.release import Release
from busway.road.aws.stack import ChangeSet, Say, Sleep, Stack
from busway.road.aws.template import Template, template_hash


class ResourceChange(msgspec.Struct, frozen=True):
    """What CloudFormation would do with a resource. `replaced`: "True", "False", "Conditional", "" for a new one."""

    action: str
    name: str
    type: str
    replaced: str = ""
    kept: bool = False

    def __str__(self) -> str:
        sign = {"Add": "+", "Remove": "-", "Import": ">"}.get(self.action, "~")
        replaced = (
            ", REPLACED" if self.replaced == "True" else ", may be replaced" if self.replaced == "Conditional" else ""
        )
        kept = ", leaves the stack and is kept" if self.kept else ""
        return f"{sign} {self.name} ({self.type}{replaced}{kept})"


class HandMade(msgspec.Struct, frozen=True):
    """What somebody changed by hand: a property of a resource, or ("") the whole of it, which is gone then."""

    resource: str
    property: str
    found: str
    deployed: str

    def __str__(self) -> str:
        if not self.property:
            return f"! {self.resource} was deleted by hand"
        return f"! {self.resource} {self.property}: it is {self.found}, and was deployed as {self.deployed}"


class Difference(msgspec.Struct, frozen=True):
    """`stack` is not there yet if `new`. `resources` are CloudFormation's words, `changes` ours, by property.

    `kept` of a resource: it leaves the stack and stays. `variables` get another value; `drift` is set back.
    """

    stack: str
    new: bool
    resources: list[ResourceChange]
    changes: list[Change]
    variables: list[str] = []
    drift: list[HandMade] = []


def compare(
    release: Release, aws: Aws, environ: Mapping[str, str], say: Say, sleep: Sleep = time.sleep
) -> Difference:
    """What `deploy` would change. Nothing is changed; the template is put into the bucket. Raises as `deploy`."""
    stack = Stack(aws, release.site.stack, say, sleep)
    state = stack.ready()
    if not state.exists:
        # A change set of a stack that is not there would make an empty one.
        resources = [ResourceChange("Add", name, one["Type"]) for name, one in release.template["Resources"].items()]
        return Difference(stack.name, True, resources, changes_between({}, release.template))
    deployed = stack.template()
    changes = changes_between(deployed, release.template)
    bucket = bucket_of(aws, release.site.settings)
    parameters = parameters_of(release.template, state.parameters, environ, bucket.name)
    variables = others(release.template, state.parameters, parameters)
    if left := left_queues(stack, deployed, release.template):
        # CloudFormation would not make a change set before they are taken in.
        return Difference(stack.name, False, _between(deployed, release.template, left), changes, variables)
    url = bucket.put_template(release.template)
    change = ChangeSet(f"busway-diff-{template_hash(release.template)[:24]}", url, parameters)
    found = stack.make(change, state)
    if found is not None:
        stack.drop(change.name)
    told: list[Mapping[str, Any]] = [one["ResourceChange"] for one in found or []]
    drift = [each for one in told for each in by_hand(one)]
    return Difference(stack.name, False, [_resource(one, deployed) for one in told], changes, variables, drift)


def _between(deployed: Mapping[str, Any], template: Template, left: Iterable[str]) -> list[ResourceChange]:
    """By the templates alone."""
    was, to = deployed.get("Resources", {}), template["Resources"]
    new = [name for name in to if name not in was]
    made = [ResourceChange("Import" if name in left else "Add", name, to[name]["Type"]) for name in new]
    made += [ResourceChange("Modify", name, to[name]["Type"]) for name in to if name in was and was[name] != to[name]]
    gone = [{"Action": "Remove", "LogicalResourceId": name, "ResourceType": was[name]["Type"]} for name in was]
    return [*made, *(_resource(one, deployed) for one in gone if one["LogicalResourceId"] not in to)]


def _resource(change: Mapping[str, Any], deployed: Mapping[str, Any]) -> ResourceChange:
    name, action = change["LogicalResourceId"], change["Action"]
    policy = deployed.get("Resources", {}).get(name, {}).get("DeletionPolicy", "")
    kept = action == "Remove" and policy.startswith("Retain")
    return ResourceChange(action, name, change["ResourceType"], change.get("Replacement", ""), kept)


def by_hand(change: Mapping[str, Any]) -> list[HandMade]:
    """What a drift-aware change set says of a resource. Pure."""
    name, drift = change["LogicalResourceId"], change.get("ResourceDriftStatus", "")
    if drift == "DELETED":
        return [HandMade(name, "", "", "")]
    found: list[HandMade] = []
    for target in (one.get("Target", {}) for one in change.get("Details", []) if drift == "MODIFIED"):
        if (was := target.get("Drift")) is not None:
            where = str(target.get("Path") or target.get("Name", "")).removeprefix("/Properties/")
            found.append(HandMade(name, where, str(was.get("ActualValue", "")), str(was.get("PreviousValue", ""))))
    return found
