"""Roles and policies of a stack: each says exactly who may do what to which thing. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Statement = dict[str, Any]
VERSION = "2012-10-17"
EVENTS, LAMBDA = "events.amazonaws.com", "lambda.amazonaws.com"


def allow(actions: str | Sequence[str], resources: Any, condition: Mapping[str, Any] | None = None) -> Statement:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": dict(condition)} if condition else statement


def role(service: str, policy: str, statements: Sequence[Statement], source: Any = None) -> dict[str, Any]:
    """A role that only `service` takes, and only on behalf of the thing whose ARN is `source`, if given.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html
    """
    trust: Statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    if source is not None:
        trust["Condition"] = {"ArnEquals": {"aws:SourceArn": source}}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": VERSION, "Statement": [trust]},
            "Policies": [
                {"PolicyName": policy, "PolicyDocument": {"Version": VERSION, "Statement": list(statements)}}
            ],
        },
    }


def queue_policy(queue: str, rules: Sequence[Any]) -> dict[str, Any]:
    """The rules, by ARN, that may put messages into a queue of the template, and nobody else."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": EVENTS},
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": [queue, "Arn"]},
        "Condition": {"ArnEquals": {"aws:SourceArn": rules[0] if len(rules) == 1 else list(rules)}},
    }
    return {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": [{"Ref": queue}], "PolicyDocument": {"Version": VERSION, "Statement": [statement]}},
    }


def declared(permissions: Mapping[str, Sequence[str]]) -> list[Statement]:
    """What a handler declares, a statement for each set of resources. `${AWS::AccountId}` in an ARN is filled in."""
    by_resources: dict[tuple[str, ...], list[str]] = {}
    for action, resources in permissions.items():
        by_resources.setdefault(tuple(resources), []).append(action)
    return [
        allow(sorted(actions), [_filled_in(resource) for resource in resources])
        for resources, actions in sorted(by_resources.items())
    ]


def _filled_in(resource: str) -> Any:
    return {"Fn::Sub": resource} if "${AWS::" in resource else resource
