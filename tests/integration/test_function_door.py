"""Functions through the door: an unmodified boto3 against the real gateway and real workers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from busway.aws.gate import Gate
from busway.aws.gateway import Gateway
from busway.aws.server_http import HttpServer
from busway.aws.services.lambda_ import Lambda
from busway.clock import SystemClock, SystemEntropy

from .function_workshop import SCOPE, Workshop, workshop, zipped

ROLE = "arn:aws:iam::000000000000:role/any"
ECHO = "def handler(event, context):\n print('hi')\n return event"
ARN = SCOPE.arn("lambda", "function:f")

Call = Callable[..., Any]


@asynccontextmanager
async def door(folder: Path, **settings: Any) -> AsyncIterator[tuple[Workshop, Call]]:
    """A server, and a function that makes one boto3 call off the event loop."""
    clock = SystemClock()
    async with workshop(folder, **settings) as shop:
        service = Lambda(shop.functions, shop.engine, shop.clock, shop.mappings())
        server = HttpServer(Gateway([service], Gate(clock, None), clock, SystemEntropy()), clock)
        await server.start()
        client: Any = boto3.client(
            "lambda",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}, read_timeout=30),
        )

        async def call(operation: str, **request: Any) -> Any:
            return await asyncio.to_thread(getattr(client, operation), **request)

        try:
            yield shop, call
        finally:
            client.close()
            await server.stop()


async def refused(call: Call, operation: str, **request: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        await call(operation, **request)
    return dict(caught.value.response)


async def create(call: Call, source: str = ECHO, name: str = "f", **more: Any) -> Any:
    wanted = {"Runtime": "python3.12", "Role": ROLE, "Handler": "app.handler", "Code": {"ZipFile": zipped(source)}}
    return await call("create_function", FunctionName=name, **{**wanted, **more})


async def test_a_function_s_life(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        created = await create(
            call, Timeout=7, MemorySize=256, Description="d", Environment={"Variables": {"AB": "1"}}, Tags={"t": "1"}
        )
        assert (created["ResponseMetadata"]["HTTPStatusCode"], created["FunctionArn"]) == (201, ARN)
        assert (created["State"], created["LastUpdateStatus"], created["Version"]) == (
            "Active",
            "Successful",
            "$LATEST",
        )
        assert (created["Timeout"], created["MemorySize"], created["Environment"]) == (
            7,
            256,
            {"Variables": {"AB": "1"}},
        )
        assert created["LastModified"].endswith("+0000")
        found = await call("get_function", FunctionName=ARN)
        assert found["Configuration"]["CodeSha256"] == created["CodeSha256"]
        assert found["Tags"] == {"t": "1"}
        changed = await call("update_function_configuration", FunctionName="f", Timeout=8)
        assert (changed["Timeout"], changed["MemorySize"]) == (8, 256)
        assert changed["RevisionId"] != created["RevisionId"]
        newer = await call("update_function_code", FunctionName="f", ZipFile=zipped(ECHO + "\n"))
        assert newer["CodeSha256"] != created["CodeSha256"]
        assert (await call("get_function_configuration", FunctionName="f"))["RevisionId"] == newer["RevisionId"]
        stale = await refused(
            call, "update_function_configuration", FunctionName="f", Timeout=9, RevisionId=created["RevisionId"]
        )
        assert stale["Error"]["Code"] == "PreconditionFailedException"
        gone = await call("delete_function", FunctionName="f")
        assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
        error = await refused(call, "get_function", FunctionName="f")
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert error["Error"] == {"Code": "ResourceNotFoundException", "Message": f"Function not found: {ARN}"}
    assert error["Type"] == "User"


async def test_the_three_kinds_of_invocation(tmp_path: Path):
    async with door(tmp_path) as (shop, call):
        await create(call)
        now = await call("invoke", FunctionName="f", Payload=b'{"a":1}', LogType="Tail")
        assert (now["StatusCode"], now["ExecutedVersion"], now["Payload"].read()) == (200, "$LATEST", b'{"a": 1}')
        assert "FunctionError" not in now
        log = base64.b64decode(now["LogResult"]).decode()
        assert log.startswith(f"START RequestId: {now['ResponseMetadata']['RequestId']} Version: $LATEST\nhi\nEND")
        later = await call("invoke", FunctionName="f", InvocationType="Event", Payload=b'{"a":1}')
        assert (later["StatusCode"], later["Payload"].read()) == (202, b"")
        await shop.until_gone("f")
        assert await shop.functions.logs.of_request(later["ResponseMetadata"]["RequestId"])
        never = await call("invoke", FunctionName="f", InvocationType="DryRun")
        assert (never["StatusCode"], never["Payload"].read()) == (204, b"")


async def test_a_function_error_is_a_200(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        await create(call, "def handler(event, context): raise ValueError('no')")
        result = await call("invoke", FunctionName="f")
        assert (result["StatusCode"], result["FunctionError"]) == (200, "Unhandled")
        assert json.loads(result["Payload"].read())["errorType"] == "ValueError"


async def test_what_invoke_refuses(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        missing = await refused(call, "invoke", FunctionName="nobody")
        assert missing["ResponseMetadata"]["HTTPStatusCode"] == 404
        await create(call)
        alias = await refused(call, "invoke", FunctionName="f", Qualifier="live")
        assert alias["Error"]["Message"] == f"Function not found: {ARN}:live"
        for kind in ("RequestResponse", "Event"):
            bad = await refused(call, "invoke", FunctionName="f", InvocationType=kind, Payload=b"{nope")
            assert (bad["ResponseMetadata"]["HTTPStatusCode"], bad["Type"]) == (400, "User")
            assert bad["Error"]["Code"] == "InvalidRequestContentException"
        large = await refused(call, "invoke", FunctionName="f", InvocationType="Event", Payload=b"1" * 1_048_577)
        assert large["ResponseMetadata"]["HTTPStatusCode"] == 413
        assert large["Error"] == {
            "Code": "RequestTooLargeException",
            "Message": "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        }
        await call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=0)
        throttled = await refused(call, "invoke", FunctionName="f")
    assert throttled["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert throttled["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
    assert throttled["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert throttled["Type"] == "User"


async def test_what_create_refuses(tmp_path: Path):
    async with door(tmp_path) as (shop, call):
        bad: list[tuple[str, dict[str, Any]]] = [
            ("Could not unzip uploaded file", {"Code": {"ZipFile": b"no zip"}}),
            ("Could not unzip uploaded file", {"Code": {"ZipFile": zipped("", "../app.py")}}),
            ("is not built yet", {"Runtime": "java21"}),
            ("Layers is not built yet", {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:x:1"]}),
            ("Code from S3", {"Code": {"S3Bucket": "bucket", "S3Key": "k"}}),
            ("less than or equal to 900", {"Timeout": 901}),
            ("exceeded the 4KB limit", {"Environment": {"Variables": {"AB": "x" * 5000}}}),
            ("wanted the ARN of an SQS queue", {"DeadLetterConfig": {"TargetArn": SCOPE.arn("glue", "x")}}),
            ("absolute path", {"Code": {"S3Bucket": "hot-reload", "S3Key": "relative"}}),
        ]
        for message, change in bad:
            error = await refused(lambda op, **request: create(call, **request), "create", **change)
            assert error["Error"]["Code"] == "InvalidParameterValueException", change
            assert message in error["Error"]["Message"]
        await create(call)
        twice = await refused(lambda op, **request: create(call, **request), "create")
        assert (twice["ResponseMetadata"]["HTTPStatusCode"], twice["Error"]["Message"]) == (
            409,
            "Function already exist: f",
        )
        assert [record.name for record in shop.functions.registry.all()] == ["f"]


async def test_a_folder_is_code(tmp_path: Path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text(ECHO)
    async with door(tmp_path / "data") as (_, call):
        await create(call, Code={"S3Bucket": "hot-reload", "S3Key": str(code)})
        assert (await call("invoke", FunctionName="f", Payload=b"5"))["Payload"].read() == b"5"


async def test_the_event_invoke_config(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        await create(call)
        missing = await refused(call, "get_function_event_invoke_config", FunctionName="f")
        assert missing["Error"]["Message"] == f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig"
        empty = await refused(call, "put_function_event_invoke_config", FunctionName="f")
        assert empty["Error"]["Message"].startswith("You must specify at least one of error handling")
        itself = {"OnFailure": {"Destination": ARN}}
        own = await refused(call, "put_function_event_invoke_config", FunctionName="f", DestinationConfig=itself)
        assert own["Error"]["Message"] == "You can't specify the function as a destination for itself."
        queue = SCOPE.arn("sqs", "q")
        await call("put_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=0)
        merged = await call(
            "update_function_event_invoke_config",
            FunctionName="f",
            MaximumEventAgeInSeconds=60,
            DestinationConfig={"OnFailure": {"Destination": queue}},
        )
        assert merged["FunctionArn"] == f"{ARN}:$LATEST"
        assert (merged["MaximumRetryAttempts"], merged["MaximumEventAgeInSeconds"]) == (0, 60)
        assert merged["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": queue}}
        replaced = await call("put_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1)
        assert "MaximumEventAgeInSeconds" not in replaced
        listed = await call("list_function_event_invoke_configs", FunctionName="f")
        assert len(listed["FunctionEventInvokeConfigs"]) == 1
        await call("delete_function_event_invoke_config", FunctionName="f")
        await refused(call, "get_function_event_invoke_config", FunctionName="f")


async def test_permissions_are_kept_and_shown(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        await create(call)
        none = await refused(call, "get_policy", FunctionName="f")
        assert none["Error"]["Message"] == "The resource you requested does not exist."
        asked = {
            "FunctionName": "f",
            "StatementId": "s1",
            "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com",
            "SourceArn": SCOPE.arn("events", "rule/r"),
        }
        statement = json.loads((await call("add_permission", **asked))["Statement"])
        assert statement == {
            "Sid": "s1",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": ARN,
            "Condition": {"ArnLike": {"AWS:SourceArn": asked["SourceArn"]}},
        }
        twice = await refused(call, "add_permission", **asked)
        assert twice["Error"]["Code"] == "ResourceConflictException"
        policy = json.loads((await call("get_policy", FunctionName="f"))["Policy"])
        assert policy["Statement"] == [statement]
        await call("remove_permission", FunctionName="f", StatementId="s1")
        again = await refused(call, "remove_permission", FunctionName="f", StatementId="s1")
        assert again["Error"]["Code"] == "ResourceNotFoundException"


async def test_functions_are_listed_in_pages(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        for number in range(5):
            await create(call, name=f"f{number}")
        first = await call("list_functions", MaxItems=3)
        rest = await call("list_functions", MaxItems=3, Marker=first["NextMarker"])
        assert [f["FunctionName"] for f in first["Functions"] + rest["Functions"]] == [f"f{n}" for n in range(5)]
        assert "NextMarker" not in rest
        bad = await refused(call, "list_functions", Marker="no marker!")
        assert bad["Error"]["Code"] == "InvalidParameterValueException"
        assert (await call("get_account_settings"))["AccountUsage"]["FunctionCount"] == 5


async def test_tags_and_concurrency(tmp_path: Path):
    async with door(tmp_path) as (_, call):
        await create(call)
        await call("tag_resource", Resource=ARN, Tags={"a": "1", "b": "2"})
        await call("untag_resource", Resource=ARN, TagKeys=["a"])
        assert (await call("list_tags", Resource=ARN))["Tags"] == {"b": "2"}
        await call("put_function_concurrency", FunctionName="f", ReservedConcurrentExecutions=7)
        assert (await call("get_function_concurrency", FunctionName="f"))["ReservedConcurrentExecutions"] == 7
        assert (await call("get_function", FunctionName="f"))["Concurrency"] == {"ReservedConcurrentExecutions": 7}
        await call("delete_function_concurrency", FunctionName="f")
        assert "Concurrency" not in await call("get_function", FunctionName="f")
