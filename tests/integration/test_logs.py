"""CloudWatch Logs through its clients: users' own groups, and what functions print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .whole_server import ACCOUNT, BIN, PATIENCE_S, REGION, ROLE, SECRET, WholeServer, arn, whole_server, zipped

OTHER = "210987654321"
HANDLER = """
    import json

    import boto3

    def handler(event, context):
        if "put" in event:
            boto3.client("logs").put_log_events(**event["put"])
        if "read" in event:
            return boto3.client("logs").filter_log_events(logGroupName=event["read"])
        print(json.dumps({"order": event.get("order"), "total": event.get("total")}))
        if event.get("fails"):
            raise ValueError("no such article")
        return {"group": context.log_group_name, "stream": context.log_stream_name}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    keys = f"{ACCOUNT}:{SECRET},{OTHER}:{SECRET}"
    with whole_server(tmp_path_factory.mktemp("served"), access_keys=keys) as server:
        functions = server.client("lambda")
        functions.create_function(
            FunctionName="shop", Runtime="python3.13", Handler="app.handler", Role=ROLE, Timeout=30,
            Code={"ZipFile": zipped(HANDLER)},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName="shop")
        yield server


@pytest.fixture(scope="module")
def logs(served: WholeServer) -> Any:
    return served.client("logs")


@pytest.fixture(scope="module")
def ran(served: WholeServer) -> dict[str, Any]:
    """What the function said of itself, after three invocations."""
    invoked = [invoke(served, order=n, total=n * 100, fails=n == 2) for n in (1, 2, 3)]
    return json.loads(invoked[0]["Payload"].read())


def invoke(server: WholeServer, **event: Any) -> Any:
    return server.client("lambda").invoke(FunctionName="shop", Payload=json.dumps(event))


def now_ms() -> int:
    return int(time.time() * 1000)


def group_with(logs: Any, name: str, *streams: str) -> str:
    logs.create_log_group(logGroupName=name)
    for stream in streams:
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
    return name


def put(logs: Any, group: str, stream: str, *events: tuple[int, str]) -> Any:
    given = [{"timestamp": at, "message": message} for at, message in events]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=given)


def messages(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_events_of_several_streams_are_found_in_the_order_of_their_times(logs: Any):
    group, now = group_with(logs, "order", "a", "b"), now_ms()
    put(logs, group, "a", (now - 1_000, "ERROR third"), (now, "fifth"))
    put(logs, group, "b", (now - 3_000, "first"), (now - 2_000, "ERROR second"), (now - 500, '{"code": 500}'))
    everything = ["first", "ERROR second", "ERROR third", '{"code": 500}', "fifth"]
    assert messages(logs.filter_log_events(logGroupName=group)) == everything
    assert messages(logs.filter_log_events(logGroupName=group, startFromHead=False)) == everything[::-1]
    assert messages(logs.filter_log_events(logGroupName=group, filterPattern="ERROR -second")) == ["ERROR third"]
    found = logs.filter_log_events(logGroupName=group, filterPattern="{ $.code >= 500 }")["events"]
    assert [(event["logStreamName"], event["timestamp"]) for event in found] == [("b", now - 500)]
    span = {"startTime": now - 2_000, "endTime": now - 1_000}
    assert messages(logs.filter_log_events(logGroupName=group, **span)) == ["ERROR second", "ERROR third"]
    assert messages(logs.filter_log_events(logGroupName=group, logStreamNamePrefix="a")) == ["ERROR third", "fifth"]
    by_page = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 2})
    assert [message for page in by_page for message in messages(page)] == everything


def test_a_stream_is_read_forwards_and_backwards_and_a_reader_stays_at_its_end(logs: Any):
    group, now = group_with(logs, "walk", "s"), now_ms()
    put(logs, group, "s", *((now + number, str(number)) for number in range(5)))
    asked = {"logGroupName": group, "logStreamName": "s", "limit": 2}
    first = logs.get_log_events(**asked, startFromHead=True)
    assert messages(first) == ["0", "1"]
    last = logs.get_log_events(**asked)
    assert messages(last) == ["3", "4"]
    before = logs.get_log_events(**asked, nextToken=last["nextBackwardToken"])
    assert messages(before) == ["1", "2"]
    end = logs.get_log_events(**asked, nextToken=last["nextForwardToken"], startFromHead=True)
    assert (messages(end), end["nextForwardToken"]) == ([], last["nextForwardToken"])
    put(logs, group, "s", (now + 9, "9"))
    assert messages(logs.get_log_events(**asked, nextToken=end["nextForwardToken"], startFromHead=True)) == ["9"]
    start = logs.get_log_events(**asked, nextToken=first["nextBackwardToken"])
    assert (messages(start), start["nextBackwardToken"]) == ([], first["nextBackwardToken"])
    span = logs.get_log_events(logGroupName=group, logStreamName="s", startTime=now + 1, endTime=now + 3)
    assert messages(span) == ["1", "2"]


def test_what_is_too_old_or_too_new_is_rejected_and_the_rest_is_kept(logs: Any):
    group, now, hour = group_with(logs, "rejects", "s"), now_ms(), 3_600_000
    told = put(logs, group, "s", (now - 15 * 24 * hour, "old"), (now, "kept"), (now + 3 * hour, "new"))
    assert told["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    told = put(logs, group, "s", (now - 25 * hour, "expired"), (now, "kept too"))
    assert told["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert messages(logs.filter_log_events(logGroupName=group)) == ["kept", "kept too"]
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert (described["retentionInDays"], described["storedBytes"]) == (1, 2 * 26 + len("keptkept too"))
    logs.delete_retention_policy(logGroupName=group)
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert "retentionInDays" not in described


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("create_log_group", {"logGroupName": "there"}, "ResourceAlreadyExistsException",
     "The specified log group already exists"),
    ("create_log_group", {"logGroupName": "no spaces"}, "InvalidParameterException",
     "1 validation error detected: Value 'no spaces' at 'logGroupName' failed to satisfy constraint: Member must "
     "satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"),
    ("create_log_group", {"logGroupName": "aws/mine"}, "InvalidParameterException", "aws/"),
    ("create_log_group", {"logGroupName": "n", "kmsKeyId": "k"}, "InvalidParameterException",
     "kmsKeyId is not built"),
    ("create_log_stream", {"logGroupName": "there", "logStreamName": "s"}, "ResourceAlreadyExistsException",
     "The specified log stream already exists"),
    ("create_log_stream", {"logGroupName": "there", "logStreamName": "a:b"}, "InvalidParameterException", "[^:*]*"),
    ("delete_log_group", {"logGroupName": "gone"}, "ResourceNotFoundException",
     "The specified log group does not exist."),
    ("put_retention_policy", {"logGroupName": "there", "retentionInDays": 2}, "InvalidParameterException",
     "Value '2' at 'retentionInDays'"),
    ("get_log_events", {"logGroupName": "there", "logStreamName": "gone"}, "ResourceNotFoundException",
     "The specified log stream does not exist."),
    ("get_log_events", {"logGroupName": "there", "logStreamName": "s", "nextToken": "?"},
     "InvalidParameterException", "The specified nextToken is invalid."),
    ("get_log_events", {"logStreamName": "s"}, "InvalidParameterException", "logGroupIdentifier"),
    ("filter_log_events", {"logGroupName": "there", "filterPattern": "[a, b]"}, "InvalidParameterException",
     "not built"),
    ("filter_log_events", {"logGroupName": "there", "filterPattern": "a:b"}, "InvalidParameterException",
     "Invalid character(s) in term ':'"),
    ("filter_log_events", {"logGroupName": "gone"}, "ResourceNotFoundException", "log group does not exist"),
    ("filter_log_events", {"logGroupIdentifier": f"arn:aws:logs:{REGION}:{OTHER}:log-group:there"},
     "ResourceNotFoundException", "log group does not exist"),
    ("put_log_events",
     {"logGroupName": "there", "logStreamName": "s", "logEvents": [{"timestamp": 0, "message": "x" * 1_048_576}]},
     "InvalidParameterException", "Upload too large: 1048602 bytes exceeds limit of 1048576"),
    ("put_log_events",
     {"logGroupName": "there", "logStreamName": "s", "logEvents": [{"timestamp": 0, "message": "x"}] * 10_001},
     "InvalidParameterException", "Member must have length less than or equal to 10000"),
    ("describe_log_streams", {"logGroupName": "there", "orderBy": "LastEventTime", "logStreamNamePrefix": "s"},
     "InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix."),
    ("tag_resource",
     {"resourceArn": arn("logs", "log-group:there"), "tags": {f"k{number}": "" for number in range(50)}},
     "TooManyTagsException", "50 tags"),
    ("start_query", {"logGroupName": "there", "startTime": 0, "endTime": 1, "queryString": "x"},
     "UnsupportedOperationException", "logs StartQuery is not implemented by Busway"),
]  # fmt: skip


@pytest.fixture(scope="module")
def there(logs: Any) -> str:
    group = group_with(logs, "there", "s")
    logs.tag_resource(resourceArn=arn("logs", "log-group:there"), tags={"team": "shop"})
    return group


@pytest.mark.parametrize(("call", "request_", "code", "message"), REFUSED)
def test_what_does_not_fit_is_refused_as_aws_does(
    logs: Any, there: str, call: str, request_: dict[str, Any], code: str, message: str
):
    with pytest.raises(ClientError) as caught:
        getattr(logs, call)(**request_)
    refusal: Any = caught.value
    assert refusal.response["Error"]["Code"] == code
    assert message in refusal.response["Error"]["Message"]


def test_groups_and_streams_are_listed_tagged_and_deleted_with_what_is_in_them(logs: Any):
    now = now_ms()
    for name in ("list/b", "list/a"):
        group_with(logs, name, "s2", "s1")
    put(logs, "list/a", "s2", (now, "x"))
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="list/", PaginationConfig={"PageSize": 1}
    )
    groups = [group for page in pages for group in page["logGroups"]]
    assert [group["logGroupName"] for group in groups] == ["list/a", "list/b"]
    assert groups[0]["arn"] == f"{groups[0]['logGroupArn']}:*" == arn("logs", "log-group:list/a:*")
    assert [one["logGroupName"] for one in logs.describe_log_groups(logGroupNamePattern="st/b")["logGroups"]] == [
        "list/b"
    ]
    by_name = logs.describe_log_streams(logGroupIdentifier=groups[0]["logGroupArn"])["logStreams"]
    assert [(one["logStreamName"], one.get("lastEventTimestamp")) for one in by_name] == [("s1", None), ("s2", now)]
    newest = logs.describe_log_streams(logGroupName="list/a", orderBy="LastEventTime", descending=True, limit=1)
    assert newest["logStreams"][0]["logStreamName"] == "s2" and newest["nextToken"]
    resource = groups[0]["logGroupArn"]
    logs.tag_resource(resourceArn=resource, tags={"team": "shop", "stage": "test"})
    logs.untag_resource(resourceArn=resource, tagKeys=["stage"])
    assert logs.list_tags_for_resource(resourceArn=resource)["tags"] == {"team": "shop"}
    logs.delete_log_stream(logGroupName="list/a", logStreamName="s2")
    logs.create_log_stream(logGroupName="list/a", logStreamName="s2")
    assert messages(logs.get_log_events(logGroupName="list/a", logStreamName="s2")) == []
    put(logs, "list/a", "s2", (now, "y"))
    logs.delete_log_group(logGroupName="list/a")
    group_with(logs, "list/a", "s2")
    assert messages(logs.filter_log_events(logGroupName="list/a")) == []


def test_another_account_has_groups_of_its_own(served: WholeServer, logs: Any, there: str):
    other = served.client("logs", OTHER)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        put(other, there, "s", (now_ms(), "from outside"))
    other.create_log_group(logGroupName=there)
    assert messages(logs.filter_log_events(logGroupName=there)) == []


# --- functions ---


def test_a_function_s_group_has_what_it_printed_as_lambda_does(logs: Any, ran: dict[str, Any]):
    group, stream = ran["group"], ran["stream"]
    assert group == "/aws/lambda/shop"
    assert re.fullmatch(rf"{datetime.now(UTC):%Y/%m/%d}/\[\$LATEST\][0-9a-f]{{32}}", stream)
    (described,) = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/sh")["logGroups"]
    assert described["logGroupName"] == group and described["storedBytes"] > 0
    assert [one["logStreamName"] for one in logs.describe_log_streams(logGroupName=group)["logStreams"]] == [stream]
    read = messages(logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True))
    said = [line.split()[0] for line in read if line.startswith(("START", "END", "REPORT", "{"))]
    assert said == ["START", '{"order":', "END", "REPORT"] * 3
    assert all(line.endswith("\n") for line in read)
    found = logs.filter_log_events(logGroupName=group, filterPattern="{ $.total >= 200 }")
    assert [json.loads(message)["order"] for message in messages(found)] == [2, 3]
    assert "no such article" in messages(logs.filter_log_events(logGroupName=group, filterPattern="ValueError"))[0]
    by_page = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 3})
    assert [message for page in by_page for message in messages(page)] == read


def test_a_tail_that_polls_as_the_aws_cli_does_sees_each_line_once(
    served: WholeServer, logs: Any, ran: dict[str, Any]
):
    """`aws logs tail --follow` of the CLI's second version: from the newest time it saw, leaving out ids it has."""
    seen: dict[str, str] = {}
    start = now_ms() - 600_000

    def poll() -> list[str]:
        nonlocal start
        new: list[str] = []
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=ran["group"], startTime=start, interleaved=True
        )
        for event in (event for page in pages for event in page["events"]):
            if event["eventId"] not in seen:
                seen[event["eventId"]] = event["message"]
                new.append(event["message"])
            start = max(start, event["timestamp"])
        return new

    before = poll()
    assert len(before) >= 12 and poll() == []
    invoke(served, order=4)
    assert [line.split()[0] for line in poll()] == ["START", '{"order":', "END", "REPORT"]
    assert poll() == []


def test_a_handler_writes_into_groups_of_its_account_and_reads_none(
    served: WholeServer, logs: Any, ran: dict[str, Any]
):
    group = group_with(logs, "from-a-handler", "s")
    event = {"logGroupName": group, "logStreamName": "s", "logEvents": [{"timestamp": now_ms(), "message": "hi"}]}
    assert "FunctionError" not in invoke(served, put=event)
    assert messages(logs.filter_log_events(logGroupName=group)) == ["hi"]
    refused = invoke(served, read=group)
    assert refused["FunctionError"] == "Unhandled" and b"logs:FilterLogEvents" in refused["Payload"].read()


def test_the_aws_cli_finds_them_too(served: WholeServer, ran: dict[str, Any]):
    done = served.run(
        BIN / "aws", "logs", "filter-log-events", "--log-group-name", ran["group"], "--filter-pattern",
        "{ $.order = 2 }", "--output", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (event,) = json.loads(done.stdout)["events"]
    assert json.loads(event["message"]) == {"order": 2, "total": 200}
    group = group_with(served.client("logs"), "cli", "s")
    done = served.run(
        BIN / "aws", "logs", "put-log-events", "--log-group-name", group, "--log-stream-name", "s", "--log-events",
        f"timestamp={now_ms()},message=hello", "--sequence-token", "any",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert messages(served.client("logs").filter_log_events(logGroupName=group)) == ["hello"]


def test_busway_logs_takes_the_same_patterns(served: WholeServer, ran: dict[str, Any]):
    def shown(*words: str) -> list[str]:
        done = served.run(BIN / "busway", "logs", "shop", *words)
        assert done.returncode == 0, done.stderr
        return [line.split("  ")[-1] for line in done.stdout.splitlines()]

    assert shown("--filter", "{ $.order = 1 || $.order = 3 }", "--since", "10m") == [
        '{"order": 1, "total": 100}', '{"order": 3, "total": 300}',
    ]  # fmt: skip
    done = served.run(BIN / "busway", "logs", "shop", "--filter", "[a]")
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "not built" in done.stderr


def test_deleting_a_function_s_group_forgets_its_lines_and_the_next_run_makes_it_anew(served: WholeServer, logs: Any):
    invoke(served, order=5)
    logs.put_retention_policy(logGroupName="/aws/lambda/shop", retentionInDays=7)
    (described,) = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/shop")["logGroups"]
    assert described["retentionInDays"] == 7
    logs.delete_log_group(logGroupName="/aws/lambda/shop")
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"] == []
    invoke(served, order=6)
    found = messages(logs.filter_log_events(logGroupName="/aws/lambda/shop"))
    assert [json.loads(line)["order"] for line in found if line.startswith("{")] == [6]


def test_what_was_answered_outlives_a_kill_and_counts_as_before(tmp_path: Path):
    now = now_ms()
    with whole_server(tmp_path) as server:
        logs = server.client("logs")
        group_with(logs, "kept", "s")
        logs.put_retention_policy(logGroupName="kept", retentionInDays=3)
        for number in range(20):
            put(logs, "kept", "s", (now + number, f"event {number}"))
        group_with(logs, "gone", "s")
        put(logs, "gone", "s", (now, "x"))
        logs.delete_log_group(logGroupName="gone")
        described = (
            logs.describe_log_groups()["logGroups"],
            logs.describe_log_streams(logGroupName="kept")["logStreams"],
        )
        server.process.kill()
        server.process.wait()
    with whole_server(tmp_path) as server:
        logs = server.client("logs")
        assert messages(logs.filter_log_events(logGroupName="kept")) == [f"event {number}" for number in range(20)]
        again = logs.describe_log_groups()["logGroups"], logs.describe_log_streams(logGroupName="kept")["logStreams"]
        assert again == described
        assert [group["logGroupName"] for group in again[0]] == ["kept"]


def test_the_server_s_own_log_is_an_object_a_line_that_says_what_it_is_about(tmp_path: Path):
    data = tmp_path / "data"
    data.mkdir()
    # Where the folder of functions' lines should be there is a file: nothing can be written there.
    (data / "logs").write_text("in the way")
    process = subprocess.Popen(
        [BIN / "busway", "serve", "--port", "0", "--data", data, "--log-format", "json"],
        env={**os.environ, "BUSWAY_ACCESS_KEYS": f"{ACCOUNT}:{SECRET}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ready = re.match(r"Busway \S+ is ready at (\S+)", process.stdout.readline())
        assert ready is not None
        functions = WholeServer(ready[1], tmp_path, process).client("lambda")
        made = functions.create_function(
            FunctionName="shop", Runtime="python3.13", Handler="app.handler", Role=ROLE,
            Code={"ZipFile": zipped("def handler(event, context): print('said')")},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName="shop")
        assert functions.invoke(FunctionName="shop")["StatusCode"] == 200
    finally:
        process.terminate()
        _, written = process.communicate(timeout=PATIENCE_S)
    lines = [json.loads(line) for line in written.splitlines()]
    told = next(line for line in lines if "were not written" in line["message"])
    assert told["function"] == made["FunctionArn"]
    assert (told["level"], told["logger"]) == ("WARNING", "busway.function.log_files")
    assert datetime.fromisoformat(told["time"]).tzinfo is not None
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    assert SECRET not in written
