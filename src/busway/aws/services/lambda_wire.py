"""Lambda's members from our records and back. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from busway.arn import Scope
from busway.errors import FunctionFeatureNotBuilt, InvalidFunction
from busway.function.definitions.attached import EventInvokeChange
from busway.function.definitions.code_store import Code, Folder, Zip
from busway.function.definitions.registry import Configuration
from busway.function.definitions.url import Cors, FunctionUrl
from busway.function.invocation.letters import iso_ms
from busway.function.record import (
    ACTIVE,
    FAILED,
    LATEST,
    PENDING,
    Alias,
    EventInvoke,
    FunctionRecord,
    Policy,
    qualified,
    resolve,
)

Answer = dict[str, Any]

# LocalStack's habit: code is the folder that S3Key names.
FOLDER_BUCKET = "hot-reload"

_PAGE_MAX = 50
_ACCOUNT = re.compile(r"\d{12}")

# Members of the request that ask for something that is not built, unless they say "no" in one of these ways.
_NOT_BUILT = (
    "AcceleratorConfig", "CapacityProviderConfig", "CodeSigningConfigArn", "DurableConfig", "FileSystemConfigs",
    "ImageConfig", "KMSKeyArn", "Layers", "PublishTo", "TenancyConfig",
)  # fmt: skip


def asked(request: Mapping[str, Any], scope: Scope, member: str = "FunctionName") -> tuple[str, str]:
    """The function's ARN and the qualifier, "" for none. Raises `InvalidFunction`."""
    arn, qualifier = resolve(request[member], scope, request.get("Qualifier"))
    return arn, qualifier or ""


def check_no_weights(request: Mapping[str, Any]) -> None:
    """Raises `FunctionFeatureNotBuilt`."""
    if _within(request, "RoutingConfig", "AdditionalVersionWeights"):
        raise FunctionFeatureNotBuilt("RoutingConfig (weighted aliases) is not built yet in Busway; leave it out")


def check_buffered(request: Mapping[str, Any]) -> None:
    """Raises `FunctionFeatureNotBuilt`."""
    if request.get("InvokeMode") == "RESPONSE_STREAM":
        raise FunctionFeatureNotBuilt("InvokeMode RESPONSE_STREAM is not built yet in Busway; wanted BUFFERED")


def check_built(request: Mapping[str, Any]) -> None:
    """Raises `FunctionFeatureNotBuilt` that names the member."""
    asked = [member for member in _NOT_BUILT if request.get(member)]
    if _within(request, "VpcConfig", "SubnetIds") or _within(request, "VpcConfig", "SecurityGroupIds"):
        asked.append("VpcConfig")
    if request.get("PackageType") == "Image":
        asked.append("PackageType Image")
    if _within(request, "SnapStart", "ApplyOn") == "PublishedVersions":
        asked.append("SnapStart")
    if _within(request, "LoggingConfig", "LogFormat") == "JSON":
        asked.append("LoggingConfig LogFormat JSON")
    if asked:
        raise FunctionFeatureNotBuilt(f"{', '.join(asked)} is not built yet in Busway; leave it out")


def _within(request: Mapping[str, Any], member: str, inner: str) -> Any:
    value: Mapping[str, Any] = request.get(member) or {}
    return value.get(inner)


def code_of(given: Mapping[str, Any]) -> Code:
    """The code that CreateFunction's `Code`, or UpdateFunctionCode, names."""
    if given.get("ZipFile"):
        return Zip(given["ZipFile"])
    if given.get("S3Bucket") == FOLDER_BUCKET:
        return Folder(given.get("S3Key") or "")
    if given.get("S3Bucket") or given.get("ImageUri"):
        raise FunctionFeatureNotBuilt(
            "Code from S3 or an image is not built yet in Busway; wanted ZipFile, "
            f"or in development S3Bucket {FOLDER_BUCKET} with a folder's absolute path as S3Key"
        )
    raise InvalidFunction("Please provide a source for function code.")


def configuration_of(request: Mapping[str, Any]) -> Configuration:
    environment = request.get("Environment")
    dead_letter = request.get("DeadLetterConfig")
    tracing = request.get("TracingConfig")
    return Configuration(
        runtime=request.get("Runtime"),
        handler=request.get("Handler"),
        role=request.get("Role"),
        description=request.get("Description"),
        timeout_s=request.get("Timeout"),
        memory_mb=request.get("MemorySize"),
        environment=None if environment is None else environment.get("Variables") or {},
        dead_letter_arn=None if dead_letter is None else dead_letter.get("TargetArn") or "",
        tracing=None if tracing is None else tracing.get("Mode"),
        architectures=architectures_of(request),
    )


def architectures_of(request: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Kept and shown: functions run on the machine's own. AWS takes one."""
    given = request.get("Architectures")
    if given is not None and len(given) != 1:
        raise InvalidFunction(
            f"1 validation error detected: Value '[{', '.join(given)}]' at 'architectures' failed to satisfy "
            "constraint: Member must have length less than or equal to 1"
        )
    return None if given is None else tuple(given)


def configuration_answer(record: FunctionRecord, qualifier: str = "") -> Answer:
    """A FunctionConfiguration. `qualifier` is how the function was asked for, and stands behind its ARN."""
    shown = record.shown
    return {**_described(shown, qualifier), **_state(record)}


def _state(record: FunctionRecord) -> Answer:
    """How far it is. What is built is ours, so AWS's codes for why have only general words for it."""
    told: Answer = {"State": record.state}
    if record.state == PENDING:
        told |= {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
    elif record.state == FAILED:
        told |= {"StateReason": record.failure, "StateReasonCode": "FunctionError"}
    if record.update is not None:
        return {**told, "LastUpdateStatus": "InProgress", "LastUpdateStatusReason": "The update is being built."}
    if record.state == ACTIVE and record.failure:
        told |= {"LastUpdateStatusReason": record.failure, "LastUpdateStatusReasonCode": "FunctionError"}
        return {**told, "LastUpdateStatus": "Failed"}
    return {**told, "LastUpdateStatus": {PENDING: "InProgress", FAILED: "Failed"}.get(record.state, "Successful")}


def _described(record: FunctionRecord, qualifier: str) -> Answer:
    return {
        "FunctionName": record.name,
        "FunctionArn": qualified(record.arn, qualifier),
        "Runtime": record.runtime,
        "Role": record.role,
        "Handler": record.handler,
        "CodeSize": record.code_size,
        "Description": record.description,
        "Timeout": record.timeout_s,
        "MemorySize": record.memory_mb,
        "LastModified": last_modified(record.modified_at),
        "CodeSha256": record.code_sha256,
        "Version": record.version,
        "DeadLetterConfig": {"TargetArn": record.dead_letter_arn} if record.dead_letter_arn else None,
        "Environment": {"Variables": record.environment} if record.environment else None,
        "TracingConfig": {"Mode": record.tracing},
        "RevisionId": record.revision,
        "PackageType": "Zip",
        "Architectures": list(record.architectures),
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{record.name}"},
    }


def last_modified(at: float) -> str:
    """Lambda's own form of a time: `2026-11-23T17:05:09.123+0000`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def event_invoke_change(request: Mapping[str, Any]) -> EventInvokeChange:
    destinations = request.get("DestinationConfig")
    return EventInvokeChange(
        retries_max=request.get("MaximumRetryAttempts"),
        age_s_max=request.get("MaximumEventAgeInSeconds"),
        on_success=_destination(destinations, "OnSuccess"),
        on_failure=_destination(destinations, "OnFailure"),
    )


def _destination(destinations: Mapping[str, Any] | None, side: str) -> str | None:
    if destinations is None or destinations.get(side) is None:
        return None
    return destinations[side].get("Destination") or ""


def event_invoke_answer(function_arn: str, qualifier: str, config: EventInvoke) -> Answer:
    destinations = {
        side: {"Destination": arn} if arn else {}
        for side, arn in (("OnSuccess", config.on_success), ("OnFailure", config.on_failure))
    }
    return {
        "LastModified": config.modified_at,
        "FunctionArn": qualified(function_arn, qualifier or LATEST),
        "MaximumRetryAttempts": config.retries_max,
        "MaximumEventAgeInSeconds": config.age_s_max,
        "DestinationConfig": destinations,
    }


def statement_of(request: Mapping[str, Any], function_arn: str) -> Answer:
    """The policy statement that AddPermission asks for, in the order in which AWS writes it."""
    principal: str = request["Principal"]
    account = _ACCOUNT.fullmatch(principal)
    who: Any = {"AWS": f"arn:aws:iam::{principal}:root"} if account else {"Service": principal}
    if principal.startswith("arn:"):
        who = {"AWS": principal}
    statement = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": "*" if principal == "*" else who,
        "Action": request["Action"],
        "Resource": function_arn,
    }
    equals = {
        key: request[member]
        for member, key in (
            ("SourceAccount", "AWS:SourceAccount"),
            ("PrincipalOrgID", "aws:PrincipalOrgID"),
            ("EventSourceToken", "lambda:EventSourceToken"),
            ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
        )
        if request.get(member)
    }
    condition: dict[str, Any] = {"StringEquals": equals} if equals else {}
    if request.get("InvokedViaFunctionUrl") is not None:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": str(request["InvokedViaFunctionUrl"]).lower()}
    if request.get("SourceArn"):
        condition["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    return {**statement, "Condition": condition} if condition else statement


def policy_text(policy: Policy) -> str:
    text = {"Version": "2012-10-17", "Id": "default", "Statement": policy.statements}
    return json.dumps(text, separators=(",", ":"))


def alias_answer(alias: Alias) -> Answer:
    return {
        "AliasArn": qualified(alias.arn, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }


def cors_of(given: Mapping[str, Any] | None) -> Cors | None:
    if given is None:
        return None
    return Cors(
        allow_credentials=bool(given.get("AllowCredentials")),
        allow_headers=tuple(given.get("AllowHeaders") or ()),
        allow_methods=tuple(given.get("AllowMethods") or ()),
        allow_origins=tuple(given.get("AllowOrigins") or ()),
        expose_headers=tuple(given.get("ExposeHeaders") or ()),
        max_age_s=given.get("MaxAge"),
    )


def url_answer(url: FunctionUrl, where: str) -> Answer:
    """A FunctionUrlConfig; `where` is the URL itself."""
    return {
        "FunctionUrl": where,
        "FunctionArn": qualified(url.arn, url.qualifier),
        "AuthType": url.auth_type,
        "Cors": None if url.cors is None else _cors_answer(url.cors),
        "CreationTime": iso_ms(url.created_at),
        "LastModifiedTime": iso_ms(url.modified_at),
        "InvokeMode": "BUFFERED",
    }


def _cors_answer(cors: Cors) -> Answer:
    lists = {
        "AllowHeaders": cors.allow_headers, "AllowMethods": cors.allow_methods, "AllowOrigins": cors.allow_origins,
        "ExposeHeaders": cors.expose_headers,
    }  # fmt: skip
    told: Answer = {name: list(values) for name, values in lists.items() if values}
    return {**told, "AllowCredentials": cors.allow_credentials, "MaxAge": cors.max_age_s}


def page(names: list[str], request: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """The names of one page, and the marker of the next one. `names` are sorted, and none of them is empty."""
    marker = request.get("Marker")
    start = _name_of_marker(marker)
    rest = [name for name in names if name > start] if marker else names
    size = min(request.get("MaxItems") or _PAGE_MAX, _PAGE_MAX)
    more = base64.b64encode(rest[size - 1].encode()).decode() if len(rest) > size else None
    return rest[:size], more


def _name_of_marker(marker: str | None) -> str:
    try:
        return base64.b64decode(marker or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidFunction("Invalid pagination token provided.") from None


def client_context(given: str | None) -> str:
    """The client context's JSON text, from its base64."""
    try:
        return base64.b64decode(given or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidFunction("Client context must be a valid Base64-encoded JSON object.") from None
