"""What deploying would change: the template beside the deployed one, and what CloudFormation says it would do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from busway.road.aws.access import Aws
from busway.road.aws.bucket import bucket_of
from busway.road.aws.difference import Change, changes_between
from busway.road.aws.parameters import parameters_of
from busway.road.aws.release import Release
from busway.road.aws.stack import ChangeSet, Say, Sleep, Stack
from busway.road.aws.template import template_hash


class ResourceChange(msgspec.Struct, frozen=True):
    """What CloudFormation would do with a resource. `replaced`: "True", "False", "Conditional", "" for a new one."""

    action: str
    name: str
    type: str
    replaced: str = ""

    def __str__(self) -> str:
        sign = {"Add": "+", "Remove": "-", "Import": ">"}.get(self.action, "~")
        replaced = (
            ", REPLACED" if self.replaced == "True" else ", may be replaced" if self.replaced == "Conditional" else ""
        )
        return f"{sign} {self.name} ({self.type}{replaced})"


class Difference(msgspec.Struct, frozen=True):
    """`stack` is not there yet if `new`. `resources` are CloudFormation's words, `changes` ours, by property."""

    stack: str
    new: bool
    resources: list[ResourceChange]
    changes: list[Change]


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
    changes = changes_between(stack.template(), release.template)
    bucket = bucket_of(aws, release.site.settings)
    parameters = parameters_of(release.template, state.parameters, environ, bucket.name)
    url = bucket.put_template(release.template)
    change = ChangeSet(f"busway-diff-{template_hash(release.template)[:24]}", url, parameters)
    found = stack.make(change, state)
    if found is not None:
        stack.drop(change.name)
    return Difference(stack.name, False, [_resource(one) for one in found or []], changes)


def _resource(found: Mapping[str, Any]) -> ResourceChange:
    change = found["ResourceChange"]
    return ResourceChange(
        change["Action"], change["LogicalResourceId"], change["ResourceType"], change.get("Replacement", "")
    )
