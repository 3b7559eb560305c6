"""An event from a rule through a stream to a function, followed and proved on a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .whole_server import BIN, PATIENCE_S, ROLE, WholeServer, arn, whole_server, zipped

HANDLER = """
    import base64, json

    def handler(event, context):
        for record in event["Records"]:
            if json.loads(base64.b64decode(record["kinesis"]["data"]))["detail"]["n"] == 2:
                raise ValueError("two is refused")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeServer]:
    with whole_server(tmp_path_factory.mktemp("served")) as server:
        yield server


def until(true: Callable[[], Any]) -> Any:
    """What it gives, once that is something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError("not within the patience of a test")


@pytest.fixture(scope="module")
def events(server: WholeServer) -> list[str]:
    """The ids of three events, which a rule puts into a stream; the function refuses the second one."""
    aws, sqs, kinesis, bus = (server.client(name) for name in ("lambda", "sqs", "kinesis", "events"))
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    sqs.create_queue(QueueName="failures")
    aws.create_function(
        FunctionName="reader", Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=10,
        Code={"ZipFile": zipped(HANDLER)},
    )  # fmt: skip
    # A redriven record is an asynchronous invocation: it is to fail once, and not three times in three minutes.
    aws.put_function_event_invoke_config(FunctionName="reader", MaximumRetryAttempts=0)
    aws.create_event_source_mapping(
        FunctionName="reader", EventSourceArn=arn("kinesis", "stream/orders"), StartingPosition="TRIM_HORIZON",
        MaximumRetryAttempts=0, BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": arn("sqs", "failures")}},
    )  # fmt: skip
    bus.put_rule(Name="copy", EventPattern='{"source":["shop"]}')
    target = {"Id": "t", "Arn": arn("kinesis", "stream/orders"), "RoleArn": ROLE}
    bus.put_targets(Rule="copy", Targets=[target])
    entries = [{"Source": "shop", "DetailType": "Order", "Detail": json.dumps({"n": n})} for n in (1, 2, 3)]
    ids = [entry["EventId"] for entry in bus.put_events(Entries=entries)["Entries"]]
    until(lambda: server.busway("verify")["mappings"][0]["pending"] == 0 and letters(server))
    return ids


def letters(server: WholeServer) -> list[Any]:
    return server.busway("dlq")["items"]


def consumer(server: WholeServer, event_id: str) -> Any:
    (delivery,) = server.busway("why", event_id)["deliveries"]
    (found,) = delivery["consumers"]
    return found


def test_why_names_the_batch_that_took_an_event_and_verify_proves_all_of_them(server: WholeServer, events: list[str]):
    report = server.busway("verify")
    (account,) = report["mappings"]
    assert report["ok"]
    assert (account["records"], account["handled"], account["given_up"], account["on_file"]) == (3, 2, 1, 1)
    first = consumer(server, events[0])
    assert (first["state"], first["function"]) == ("delivered", arn("lambda", "function:reader"))
    assert any(first["request_id"] in line["line"] for line in first["logs"])
    shown = server.run(BIN / "busway", "why", events[1]).stdout
    assert "reader: dead-lettered" in shown
    assert "two is refused" in shown
    assert "kept in failures" in shown
    assert (
        "orders -> reader: 3 records = 2 handled, 1 given up (1 on file)"
        in server.run(BIN / "busway", "verify").stdout
    )


def test_a_redriven_record_that_fails_again_goes_back_to_the_mappings_own_queue(
    server: WholeServer, events: list[str]
):
    (before,) = letters(server)
    assert server.busway("redrive", "reader")["redriven"] == 1
    (after,) = until(lambda: [one for one in letters(server) if one["message_id"] != before["message_id"]])
    assert (after["queue"], after["kind"], after["event_id"]) == (arn("sqs", "failures"), "batch", events[1])
    assert after["place"] == before["place"].split(" ")[0]
    assert after["error_message"] == "two is refused"
    queues = server.busway("status")["queues"]
    assert not [queue for queue in queues if queue["undeliverable"]]
    found = consumer(server, events[1])
    assert (found["state"], found["message_id"]) == ("dead-lettered", after["message_id"])
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName="failures")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, VisibilityTimeout=0)["Messages"]
    body = json.loads(message["Body"])
    assert body["KinesisBatchInfo"]["batchSize"] == 1
    assert body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    (account,) = server.busway("verify")["mappings"]
    assert (account["given_up"], account["on_file"], account["letters_gone"]) == (1, 1, 0)


def test_why_and_verify_tell_of_the_redrive_that_went_well_after_one_that_did_not(
    server: WholeServer, events: list[str]
):
    mended = zipped("def handler(event, context):\n    return None")
    server.client("lambda").update_function_code(FunctionName="reader", ZipFile=mended)
    assert server.busway("redrive", "reader")["redriven"] == 1
    found = until(lambda: (told := consumer(server, events[1])).get("redriven") and told)
    assert until(lambda: consumer(server, events[1])["redriven"]["state"] == "delivered")
    assert found["state"] == "dead-lettered"
    assert "sent back: delivered" in server.run(BIN / "busway", "why", events[1]).stdout
    (account,) = server.busway("verify")["mappings"]
    assert (account["given_up"], account["on_file"], account["letters_gone"]) == (1, 0, 1)


SLOW_READER = """
    import time

    def handler(event, context):
        time.sleep(0.01)
"""


def test_after_each_kill_9_what_stands_before_a_checkpoint_is_accounted_for(tmp_path: Path):
    """The checkpoint and the page that proves it are written by two calls; the proof is asked on what is left."""
    handled = 0
    for life in range(3):
        with whole_server(tmp_path) as server:
            if life == 0:
                server.client("kinesis").create_stream(StreamName="orders", ShardCount=2)
                aws = server.client("lambda")
                aws.create_function(
                    FunctionName="reader", Runtime="python3.12", Role=ROLE, Handler="app.handler",
                    Code={"ZipFile": zipped(SLOW_READER)},
                )  # fmt: skip
                aws.create_event_source_mapping(
                    FunctionName="reader", EventSourceArn=arn("kinesis", "stream/orders"), BatchSize=5,
                    StartingPosition="TRIM_HORIZON", ParallelizationFactor=2,
                )  # fmt: skip
            records = [{"Data": b"%d" % number, "PartitionKey": f"{number % 20}"} for number in range(400)]
            server.client("kinesis").put_records(StreamName="orders", Records=records)
            # In the middle of it: some of these are handled, most are not.
            until(lambda before=handled: total(server.busway("verify"), "handled") > before)
            server.process.kill()
            server.process.wait()
        report = server.busway("verify", "--data", str(tmp_path / "data"))
        assert (report["ok"], total(report, "missing")) == (True, 0)
        assert total(report, "handled") >= handled
        handled = total(report, "handled")
    with whole_server(tmp_path) as server:
        until(lambda: total(server.busway("verify"), "pending") == 0)
        assert total(server.busway("verify"), "handled") == 1_200


def total(report: Any, name: str) -> int:
    return sum(account[name] for account in report["mappings"])
