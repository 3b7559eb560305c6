"""AWS's own runtime client, unchanged, as a worker over TCP."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from busway.config import Settings
from busway.function import functions
from busway.function.runtimes import Runtime
from busway.server import Server

from .function_workshop import SCOPE, UNDELIVERABLE, workshop, zipped

AWS_CLIENT = {"python3": Runtime(("exec", sys.executable, "-m", "awslambdaric", "app.handler"), tcp=True)}


async def test_aws_s_own_runtime_client_serves_events(tmp_path: Path):
    source = """
        import os
        def handler(event, context):
            if event == "fail":
                raise KeyError("no")
            print("hello from", context.aws_request_id)
            left = context.get_remaining_time_in_millis()
            return {"event": event, "arn": context.invoked_function_arn, "left": left}
    """
    async with workshop(tmp_path, runtimes=AWS_CLIENT) as shop:
        arn = await shop.create("ric", source)
        answers = [await shop.ask("ric", n) for n in range(3)]
        assert [answer["event"] for answer in answers] == [0, 1, 2]
        assert answers[0]["arn"] == arn
        assert 0 < answers[0]["left"] <= 20_000
        error = await shop.fail("ric", "fail")
        assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'no'")
        assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
        assert (await shop.ask("ric", "again"))["event"] == "again"
        assert any(line.startswith("hello from") for line in await shop.lines("ric"))


async def test_aws_s_own_runtime_client_says_why_code_does_not_load(tmp_path: Path):
    async with workshop(tmp_path, runtimes=AWS_CLIENT) as shop:
        await shop.create("ric", "import nothing_like_this")
        error = await shop.fail("ric")
    assert error["errorType"] == "Runtime.ImportModuleError"


async def test_aws_s_own_runtime_client_is_ended_at_the_timeout_and_retried(tmp_path: Path):
    async with workshop(tmp_path, runtimes=AWS_CLIENT, async_retry_s="0") as shop:
        await shop.create("ric", "import time\ndef handler(event, context): time.sleep(600)", timeout_s=1)
        assert (await shop.fail("ric"))["errorType"] == "Sandbox.Timedout"
        await shop.put("ric", 1)
        await shop.until_gone("ric")
        assert len(await shop.items(UNDELIVERABLE)) == 1


async def test_a_command_that_is_not_there_is_an_error_of_the_invocation(tmp_path: Path):
    runtimes = {"python3": Runtime(("exec", "/nonexistent/bootstrap"), tcp=True)}
    async with workshop(tmp_path, runtimes=runtimes) as shop:
        await shop.create("gone", "")
        error = await shop.fail("gone")
    assert error["errorType"] == "Runtime.ExitError"


async def test_the_tcp_side_answers_only_the_runtime_api(tmp_path: Path):
    source = """
        import http.client, os
        def handler(event, context):
            host = os.environ["AWS_LAMBDA_RUNTIME_API"]
            found = []
            api = "/2018-06-01/runtime/"
            for method, path in (("GET", "/"), ("GET", api + "x"), ("POST", api + "x"), ("POST", api + "init/error")):
                connection = http.client.HTTPConnection(host)
                connection.request(method, path, body=b"" if method == "POST" else None)
                found.append(connection.getresponse().status)
            return found
    """
    async with workshop(tmp_path, runtimes=AWS_CLIENT) as shop:
        await shop.create("ask", source)
        assert await shop.ask("ask") == [404, 404, 404, 403]


async def test_a_port_is_closed_with_its_worker(tmp_path: Path):
    source = "import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_RUNTIME_API']"
    async with workshop(tmp_path, runtimes=AWS_CLIENT) as shop:
        arn = await shop.create("port", source)
        address = await shop.ask("port")
        await shop.functions.registry.delete(arn)

        def refused() -> bool:
            connection = http.client.HTTPConnection(address, timeout=5)
            try:
                connection.connect()
            except OSError:
                return True
            connection.close()
            return False

        async with asyncio.timeout(20):
            while not await asyncio.to_thread(refused):
                await asyncio.sleep(0.01)
    assert SCOPE.account in arn


async def test_aws_s_own_runtime_client_runs_in_the_whole_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From an event on the bus to the call that its handler makes: only the table of runtimes is another one."""
    monkeypatch.setattr(functions, "RUNTIMES", AWS_CLIENT)
    server = Server(Settings(port=0, data=str(tmp_path)), lambda error: None)
    await server.start()
    try:
        seen = await asyncio.to_thread(one_event, server.url)
    finally:
        await server.stop()
    assert seen == {"runtime": "awslambdaric", "detail": {"n": 1}}


def one_event(url: str) -> Any:
    """Put an event for a function that reports to a queue; what it reports."""
    source = """
        import boto3, json, os, sys
        def handler(event, context):
            runtime = sys.modules["__main__"].__spec__.name.partition(".")[0]
            told = {"runtime": runtime, "detail": event["detail"]}
            boto3.client("sqs").send_message(QueueUrl=os.environ["OUT"], MessageBody=json.dumps(told))
    """
    about = {"endpoint_url": url, "region_name": SCOPE.region, "aws_access_key_id": "k", "aws_secret_access_key": "k"}
    events, sqs, lambda_ = (boto3.client(name, **about) for name in ("events", "sqs", "lambda"))
    out = sqs.create_queue(QueueName="out")["QueueUrl"]
    function = lambda_.create_function(
        FunctionName="ric", Runtime="python3.13", Role="arn:aws:iam::000000000000:role/any", Handler="app.handler",
        Code={"ZipFile": zipped(source)}, Timeout=20, Environment={"Variables": {"OUT": out}},
    )["FunctionArn"]  # fmt: skip
    events.put_rule(Name="all", EventPattern='{"source":["shop"]}')
    events.put_targets(Rule="all", Targets=[{"Id": "f", "Arn": function}])
    events.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": '{"n":1}'}])
    (message,) = sqs.receive_message(QueueUrl=out, WaitTimeSeconds=20).get("Messages", [])
    for client in (events, sqs, lambda_):
        client.close()
    return json.loads(message["Body"])
