"""Queues that are there already, into the stack: a removed handler's dead letters are kept, and it may come back.

CloudFormation imports by itself what its template names by the primary identifier. That of a queue is its address,
which no template can name, so queues are imported by a change set of their own before the others are changed.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.road.aws.bucket import Bucket
from busway.road.aws.stack import ChangeSet, Progress, Stack, StackState
from busway.road.aws.template import Template, template_hash

_QUEUE = "AWS::SQS::Queue"


def adopt(
    stack: Stack, state: StackState, deployed: Mapping[str, Any], template: Template, bucket: Bucket
) -> StackState:
    """Import the queues of `template` that exist outside of the stack; the stack then. Raises StackUnusable."""
    urls = left_queues(stack, deployed, template)
    if not urls:
        return state
    for name in urls:
        stack.say(Progress(name, "there already", "it is taken into the stack, with what is in it"))
    imported = importing(deployed, template, list(urls))
    keep = [{"ParameterKey": name, "UsePreviousValue": True} for name in deployed.get("Parameters", {})]
    change = ChangeSet(f"busway-import-{template_hash(imported)[:24]}", bucket.put_template(imported), keep)
    found = [
        {"ResourceType": _QUEUE, "LogicalResourceId": name, "ResourceIdentifier": {"QueueUrl": url}}
        for name, url in urls.items()
    ]
    return stack.take(change, found)


def importing(deployed: Mapping[str, Any], template: Template, queues: list[str]) -> Template:
    """What is deployed, and the queues by nothing but their names: what else they are to be comes after. Pure."""
    resources = {
        name: {
            "Type": _QUEUE,
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {"QueueName": template["Resources"][name]["Properties"]["QueueName"]},
        }
        for name in queues
    }
    return {**deployed, "Resources": {**deployed.get("Resources", {}), **resources}}


def left_queues(stack: Stack, deployed: Mapping[str, Any], template: Template) -> dict[str, str]:
    """The addresses of queues that exist and are new to the stack, by logical id."""
    urls: dict[str, str] = {}
    for name, resource in template["Resources"].items():
        called = resource.get("Properties", {}).get("QueueName")
        if resource["Type"] != _QUEUE or name in deployed.get("Resources", {}) or not isinstance(called, str):
            continue
        if (url := stack.aws.queue_url(called)) is not None:
            urls[name] = url
    return urls
