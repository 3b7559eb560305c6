"""Where the rules in rules/ lead: what is made for it, and what the rule may do there. Pure.

A queue, stream or bus that a rule names is made if it is not there (the change set imports what is), and kept when
the rule goes: others read from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from busway.arn import DEFAULT_BUS, parse_arn
from busway.bus.job_targets import JOB_KINDS
from busway.errors import BrokenProject
from busway.road.aws.function import permission
from busway.road.aws.letters import KEPT, Resources
from busway.road.aws.names import Ids, Names, arn, rule_arn
from busway.road.aws.roles import EVENTS, Statement, allow, queue_policy, role
from busway.road.batches import SHARDS
from busway.road.manifest import Manifest
from busway.road.rule_jobs import JOBS
from busway.road.rules import RuleEntry, RuleTarget

# By service and how its resource begins: what EventBridge's role must be allowed.
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
ROLE_ACTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("batch", "job-queue/"): ("batch:SubmitJob",),
    ("codebuild", "project/"): ("codebuild:StartBuild",),
    ("codepipeline", ""): ("codepipeline:StartPipelineExecution",),
    ("events", "event-bus/"): ("events:PutEvents",),
    ("events", "api-destination/"): ("events:InvokeApiDestination",),
    ("firehose", "deliverystream/"): ("firehose:PutRecord", "firehose:PutRecordBatch"),
    ("glue", "workflow/"): ("glue:NotifyEvent",),
    ("kinesis", "stream/"): ("kinesis:PutRecord",),
    ("sagemaker", "pipeline/"): ("sagemaker:StartPipelineExecution",),
    ("states", "stateMachine:"): ("states:StartExecution",),
}
# These say themselves who may, by a policy of their own; a function's is made here.
OWN_POLICY = ("lambda", "logs", "sns", "sqs")


def place_resources(manifest: Manifest, names: Names, ids: Ids) -> Resources:
    """The queues, streams and buses that the rules name, each once."""
    found: Resources = {}
    fills: dict[str, list[Any]] = {}
    for entry in manifest.rules:
        for kind, name in dict.fromkeys(target.place for target in entry.rule.targets):
            if kind == "Queue":
                found[_place(ids, kind, name)] = {
                    "Type": "AWS::SQS::Queue",
                    **KEPT,
                    "Properties": {"QueueName": name},
                }
                fills.setdefault(name, []).append(rule_arn(manifest.bus, names.of(entry.name)))
            elif kind == "Stream":
                settings = {"Name": name, "ShardCount": SHARDS}
                found[_place(ids, kind, name)] = {"Type": "AWS::Kinesis::Stream", **KEPT, "Properties": settings}
            elif kind == "Bus" and name not in (DEFAULT_BUS, manifest.bus):
                found[_place(ids, kind, name)] = {
                    "Type": "AWS::Events::EventBus", **KEPT, "Properties": {"Name": name},
                }  # fmt: skip
    for name, rules in fills.items():
        queue = _place(ids, "Queue", name)
        # A queue has one policy: all rules that fill it stand in it.
        found[f"{queue}Policy"] = queue_policy(queue, rules)
    return found


def _place(ids: Ids, kind: str, name: str) -> str:
    return f"{ids.places[name]}Target{kind}"


def target_resources(manifest: Manifest, names: Names, ids: Ids, entry: RuleEntry) -> Resources:
    """What lets the rule reach its targets. Raises BrokenProject for an ARN whose kind is not known."""
    logical, rule = ids.entries[entry.name], rule_arn(manifest.bus, names.of(entry.name))
    found: Resources = {}
    for number, target in enumerate(entry.rule.targets, 1):
        kind, name = target.place
        if statements := _statements(manifest, ids, entry, target):
            found[f"{logical}Target{number}Role"] = role(EVENTS, "rule", statements, rule)
        elif kind == "Handler":
            _refuse_batches(manifest, entry, name)
            found[f"{logical}Target{number}Permission"] = permission(f"{ids.entries[name]}Function", rule)
        elif kind == "Arn" and _service(name) == "lambda":
            made = permission("", rule)
            made["Properties"]["FunctionName"] = name
            found[f"{logical}Target{number}Permission"] = made
    return found


def _refuse_batches(manifest: Manifest, entry: RuleEntry, handler: str) -> None:
    """A function of batches takes what its mapping makes, and no event by itself."""
    if any(one.name == handler and one.batch is not None for one in manifest.handlers):
        raise BrokenProject(
            f"{entry.file}: {handler!r} takes batches, which a rule cannot hand over",
            "widen the filter of that handler instead: its own rule fills what it reads",
        )


def targets_of(manifest: Manifest, ids: Ids, entry: RuleEntry) -> list[dict[str, Any]]:
    """The rule's targets, but for what every target has."""
    logical = ids.entries[entry.name]
    return [
        {
            "Id": str(number),
            "Arn": _arn(manifest, ids, target),
            **_role_of(manifest, ids, entry, target, f"{logical}Target{number}Role"),
            **target.shaped,
        }
        for number, target in enumerate(entry.rule.targets, 1)
    ]


def reached_after(ids: Ids, entry: RuleEntry, made: Sequence[str]) -> list[str]:
    """What must be there before the first event comes, and is not named by the rule. `made`: `target_resources`."""
    queues = {name for kind, name in (target.place for target in entry.rule.targets) if kind == "Queue"}
    policies = [f"{_place(ids, 'Queue', name)}Policy" for name in sorted(queues)]
    return [*policies, *(name for name in made if name.endswith("Permission"))]


def _role_of(manifest: Manifest, ids: Ids, entry: RuleEntry, target: RuleTarget, name: str) -> dict[str, Any]:
    return {"RoleArn": {"Fn::GetAtt": [name, "Arn"]}} if _statements(manifest, ids, entry, target) else {}


def _arn(manifest: Manifest, ids: Ids, target: RuleTarget) -> Any:
    kind, name = target.place
    if kind == "Arn":
        return name
    if kind == "Handler":
        return {"Fn::GetAtt": [f"{ids.entries[name]}Function", "Arn"]}
    if kind == "Bus" and name in (DEFAULT_BUS, manifest.bus):
        return arn("events", f"event-bus/{name}")
    if kind in JOBS:
        service = JOBS[kind].service
        return name if name.startswith("arn:") else arn(service, JOB_KINDS[service].resource + name)
    return {"Fn::GetAtt": [_place(ids, kind, name), "Arn"]}


def _statements(manifest: Manifest, ids: Ids, entry: RuleEntry, target: RuleTarget) -> list[Statement]:
    """What the rule's role for this target allows; none where the target has a policy of its own."""
    kind, name = target.place
    if kind in ("Queue", "Handler") or target.role_arn is not None:
        return []
    if kind == "Stream":
        return [allow("kinesis:PutRecord", _arn(manifest, ids, target))]
    if kind == "Bus":
        return [allow("events:PutEvents", _arn(manifest, ids, target))]
    if kind in JOBS:
        job = _arn(manifest, ids, target)
        actions = next(allowed for (service, _), allowed in ROLE_ACTIONS.items() if service == JOBS[kind].service)
        return [allow(list(actions), [job, *_job(target)] if kind == "Job" else job)]
    found = parse_arn(name)
    for (service, start), actions in ROLE_ACTIONS.items():
        if found and found.service == service and found.resource.startswith(start):
            return [allow(list(actions), [name, *_job(target)] if service == "batch" else name)]
    if _service(name) in OWN_POLICY:
        return []
    known = ", ".join(sorted({service for service, _ in ROLE_ACTIONS} | set(OWN_POLICY)))
    raise BrokenProject(
        f"{entry.file}: it is not known what a rule needs for {name}; known are ARNs of {known}",
        "give the rule this target in aws/overlay.json, with a role of yours",
    )


def _job(target: RuleTarget) -> list[Any]:
    """A job is put into a queue by who may also take its definition, which is named or given as an ARN.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsbatch.html
    """
    definition = target.batch_parameters.job_definition if target.batch_parameters else "*"
    if definition.startswith("arn:"):
        return [definition]
    return [arn("batch", f"job-definition/{definition}"), arn("batch", f"job-definition/{definition}:*")]


def _service(text: str) -> str:
    found = parse_arn(text)
    return found.service if found else ""
