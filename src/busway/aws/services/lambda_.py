"""Lambda at the door: names in, names out. What a function does is in `function`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from busway.aws.errors import aws_error
from busway.aws.service import Caller, Operation
from busway.aws.services.lambda_wire import (
    check_built,
    client_context,
    code_of,
    configuration_answer,
    configuration_of,
    event_invoke_answer,
    event_invoke_change,
    page,
    policy_text,
    statement_of,
)
from busway.clock import Clock
from busway.engine import Engine
from busway.errors import BuswayError, FunctionResourceNotFound, FunctionThrottled
from busway.function.functions import ASYNC_BYTES_MAX, Functions, check_payload
from busway.function.package import UNPACKED_BYTES_MAX
from busway.function.record import ACCOUNT_CONCURRENCY, LATEST, latest, resolve

Answer = dict[str, Any]

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: a zip of 50 MB, in base64
BODY_BYTES_MAX = 70_167_211
_ZIP_BYTES_MAX = 52_428_800
_ACCOUNT_CODE_BYTES = 80_530_636_800


class Lambda:
    """The operations of Lambda's functions. `engine` takes the work of asynchronous invocations."""

    name = "lambda"
    body_max = BODY_BYTES_MAX

    def __init__(self, functions: Functions, engine: Engine, clock: Clock) -> None:
        self._functions, self._engine, self._clock = functions, engine, clock
        self.partial: Mapping[str, str] = {
            "AddPermission": "kept and shown, not enforced",
            "CreateFunction": "Python runtimes; no layers, images, VPCs, code from S3, published versions",
            "GetFunction": "the location of the code is no download",
            "Invoke": f"{LATEST} only",
            "UpdateFunctionCode": "no code from S3, no published versions",
            "UpdateFunctionConfiguration": "no layers, images, VPCs",
        }
        plain: dict[str, Operation] = {
            "AddPermission": self.add_permission,
            "CreateFunction": self.create_function,
            "DeleteFunction": self.delete_function,
            "DeleteFunctionConcurrency": self.delete_function_concurrency,
            "DeleteFunctionEventInvokeConfig": self.delete_function_event_invoke_config,
            "GetAccountSettings": self.get_account_settings,
            "GetFunction": self.get_function,
            "GetFunctionConcurrency": self.get_function_concurrency,
            "GetFunctionConfiguration": self.get_function_configuration,
            "GetFunctionEventInvokeConfig": self.get_function_event_invoke_config,
            "GetPolicy": self.get_policy,
            "Invoke": self.invoke,
            "ListFunctionEventInvokeConfigs": self.list_function_event_invoke_configs,
            "ListFunctions": self.list_functions,
            "ListTags": self.list_tags,
            "PutFunctionConcurrency": self.put_function_concurrency,
            "PutFunctionEventInvokeConfig": self.put_function_event_invoke_config,
            "RemovePermission": self.remove_permission,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "UpdateFunctionCode": self.update_function_code,
            "UpdateFunctionConfiguration": self.update_function_configuration,
            "UpdateFunctionEventInvokeConfig": self.update_function_event_invoke_config,
        }
        self.operations: Mapping[str, Operation] = {name: partial(_typed, run) for name, run in plain.items()}

    # Functions.

    async def create_function(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        arn, _ = resolve(request["FunctionName"], caller.scope)
        record = await self._functions.registry.create(
            arn, code_of(request["Code"]), configuration_of(request), request.get("Tags")
        )
        return configuration_answer(record)

    async def get_function(self, request: Answer, caller: Caller) -> Answer:
        record = self._functions.registry.need(_arn(request, caller))
        concurrency = {"ReservedConcurrentExecutions": record.reserved} if record.reserved is not None else None
        return {
            "Configuration": configuration_answer(record),
            "Code": {"RepositoryType": "Busway", "Location": record.code},
            "Tags": record.tags or None,
            "Concurrency": concurrency,
        }

    async def get_function_configuration(self, request: Answer, caller: Caller) -> Answer:
        return configuration_answer(self._functions.registry.need(_arn(request, caller)))

    async def list_functions(self, request: Answer, caller: Caller) -> Answer:
        found = {record.name: record for record in self._functions.registry.of_scope(caller.scope)}
        names, more = page(sorted(found), request)
        return {"Functions": [configuration_answer(found[name]) for name in names], "NextMarker": more}

    async def update_function_code(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        record = await self._functions.registry.update_code(
            _arn(request, caller),
            code_of(request),
            revision=request.get("RevisionId"),
            dry_run=bool(request.get("DryRun")),
        )
        return configuration_answer(record)

    async def update_function_configuration(self, request: Answer, caller: Caller) -> Answer:
        check_built(request)
        record = await self._functions.registry.update_configuration(
            _arn(request, caller), configuration_of(request), revision=request.get("RevisionId")
        )
        return configuration_answer(record)

    async def delete_function(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.registry.delete(_arn(request, caller))
        return {"StatusCode": 204}

    async def get_account_settings(self, request: Answer, caller: Caller) -> Answer:
        records = self._functions.registry.of_scope(caller.scope)
        reserved = sum(record.reserved or 0 for record in records)
        return {
            "AccountLimit": {
                "TotalCodeSize": _ACCOUNT_CODE_BYTES,
                "CodeSizeUnzipped": UNPACKED_BYTES_MAX,
                "CodeSizeZipped": _ZIP_BYTES_MAX,
                "ConcurrentExecutions": ACCOUNT_CONCURRENCY,
                "UnreservedConcurrentExecutions": ACCOUNT_CONCURRENCY - reserved,
            },
            "AccountUsage": {
                "TotalCodeSize": sum(record.code_size for record in records),
                "FunctionCount": len(records),
            },
        }

    # Invoke.

    async def invoke(self, request: Answer, caller: Caller) -> Answer:
        arn = _arn(request, caller)
        payload: bytes = request.get("Payload") or b""
        kind = request.get("InvocationType") or "RequestResponse"
        if kind == "DryRun":
            self._functions.registry.need(arn)
            return {"StatusCode": 204}
        if kind == "Event":
            return await self._invoke_later(arn, payload, caller)
        result = await self._functions.invoke(
            arn,
            payload,
            request.get("LogType") == "Tail",
            trace_header=caller.trace_header or "",
            client_context=client_context(request.get("ClientContext")),
            request_id=caller.request_id,
        )
        return {
            "StatusCode": 200,
            "FunctionError": result.function_error,
            "LogResult": None if result.log_tail is None else base64.b64encode(result.log_tail).decode(),
            "Payload": result.payload,
            "ExecutedVersion": result.executed_version,
        }

    async def _invoke_later(self, arn: str, payload: bytes, caller: Caller) -> Answer:
        """202 once the event is kept for good."""
        self._functions.registry.need(arn)
        put = self._functions.invocation_put(
            arn,
            check_payload(payload, "Event", ASYNC_BYTES_MAX),
            request_id=caller.request_id,
            now=self._clock.now(),
            trace_header=caller.trace_header,
        )
        await self._engine.queues.put([put])
        return {"StatusCode": 202, "Payload": b""}

    # What hangs on a function.

    async def put_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        return await self._set_event_invoke(request, caller, merge=False)

    async def update_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        return await self._set_event_invoke(request, caller, merge=True)

    async def _set_event_invoke(self, request: Answer, caller: Caller, *, merge: bool) -> Answer:
        arn = _arn(request, caller)
        config = await self._functions.registry.put_event_invoke(arn, event_invoke_change(request), merge=merge)
        return event_invoke_answer(arn, config)

    async def get_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        arn = _arn(request, caller)
        return event_invoke_answer(arn, self._functions.registry.event_invoke(arn))

    async def delete_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.registry.delete_event_invoke(_arn(request, caller))
        return {}

    async def list_function_event_invoke_configs(self, request: Answer, caller: Caller) -> Answer:
        record = self._functions.registry.need(_arn(request, caller))
        configs = [] if record.event_invoke is None else [event_invoke_answer(record.arn, record.event_invoke)]
        return {"FunctionEventInvokeConfigs": configs}

    async def put_function_concurrency(self, request: Answer, caller: Caller) -> Answer:
        reserved: int = request["ReservedConcurrentExecutions"]
        await self._functions.registry.put_concurrency(_arn(request, caller), reserved)
        return {"ReservedConcurrentExecutions": reserved}

    async def get_function_concurrency(self, request: Answer, caller: Caller) -> Answer:
        return {"ReservedConcurrentExecutions": self._functions.registry.need(_arn(request, caller)).reserved}

    async def delete_function_concurrency(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.registry.put_concurrency(_arn(request, caller), None)
        return {}

    async def add_permission(self, request: Answer, caller: Caller) -> Answer:
        arn = _arn(request, caller)
        statement = statement_of(request, arn)
        await self._functions.registry.add_statement(arn, statement)
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    async def get_policy(self, request: Answer, caller: Caller) -> Answer:
        record = self._functions.registry.need(_arn(request, caller))
        if not record.policy:
            raise FunctionResourceNotFound("The resource you requested does not exist.")
        return {"Policy": policy_text(record), "RevisionId": record.policy_revision}

    async def remove_permission(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.registry.remove_statement(_arn(request, caller), request["StatementId"])
        return {}

    async def list_tags(self, request: Answer, caller: Caller) -> Answer:
        return {"Tags": self._functions.registry.need(_tagged(request, caller)).tags}

    async def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.registry.tag(_tagged(request, caller), request["Tags"])
        return {}

    async def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.registry.untag(_tagged(request, caller), request["TagKeys"])
        return {}


def _arn(request: Answer, caller: Caller) -> str:
    """The function that the call is about. Raises `FunctionNotFound` for a version or alias: there are none."""
    return latest(*resolve(request["FunctionName"], caller.scope, request.get("Qualifier")))


def _tagged(request: Answer, caller: Caller) -> str:
    return latest(*resolve(request["Resource"], caller.scope))


async def _typed(run: Operation, request: Answer, caller: Caller) -> Answer:
    """Run an operation; its errors carry Lambda's `Type`, and a throttle its `Reason`."""
    try:
        return await run(request, caller)
    except BuswayError as error:
        told = aws_error("lambda", error)
        if told is None:
            raise
        told.members["Type"] = "Service" if (told.status or 400) >= 500 else "User"
        if isinstance(error, FunctionThrottled):
            told.members["Reason"] = error.reason
        raise told from error
