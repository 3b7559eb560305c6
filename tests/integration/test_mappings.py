"""Event source mappings with real clients, against `busway serve` and handlers in worker processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .whole_server import BIN, PATIENCE_S, ROLE, WholeServer, arn, whole_server, zipped

# Answers with what it was handed, in a message to the queue OUT; fails at "bad", whole or with a report.
HANDLER = """
    import base64, json, os
    import boto3

    sqs = boto3.client("sqs")

    def handler(event, context):
        read, failed = [], []
        for record in event["Records"]:
            stream = record.get("kinesis")
            text = base64.b64decode(stream["data"]).decode() if stream else record["body"]
            (failed if failed or text == "bad" else read).append(
                (stream["sequenceNumber"] if stream else record["messageId"], text)
            )
        if failed and not os.environ.get("REPORTS"):
            raise RuntimeError("bad")
        if read:
            sqs.send_message(QueueUrl=os.environ["OUT"], MessageBody=json.dumps([text for _, text in read]))
        return {"batchItemFailures": [{"itemIdentifier": one} for one, _ in failed]}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield server


class Shop:
    """One test's function, and the queue to which it tells what it read."""

    def __init__(self, server: WholeServer, name: str, **environment: str) -> None:
        self.aws, self.sqs = server.client("lambda"), server.client("sqs")
        self.kinesis, self.name = server.client("kinesis"), name
        self.out = self.queue("out")
        self.aws.create_function(
            FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=10,
            Code={"ZipFile": zipped(HANDLER)}, Environment={"Variables": {"OUT": self.out, **environment}},
        )  # fmt: skip

    def queue(self, name: str, **attributes: str) -> str:
        return self.sqs.create_queue(QueueName=f"{self.name}-{name}", Attributes=attributes)["QueueUrl"]

    def queue_arn(self, name: str) -> str:
        return arn("sqs", f"{self.name}-{name}")

    @property
    def stream_arn(self) -> str:
        return arn("kinesis", f"stream/{self.name}")

    def map(self, source: str, **settings: Any) -> str:
        """The uuid of a mapping that is enabled."""
        created = self.aws.create_event_source_mapping(FunctionName=self.name, EventSourceArn=source, **settings)
        assert created["State"] == "Creating"
        self.until_state(created["UUID"], "Enabled")
        return created["UUID"]

    def until_state(self, uuid: str, state: str) -> None:
        until(lambda: self.aws.get_event_source_mapping(UUID=uuid)["State"] == state)

    def send(self, url: str, *bodies: str, **options: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=url, MessageBody=body, **options)

    def put(self, *texts: str, key: str = "k") -> list[str]:
        entries = [{"Data": text.encode(), "PartitionKey": key} for text in texts]
        put = self.kinesis.put_records(StreamName=self.name, Records=entries)
        return [record["SequenceNumber"] for record in put["Records"]]

    def take(self, url: str) -> list[Any]:
        """The JSON bodies that are in a queue now, or come within a second; they are deleted."""
        found: list[Any] = []
        for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", []
        ):
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return found

    def read(self, count: int) -> list[list[str]]:
        """The batches that the function read, once they have `count` records in all."""
        batches: list[list[str]] = []

        def enough() -> bool:
            batches.extend(self.take(self.out))
            return sum(map(len, batches)) >= count

        until(enough)
        return batches

    def left(self, url: str) -> int:
        """Messages in a queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(map(int, got.values()))


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str, int]:
    """Code, message and HTTP status of a call that must be refused."""
    with pytest.raises(ClientError) as raised:
        call(**request)
    answer: Any = raised.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_messages_of_a_queue_are_handled_and_deleted(server: WholeServer):
    shop = Shop(server, "queue")
    url = shop.queue("in")
    shop.map(shop.queue_arn("in"))
    shop.send(url, "one", "two")
    assert sorted(chain(*shop.read(2))) == ["one", "two"]
    until(lambda: shop.left(url) == 0)


def test_a_window_makes_large_batches(server: WholeServer):
    shop = Shop(server, "window")
    url = shop.queue("in")
    for tens in range(3):
        entries = [{"Id": str(n), "MessageBody": f"{tens}{n}"} for n in range(10)]
        shop.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    shop.map(shop.queue_arn("in"), BatchSize=1_000, MaximumBatchingWindowInSeconds=1)
    assert [len(batch) for batch in shop.read(30)] == [30]


def test_reported_messages_stay_and_the_others_do_not(server: WholeServer):
    shop = Shop(server, "report", REPORTS="1")
    url = shop.queue("in", VisibilityTimeout="10")
    entries = [{"Id": str(at), "MessageBody": text} for at, text in enumerate(("one", "two", "bad"))]
    shop.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    shop.map(shop.queue_arn("in"), FunctionResponseTypes=["ReportBatchItemFailures"])
    assert shop.read(2) == [["one", "two"]]
    until(lambda: shop.left(url) == 1)


def test_unwanted_messages_are_deleted_unseen(server: WholeServer):
    shop = Shop(server, "filter")
    url = shop.queue("in")
    pattern = json.dumps({"body": {"kind": ["a"]}})
    shop.map(shop.queue_arn("in"), FilterCriteria={"Filters": [{"Pattern": pattern}]})
    shop.send(url, '{"kind":"b"}', "plain", '{"kind":"a"}')
    assert shop.read(1) == [['{"kind":"a"}']]
    until(lambda: shop.left(url) == 0)


def test_a_fifo_queues_groups_keep_their_order(server: WholeServer):
    shop = Shop(server, "fifo")
    url = shop.queue("in.fifo", FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="10")
    wanted = [f"{group}-{n}" for n in range(10) for group in "ab"]
    for text in wanted:
        shop.send(url, text, MessageGroupId=text[0])
    shop.map(shop.queue_arn("in.fifo"), BatchSize=3)
    read = list(chain(*shop.read(20)))
    for group in "ab":
        assert [text for text in read if text[0] == group] == [text for text in wanted if text[0] == group]


def test_records_of_a_stream_are_handled_in_order(server: WholeServer):
    shop = Shop(server, "stream")
    shop.kinesis.create_stream(StreamName="stream", ShardCount=2)
    uuid = shop.map(shop.stream_arn, StartingPosition="TRIM_HORIZON", BatchSize=10)
    wanted = [str(n) for n in range(50)]
    shop.put(*wanted)
    assert list(chain(*shop.read(50))) == wanted
    until(lambda: shop.aws.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")


def test_bisecting_leads_a_poison_record_to_the_on_failure_queue(server: WholeServer):
    shop = Shop(server, "bisect")
    shop.kinesis.create_stream(StreamName="bisect", ShardCount=1)
    failures = shop.queue("failures")
    numbers = shop.put("one", "two", "bad", "four", "five")
    shop.map(
        shop.stream_arn, StartingPosition="TRIM_HORIZON", BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": shop.queue_arn("failures")}},
    )  # fmt: skip
    assert list(chain(*shop.read(4))) == ["one", "two", "four", "five"]
    (letter,) = until(lambda: shop.take(failures))
    assert letter["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert letter["requestContext"]["approximateInvokeCount"] == 2
    assert letter["responseContext"]["functionError"] == "Unhandled"
    info = letter["KinesisBatchInfo"]
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (numbers[2], numbers[2], 1)
    assert info["streamArn"] == shop.stream_arn


def test_a_report_for_a_stream_moves_its_front(server: WholeServer):
    shop = Shop(server, "front", REPORTS="1")
    shop.kinesis.create_stream(StreamName="front", ShardCount=1)
    failures = shop.queue("failures")
    numbers = shop.put("one", "bad")
    shop.map(
        shop.stream_arn, StartingPosition="TRIM_HORIZON", FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": shop.queue_arn("failures")}},
    )  # fmt: skip
    (letter,) = until(lambda: shop.take(failures))
    assert letter["KinesisBatchInfo"]["startSequenceNumber"] == numbers[1]
    assert shop.read(1) == [["one"]]


def test_a_mapping_names_a_version(server: WholeServer):
    shop = Shop(server, "version")
    url = shop.queue("in")
    version = shop.aws.publish_version(FunctionName="version")["FunctionArn"]
    broken = zipped("def handler(event, context): raise RuntimeError('newer')")
    shop.aws.update_function_code(FunctionName="version", ZipFile=broken)
    created = shop.aws.create_event_source_mapping(FunctionName=version, EventSourceArn=shop.queue_arn("in"))
    assert created["FunctionArn"] == version
    shop.send(url, "one")
    assert shop.read(1) == [["one"]]


def test_a_mapping_is_changed_listed_and_deleted(server: WholeServer):
    shop = Shop(server, "change")
    shop.queue("in")
    uuid = shop.map(shop.queue_arn("in"), Tags={"team": "shop"}, ScalingConfig={"MaximumConcurrency": 5})
    listed = shop.aws.list_event_source_mappings(FunctionName="change")["EventSourceMappings"]
    assert [(one["UUID"], one["ScalingConfig"]) for one in listed] == [(uuid, {"MaximumConcurrency": 5})]
    assert shop.aws.list_event_source_mappings(EventSourceArn=arn("sqs", "other"))["EventSourceMappings"] == []
    mapping_arn = arn("lambda", f"event-source-mapping:{uuid}")
    shop.aws.tag_resource(Resource=mapping_arn, Tags={"more": "1"})
    assert shop.aws.list_tags(Resource=mapping_arn)["Tags"] == {"team": "shop", "more": "1"}
    assert shop.aws.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    shop.until_state(uuid, "Disabled")
    assert shop.aws.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    until(lambda: not shop.aws.list_event_source_mappings(FunctionName="change")["EventSourceMappings"])
    assert refused(shop.aws.get_event_source_mapping, UUID=uuid) == (
        "ResourceNotFoundException", "The resource you requested does not exist.", 404,
    )  # fmt: skip


def test_what_is_refused_is_refused_in_awss_words(server: WholeServer):
    shop = Shop(server, "refused")
    shop.queue("in", VisibilityTimeout="5")
    shop.queue("fine")
    shop.kinesis.create_stream(StreamName="refused", ShardCount=1)
    create = shop.aws.create_event_source_mapping
    invalid, fine = "InvalidParameterValueException", {"FunctionName": "refused"}
    assert refused(create, **fine, EventSourceArn=shop.queue_arn("in")) == (
        invalid, "Queue visibility timeout: 5 seconds is less than Function timeout: 10 seconds", 400,
    )  # fmt: skip
    assert refused(create, **fine, EventSourceArn=shop.stream_arn)[0] == invalid
    assert refused(create, FunctionName="nobody", EventSourceArn=shop.queue_arn("fine"))[1] == (
        "Function does not exist"
    )
    window = {"StartingPosition": "LATEST", "TumblingWindowInSeconds": 10}
    assert refused(create, **fine, EventSourceArn=shop.stream_arn, **window)[1] == (
        "TumblingWindowInSeconds is not built yet in Busway; leave it out"
    )
    uuid = shop.map(shop.queue_arn("fine"))
    code, message, status = refused(create, **fine, EventSourceArn=shop.queue_arn("fine"))
    assert (code, status) == ("ResourceConflictException", 409)
    assert message.endswith(f"Please update or delete the existing mapping with UUID {uuid}")


def test_the_aws_cli_makes_and_lists_mappings(server: WholeServer):
    shop = Shop(server, "cli")
    url = shop.queue("in")

    def aws(*words: str) -> Any:
        done = server.run(BIN / "aws", "lambda", *words, "--output", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    made = aws(
        "create-event-source-mapping", "--function-name", "cli", "--event-source-arn", shop.queue_arn("in"),
        "--batch-size", "5",
    )  # fmt: skip
    (listed,) = aws("list-event-source-mappings", "--function-name", "cli")["EventSourceMappings"]
    assert (listed["UUID"], listed["BatchSize"]) == (made["UUID"], 5)
    shop.send(url, "one")
    assert shop.read(1) == [["one"]]


def test_mappings_go_on_after_a_restart(tmp_path: Path):
    with whole_server(tmp_path) as server:
        shop = Shop(server, "restart")
        url = shop.queue("in")
        shop.kinesis.create_stream(StreamName="restart", ShardCount=1)
        shop.map(shop.queue_arn("in"))
        shop.map(shop.stream_arn, StartingPosition="TRIM_HORIZON")
        shop.put("one")
        assert shop.read(1) == [["one"]]
    with whole_server(tmp_path) as server:
        shop.sqs, shop.kinesis = server.client("sqs"), server.client("kinesis")
        shop.put("two")
        shop.send(url, "three")
        assert sorted(chain(*shop.read(2))) == ["three", "two"]
