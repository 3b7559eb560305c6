"""What deploying a handler's function asks of a server: AWS calls as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from busway.arn import Scope
from busway.errors import MissingVariable
from busway.handling import ONCE_EVENT, ONCE_TAG, RATE_TAG, RETRIES_AWS_MAX, RETRIES_TAG
from busway.road.calls import Call
from busway.road.manifest import (
    EVENT_TAG,
    FOLDER_TAG,
    HANDLER_TAG,
    PROJECT_TAG,
    HandlerEntry,
    Manifest,
    function_name,
)
from busway.secret.reference import reference, secret_name

# A function that is being put is given this role; on AWS it must exist, Busway keeps it and asks nothing of it.
ROLE = "busway-handlers"
MISSING = ("ResourceNotFoundException", "ResourceNotFound")


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a project is deployed, and from where.

    `runtime` is that of handlers which name none, `environment` what they pass on. `qualifier` is the alias that
    rules and mappings invoke, "" for the function itself.
    """

    scope: Scope
    runtime: str
    environment: Mapping[str, str]
    qualifier: str = ""


def function_arn(scope: Scope, name: str, qualifier: str = "") -> str:
    return scope.arn("lambda", f"function:{qualified(name, qualifier)}")


def qualified(name: str, qualifier: str) -> str:
    """A function's name as Lambda takes it together with one of its versions or aliases."""
    return f"{name}:{qualifier}" if qualifier else name


def role_arn(scope: Scope) -> str:
    return f"arn:aws:iam::{scope.account}:role/{ROLE}"


def function_call(
    manifest: Manifest, entry: HandlerEntry, code: Mapping[str, Any], ground: Ground, queue_arn: str
) -> Call:
    """The function as it is to be, whether it is there or not. Raises MissingVariable."""
    settings = _settings(manifest, entry, ground, queue_arn)
    name = settings["FunctionName"]
    return Call(
        "lambda",
        "CreateFunction",
        {**settings, "Code": code, "Tags": _tags(manifest, entry, code)},
        exists=("ResourceConflictException",),
        then=(
            Call("lambda", "UpdateFunctionConfiguration", settings, after=name),
            Call("lambda", "UpdateFunctionCode", {"FunctionName": name, **code}, after=name, builds=name),
        ),
        builds=name,
    )


def _settings(manifest: Manifest, entry: HandlerEntry, ground: Ground, queue_arn: str) -> dict[str, Any]:
    for variable in entry.env:
        if variable not in ground.environment:
            raise MissingVariable(entry.file, variable)
    # A bundle comes with a source map: a stack trace names the lines that were written.
    traced = {"NODE_OPTIONS": "--enable-source-maps"} if entry.runtime.startswith("nodejs") else {}
    variables = {variable: ground.environment[variable] for variable in entry.env}
    sealed = {variable: reference(secret_name(manifest.project, variable)) for variable in entry.secrets}
    return {
        "FunctionName": function_name(manifest.project, entry.name),
        "Runtime": entry.runtime or ground.runtime,
        "Role": role_arn(ground.scope),
        "Handler": entry.entry_point,
        "Description": entry.schedule or f"{entry.event} on bus {manifest.bus}",
        "Timeout": entry.timeout_s,
        "MemorySize": entry.memory_mb,
        "Environment": {"Variables": {**traced, **variables, **sealed}},
        "DeadLetterConfig": {"TargetArn": queue_arn},
    }


def tag_calls(manifest: Manifest, entry: HandlerEntry, code: Mapping[str, Any], scope: Scope) -> list[Call]:
    """The tags of a function that is there. They are no part of a version, and hold at once."""
    arn, tags = function_arn(scope, function_name(manifest.project, entry.name)), _tags(manifest, entry, code)
    gone = sorted(set(_asked(entry)) - set(tags))
    untag = [Call("lambda", "UntagResource", {"Resource": arn, "TagKeys": gone})] if gone else []
    return [Call("lambda", "TagResource", {"Resource": arn, "Tags": tags}), *untag]


def _tags(manifest: Manifest, entry: HandlerEntry, code: Mapping[str, Any]) -> dict[str, str]:
    tags = {PROJECT_TAG: manifest.project, HANDLER_TAG: entry.name, EVENT_TAG: entry.event}
    if "S3Bucket" in code:
        tags[FOLDER_TAG] = str(code["S3Key"]).removesuffix(f"/{entry.code}")
    return tags | {tag: value for tag, value in _asked(entry).items() if value}


def _asked(entry: HandlerEntry) -> dict[str, str | None]:
    """What a handler may ask for, and may ask for no more when it is deployed again."""
    more = entry.batch is None and entry.retries > RETRIES_AWS_MAX
    return {
        RATE_TAG: entry.rate,
        ONCE_TAG: ONCE_EVENT if entry.once else None,
        RETRIES_TAG: str(entry.retries) if more else None,
    }


def invocation_calls(entry: HandlerEntry, name: str, qualifier: str, rule_arn: str) -> list[Call]:
    """How the function is invoked by its rule."""
    only = {"Qualifier": qualifier} if qualifier else {}
    config = {
        "FunctionName": name,
        "MaximumRetryAttempts": min(entry.retries, RETRIES_AWS_MAX),
        "MaximumEventAgeInSeconds": entry.max_age_s,
        **only,
    }
    of_function = {"FunctionName": name}
    reserve = (
        Call("lambda", "DeleteFunctionConcurrency", of_function, exists=MISSING)
        if entry.concurrency is None
        else Call(
            "lambda",
            "PutFunctionConcurrency",
            {**of_function, "ReservedConcurrentExecutions": entry.concurrency},
        )
    )
    return [
        reserve,
        Call("lambda", "PutFunctionEventInvokeConfig", config),
        permission_call(name, qualifier, "busway-rule", rule_arn),
    ]


def permission_call(function: str, qualifier: str, statement: str, rule_arn: str) -> Call:
    """A rule may invoke a function."""
    permission = {
        "FunctionName": function,
        "StatementId": statement,
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": rule_arn,
        **({"Qualifier": qualifier} if qualifier else {}),
    }
    return Call("lambda", "AddPermission", permission, exists=("ResourceConflictException",))
