"""What a queue put aside because its function failed is found under the function's name, and goes back by it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from .whole_server import ACCOUNT, REGION, ROLE, WholeServer, whole_server, zipped

SOURCE = "def handler(event, context): raise ValueError('no')"


def arn(server: WholeServer, url: str) -> str:
    names = ["QueueArn"]
    return server.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]


def test_letters_of_a_mapped_queue_are_found_by_the_function_that_failed(tmp_path: Path):
    with whole_server(tmp_path) as server:
        sqs, functions = server.client("sqs"), server.client("lambda")
        dead = sqs.create_queue(QueueName="work-dead")["QueueUrl"]
        policy = json.dumps({"deadLetterTargetArn": arn(server, dead), "maxReceiveCount": "1"})
        about = {"VisibilityTimeout": "3", "RedrivePolicy": policy}
        work = sqs.create_queue(QueueName="work", Attributes=about)["QueueUrl"]
        functions.create_function(
            FunctionName="worker", Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=3,
            Code={"ZipFile": zipped(SOURCE)},
        )  # fmt: skip
        functions.create_event_source_mapping(FunctionName="worker", EventSourceArn=arn(server, work))
        sqs.send_message(QueueUrl=work, MessageBody="one")
        deadline = time.monotonic() + 60
        while not (found := server.busway("dlq", "worker"))["total"]:
            assert time.monotonic() < deadline, "no dead letter came"
            time.sleep(0.2)
        (letter,) = found["items"]
        assert letter["handler"] == f"arn:aws:sqs:{REGION}:{ACCOUNT}:work"
        assert server.busway("redrive", "worker")["redriven"] == 1
