"""FIFO queues and message move tasks by unmodified clients: boto3, the AWS CLI, Node's SDK; rules that fill them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from .packages import ROOT, npm_installed
from .whole_server import ACCOUNT, BIN, PATIENCE_S, REGION, SECRET, WholeServer, arn, whole_server

SOURCE = ROOT / "tests" / "node"
FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served"), queue_in_flight_max="5") as server:
        yield server


@pytest.fixture(scope="module")
def sqs(server: WholeServer) -> Any:
    return server.client("sqs")


def made(sqs: Any, name: str, **attributes: str) -> str:
    kind = FIFO if name.endswith(".fifo") else {}
    return sqs.create_queue(QueueName=name, Attributes={**kind, **attributes})["QueueUrl"]


def receive(sqs: Any, url: str, **more: Any) -> list[Any]:
    wanted = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"], **more}
    return sqs.receive_message(QueueUrl=url, **wanted).get("Messages", [])


def bodies(messages: list[Any]) -> list[str]:
    return [message["Body"] for message in messages]


def until(happened: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := happened()):
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)
    return found


def fault(call: Callable[..., Any], **request: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error, meta = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], error["Message"], meta["HTTPStatusCode"]


def test_a_fifo_queue_by_boto3(sqs: Any):
    url = made(sqs, "boto.fifo", VisibilityTimeout="60")
    sent = [
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0]) for body in ("a1", "b1", "a2", "a1")
    ]
    assert (sent[0]["MessageId"], sent[0]["SequenceNumber"]) == (sent[3]["MessageId"], sent[3]["SequenceNumber"])
    first = receive(sqs, url, MaxNumberOfMessages=1)
    assert bodies(first) == ["a1"]
    assert first[0]["Attributes"].keys() == {
        "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "MessageGroupId",
        "MessageDeduplicationId", "SequenceNumber",
    }  # fmt: skip
    assert first[0]["Attributes"]["SequenceNumber"] == sent[0]["SequenceNumber"]
    assert bodies(receive(sqs, url)) == ["b1"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    (second,) = receive(sqs, url, ReceiveRequestAttemptId="once", VisibilityTimeout=1)
    assert second["Body"] == "a2"
    assert receive(sqs, url, ReceiveRequestAttemptId="once", VisibilityTimeout=1)[0] == second
    until(lambda: receive(sqs, url))
    code, message, status = fault(sqs.delete_message, QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    assert (code, status) == ("InvalidParameterValue", 400)
    assert message.endswith("Reason: The receipt handle has expired.")


def test_errors_in_awss_words(sqs: Any):
    url = made(sqs, "errors.fifo", ContentBasedDeduplication="false")
    send = {"QueueUrl": url, "MessageBody": "x"}
    assert fault(sqs.send_message, **send) == (
        "MissingParameter", "The request must contain the parameter MessageGroupId.", 400,
    )  # fmt: skip
    assert fault(sqs.send_message, **send, MessageGroupId="g")[:2] == (
        "InvalidParameterValue",
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
        "explicitly",
    )
    delayed = {**send, "MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2}
    assert fault(sqs.send_message, **delayed)[1] == (
        "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for "
        "this queue type."
    )
    standard = made(sqs, "standard")
    assert fault(sqs.set_queue_attributes, QueueUrl=standard, Attributes={"FifoQueue": "true"})[:2] == (
        "InvalidAttributeName", "Unknown Attribute FifoQueue.",
    )  # fmt: skip
    assert fault(sqs.set_queue_attributes, QueueUrl=url, Attributes={"FifoQueue": "false"})[:2] == (
        "InvalidAttributeValue",
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
    )
    assert fault(sqs.create_queue, QueueName="x", Attributes={"FifoQueue": "true"})[0] == "InvalidParameterValue"


def test_messages_in_flight_have_a_limit(sqs: Any):
    url = made(sqs, "crowded")
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(8)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert len(receive(sqs, url)) == 5
    assert fault(sqs.receive_message, QueueUrl=url)[0] == "OverLimit"
    ordered = made(sqs, "crowded.fifo")
    entries = [{**entry, "MessageGroupId": entry["Id"]} for entry in entries]
    sqs.send_message_batch(QueueUrl=ordered, Entries=entries)
    assert len(receive(sqs, ordered)) == 5
    assert receive(sqs, ordered) == []


def test_a_move_task_by_boto3(sqs: Any):
    dead = made(sqs, "moved-dead")
    policy = json.dumps({"deadLetterTargetArn": arn("sqs", "moved-dead"), "maxReceiveCount": 1})
    work = made(sqs, "moved-work", RedrivePolicy=policy)
    for number in range(3):
        sqs.send_message(QueueUrl=work, MessageBody=str(number))
    receive(sqs, work, VisibilityTimeout=0)
    assert receive(sqs, work) == []
    source = arn("sqs", "moved-dead")
    handle = sqs.start_message_move_task(SourceArn=source, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    (task,) = sqs.list_message_move_tasks(SourceArn=source)["Results"]
    assert (task["Status"], task["TaskHandle"], task["ApproximateNumberOfMessagesToMove"]) == ("RUNNING", handle, 3)
    assert fault(sqs.start_message_move_task, SourceArn=source)[1] == (
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    )
    until(lambda: sqs.list_message_move_tasks(SourceArn=source)["Results"][0]["ApproximateNumberOfMessagesMoved"])
    assert sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] >= 1

    def ended() -> Any:
        (task,) = sqs.list_message_move_tasks(SourceArn=source)["Results"]
        return task if task["Status"] == "CANCELLED" else None

    moved = until(ended)["ApproximateNumberOfMessagesMoved"]
    assert "TaskHandle" not in ended()
    assert len(receive(sqs, work)) + len(receive(sqs, dead)) == 3 and moved < 3


def test_a_rule_fills_a_fifo_queue_in_order_and_once_by_content(server: WholeServer, sqs: Any):
    events = server.client("events")
    url = made(sqs, "events.fifo")
    events.put_rule(Name="ordered", EventPattern='{"source":["ordered"]}')
    target = {"Id": "q", "Arn": arn("sqs", "events.fifo"), "InputPath": "$.detail"}
    assert "SqsParameters must be specified" in fault(events.put_targets, Rule="ordered", Targets=[target])[1]
    events.put_targets(Rule="ordered", Targets=[{**target, "SqsParameters": {"MessageGroupId": "shop"}}])
    entries = [{"Source": "ordered", "DetailType": "t", "Detail": json.dumps({"n": n})} for n in (1, 2, 1, 3)]
    assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
    found: list[Any] = []

    def arrived() -> bool:
        for message in receive(sqs, url, WaitTimeSeconds=5):
            found.append(message)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(found) >= 3

    until(arrived)
    assert bodies(found) == ['{"n":1}', '{"n":2}', '{"n":3}']
    assert {message["Attributes"]["MessageGroupId"] for message in found} == {"shop"}
    # The one that was left out is accounted for.
    assert server.busway("verify")["ok"]


def test_a_client_that_hangs_up_takes_no_message(server: WholeServer, sqs: Any):
    url = made(sqs, "hung-up")
    where = urlsplit(server.url)
    body = json.dumps({"QueueUrl": url, "WaitTimeSeconds": 20}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    request = AWSRequest("POST", server.url + "/", {**headers, "Host": where.netloc}, body)
    SigV4Auth(Credentials(ACCOUNT, SECRET), "sqs", REGION).add_auth(request)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((where.hostname or "", where.port or 0)) as poll:
        poll.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        # The server has read it once it answers a later request.
        sqs.list_queues()
    # And has seen the end of it once it answers one that came after that.
    sqs.list_queues()
    sqs.send_message(QueueUrl=url, MessageBody="for somebody")
    (message,) = receive(sqs, url, WaitTimeSeconds=5)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_order_duplicates_and_tasks_survive_a_restart(tmp_path: Path):
    with whole_server(tmp_path) as first:
        sqs = first.client("sqs")
        url = made(sqs, "kept.fifo", VisibilityTimeout="3600")
        sent = sqs.send_message(QueueUrl=url, MessageBody="a1", MessageGroupId="a")
        for body in ("a2", "b1"):
            sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0])
        (taken,) = receive(sqs, url, MaxNumberOfMessages=1)
    with whole_server(tmp_path) as again:
        sqs = again.client("sqs")
        url = sqs.get_queue_url(QueueName="kept.fifo")["QueueUrl"]
        repeat = sqs.send_message(QueueUrl=url, MessageBody="a1", MessageGroupId="a")
        assert (repeat["MessageId"], repeat["SequenceNumber"]) == (sent["MessageId"], sent["SequenceNumber"])
        assert bodies(receive(sqs, url)) == ["b1"]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"])
        assert bodies(receive(sqs, url)) == ["a2"]


def test_a_fifo_queue_by_the_aws_cli(server: WholeServer):
    def aws(*words: str) -> Any:
        done = server.run(BIN / "aws", "--endpoint-url", server.url, "--output", "json", "sqs", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else {}

    attributes = ",".join(f"{name}={value}" for name, value in FIFO.items())
    url = aws("create-queue", "--queue-name", "cli.fifo", "--attributes", attributes)["QueueUrl"]
    sent = aws("send-message", "--queue-url", url, "--message-body", "a1", "--message-group-id", "a")
    assert len(sent["SequenceNumber"]) == 20
    (message,) = aws("receive-message", "--queue-url", url, "--attribute-names", "All")["Messages"]
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("a1", "a")
    aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    aws("create-queue", "--queue-name", "cli-dead")
    policy = json.dumps({"deadLetterTargetArn": arn("sqs", "cli-dead"), "maxReceiveCount": 1})
    aws("create-queue", "--queue-name", "cli-work", "--attributes", json.dumps({"RedrivePolicy": policy}))
    assert aws("start-message-move-task", "--source-arn", arn("sqs", "cli-dead"))["TaskHandle"]
    assert aws("list-message-move-tasks", "--source-arn", arn("sqs", "cli-dead"))["Results"]


@pytest.mark.needs("node")
def test_fifo_queues_and_moves_by_the_javascript_sdk(tmp_path: Path):
    sdk = npm_installed("node", SOURCE)
    shutil.copyfile(SOURCE / "queues.mjs", sdk / "queues.mjs")
    with whole_server(tmp_path) as server:
        ran = subprocess.run(
            ["node", "queues.mjs", arn("sqs", "")], cwd=sdk,
            env={**server.environment, "AWS_REGION": REGION, "NODE_OPTIONS": "--unhandled-rejections=strict"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen == {
        "duplicate": [True, True], "digits": 20, "grow": True, "order": ["a1", "a2", "a3", "b1"], "attempt": True,
        "held": [], "refused": [
            "MissingParameter", "The request must contain the parameter MessageGroupId.", 400,
        ],
        "back": ["poison"], "left": [], "tasks": [[arn("sqs", "node-dead"), 1]], "handle": "string",
        "cancelled": [True, "Task does not exist.", 404],
    }  # fmt: skip
