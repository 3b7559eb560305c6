"""A project's CloudFormation template, from its manifest. Pure: the same manifest gives the same text.

    rule ──> function (or stream or queue, and a mapping) ──> the handler's code
      │          │
      └──────────┴──> one dead-letter queue ──> alarm ──> topic ──> PagerDuty, Datadog

The template holds no value of the deployer's: variables that are passed on and addresses of alert routes are
parameters, secrets are names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from busway.arn import DEFAULT_BUS
from busway.errors import BrokenProject
from busway.road.aws import batch_source, targets
from busway.road.aws.bus_log_group import log_config, log_resources
from busway.road.aws.function import (
    ONCE_TABLE,
    Code,
    Setting,
    function_resources,
    invocation_resources,
    uses_table,
)
from busway.road.aws.letters import KEPT, Resources, dead_letters, error_rate_alarm, known, letters_alarm, topics
from busway.road.aws.names import Ids, Names, rule_arn, url_variable
from busway.road.manifest import HandlerEntry, Manifest
from busway.road.plan import retry_policy
from busway.road.root import AwsSettings
from busway.road.rule_plan import MAX_AGE_S
from busway.road.rules import RuleEntry

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
RESOURCES_MAX = 500
# In the template's metadata: what the stack is of, so that it can be told without the project.
ABOUT = "Busway"

Template = dict[str, Any]


def make_template(manifest: Manifest, environment: str, settings: AwsSettings, codes: Mapping[str, Code]) -> Template:
    """`codes`: by handler. Raises BrokenProject for what AWS does not take."""
    names, ids = Names(manifest.project, environment), Ids.of(manifest)
    where = Setting(names, ids, settings)
    resources: Resources = {}
    if settings.create_bus and manifest.bus != DEFAULT_BUS:
        bus = {"Name": manifest.bus, **log_config(settings)}
        resources["Bus"] = {"Type": "AWS::Events::EventBus", **KEPT, "Properties": bus}
    _add(resources, log_resources(manifest.bus, names, settings))
    if any(uses_table(entry, codes[entry.name]) for entry in manifest.handlers):
        resources[ONCE_TABLE] = _once_table(names)
    _add(resources, topics(names, ids))
    for entry in manifest.handlers:
        _add(resources, _handler(where, manifest, entry, codes[entry.name]))
    _add(resources, targets.place_resources(manifest, names, ids))
    for entry in manifest.rules:
        _add(resources, _rule(where, manifest, entry))
    if len(resources) > RESOURCES_MAX:
        raise BrokenProject(
            f"the project is {len(resources)} resources on AWS; a stack has at most {RESOURCES_MAX}",
            "let some of its handlers be a project of their own, on the same bus",
        )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{manifest.project} ({environment}): event handlers on Busway",
        "Metadata": {ABOUT: _about(manifest, environment, ids)},
        "Parameters": _parameters(ids),
        **_conditions(ids),
        "Resources": resources,
        "Outputs": _outputs(manifest, ids),
    }


def _add(resources: Resources, more: Resources) -> None:
    """Raises BrokenProject where two things of the project would be one in the template."""
    for logical in more.keys() & resources.keys():
        raise BrokenProject(
            f"two things of the project would be {logical!r} in the template",
            "another name for the handler, rule or alert route whose name that is",
        )
    resources |= more


def template_json(template: Template) -> str:
    """The template as text: members in the order in which they are read best, the same for the same template."""
    return msgspec.json.format(msgspec.json.encode(template), indent=2).decode() + "\n"


def template_hash(template: Mapping[str, Any]) -> str:
    """Of what it says, in whatever order its members come back from CloudFormation."""
    return hashlib.sha256(msgspec.json.encode(template, order="sorted")).hexdigest()


def _handler(where: Setting, manifest: Manifest, entry: HandlerEntry, code: Code) -> Resources:
    logical, name, batch = where.ids.entries[entry.name], where.names.of(entry.name), entry.batch
    bus = DEFAULT_BUS if entry.schedule else manifest.bus
    rule = rule_arn(bus, name)
    resources = dead_letters(where.names, where.ids, entry.name, rule)
    if entry.alarms:
        resources |= letters_alarm(where.names, where.ids, entry.name, entry.alert)
        resources |= error_rate_alarm(where.names, where.ids, entry.name, entry.alert)
    if batch is None:
        resources |= function_resources(where, entry, code)
        resources |= invocation_resources(entry, logical, rule)
        goal = {"Arn": {"Fn::GetAtt": [f"{logical}Function", "Arn"]}}
        after = [f"{logical}InvokeConfig", f"{logical}Permission"]
    else:
        resources |= function_resources(where, entry, code, batch_source.source_id(batch, logical))
        resources |= batch_source.source_resources(entry, batch, logical, name, rule)
        goal = batch_source.target(batch, logical)
        after = batch_source.filled_after(batch, logical)
    trigger = {"ScheduleExpression": entry.schedule} if entry.schedule else {"EventPattern": entry.pattern}
    made = {
        "Name": name,
        "Description": f"{entry.schedule or entry.event} to the handler {entry.name}",
        **_on_bus(where, bus),
        **trigger,
        "Targets": [_target(logical, {"Id": name, **goal}, entry.max_age_s)],
    }
    return {**resources, f"{logical}Rule": _rule_after(made, [*after, f"{logical}DeadLettersPolicy"])}


def _rule(where: Setting, manifest: Manifest, entry: RuleEntry) -> Resources:
    """A rule in rules/, with what it needs to reach its targets."""
    logical, name, rule = where.ids.entries[entry.name], where.names.of(entry.name), entry.rule
    reach = targets.target_resources(manifest, where.names, where.ids, entry)
    after = targets.reached_after(where.ids, entry, list(reach))
    made = {
        "Name": name,
        **({"Description": rule.description} if rule.description else {}),
        **_on_bus(where, manifest.bus),
        "EventPattern": rule.event_pattern,
        "Targets": [_target(logical, target, MAX_AGE_S) for target in targets.targets_of(manifest, where.ids, entry)],
    }
    return {
        **dead_letters(where.names, where.ids, entry.name, rule_arn(manifest.bus, name)),
        **(letters_alarm(where.names, where.ids, entry.name, rule.alert) if entry.alarms else {}),
        **reach,
        f"{logical}Rule": _rule_after(made, [*after, f"{logical}DeadLettersPolicy"]),
    }


def _on_bus(where: Setting, bus: str) -> dict[str, Any]:
    if bus == DEFAULT_BUS:
        return {}
    return {"EventBusName": {"Ref": "Bus"} if where.settings.create_bus else bus}


def _target(logical: str, target: Mapping[str, Any], max_age_s: int) -> dict[str, Any]:
    letters = {"Arn": {"Fn::GetAtt": [f"{logical}DeadLetters", "Arn"]}}
    return {**target, "RetryPolicy": retry_policy(max_age_s), "DeadLetterConfig": letters}


def _rule_after(properties: Mapping[str, Any], after: list[str]) -> dict[str, Any]:
    """A rule that is made last: no event comes before what it leads to is ready, and none after it is going."""
    return {
        "Type": "AWS::Events::Rule",
        "DependsOn": sorted(after),
        "Properties": {**properties, "State": "ENABLED"},
    }


def _once_table(names: Names) -> dict[str, Any]:
    """As `idempotent.Table` reads and writes it."""
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "TableName": names.once_table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "TimeToLiveSpecification": {"AttributeName": "until", "Enabled": True},
        },
    }


def _about(manifest: Manifest, environment: str, ids: Ids) -> dict[str, Any]:
    return {
        "Project": manifest.project,
        "Environment": environment,
        "Bus": manifest.bus,
        "Handlers": [entry.name for entry in manifest.handlers],
        "Rules": [entry.name for entry in manifest.rules],
        "Alarms": all(entry.alarms for entry in (*manifest.handlers, *manifest.rules)),
        # Which variable, where it is deployed, holds a parameter.
        "Variables": {
            **{ids.variable(variable): variable for variable in ids.variables},
            **{ids.address(route): url_variable(route) for route in ids.routes},
        },
    }


def _parameters(ids: Ids) -> dict[str, Any]:
    code = {"Type": "String", "Description": "The bucket where the functions' code lies"}
    passed_on = {
        ids.variable(variable): {"Type": "String", "Description": f"The variable {variable}"}
        for variable in ids.variables
    }
    # An address holds the key of who is told.
    addresses = {
        ids.address(route): {
            "Type": "String",
            "NoEcho": True,
            "Default": "",
            "Description": f"The HTTPS address that alerts of {route} go to, none while it is empty",
        }
        for route in ids.routes
    }
    return {"CodeBucket": code, **passed_on, **addresses}


def _conditions(ids: Ids) -> dict[str, Any]:
    given = {
        known(ids.address(route)): {"Fn::Not": [{"Fn::Equals": [{"Ref": ids.address(route)}, ""]}]}
        for route in ids.routes
    }
    return {"Conditions": given} if given else {}


def _outputs(manifest: Manifest, ids: Ids) -> dict[str, Any]:
    letters = {
        f"{ids.entries[entry.name]}DeadLetters": {
            "Description": f"The queue of the dead letters of {entry.name}",
            "Value": {"Ref": f"{ids.entries[entry.name]}DeadLetters"},
        }
        for entry in (*manifest.handlers, *manifest.rules)
    }
    return {"Bus": {"Description": "The bus that events are put on", "Value": manifest.bus}, **letters}
