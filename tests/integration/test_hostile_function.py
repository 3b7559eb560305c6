"""What a function's code finds in its surroundings, and what it can do with it once the function is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .whole_server import ACCOUNT, REGION, ROLE, SECRET, WholeServer, whole_server, zipped

CANARY = "0123456789abcdef0123456789canary"
SPY = """
import os, glob

def handler(event, context):
    def read(path):
        try:
            return open(path, "rb").read().decode("latin-1")
        except OSError as error:
            return type(error).__name__
    return {
        "environ": dict(os.environ),
        "own": [read(p) for p in ("/proc/self/environ", "/proc/self/cmdline")],
        "open": sorted(os.readlink(p) for p in glob.glob("/proc/self/fd/*") if os.path.lexists(p)),
    }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PAGERDUTY_ROUTING_KEY", CANARY)
        environment.setenv("DATABASE_PASSWORD", CANARY)
        with whole_server(folder) as running:
            yield running


def spied(server: WholeServer, name: str) -> dict[str, Any]:
    client = server.client("lambda")
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(SPY)}
    )
    return json.load(client.invoke(FunctionName=name)["Payload"])


def caller(server: WholeServer, environ: dict[str, str]) -> str:
    """The account that a worker's credentials stand for."""
    sts = boto3.client(
        "sts", endpoint_url=server.url, region_name=REGION, config=Config(retries={"total_max_attempts": 1}),
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=environ["AWS_SESSION_TOKEN"],
    )  # fmt: skip
    return sts.get_caller_identity()["Account"]


def test_nothing_of_the_server_s_secrets_is_in_a_worker(server: WholeServer):
    found = json.dumps(spied(server, "spy"))
    assert CANARY not in found and SECRET not in found and "BUSWAY_ACCESS_KEYS" not in found


def test_a_worker_has_no_file_of_the_server_open(server: WholeServer):
    opened = spied(server, "opener")["open"]
    assert not [path for path in opened if "busway.db" in path or path.endswith("/lock")]


def test_a_worker_s_credentials_end_with_its_function(server: WholeServer):
    environ = spied(server, "short-lived")["environ"]
    assert caller(server, environ) == ACCOUNT
    server.client("lambda").delete_function(FunctionName="short-lived")
    with pytest.raises(ClientError, match="InvalidClientTokenId"):  # noqa: PT012 - it takes a moment
        for _ in range(500):
            caller(server, environ)


CALLER = """
import boto3, os, urllib.request
from botocore.exceptions import ClientError

def tried(call):
    try:
        call()
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"] + ": " + error.response["Error"]["Message"]

def handler(event, context):
    sqs, events = boto3.client("sqs"), boto3.client("events")
    return {
        "account": boto3.client("sts").get_caller_identity()["Account"],
        "put": tried(lambda: events.put_events(Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])),
        "rule": tried(lambda: events.put_rule(Name="mine", EventPattern='{"source": ["s"]}')),
        "queue": tried(lambda: sqs.create_queue(QueueName="mine")),
        "function": tried(lambda: boto3.client("lambda").delete_function(FunctionName=context.function_name)),
    }
"""


def called(server: WholeServer, name: str, **tags: str) -> dict[str, str]:
    client = server.client("lambda")
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(CALLER)},
        Timeout=30, Tags={f"busway:{key}": value for key, value in tags.items()},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    answer = client.invoke(FunctionName=name)
    return json.load(answer["Payload"])


def check_calls(server: WholeServer, account: str) -> None:
    found = called(server, "caller")
    assert (found["account"], found["put"]) == (account, "done")
    for what, action in {
        "rule": "events:PutRule",
        "queue": "sqs:CreateQueue",
        "function": "lambda:DeleteFunction",
    }.items():
        assert found[what].startswith("AccessDeniedException: User: arn:aws:sts::")
        assert f"assumed-role/busway-worker/caller is not authorized to perform: {action} " in found[what]
    trusted = called(server, "trusted", allow="events sqs:CreateQueue")
    assert (trusted["rule"], trusted["queue"]) == ("done", "done")
    assert trusted["function"].startswith("AccessDeniedException")


def test_a_worker_s_credentials_send_and_administer_nothing(server: WholeServer):
    check_calls(server, ACCOUNT)


def test_what_a_handler_may_not_call_it_learns_in_development_too(tmp_path: Path):
    with whole_server(tmp_path, access_keys="") as development:
        check_calls(development, ACCOUNT)


@pytest.mark.parametrize("engine", ["embedded", "memory"])
def test_what_the_server_keeps_is_for_its_user_alone(tmp_path: Path, engine: str):
    with whole_server(tmp_path, engine=engine):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
