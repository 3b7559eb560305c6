"""The functions of this server, as mappings need them."""

from __future__ import annotations

from busway.errors import FunctionNotFound
from busway.function.functions import Functions, InvokeResult
from busway.function.record import FunctionRecord


class FunctionRunner:
    """A `runner.Runner`."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def find(self, function_arn: str, qualifier: str) -> FunctionRecord | None:
        try:
            return self._functions.resolve(function_arn, qualifier)
        except FunctionNotFound:
            return None

    def capacity(self, function_arn: str) -> int:
        return self._functions.capacity(function_arn)

    def running(self, function_arn: str) -> int:
        return self._functions.running(function_arn)

    async def invoke(
        self, function_arn: str, payload: bytes, *, qualifier: str, request_id: str, trace_header: str
    ) -> InvokeResult:
        return await self._functions.invoke(
            function_arn, payload, qualifier=qualifier, request_id=request_id, trace_header=trace_header
        )
