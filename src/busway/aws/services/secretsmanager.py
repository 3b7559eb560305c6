"""Secrets Manager at the door. What a secret is, and how it is sealed, is in `secret`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.aws.errors import AwsError
from busway.aws.service import Caller, Operation
from busway.secret.record import CURRENT, SecretRecord
from busway.secret.secrets import Secrets, Value

Answer = dict[str, Any]

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
RECOVERY_DAYS, RECOVERY_DAYS_DEFAULT = (7, 30), 30
# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
PAGE = 100
# What a request may hold that would change what the secret is; refused rather than forgotten.
_REFUSED = ("AddReplicaRegions", "CrossAccountPrimaryARN", "RotationToken", "Type")


class SecretsManager:
    """Values with their two newest versions; no rotation, no replicas, no policies."""

    name = "secretsmanager"

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.operations: Mapping[str, Operation] = {
            "CreateSecret": self.create_secret,
            "DeleteSecret": self.delete_secret,
            "DescribeSecret": self.describe_secret,
            "GetSecretValue": self.get_secret_value,
            "ListSecrets": self.list_secrets,
            "PutSecretValue": self.put_secret_value,
            "RestoreSecret": self.restore_secret,
            "UpdateSecret": self.update_secret,
        }
        own_key = "sealed with the server's own key, whatever KmsKeyId names; no replicas, no rotation"
        self.partial: Mapping[str, str] = {
            "CreateSecret": own_key,
            "UpdateSecret": own_key,
            "ListSecrets": "no filters and no sorting: by name",
            "PutSecretValue": "the stages AWSCURRENT and AWSPREVIOUS; two versions are kept",
        }

    async def create_secret(self, request: Answer, caller: Caller) -> Answer:
        _refuse(request)
        record = await self._secrets.create(
            caller.scope, request["Name"], _value(request), description=request.get("Description") or "",
            tags={tag["Key"]: tag.get("Value", "") for tag in request.get("Tags") or ()},
            version_id=request.get("ClientRequestToken"),
        )  # fmt: skip
        return _named(record, VersionId=record.current and record.current.id)

    async def put_secret_value(self, request: Answer, caller: Caller) -> Answer:
        _refuse(request)
        if (stages := request.get("VersionStages") or [CURRENT]) != [CURRENT]:
            raise AwsError("InvalidParameterException", f"VersionStages: found {stages}; Busway has {CURRENT} alone.")
        value = _value(request)
        if value is None:
            raise AwsError("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
        token = request.get("ClientRequestToken")
        record = await self._secrets.put(caller.scope, request["SecretId"], value, token)
        version_id = token or (record.current and record.current.id)
        return _named(record, VersionId=version_id, VersionStages=record.stages().get(str(version_id)))

    async def update_secret(self, request: Answer, caller: Caller) -> Answer:
        _refuse(request)
        scope, secret_id, value = caller.scope, request["SecretId"], _value(request)
        record = self._secrets.need(scope, secret_id)
        if request.get("Description") is not None:
            record = await self._secrets.describe_as(scope, secret_id, request["Description"])
        if value is None:
            return _named(record)
        record = await self._secrets.put(scope, secret_id, value, request.get("ClientRequestToken"))
        return _named(record, VersionId=record.current and record.current.id)

    async def get_secret_value(self, request: Answer, caller: Caller) -> Answer:
        record, version, value = self._secrets.value(
            caller.scope, request["SecretId"], request.get("VersionId"), request.get("VersionStage")
        )
        member = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        about = {"VersionId": version.id, "VersionStages": record.stages()[version.id]}
        return _named(record, **about, CreatedDate=version.created_at, **{member: value})

    async def describe_secret(self, request: Answer, caller: Caller) -> Answer:
        record = self._secrets.need(caller.scope, request["SecretId"])
        return {**_described(record), "VersionIdsToStages": record.stages()}

    async def list_secrets(self, request: Answer, caller: Caller) -> Answer:
        if request.get("Filters"):
            raise AwsError("InvalidParameterException", "Filters are not built: ask for all, and choose.")
        every, marked = self._secrets.of_scope(caller.scope), request.get("IncludePlannedDeletion")
        after, limit = request.get("NextToken") or "", request.get("MaxResults") or PAGE
        found = [one for one in every if (marked or one.deleted_at is None) and one.name > after]
        shown = [{**_described(one), "SecretVersionsToStages": one.stages()} for one in found[:limit]]
        return {"SecretList": shown, "NextToken": found[limit - 1].name if len(found) > limit else None}

    async def delete_secret(self, request: Answer, caller: Caller) -> Answer:
        days, now = request.get("RecoveryWindowInDays"), bool(request.get("ForceDeleteWithoutRecovery"))
        if days is not None and now:
            raise AwsError(
                "InvalidParameterException",
                "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
            )
        low, high = RECOVERY_DAYS
        if days is not None and not low <= days <= high:
            raise AwsError(
                "InvalidParameterException", f"The RecoveryWindowInDays value must be between {low} and {high} days."
            )
        after_days = 0 if now else days or RECOVERY_DAYS_DEFAULT
        record = await self._secrets.delete(caller.scope, request["SecretId"], after_days)
        return _named(record, DeletionDate=record.gone_at)

    async def restore_secret(self, request: Answer, caller: Caller) -> Answer:
        return _named(await self._secrets.restore(caller.scope, request["SecretId"]))


def _named(record: SecretRecord, **more: Any) -> Answer:
    return {"ARN": record.arn, "Name": record.name, **more}


def _described(record: SecretRecord) -> Answer:
    return _named(
        record, Description=record.description or None, CreatedDate=record.created_at,
        LastChangedDate=record.changed_at, DeletedDate=record.deleted_at,
        Tags=[{"Key": key, "Value": value} for key, value in record.tags.items()],
    )  # fmt: skip


def _value(request: Answer) -> Value | None:
    text, raw = request.get("SecretString"), request.get("SecretBinary")
    if text is not None and raw is not None:
        raise AwsError(
            "InvalidParameterException", "You can't specify both a binary secret value and a string secret value."
        )
    return text if text is not None else raw


def _refuse(request: Answer) -> None:
    for member in _REFUSED:
        if request.get(member):
            raise AwsError("InvalidParameterException", f"{member} is not built.")
