"""The AWS CLI, unmodified, against `busway serve`: the story as a shell tells it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .whole_server import (
    ACCOUNT,
    BIN,
    PATIENCE_S,
    REGION,
    ROLE,
    WholeServer,
    arn,
    attributes_of,
    message_of,
    whole_server,
    zipped,
)

ALL = ("--message-attribute-names", "All", "--message-system-attribute-names", "All", "--wait-time-seconds", "20")


class Cli:
    """`aws --endpoint-url …`; `aws` itself speaks to where AWS_ENDPOINT_URL points."""

    def __init__(self, server: WholeServer) -> None:
        self.server = server

    def __call__(self, *words: str) -> Any:
        done = self.server.run(BIN / "aws", "--endpoint-url", self.server.url, "--output", "json", *words)
        assert done.returncode == 0, f"aws {' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def refused(self, *words: str) -> str:
        done = self.server.run(BIN / "aws", "--endpoint-url", self.server.url, *words)
        assert done.returncode != 0 and not done.stdout
        return done.stderr.strip()


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield Cli(server)


def test_the_story_from_an_event_to_a_redriven_dead_letter(aws: Cli, tmp_path: Path):
    package = tmp_path / "code.zip"
    package.write_bytes(zipped("def handler(event, context): raise RuntimeError('no ' + event['detail-type'])"))
    bus = aws("events", "create-event-bus", "--name", "shop")["EventBusArn"]
    assert bus == arn("events", "event-bus/shop")
    urls = {
        name: aws("sqs", "create-queue", "--queue-name", name)["QueueUrl"] for name in ("orders", "letters", "failed")
    }
    function = aws(
        "lambda", "create-function", "--function-name", "fails", "--runtime", "python3.13", "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{package}",
        "--dead-letter-config", f"TargetArn={arn('sqs', 'failed')}",
    )["FunctionArn"]  # fmt: skip
    aws("lambda", "wait", "function-active-v2", "--function-name", "fails")
    pattern = '{"source":["com.example"],"detail":{"total":[{"numeric":[">",10]}]}}'
    rule = aws(
        "events", "put-rule", "--name", "big", "--event-bus-name", "shop", "--event-pattern", pattern
    )["RuleArn"]  # fmt: skip
    targets = [
        {"Id": "queue", "Arn": arn("sqs", "orders")},
        {"Id": "gone", "Arn": arn("sqs", "gone"), "DeadLetterConfig": {"Arn": arn("sqs", "letters")},
         "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}},
        {"Id": "function", "Arn": function},
    ]  # fmt: skip
    put = aws("events", "put-targets", "--rule", "big", "--event-bus-name", "shop", "--targets", json.dumps(targets))
    assert put["FailedEntryCount"] == 0

    entry = {
        "Source": "com.example", "DetailType": "Ördered", "EventBusName": "shop", "Resources": ["arn:x"],
        "Time": "2026-11-23T16:30:05Z", "Detail": '{ "total": 10.50, "note": "é \\u00e9" }',
    }  # fmt: skip
    small = {"Source": "com.example", "DetailType": "t", "Detail": '{"total":1}', "EventBusName": "shop"}
    put = aws("events", "put-events", "--entries", json.dumps([entry, {**small, "Detail": "[]"}, small]))
    event_id = put["Entries"][0]["EventId"]
    assert put["FailedEntryCount"] == 1
    assert put["Entries"][1] == {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}

    envelope = (
        f'{{"version":"0","id":"{event_id}","detail-type":"Ördered","source":"com.example","account":"{ACCOUNT}",'
        f'"time":"2026-11-23T16:30:05Z","region":"{REGION}","resources":["arn:x"],'
        '"detail":{"total":10.50,"note":"é \\u00e9"}}'
    )
    arrived = message_of(aws("sqs", "receive-message", "--queue-url", urls["orders"], *ALL))
    assert arrived["Body"] == envelope
    letter = message_of(aws("sqs", "receive-message", "--queue-url", urls["letters"], *ALL))
    told = attributes_of(letter)
    assert letter["Body"] == envelope and told.pop("ERROR_MESSAGE")[1]
    assert told == {
        "RULE_ARN": ("String", rule), "TARGET_ARN": ("String", arn("sqs", "gone")),
        "ERROR_CODE": ("String", "NO_RESOURCE"),
    }  # fmt: skip
    failed = message_of(aws("sqs", "receive-message", "--queue-url", urls["failed"], *ALL))
    told = attributes_of(failed)
    assert failed["Body"] == envelope and len(told.pop("RequestID")[1]) == 36
    assert told == {"ErrorCode": ("Number", "200"), "ErrorMessage": ("String", "no Ördered")}

    # Handed back to the queue, then back to what failed: the handler as it is now, the queue that is there now.
    package.write_bytes(zipped("def handler(event, context): print('handled', event['id'])"))
    aws("lambda", "update-function-code", "--function-name", "fails", "--zip-file", f"fileb://{package}")
    aws("lambda", "wait", "function-updated-v2", "--function-name", "fails")
    for name, message in (("failed", failed), ("letters", letter)):
        aws(
            "sqs", "change-message-visibility", "--queue-url", urls[name], "--receipt-handle",
            message["ReceiptHandle"], "--visibility-timeout", "0",
        )  # fmt: skip
    gone = aws("sqs", "create-queue", "--queue-name", "gone")["QueueUrl"]
    assert aws.server.busway("redrive", "--id", event_id)["redriven"] == 2
    assert message_of(aws("sqs", "receive-message", "--queue-url", gone, *ALL))["Body"] == envelope
    waits = time.monotonic() + PATIENCE_S
    while f"handled {event_id}" not in aws.server.run(BIN / "busway", "logs", "fails").stdout:
        assert time.monotonic() < waits, "the redriven event was not handled"


def test_only_sqs_passes_by_what_the_environment_names(aws: Cli):
    """The CLI gives `aws sqs` an endpoint of its own before it looks at AWS_ENDPOINT_URL; hence the flag in our docs.

    Plain HTTP to the server needs no proxy, so the dead one stops only what would leave this machine.
    """
    closed = {"HTTPS_PROXY": "http://127.0.0.1:1"}
    listed = aws.server.run(BIN / "aws", "events", "list-event-buses", "--output", "json", **closed)
    assert listed.returncode == 0, listed.stderr
    assert "default" in [bus["Name"] for bus in json.loads(listed.stdout)["EventBuses"]]
    assert "proxy" in aws.server.run(BIN / "aws", "sqs", "list-queues", **closed).stderr


def test_an_invocation_prints_its_answer_and_its_log(aws: Cli, tmp_path: Path):
    package, answer = tmp_path / "code.zip", tmp_path / "answer.json"
    package.write_bytes(
        zipped("def handler(event, context):\n    print('got', event)\n    return {'n': event['n'] + 1}")
    )
    aws(
        "lambda", "create-function", "--function-name", "adds", "--runtime", "python3.13", "--role", ROLE,
        "--handler", "app.handler", "--zip-file", f"fileb://{package}",
    )  # fmt: skip
    told = aws(
        "lambda", "invoke", "--function-name", "adds", "--payload", '{"n":1}', "--log-type", "Tail", str(answer)
    )
    assert (told["StatusCode"], told["ExecutedVersion"], answer.read_text()) == (200, "$LATEST", '{"n": 2}')


def test_a_function_is_deployed_in_versions(aws: Cli, tmp_path: Path):
    package, answer = tmp_path / "code.zip", tmp_path / "answer.json"

    def package_of(generation: int) -> str:
        package.write_bytes(zipped(f"def handler(event, context): return [{generation}, context.function_version]"))
        return f"fileb://{package}"

    on = ("--function-name", "deployed")
    made = aws(
        "lambda", "create-function", *on, "--runtime", "python3.13", "--role", ROLE, "--handler", "app.handler",
        "--zip-file", package_of(1), "--publish",
    )  # fmt: skip
    assert made["Version"] == "1"
    aws("lambda", "wait", "function-exists", *on)
    aws("lambda", "wait", "published-version-active", *on, "--qualifier", "1")
    aws("lambda", "create-alias", *on, "--name", "live", "--function-version", "1")
    aws("lambda", "update-function-code", *on, "--zip-file", package_of(2))
    aws("lambda", "wait", "function-updated-v2", *on)
    assert aws("lambda", "publish-version", *on)["Version"] == "2"
    aws("lambda", "invoke", *on, "--qualifier", "live", str(answer))
    assert json.loads(answer.read_text()) == [1, "1"]
    aws("lambda", "update-alias", *on, "--name", "live", "--function-version", "2")
    told = aws("lambda", "invoke", "--function-name", "deployed:live", str(answer))
    assert (told["ExecutedVersion"], json.loads(answer.read_text())) == ("2", [2, "2"])
    url = aws("lambda", "create-function-url-config", *on, "--qualifier", "live", "--auth-type", "NONE")
    assert httpx.get(url["FunctionUrl"]).json() == [2, "2"]
    location = aws("lambda", "get-function", *on, "--qualifier", "live")["Code"]["Location"]
    assert httpx.get(location).content == package.read_bytes()
    assert "alias live points to it" in aws.refused("lambda", "delete-function", *on, "--qualifier", "2")
    aws("lambda", "delete-function", *on)
    assert "Function not found" in aws.refused("lambda", "get-alias", *on, "--name", "live")


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (("events", "describe-rule", "--name", "no"),
         "An error occurred (ResourceNotFoundException) when calling the DescribeRule operation: "
         "Rule no does not exist on EventBus default."),
        (("sqs", "get-queue-url", "--queue-name", "no"),
         "An error occurred (AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueUrl operation: "
         "The specified queue does not exist."),
        (("lambda", "get-function", "--function-name", "no"),
         "An error occurred (ResourceNotFoundException) when calling the GetFunction operation: "
         f"Function not found: {arn('lambda', 'function:no')}"),
    ],
)  # fmt: skip
def test_errors_are_printed_in_awss_words(aws: Cli, words: tuple[str, ...], printed: str):
    assert printed in aws.refused(*words)
