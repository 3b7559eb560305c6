"""Live Tail through its clients, unchanged: boto3, the AWS CLI, and AWS's SDK for JavaScript."""

from __future__ import annotations

import json
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from .packages import ROOT, npm_installed
from .whole_server import (
    ACCOUNT,
    BIN,
    PATIENCE_S,
    REGION,
    ROLE,
    SECRET,
    WholeServer,
    arn,
    until,
    whole_server,
    zipped,
)

OTHER = "210987654321"
SOURCE = ROOT / "tests" / "node"
HANDLER = """
    def handler(event, context):
        print("printed", event["n"])
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    keys = f"{ACCOUNT}:{SECRET},{OTHER}:{SECRET}"
    with whole_server(tmp_path_factory.mktemp("served"), access_keys=keys) as server:
        yield server


def client_of(server: WholeServer, url: str | None = None, **config: Any) -> Any:
    return boto3.client(
        "logs", endpoint_url=url or server.url, region_name=REGION, aws_access_key_id=ACCOUNT,
        aws_secret_access_key=SECRET, config=Config(retries={"total_max_attempts": 1}, **config),
    )  # fmt: skip


@pytest.fixture(scope="module")
def logs(served: WholeServer) -> Any:
    return client_of(served, inject_host_prefix=False)


def made(logs: Any, name: str, **more: Any) -> str:
    """A group with a stream; its ARN."""
    logs.create_log_group(logGroupName=name, **more)
    logs.create_log_stream(logGroupName=name, logStreamName="s")
    return arn("logs", f"log-group:{name}")


def put(logs: Any, group: str, *messages: str, stream: str = "s") -> None:
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": message} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


@contextmanager
def tailed(logs: Any, **request: Any) -> Iterator[Iterator[Any]]:
    """The events of a session, closed in the end."""
    stream = logs.start_live_tail(**request)["responseStream"]
    try:
        yield iter(stream)
    finally:
        stream.close()


def results(events: Iterator[Any], count: int) -> list[dict[str, Any]]:
    """The next log events, out of as many updates as it takes."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += next(events)["sessionUpdate"]["sessionResults"]
    return found


def test_boto3_sees_what_is_put_while_it_tails(logs: Any):
    group = made(logs, "tailed")
    put(logs, "tailed", "ERROR before")
    with tailed(logs, logGroupIdentifiers=[group], logEventFilterPattern="ERROR") as events:
        started = next(events)["sessionStart"]
        assert started.pop("requestId") and started.pop("sessionId")
        assert started == {
            "logGroupIdentifiers": [group], "logStreamNames": [], "logStreamNamePrefixes": [],
            "logEventFilterPattern": "ERROR",
        }  # fmt: skip
        put(logs, "tailed", "ERROR one", "fine", "ERROR two")
        found = results(events, 2)
        assert [event["message"] for event in found] == ["ERROR one", "ERROR two"]
        assert {(event["logStreamName"], event["logGroupIdentifier"]) for event in found} == {("s", group)}
        assert all(0 <= event["ingestionTime"] - event["timestamp"] < PATIENCE_S * 1000 for event in found)
        assert next(events) == {"sessionUpdate": {"sessionMetadata": {"sampled": False}, "sessionResults": []}}


def test_a_tail_of_several_groups_has_a_function_s_lines_too(served: WholeServer, logs: Any):
    functions = served.client("lambda")
    functions.create_function(
        FunctionName="shop", Runtime="python3.13", Handler="app.handler", Role=ROLE,
        Code={"ZipFile": zipped(HANDLER)},
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName="shop")
    functions.invoke(FunctionName="shop", Payload='{"n": 1}')
    groups = [arn("logs", "log-group:/aws/lambda/shop"), made(logs, "beside")]
    with tailed(logs, logGroupIdentifiers=groups) as events:
        next(events)
        functions.invoke(FunctionName="shop", Payload='{"n": 2}')
        put(logs, "beside", "put")
        found = results(events, 5)
    by_group = {group: [e["message"] for e in found if e["logGroupIdentifier"] == group] for group in groups}
    assert [line.split()[0] for line in by_group[groups[0]]] == ["START", "printed", "END", "REPORT"]
    assert by_group[groups[0]][1] == "printed 2\n" and by_group[groups[1]] == ["put"]


def test_a_server_that_stops_tells_those_who_tail(tmp_path: Path):
    with whole_server(tmp_path) as server:
        logs = client_of(server, inject_host_prefix=False)
        with tailed(logs, logGroupIdentifiers=[made(logs, "g")]) as events:
            next(events)
            server.process.terminate()
            with pytest.raises(EventStreamError, match=r"SessionStreamingException.*The server is stopping"):
                list(events)
            assert server.process.wait(PATIENCE_S) == 0


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"logGroupIdentifiers": ["there"]}, "InvalidParameterException", "there is not the ARN of a log group"),
    ({"logGroupIdentifiers": [arn("sqs", "q")]}, "InvalidParameterException", "is not the ARN of a log group"),
    ({"logGroupIdentifiers": [arn("logs", "log-group:there:*")]}, "InvalidParameterException", "regular expression"),
    ({"logGroupIdentifiers": [arn("logs", f"log-group:{n}") for n in range(11)]}, "InvalidParameterException",
     "Member must have length less than or equal to 10"),
    ({"logGroupIdentifiers": [arn("logs", "log-group:gone")]}, "ResourceNotFoundException", "does not exist"),
    ({"logGroupIdentifiers": [f"arn:aws:logs:{REGION}:{OTHER}:log-group:there"]}, "ResourceNotFoundException",
     "does not exist"),
    ({"logGroupIdentifiers": [arn("logs", "log-group:there"), arn("logs", "log-group:cheap")],
      "logStreamNames": ["s"]}, "InvalidParameterException", "one log group"),
    ({"logGroupIdentifiers": [arn("logs", "log-group:there")], "logStreamNames": ["s"],
      "logStreamNamePrefixes": ["s"]}, "InvalidParameterException", "cannot both be given"),
    ({"logGroupIdentifiers": [arn("logs", "log-group:there")], "logEventFilterPattern": "[a]"},
     "InvalidParameterException", "not built"),
    ({"logGroupIdentifiers": [arn("logs", "log-group:cheap")]}, "InvalidOperationException", "INFREQUENT_ACCESS"),
]  # fmt: skip


@pytest.fixture(scope="module")
def there(logs: Any) -> str:
    made(logs, "cheap", logGroupClass="INFREQUENT_ACCESS")
    return made(logs, "there")


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(("request_", "code", "message"), REFUSED)
def test_what_does_not_fit_is_refused_before_a_session_begins(
    logs: Any, request_: dict[str, Any], code: str, message: str
):
    with pytest.raises(ClientError) as caught:
        logs.start_live_tail(**request_)
    refusal: Any = caught.value
    assert (refusal.response["Error"]["Code"], refusal.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    assert message in refusal.response["Error"]["Message"]


def test_clients_that_left_make_room_for_others(served: WholeServer, there: str):
    def began() -> Any:
        try:
            # A client each: boto3 keeps at most ten connections of one.
            client = client_of(served, inject_host_prefix=False)
            return client.start_live_tail(logGroupIdentifiers=[there])["responseStream"]
        except ClientError as error:
            return str(error)

    first = [began() for _ in range(15)]
    assert "LimitExceededException" in (refused := began()) and "15 concurrent" in refused
    for stream in first:
        stream.close()
    for stream in [until(lambda: not isinstance(found := began(), str) and found, "a place is free") for _ in first]:
        stream.close()


# --- what SDKs put before the host ---


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that are looked up; each of them leads to this machine."""
    names, look_up = list[str](), socket.getaddrinfo

    def noted(name: str, *rest: Any, **more: Any) -> Any:
        names.append(name)
        return look_up("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    return names


def test_the_variable_of_aws_s_sdks_leaves_the_host_as_it_is(
    served: WholeServer, there: str, looked_up: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_DISABLE_HOST_PREFIX_INJECTION", "true")
    with tailed(client_of(served), logGroupIdentifiers=[there]) as events:
        assert "sessionStart" in next(events)
    assert set(looked_up) == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "logs.localhost"])
def test_without_it_the_host_has_a_prefix_and_is_answered_where_that_name_leads_to_the_server(
    served: WholeServer, there: str, host: str, looked_up: list[str]
):
    """As with a line in /etc/hosts. The signature is about the host as it was asked."""
    logs = client_of(served, served.url.replace("127.0.0.1", host))
    with tailed(logs, logGroupIdentifiers=[there]) as events:
        assert "sessionStart" in next(events)
    assert set(looked_up) == {f"stream-{host}"}


# --- other clients ---


def test_the_aws_cli_tails(served: WholeServer, logs: Any):
    group = made(logs, "cli")
    process = subprocess.Popen(
        [BIN / "aws", "logs", "start-live-tail", "--log-group-identifiers", group, "--log-event-filter-pattern=yes"],
        env={**served.environment, "AWS_DISABLE_HOST_PREFIX_INJECTION": "true"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None

        # It says nothing of when it has begun, so it is told until it says something.
        def told() -> bool:
            put(logs, "cli", "no", "yes, found")
            return process.poll() is not None or _readable(process.stdout)

        until(told, "the CLI prints")
        assert process.stdout.readline() == "yes, found\n"
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert set(out.splitlines()) <= {"yes, found"} and err == "" and process.returncode == 0


def _readable(stream: Any) -> bool:
    return bool(select.select([stream], [], [], 0.2)[0])


@pytest.mark.needs("node")
@pytest.mark.parametrize("version", ["1", "2"])
def test_the_javascript_sdk_tails_over_either_http(served: WholeServer, logs: Any, version: str):
    folder = npm_installed("node", SOURCE)
    shutil.copyfile(SOURCE / "live_tail.mjs", folder / "live_tail.mjs")
    group = made(logs, f"node-{version}")
    ran = subprocess.run(
        ["node", "live_tail.mjs", group, f"node-{version}", version], cwd=folder,
        env={**served.environment, "AWS_REGION": REGION, "NODE_OPTIONS": "--unhandled-rejections=strict"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["start"]["logGroupIdentifiers"] == [group] and seen["start"]["sessionId"]
    assert seen["messages"] == ["ERROR é", "ERROR two"]
    assert set(seen["groups"]) == {group} and set(seen["sampled"]) == {False}
    assert seen["refused"] == {"isOfItsClass": True, "name": "ResourceNotFoundException"}
