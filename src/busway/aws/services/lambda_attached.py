"""What hangs on Lambda's functions, versions and aliases, at the door."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from busway.aws.service import Caller, Operation
from busway.aws.services.lambda_wire import (
    asked,
    check_buffered,
    cors_of,
    event_invoke_answer,
    event_invoke_change,
    page,
    policy_text,
    statement_of,
    url_answer,
)
from busway.errors import InvalidFunction
from busway.function.definitions.attached import own
from busway.function.definitions.url import PREFIX as URL_PREFIX, FunctionUrl
from busway.function.functions import Functions
from busway.function.record import LATEST, qualified

Answer = dict[str, Any]


class Attachments:
    """Event invoke configs, concurrency, policies, recursion, tags and URLs."""

    def __init__(self, functions: Functions) -> None:
        self._functions, self._attached = functions, functions.attached
        self.operations: Mapping[str, Operation] = {
            "AddPermission": self.add_permission,
            "CreateFunctionUrlConfig": self.create_function_url_config,
            "DeleteFunctionConcurrency": self.delete_function_concurrency,
            "DeleteFunctionEventInvokeConfig": self.delete_function_event_invoke_config,
            "DeleteFunctionUrlConfig": self.delete_function_url_config,
            "GetFunctionConcurrency": self.get_function_concurrency,
            "GetFunctionEventInvokeConfig": self.get_function_event_invoke_config,
            "GetFunctionRecursionConfig": self.get_function_recursion_config,
            "GetFunctionUrlConfig": self.get_function_url_config,
            "GetPolicy": self.get_policy,
            "ListFunctionEventInvokeConfigs": self.list_function_event_invoke_configs,
            "ListFunctionUrlConfigs": self.list_function_url_configs,
            "ListTags": self.list_tags,
            "PutFunctionConcurrency": self.put_function_concurrency,
            "PutFunctionEventInvokeConfig": self.put_function_event_invoke_config,
            "PutFunctionRecursionConfig": self.put_function_recursion_config,
            "RemovePermission": self.remove_permission,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "UpdateFunctionEventInvokeConfig": self.update_function_event_invoke_config,
            "UpdateFunctionUrlConfig": self.update_function_url_config,
        }

    # The event invoke config.

    async def put_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        return await self._set_event_invoke(request, caller, merge=False)

    async def update_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        return await self._set_event_invoke(request, caller, merge=True)

    async def _set_event_invoke(self, request: Answer, caller: Caller, *, merge: bool) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        change = event_invoke_change(request)
        config = await self._attached.put_event_invoke(arn, change, merge=merge, qualifier=qualifier)
        return event_invoke_answer(arn, qualifier, config)

    async def get_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        return event_invoke_answer(arn, qualifier, self._attached.event_invoke(arn, qualifier))

    async def delete_function_event_invoke_config(self, request: Answer, caller: Caller) -> Answer:
        await self._attached.delete_event_invoke(*asked(request, caller.scope))
        return {}

    async def list_function_event_invoke_configs(self, request: Answer, caller: Caller) -> Answer:
        arn, _ = asked(request, caller.scope)
        found = {name or LATEST: config for name, config in self._attached.event_invokes(arn).items()}
        names, more = page(list(found), request)
        told = [event_invoke_answer(arn, name, found[name]) for name in names]
        return {"FunctionEventInvokeConfigs": told, "NextMarker": more}

    # The function's own.

    async def put_function_concurrency(self, request: Answer, caller: Caller) -> Answer:
        reserved: int = request["ReservedConcurrentExecutions"]
        await self._attached.put_concurrency(self._function(request, caller), reserved)
        return {"ReservedConcurrentExecutions": reserved}

    async def get_function_concurrency(self, request: Answer, caller: Caller) -> Answer:
        record = self._functions.registry.need(self._function(request, caller))
        return {"ReservedConcurrentExecutions": record.reserved}

    async def delete_function_concurrency(self, request: Answer, caller: Caller) -> Answer:
        await self._attached.put_concurrency(self._function(request, caller), None)
        return {}

    async def put_function_recursion_config(self, request: Answer, caller: Caller) -> Answer:
        await self._attached.put_recursion(self._function(request, caller), request["RecursiveLoop"])
        return {"RecursiveLoop": request["RecursiveLoop"]}

    async def get_function_recursion_config(self, request: Answer, caller: Caller) -> Answer:
        return {"RecursiveLoop": self._functions.registry.need(self._function(request, caller)).recursive_loop}

    async def list_tags(self, request: Answer, caller: Caller) -> Answer:
        return {"Tags": self._functions.registry.need(self._function(request, caller, "Resource")).tags}

    async def tag_resource(self, request: Answer, caller: Caller) -> Answer:
        await self._attached.tag(self._function(request, caller, "Resource"), request["Tags"])
        return {}

    async def untag_resource(self, request: Answer, caller: Caller) -> Answer:
        await self._attached.untag(self._function(request, caller, "Resource"), request["TagKeys"])
        return {}

    def _function(self, request: Answer, caller: Caller, member: str = "FunctionName") -> str:
        """The function itself. Raises `InvalidFunction` for a version or alias, which has none of these."""
        arn, qualifier = asked(request, caller.scope, member)
        if qualifier not in ("", LATEST):
            raise InvalidFunction(f"{qualified(arn, qualifier)} is a version or alias; wanted the function itself")
        return arn

    # Policies.

    async def add_permission(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        statement = statement_of(request, qualified(arn, qualifier))
        await self._attached.add_statement(arn, statement, qualifier=qualifier, revision=request.get("RevisionId"))
        return {"Statement": json.dumps(statement, separators=(",", ":"))}

    async def get_policy(self, request: Answer, caller: Caller) -> Answer:
        policy = self._attached.policy(*asked(request, caller.scope))
        return {"Policy": policy_text(policy), "RevisionId": policy.revision}

    async def remove_permission(self, request: Answer, caller: Caller) -> Answer:
        arn, qualifier = asked(request, caller.scope)
        await self._attached.remove_statement(
            arn, request["StatementId"], qualifier=qualifier, revision=request.get("RevisionId")
        )
        return {}

    # URLs.

    async def create_function_url_config(self, request: Answer, caller: Caller) -> Answer:
        check_buffered(request)
        arn, alias = self._of_url(request, caller)
        url = await self._functions.urls.create(arn, alias, request["AuthType"], cors_of(request.get("Cors")))
        return self._told(url, caller)

    async def get_function_url_config(self, request: Answer, caller: Caller) -> Answer:
        return self._told(self._functions.urls.need(*self._of_url(request, caller)), caller)

    async def update_function_url_config(self, request: Answer, caller: Caller) -> Answer:
        check_buffered(request)
        arn, alias = self._of_url(request, caller)
        url = await self._functions.urls.update(arn, alias, request.get("AuthType"), cors_of(request.get("Cors")))
        return self._told(url, caller)

    async def delete_function_url_config(self, request: Answer, caller: Caller) -> Answer:
        await self._functions.urls.delete(*self._of_url(request, caller))
        return {}

    async def list_function_url_configs(self, request: Answer, caller: Caller) -> Answer:
        found = {url.qualifier or LATEST: url for url in self._functions.urls.of(asked(request, caller.scope)[0])}
        names, more = page(list(found), request)
        return {"FunctionUrlConfigs": [self._told(found[name], caller) for name in names], "NextMarker": more}

    def _of_url(self, request: Answer, caller: Caller) -> tuple[str, str]:
        """The function and the alias, "" for none. Raises `InvalidFunction`: a version has no URL."""
        arn, qualifier = asked(request, caller.scope)
        if qualifier == LATEST or qualifier.isdigit():
            raise InvalidFunction(
                f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: ((?!^\\d+$)^[0-9a-zA-Z-_]+$)"
            )
        return arn, own(qualifier)

    def _told(self, url: FunctionUrl, caller: Caller) -> Answer:
        return url_answer(url, f"{caller.endpoint}{URL_PREFIX}{url.id}/")
