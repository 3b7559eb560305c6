"""A function with a rate on a real server: waiting work waits its turn and uses up no attempt, callers get 429."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .whole_server import BIN, ROLE, WholeServer, whole_server, zipped

RATE = 3
HANDLER = """
def handler(event, context):
    for record in event.get("Records", []):
        print("received", record["attributes"]["ApproximateReceiveCount"])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("rate")) as running:
        yield running


def made(server: WholeServer, name: str, rate: str) -> Any:
    client = server.client("lambda")
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="app.handler", Code={"ZipFile": zipped(HANDLER)},
        Tags={"busway:rate": rate},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    return client


def log_of(server: WholeServer, name: str) -> list[dict[str, Any]]:
    printed = server.run(BIN / "busway", "logs", name, "--since", "10m", "--json")
    return [json.loads(line) for line in printed.stdout.splitlines()]


def starts(server: WholeServer, name: str, wanted: int) -> list[float]:
    """When the function started, as soon as it did so often."""
    deadline = time.monotonic() + 60
    while True:
        found = [line["at"] for line in log_of(server, name) if line["line"].startswith("START ")]
        if len(found) >= wanted:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def check_rate(began: list[float]) -> None:
    """No more than RATE starts in any second, but for what two clocks of one machine differ."""
    spaces = [later - earlier for earlier, later in zip(began, began[RATE:], strict=False)]
    assert all(space > 0.99 for space in spaces), spaces


def test_a_caller_over_the_rate_is_throttled(server: WholeServer):
    client = made(server, "called", "2/h")
    for _ in range(2):
        client.invoke(FunctionName="called")
    with pytest.raises(ClientError) as refused:
        client.invoke(FunctionName="called")
    answer = refused.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["Reason"] == "ReservedFunctionInvocationRateLimitExceeded"
    # Another rate holds at once, and what started counts.
    arn = client.get_function(FunctionName="called")["Configuration"]["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"busway:rate": "3/h"})
    client.invoke(FunctionName="called")
    client.untag_resource(Resource=arn, TagKeys=["busway:rate"])
    client.invoke(FunctionName="called")


def test_asynchronous_events_wait_their_turn(server: WholeServer):
    client = made(server, "later", f"{RATE}/s")
    for _ in range(3 * RATE):
        client.invoke(FunctionName="later", InvocationType="Event", Payload=b"{}")
    began = starts(server, "later", 3 * RATE)
    check_rate(began)
    lines = log_of(server, "later")
    assert {line["attempt"] for line in lines} == {1}
    assert len(began) == 3 * RATE


def test_the_messages_of_a_mapping_wait_their_turn_and_are_received_once(server: WholeServer):
    client, sqs = made(server, "mapped", f"{RATE}/s"), server.client("sqs")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client.create_event_source_mapping(FunctionName="mapped", EventSourceArn=arn, BatchSize=1)
    for number in range(3 * RATE):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    check_rate(starts(server, "mapped", 3 * RATE))
    printed = [line["line"] for line in log_of(server, "mapped") if line["line"].startswith("received")]
    assert printed == ["received 1"] * (3 * RATE)


@pytest.mark.parametrize("rate", ["fast", "0/s"])
def test_a_rate_that_is_none_is_refused(server: WholeServer, rate: str, tmp_path: Path):
    with pytest.raises(ClientError, match="is no rate; wanted 1 to 10000 and /s, /m or /h"):
        made(server, f"wrong-{len(rate)}", rate)
