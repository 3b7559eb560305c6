"""Lambda's functions, their versions and aliases at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from busway.aws.service import Caller, Operation
from busway.aws.services.lambda_wire import (
    alias_answer,
    architectures_of,
    asked,
    check_built,
    check_no_weights,
    code_of,
    configuration_answer,
    configuration_of,
    page,
)
from busway.errors import InvalidFunction
from busway.function.definitions.package import UNPACKED_BYTES_MAX
from busway.function.functions import Functions
from busway.function.record import ACCOUNT_CONCURRENCY, LATEST, FunctionRecord

Answer = dict[str, Any]

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_ZIP_BYTES_MAX = 52_428_800
_ACCOUNT_CODE_BYTES = 80_530_636_800


class FunctionOperations:
    """What changes and shows functions, versions and aliases."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self.operations: Mapping[str, Operation] = {
            "CreateAlias": self.create_alias,
            "CreateFunction": self.create_function,
            "DeleteAlias": self.delete_alias,
            "DeleteFunction": self.delete_function,
            "GetAccountSettings": self.get_account_settings,
            "GetAlias": self.get_alias,
            "GetFunction": self.get_function,
            "GetFunctionConfiguration": self.get_function_configuration,
            "ListAliases": self.list_aliases,
            "ListFunctions": self.list_functions,
            "ListVersionsByFunction": self.list_versions_by_function,
            "PublishVersion": self.publish_version,
            "UpdateAlias": self.update_alias,
            "UpdateFunctionCode": self.update_function_code,
            "UpdateFunctionConfiguration": self.update_function_configuration,
        }

    # Functions.

    async def create_function(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        arn, _ = asked(request, caller.scope)
        record = await self._functions.registry.create(
            arn,
            code_of(request["Code"]),
            configuration_of(request),
            request.get("Tags"),
            publish=bool(request.get("Publish")),
        )
        return configuration_answer(record)

    async def get_function(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        record, owner = self._functions.resolve(arn, qualifier), self._functions.registry.need(arn)
        offered = self._functions.downloads.offer(record.shown)
        concurrency = {"ReservedConcurrentExecutions": owner.reserved} if owner.reserved is not None else None
        return {
            "Configuration": configuration_answer(record, qualifier),
            # AWS's word for the repository; the URL is this server's own.
            "Code": {"RepositoryType": "S3", "Location": f"{caller.endpoint}{offered}"},
            "Tags": owner.tags or None,
            "Concurrency": concurrency,
        }

    async def get_function_configuration(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        return configuration_answer(self._functions.resolve(arn, qualifier), qualifier)

    async def list_functions(self, request: Answer, caller: Caller) -> Answer:
        records = self._functions.registry.of_scope(caller.scope)
        found = {record.name: configuration_answer(record) for record in records}
        if request.get("FunctionVersion") == "ALL":
            versions = {record.name: self._versions_of(record.arn) for record in records}
            found = {f"{name}:{key}": told for name, all_of in versions.items() for key, told in all_of.items()}
        names, more = page(sorted(found), request)
        return {"Functions": [found[name] for name in names], "NextMarker": more}

    async def update_function_code(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        publish = bool(request.get("Publish")) and not request.get("DryRun")
        record = await self._functions.registry.update_code(
            _itself(request, caller),
            code_of(request),
            architectures=architectures_of(request),
            revision=request.get("RevisionId"),
            dry_run=bool(request.get("DryRun")),
            publish=publish,
        )
        return configuration_answer(record, record.version if publish else "")

    async def update_function_configuration(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        record = await self._functions.registry.update_configuration(
            _itself(request, caller), configuration_of(request), revision=request.get("RevisionId")
        )
        return configuration_answer(record)

    async def delete_function(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        if qualifier:
            await self._functions.versions.delete(arn, qualifier)
        else:
            await self._functions.registry.delete(arn)
        return {"StatusCode": 204}

    async def get_account_settings(self, request: Answer, caller: Caller) -> Answer:
        records = self._functions.registry.of_scope(caller.scope)
        reserved = sum(record.reserved or 0 for record in records)
        stored = [version for record in records for version in self._functions.versions.of(record.arn)]
        return {
            "AccountLimit": {
                "TotalCodeSize": _ACCOUNT_CODE_BYTES,
                "CodeSizeUnzipped": UNPACKED_BYTES_MAX,
                "CodeSizeZipped": _ZIP_BYTES_MAX,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - reserved,
            },
            "AccountUsage": {
                "TotalCodeSize": sum(version.code_size for version in stored),
                "FunctionCount": len(records),
            },
        }

    # Versions.

    async def publish_version(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        record = await self._functions.versions.publish(
            _itself(request, caller),
            description=request.get("Description"),
            # As sent by tools that have none to compare.
            code_sha256=request.get("CodeSha256") or None,
            revision=request.get("RevisionId"),
        )
        return configuration_answer(record, record.version)

    async def list_versions_by_function(self, request: Answer, caller: Caller) -> Answer:
        arn, _ = asked(request, caller.scope)
        found = self._versions_of(arn)
        names, more = page(list(found), request)
        return {"Versions": [found[name] for name in names], "NextMarker": more}

    def _versions_of(self, arn: str) -> dict[str, Answer]:
        """By a name that sorts as AWS lists them: $LATEST, then the oldest first."""
        found = self._functions.versions.of(arn)
        return {_ordered(record): configuration_answer(record, record.version) for record in found}

    # Aliases.

    async def create_alias(self, request: Answer, caller: Caller) -> Answer:
        check_no_weights(request)
        alias = await self._functions.aliases.create(
            _itself(request, caller), request["Name"], request["FunctionVersion"], request.get("Description") or ""
        )
        return alias_answer(alias)

    async def get_alias(self, request: Answer, caller: Caller) -> Answer:
        return alias_answer(self._functions.aliases.need(_itself(request, caller), request["Name"]))

    async def update_alias(self, request: Answer, caller: Caller) -> Answer:
        check_no_weights(request)
        alias = await self._functions.aliases.update(
            _itself(request, caller),
            request["Name"],
            version=request.get("FunctionVersion"),
            description=request.get("Description"),
            revision=request.get("RevisionId"),
        )
        return alias_answer(alias)

    async def delete_alias(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.aliases.delete(_itself(request, caller), request["Name"])
        return {}

    async def list_aliases(self, request: Answer, caller: Caller) -> Answer:
        aliases = self._functions.aliases.of(_itself(request, caller), request.get("FunctionVersion"))
        found = {alias.name: alias for alias in aliases}
        names, more = page(list(found), request)
        return {"Aliases": [alias_answer(found[name]) for name in names], "NextMarker": more}


def _itself(request: Answer, caller: Caller) -> str:
    """The function's ARN, for operations on the function itself. Raises `InvalidFunction` for a version or alias."""
    arn, qualifier = asked(request, caller.scope)
    if qualifier not in ("", LATEST):
        raise InvalidFunction(f"{request['FunctionName']} names a version or alias; wanted the function itself")
    return arn


def _ordered(record: FunctionRecord) -> str:
    return LATEST if record.version == LATEST else record.version.zfill(12)
