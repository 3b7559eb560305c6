"""Lambda at the door: names in, names out. What a function does is in `function`.

lambda_functions  functions, versions, aliases
lambda_attached   what hangs on them: event invoke configs, policies, concurrency, tags, URLs
lambda_mappings   event source mappings
lambda_wire       their members
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any

from busway.aws.errors import aws_error
from busway.aws.service import Caller, Operation
from busway.aws.services.lambda_attached import Attachments
from busway.aws.services.lambda_functions import FunctionOperations
from busway.aws.services.lambda_mappings import MappingOperations
from busway.aws.services.lambda_wire import asked, client_context
from busway.clock import Clock
from busway.engine import Engine
from busway.errors import BuswayError, FunctionThrottled
from busway.function.functions import ASYNC_BYTES_MAX, Functions, check_payload
from busway.function.mapping.mappings import Mappings

Answer = dict[str, Any]

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: a zip of 50 MB, in base64
BODY_BYTES_MAX = 70_167_211


class Lambda:
    """The operations of Lambda's functions and mappings. `engine` takes the work of asynchronous invocations."""

    name = "lambda"
    body_max = BODY_BYTES_MAX
    partial: Mapping[str, str] = {
        "AddPermission": "kept and shown, not enforced",
        "CreateAlias": "no weights",
        "CreateEventSourceMapping": "SQS and Kinesis; no tumbling windows, consumers, provisioned pollers",
        "CreateFunction": "no layers, images, VPCs, code from S3",
        "CreateFunctionUrlConfig": "no response streaming; the URL is one of this server's",
        "Invoke": "no response streaming",
        "UpdateAlias": "no weights",
        "UpdateEventSourceMapping": "as CreateEventSourceMapping",
        "UpdateFunctionCode": "no code from S3",
        "UpdateFunctionConfiguration": "no layers, images, VPCs",
        "UpdateFunctionUrlConfig": "no response streaming",
    }

    def __init__(self, functions: Functions, engine: Engine, clock: Clock, mappings: Mappings) -> None:
        self._functions, self._engine, self._clock = functions, engine, clock
        attached = Attachments(functions).operations
        plain: dict[str, Operation] = {
            **FunctionOperations(functions).operations,
            **attached,
            **MappingOperations(mappings, attached).operations,
            "Invoke": self.invoke,
        }
        self.operations: Mapping[str, Operation] = {name: partial(_typed, run) for name, run in plain.items()}

    async def invoke(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        payload: bytes = request.get("Payload") or b""
        kind = request.get("InvocationType") or "RequestResponse"
        if kind == "DryRun":
            self._functions.resolve(arn, qualifier)
            return {"StatusCode": 204}
        if kind == "Event":
            return await self._invoke_later(arn, qualifier, payload, caller)
        result = await self._functions.invoke(
            arn,
            payload,
            request.get("LogType") == "Tail",
            trace_header=caller.trace_header or "",
            client_context=client_context(request.get("ClientContext")),
            request_id=caller.request_id,
            qualifier=qualifier,
        )
        return {
            "StatusCode": 200,
            "FunctionError": result.function_error,
            "LogResult": None if result.log_tail is None else base64.b64encode(result.log_tail).decode(),
            "Payload": result.payload,
            "ExecutedVersion": result.executed_version,
        }

    async def _invoke_later(self, arn: str, qualifier: str, payload: bytes, caller: Caller) -> Answer:
        """202 once the event is kept for good."""
        self._functions.resolve(arn, qualifier)
        put = self._functions.invocation_put(
            arn,
            check_payload(payload, "Event", ASYNC_BYTES_MAX),
            request_id=caller.request_id,
            now=self._clock.now(),
            trace_header=caller.trace_header,
            qualifier=qualifier,
        )
        await self._engine.queues.put([put])
        return {"StatusCode": 202, "Payload": b""}


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
