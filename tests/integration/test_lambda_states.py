"""How far a function is, told truthfully: states and waiters while what it needs is built, with real workers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from busway.errors import BuildFailed
from busway.function.build import Built

from .function_workshop import PATIENCE_S, zipped
from .test_function_door import Call, create, door, refused

SAYS = "def handler(event, context): return ['{}', context.function_version]"
QUICKLY = {"Delay": 1, "MaxAttempts": int(PATIENCE_S)}


class ToldBuilder:
    """Builds when it is told to, or fails with what it is told."""

    def __init__(self) -> None:
        self.orders: asyncio.Queue[str] = asyncio.Queue()

    def key(self, code: Path, runtime: str, handler: str) -> str | None:
        return code.name

    async def build(self, code: Path, runtime: str, handler: str) -> Built:
        failure = await self.orders.get()
        if failure:
            raise BuildFailed(failure)
        return Built()

    async def sweep(self, used: Iterable[Built], unused_s: float) -> None:
        return None


async def wait_until(call: Call, waiter: str, **request: Any) -> None:
    found = await call("get_waiter", waiter_name=waiter)
    await asyncio.to_thread(found.wait, FunctionName="f", WaiterConfig=QUICKLY, **request)


async def said(call: Call, **more: Any) -> Any:
    return json.loads((await call("invoke", FunctionName="f", **more))["Payload"].read())


async def test_a_pending_function_refuses_callers_and_keeps_events(tmp_path: Path):
    builder = ToldBuilder()
    async with door(tmp_path, builder=builder) as (shop, call):
        created = await create(call, SAYS.format("one"), Publish=True)
        assert (created["State"], created["StateReasonCode"], created["Version"]) == ("Pending", "Creating", "1")
        for qualifier in ("$LATEST", "1"):
            error = await refused(call, "invoke", FunctionName="f", Qualifier=qualifier)
            assert error["ResponseMetadata"]["HTTPStatusCode"] == 409
            assert error["Error"]["Code"] == "ResourceConflictException"
            assert "The function is currently in the following state: Pending" in error["message"]
        for operation in ("update_function_configuration", "publish_version"):
            assert (await refused(call, operation, FunctionName="f"))["Error"]["Code"] == "ResourceConflictException"
        later = await call("invoke", FunctionName="f", InvocationType="Event", Payload=b'"kept"')
        assert later["StatusCode"] == 202
        builder.orders.put_nowait("")
        await wait_until(call, "function_active_v2")
        await wait_until(call, "published_version_active", Qualifier="1")
        assert (await said(call), await said(call, Qualifier="1")) == (["one", "$LATEST"], ["one", "1"])
        await shop.until_gone("f")


async def test_the_old_code_runs_until_the_new_one_is_built(tmp_path: Path):
    builder = ToldBuilder()
    builder.orders.put_nowait("")
    async with door(tmp_path, builder=builder) as (_, call):
        created = await create(call, SAYS.format("one"))
        await wait_until(call, "function_active_v2")
        updated = await call("update_function_code", FunctionName="f", ZipFile=zipped(SAYS.format("two")))
        assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
        assert updated["CodeSha256"] != created["CodeSha256"]
        assert await said(call) == ["one", "$LATEST"]
        again = await refused(call, "update_function_configuration", FunctionName="f", Timeout=5)
        assert "An update is in progress for resource" in again["message"]
        builder.orders.put_nowait("")
        await wait_until(call, "function_updated_v2")
        assert await said(call) == ["two", "$LATEST"]


async def test_why_a_function_or_an_update_failed_is_told(tmp_path: Path):
    builder = ToldBuilder()
    builder.orders.put_nowait("uv: no version of nosuch")
    async with door(tmp_path, builder=builder) as (_, call):
        await create(call, SAYS.format("one"))
        with pytest.raises(WaiterError):
            await wait_until(call, "function_active_v2")
        told = await call("get_function_configuration", FunctionName="f")
        assert (told["State"], told["StateReason"]) == ("Failed", "uv: no version of nosuch")
        error = await refused(call, "invoke", FunctionName="f")
        assert "following state: Failed (uv: no version of nosuch)" in error["message"]
        builder.orders.put_nowait("")
        await call("update_function_code", FunctionName="f", ZipFile=zipped(SAYS.format("two")))
        await wait_until(call, "function_active_v2")
        builder.orders.put_nowait("esbuild: app.ts:1: wrong")
        await call("update_function_code", FunctionName="f", ZipFile=zipped(SAYS.format("three")))
        with pytest.raises(WaiterError):
            await wait_until(call, "function_updated_v2")
        told = await call("get_function_configuration", FunctionName="f")
        assert (told["State"], told["LastUpdateStatus"]) == ("Active", "Failed")
        assert told["LastUpdateStatusReason"] == "esbuild: app.ts:1: wrong"
        assert await said(call) == ["two", "$LATEST"]
