"""Unmodified clients of SQS against a whole server on an embedded engine: boto3 and the AWS CLI."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from busway.config import Settings
from busway.server import Server

ACCOUNT, REGION = "123456789012", "eu-central-1"
KEYS = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "secret", "region_name": REGION}


class Served:
    """A server in a thread of its own."""

    def __init__(self, data: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = Server(Settings(port=0, data=str(data)), lambda error: None)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(30)
        self.url = self._server.url

    def client(self) -> Any:
        config = Config(retries={"total_max_attempts": 1})
        return boto3.client("sqs", endpoint_url=self.url, config=config, **KEYS)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(tmp_path_factory.mktemp("data"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def sqs(served: Served) -> Any:
    return served.client()


def fault(call: Callable[..., Any], **request: Any) -> tuple[str, str, str, int]:
    """(code, JSON type, message, status) of the error that a call gets."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error, meta = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], error.get("QueryErrorCode", ""), error["Message"], meta["HTTPStatusCode"]


def arn_of(sqs: Any, url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def test_a_message_goes_round(sqs: Any, served: Served):
    url = sqs.create_queue(QueueName="round", Attributes={"VisibilityTimeout": "60"}, tags={"team": "a"})["QueueUrl"]
    assert url == f"{served.url}/{ACCOUNT}/round"
    assert sqs.get_queue_url(QueueName="round")["QueueUrl"] == url
    attributes = {
        "order.id": {"DataType": "Number", "StringValue": "42"},
        "order.name": {"DataType": "String", "StringValue": "é"},
        "picture": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
    }
    # boto3 compares every checksum with its own.
    sent = sqs.send_message(
        QueueUrl=url,
        MessageBody='{"é": 1}',
        MessageAttributes=attributes,
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    )
    assert {"MD5OfMessageBody", "MD5OfMessageAttributes", "MD5OfMessageSystemAttributes"} < sent.keys()
    (message,) = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["order.*"], MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert message["Body"] == '{"é": 1}'
    assert message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == {n: attributes[n] for n in ("order.id", "order.name")}
    assert message["Attributes"].keys() == {
        "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", "AWSTraceHeader",
    }  # fmt: skip
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert again["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert "MessageAttributes" not in again
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (shown["ApproximateNumberOfMessages"], shown["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}
    sqs.tag_queue(QueueUrl=url, Tags={"env": "dev"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["team"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"env": "dev"}
    sqs.add_permission(QueueUrl=url, Label="send", AWSAccountIds=[ACCOUNT], Actions=["SendMessage"])
    sqs.remove_permission(QueueUrl=url, Label="send")


def test_batches_answer_entry_by_entry(sqs: Any):
    url = sqs.create_queue(QueueName="batches")["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(9)]
    sent = sqs.send_message_batch(
        QueueUrl=url, Entries=[*entries, {"Id": "bad", "MessageBody": "x", "DelaySeconds": 901}]
    )
    assert [entry["Id"] for entry in sent["Successful"]] == [str(n) for n in range(9)]
    assert [(e["Id"], e["Code"], e["SenderFault"]) for e in sent["Failed"]] == [
        ("bad", "InvalidParameterValue", True)
    ]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(m["Body"] for m in messages) == [f"m{n}" for n in range(9)]
    handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**entry, "VisibilityTimeout": 60} for entry in handles]
    )
    assert len(changed["Successful"]) == 9
    gone = sqs.delete_message_batch(QueueUrl=url, Entries=[*handles, {"Id": "x", "ReceiptHandle": "nonsense"}])
    assert len(gone["Successful"]) == 9
    assert [(e["Id"], e["Code"]) for e in gone["Failed"]] == [("x", "ReceiptHandleIsInvalid")]


def test_errors_carry_both_codes_and_their_own_words(sqs: Any):
    url = sqs.create_queue(QueueName="errors")["QueueUrl"]
    missing = url.replace("/errors", "/none")
    prefix = "AWS.SimpleQueueService."
    assert fault(sqs.send_message, QueueUrl=missing, MessageBody="x") == (
        f"{prefix}NonExistentQueue", "QueueDoesNotExist", "The specified queue does not exist.", 400,
    )  # fmt: skip
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="none")
    with pytest.raises(sqs.exceptions.QueueNameExists, match="different value for attribute DelaySeconds"):
        sqs.create_queue(QueueName="errors", Attributes={"DelaySeconds": "1"})
    assert fault(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)[::2] == (
        "InvalidParameterValue",
        "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
    )
    assert fault(sqs.send_message, QueueUrl=url, MessageBody="")[::2] == (
        "MissingParameter", "The request must contain the parameter MessageBody.",
    )  # fmt: skip
    assert fault(sqs.send_message, QueueUrl=url, MessageBody="\x00")[0] == "InvalidMessageContents"
    assert fault(sqs.send_message, QueueUrl=url, MessageBody="a" * 1_048_577)[0] == "InvalidParameterValue"
    assert (
        fault(sqs.set_queue_attributes, QueueUrl=url, Attributes={"DelaySeconds": "x"})[0] == "InvalidAttributeValue"
    )
    assert fault(sqs.set_queue_attributes, QueueUrl=url, Attributes={"Colour": "x"})[::2] == (
        "InvalidAttributeName", "Unknown Attribute Colour.",
    )  # fmt: skip
    assert fault(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Colour"])[0] == "InvalidAttributeName"
    assert fault(sqs.delete_message, QueueUrl=url, ReceiptHandle="x")[0] == "ReceiptHandleIsInvalid"
    sqs.purge_queue(QueueUrl=url)
    assert fault(sqs.purge_queue, QueueUrl=url)[::3] == (f"{prefix}PurgeQueueInProgress", 403)
    batch = {"QueueUrl": url, "Entries": [{"Id": str(n), "MessageBody": "x"} for n in range(20)]}
    assert fault(sqs.send_message_batch, **batch)[::2] == (
        f"{prefix}TooManyEntriesInBatchRequest",
        "Maximum number of entries per request are 10. You have sent 20.",
    )
    assert fault(sqs.send_message_batch, QueueUrl=url, Entries=[])[0] == f"{prefix}EmptyBatchRequest"
    twice = [{"Id": "a", "MessageBody": "x"}] * 2
    assert fault(sqs.send_message_batch, QueueUrl=url, Entries=twice)[0] == f"{prefix}BatchEntryIdsNotDistinct"
    odd = [{"Id": "a b", "MessageBody": "x"}]
    assert fault(sqs.send_message_batch, QueueUrl=url, Entries=odd)[0] == f"{prefix}InvalidBatchEntryId"
    large = [{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
    assert fault(sqs.send_message_batch, QueueUrl=url, Entries=large)[::2] == (
        f"{prefix}BatchRequestTooLong",
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1200000 bytes.",
    )
    assert fault(sqs.start_message_move_task, SourceArn=arn_of(sqs, url))[::2] == (
        "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.",
    )  # fmt: skip
    assert fault(sqs.start_message_move_task, SourceArn=arn_of(sqs, url) + "x")[1:] == (
        "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist.",
        404,
    )  # fmt: skip
    assert fault(sqs.send_message, QueueUrl="http://x/y", MessageBody="x")[1] == "InvalidAddress"


def test_a_poison_message_ends_in_the_dead_letter_queue(sqs: Any):
    dead = sqs.create_queue(QueueName="poison-dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn_of(sqs, dead), "maxReceiveCount": 2})
    url = sqs.create_queue(QueueName="poison", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    sent = sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(2):
        assert len(sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]) == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    (letter,) = sqs.receive_message(QueueUrl=dead, MessageSystemAttributeNames=["All"])["Messages"]
    assert letter["MessageId"] == sent["MessageId"]
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == arn_of(sqs, url)


def test_long_pollers_are_woken_by_messages(served: Served, sqs: Any):
    url = sqs.create_queue(QueueName="polled")["QueueUrl"]

    def poll(client: Any) -> list[str]:
        answer = client.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        return [message["Body"] for message in answer.get("Messages", [])]

    clients = [served.client() for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        polls = [threads.submit(poll, client) for client in clients]
        for number in range(4):
            sqs.send_message(QueueUrl=url, MessageBody=str(number))
        # Nobody waits the twenty seconds out: each poller gets one message.
        assert sorted(body for result in polls for body in result.result(timeout=15)) == ["0", "1", "2", "3"]


def test_a_server_that_goes_down_answers_its_long_pollers(tmp_path: Path):
    server = Served(tmp_path)
    sqs = server.client()
    url = sqs.create_queue(QueueName="polled")["QueueUrl"]
    begun = threading.Event()
    sqs.meta.events.register("before-send.sqs.ReceiveMessage", lambda **_: begun.set())
    with ThreadPoolExecutor(1) as thread:
        poll = thread.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        begun.wait()
        # The server has read the request once it answers a later one on another connection.
        server.client().list_queues()
        server.close()
        assert "Messages" not in poll.result(timeout=15)


def test_queues_are_listed_page_by_page(sqs: Any):
    for number in range(5):
        sqs.create_queue(QueueName=f"page-{number}")
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 2})
    names = [[url.rsplit("/", 1)[1] for url in page["QueueUrls"]] for page in pages]
    assert names == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="nothing")


def test_queues_and_messages_survive_a_restart(tmp_path: Path):
    first = Served(tmp_path)
    sqs = first.client()
    sqs.create_queue(QueueName="kept", Attributes={"VisibilityTimeout": "1"})
    url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)])
    (taken,) = sqs.receive_message(QueueUrl=url)["Messages"]
    first.close()
    again = Served(tmp_path)
    try:
        sqs = again.client()
        url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        # A receipt handle from before still works.
        sqs.delete_message(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"])
        bodies = {m["Body"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]}
        assert bodies == {"0", "1", "2"} - {taken["Body"]}
    finally:
        again.close()


def aws(served: Served, *words: str) -> Any:
    environment = {
        "PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    command = [
        str(Path(sys.executable).parent / "aws"),
        "--endpoint-url",
        served.url,
        "sqs",
        *words,
        "--output",
        "json",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else {}


def test_the_aws_cli_sends_and_receives(served: Served):
    url = aws(served, "create-queue", "--queue-name", "from-cli")["QueueUrl"]
    sent = aws(served, "send-message", "--queue-url", url, "--message-body", "hello", "--message-attributes",
               '{"n":{"DataType":"Number","StringValue":"1"}}')  # fmt: skip
    (message,) = aws(served, "receive-message", "--queue-url", url, "--attribute-names", "All",
                     "--message-attribute-names", "All")["Messages"]  # fmt: skip
    assert (message["Body"], message["MessageId"]) == ("hello", sent["MessageId"])
    assert message["MessageAttributes"]["n"]["StringValue"] == "1"
    aws(served, "delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    shown = aws(served, "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]
    assert shown["ApproximateNumberOfMessages"] == "0"
    aws(served, "delete-queue", "--queue-url", url)
