"""Unmodified clients at a real door: boto3 and the AWS CLI, over HTTP, on a toy of each protocol."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from busway.aws.errors import AwsError
from busway.aws.gate import AccessKey, Gate, Keys
from busway.aws.gateway import Gateway
from busway.aws.server_http import HttpServer, run
from busway.aws.service import Caller, Slow
from busway.aws.services.sts import Sts
from busway.clock import SystemClock, SystemEntropy
from busway.errors import StorageFull

KEY, SECRET = "123456789012", "secret"
ROUNDTRIP = 1_800_000_000.25


class Events:
    name = "events"

    def __init__(self) -> None:
        self.operations = {
            "PutEvents": self.put_events,
            "PutTargets": self.put_targets,
            "DescribeRule": self.describe,
        }
        self.raw = {"PutEvents": self.put_events_raw}

    async def put_events_raw(self, body: bytes, caller: Caller) -> bytes:
        if b"odd" in body:
            raise Slow
        return b'{"FailedEntryCount":0,"Entries":[{"EventId":"fast"}]}'

    async def put_events(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(e.get("Time"))} for e in request["Entries"]]}

    async def put_targets(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("ResourceNotFoundException", f"Rule {request['Rule']} does not exist on EventBus default.")

    async def describe(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise StorageFull("the disk is full")


class Functions:
    name = "lambda"

    def __init__(self) -> None:
        self.operations = {"Invoke": self.invoke, "GetFunctionEventInvokeConfig": self.get_config}

    async def invoke(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": request["Payload"][::-1]}

    async def get_config(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        return {"LastModified": ROUNDTRIP, "FunctionArn": request["FunctionName"], "MaximumRetryAttempts": 0}


class Queues:
    name = "sqs"

    def __init__(self) -> None:
        self.operations = {"SendMessage": self.send, "ReceiveMessage": self.receive}

    async def send(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        raise AwsError("QueueDoesNotExist", "The specified queue does not exist.")

    async def receive(self, request: dict[str, Any], caller: Caller) -> dict[str, Any]:
        value = {"DataType": "Binary", "BinaryValue": b"\x00\xff"}
        return {"Messages": [{"Body": "b", "MessageAttributes": {"a": value}}]}


class Running:
    """A door in a thread of its own, on uvloop."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: run(self._main()))
        self._thread.start()
        assert self._ready.wait(10)

    async def _main(self) -> None:
        clock = SystemClock()
        gateway = Gateway([Events(), Functions(), Queues(), Sts()], self.gate, clock, SystemEntropy())
        server = HttpServer(gateway, clock)
        await server.start()
        self._loop, self._stop, self.url = asyncio.get_running_loop(), asyncio.Event(), server.url
        self._ready.set()
        await self._stop.wait()
        await server.stop()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture(scope="module", params=["any signature", "verified"])
def door(request: pytest.FixtureRequest) -> Iterator[Running]:
    keys = Keys({KEY: AccessKey(SECRET, KEY)}) if request.param == "verified" else None
    running = Running(Gate(SystemClock(), keys))
    yield running
    running.close()


def client(door: Running, service: str, *, secret: str = SECRET, key: str = KEY) -> Any:
    config = Config(retries={"max_attempts": 0}, parameter_validation=False)
    return boto3.client(
        service, endpoint_url=door.url, region_name="eu-west-1", aws_access_key_id=key, aws_secret_access_key=secret,
        config=config,
    )  # fmt: skip


def refused(call: Any, **request: Any) -> Any:
    with pytest.raises(ClientError) as error:
        call(**request)
    return error.value.response


def test_events_are_put_by_the_fast_and_by_the_generic_path(door: Running):
    events = client(door, "events")
    answer = events.put_events(Entries=[{"Source": "s"}])
    assert answer["Entries"] == [{"EventId": "fast"}]
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    assert events.put_events(Entries=[{"Source": "odd", "Time": ROUNDTRIP}])["Entries"] == [
        {"EventId": "1800000000.25"}
    ]
    events.close()


def test_aws_wording_of_a_broken_constraint_reaches_the_client(door: Running):
    events = client(door, "events")
    error = refused(events.put_events, Entries=[{"Source": "odd"}] * 11)["Error"]
    assert error["Code"] == "ValidationException"
    assert (
        "at 'entries' failed to satisfy constraint: Member must have length less than or equal to 10"
        in error["Message"]
    )
    error = refused(events.put_targets, Rule="r", Targets=[{"Id": "a b", "Arn": "a"}])["Error"]
    assert error["Message"] == (
        "1 validation error detected: Value 'a b' at 'targets.1.member.id' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"
    )
    events.close()


def test_errors_reach_the_client_as_modelled_exceptions_with_a_request_id(door: Running):
    events, queues = client(door, "events"), client(door, "sqs")
    with pytest.raises(events.exceptions.ResourceNotFoundException) as missing:
        events.put_targets(Rule="r", Targets=[{"Id": "a", "Arn": "a"}])
    assert missing.value.response["Error"]["Message"] == "Rule r does not exist on EventBus default."
    assert missing.value.response["ResponseMetadata"]["RequestId"]
    with pytest.raises(queues.exceptions.QueueDoesNotExist) as unknown:
        queues.send_message(QueueUrl="u", MessageBody="b")
    assert unknown.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert unknown.value.response["Error"]["QueryErrorCode"] == "QueueDoesNotExist"
    full = refused(events.describe_rule, Name="r")
    assert (full["Error"]["Code"], full["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceUnavailable", 503)
    assert refused(events.list_rules)["Error"]["Message"].startswith("events ListRules is not implemented by Busway")
    for one in (events, queues):
        one.close()


def test_bytes_times_and_headers_arrive_as_the_model_says(door: Running):
    functions, queues = client(door, "lambda"), client(door, "sqs")
    answer = functions.invoke(FunctionName="f:live", Payload=b"\x00\x01{}")
    assert answer["Payload"].read() == b"}{\x01\x00"
    assert answer["FunctionError"] == "Unhandled"
    found = functions.get_function_event_invoke_config(
        FunctionName="arn:aws:lambda:eu-west-1:123456789012:function:f"
    )
    assert found["LastModified"].timestamp() == ROUNDTRIP
    assert found["FunctionArn"].endswith(":function:f") and found["MaximumRetryAttempts"] == 0
    message = queues.receive_message(QueueUrl="u")["Messages"][0]
    assert message["MessageAttributes"]["a"]["BinaryValue"] == b"\x00\xff"
    for one in (functions, queues):
        one.close()


def test_a_wrong_secret_counts_only_where_signatures_are_verified(door: Running):
    events, sts = client(door, "events", secret="wrong"), client(door, "sts", key="AKIDUNKNOWN")
    if door.gate.strict:
        assert refused(events.put_events, Entries=[])["Error"]["Code"] == "InvalidSignatureException"
        assert refused(sts.get_caller_identity)["Error"]["Code"] == "InvalidClientTokenId"
    else:
        assert events.put_events(Entries=[{}])["FailedEntryCount"] == 0
        assert sts.get_caller_identity()["Account"] == "000000000000"
    for one in (events, sts):
        one.close()


def test_a_protocol_that_is_not_there_yet_says_so_in_its_own_words(door: Running):
    newer = client(door, "eventbridgev2")
    error = refused(newer.list_event_buses)["Error"]
    assert (error["Code"], "does not speak smithy-rpc-v2-cbor yet" in error["Message"]) == (
        "UnsupportedOperationException",
        True,
    )
    newer.close()


def aws(door: Running, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "AWS_ENDPOINT_URL": door.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "HOME": "/nonexistent",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, Path(sys.executable).parent / "aws", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_aws_cli_asks_who_it_is(door: Running):
    done = aws(door, "sts", "get-caller-identity")
    assert json.loads(done.stdout) == {"UserId": KEY, "Account": KEY, "Arn": f"arn:aws:iam::{KEY}:root"}, done.stderr


def test_the_aws_cli_puts_an_event_and_prints_an_error(door: Running):
    done = aws(door, "events", "put-events", "--entries", '[{"Source":"s","DetailType":"t","Detail":"{}"}]')
    assert json.loads(done.stdout)["FailedEntryCount"] == 0, done.stderr
    done = aws(door, "events", "put-targets", "--rule", "r", "--targets", "Id=a/b,Arn=a")
    assert done.returncode != 0
    assert "(ValidationException)" in done.stderr and "at 'targets.1.member.id'" in done.stderr
