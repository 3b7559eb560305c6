"""Handlers of batches on a real server: generated, deployed, fed through a stream or a queue, failing, retired."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import BatchSpec, HandlerSpec, add_handler
from busway.road.project_files import new_project

from .whole_server import until

PATIENCE_S = 60.0
ORDER = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["number:int"]))


class Road:
    """A generated project with one handler of batches, and its server."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.url = root, f"http://127.0.0.1:{port}"
        self.file = root / "handlers/post_orders/handler.py"

    def busway(self, *words: str) -> str:
        return self.run(*words).stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        run = subprocess.run(
            [sys.executable, "-m", "busway", *words],
            cwd=self.root, env={**os.environ, "BUSWAY_ENDPOINT": self.url}, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert run.returncode == 0, f"busway {' '.join(words)}: {run.returncode}\n{run.stdout}{run.stderr}"
        return run

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="k"
        )

    def put(self, numbers: range) -> None:
        events = self.client("events")
        entries = [
            {"Source": "shop", "DetailType": "Order Placed", "Detail": json.dumps({"number": n})} for n in numbers
        ]
        for i in range(0, len(entries), 10):
            assert events.put_events(Entries=entries[i : i + 10])["FailedEntryCount"] == 0

    def write(self, body: str, decorator: str = "@batch_handler(OrderPlaced, window=0, retries=1)") -> None:
        """Write the handler: what it takes follows from its body's words."""
        takes = "events: list[OrderPlaced]" if "events" in body else "event: OrderPlaced"
        kind = "handler" if decorator.startswith("@handler") else "batch_handler"
        self.file.write_text(
            f"from busway import {kind}\nfrom events.order_placed import OrderPlaced\n\n\n"
            f"{decorator}\ndef post_orders({takes}):\n    {body}\n"
        )
        self.busway("dev", "--once")

    def lines(self) -> list[str]:
        return self.busway("logs", "post-orders", "--limit", "5000").splitlines()

    def handled(self) -> list[int]:
        """The numbers of the orders that were handled, in the order of the log."""
        return [int(n) for line in self.lines() for n in re.findall(r"handled (\d+)", line)]

    def letters(self) -> Any:
        return json.loads(self.busway("dlq", "post-orders", "--json"))

    def mappings(self) -> list[dict[str, Any]]:
        return self.client("lambda").list_event_source_mappings()["EventSourceMappings"]


@pytest.fixture
def road(tmp_path: Path, free_port: int) -> Iterator[Road]:
    root = tmp_path / "shop"
    new_project(root, "shop")
    add_handler(root, HandlerSpec("post_orders", ORDER, batch=BatchSpec(100, "1s")))
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", str(free_port), "--data", str(tmp_path / "data")],
        env={**os.environ, "BUSWAY_WORKERS_MAX": "2"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert "is ready" in process.stdout.readline()
        yield Road(root, free_port)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_generated_handler_gets_its_events_in_batches(road: Road):
    assert "stream, batches of 100 or 1 s" in road.run("dev", "--once").stderr
    road.busway("dev", "--once")  # everything is there already: nothing is in its way
    road.put(range(250))
    until(lambda: sum("handling" in line for line in road.lines()) >= 250, "all events are handled")
    lines = road.lines()
    assert sorted(int(n) for line in lines for n in re.findall(r'"number":(\d+)', line)) == list(range(250))
    assert sum("START RequestId" in line for line in lines) < 50
    (mapping,) = road.mappings()
    assert (mapping["BatchSize"], mapping["State"]) == (100, "Enabled")
    # The mapping notes what it did a moment later.
    until(lambda: "-> shop-post-orders: delivered" in road.busway("why"), "`why` names the batch's handler")
    assert re.search(r"-> stream shop-post-orders: delivered.*\n +-> shop-post-orders: delivered", road.busway("why"))
    assert "the newest 3 lines; --limit shows more" in road.busway("logs", "post-orders", "--limit", "3")


def test_a_failure_is_alone_in_the_dead_letters_and_everything_else_is_handled(road: Road):
    road.write("assert event.number != 33; print('handled', event.number)")
    road.put(range(60))
    until(lambda: road.letters()["total"], "a dead letter")
    until(lambda: len(set(road.handled())) == 59, "all others")
    assert sorted(road.handled()) == [n for n in range(60) if n != 33]
    queue = road.client("sqs").get_queue_url(QueueName="shop-post-orders-dead-letters")["QueueUrl"]
    (letter,) = road.client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
    told = json.loads(letter["Body"])
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["KinesisBatchInfo"]["batchSize"] == 1
    (group,) = road.letters()["groups"]
    assert (group["handler"].rsplit(":", 1)[1], group["error_code"]) == ("shop-post-orders", "AssertionError")
    road.write("print('handled', event.number)")
    assert road.busway("redrive", "post-orders") == "1 sent back\n"
    until(lambda: 33 in road.handled(), "the redriven event")
    assert road.letters()["total"] == 0


def test_a_list_gives_back_what_is_to_be_tried_again(road: Road):
    road.write(
        "print(*(f'handled {e.number}' for e in events), sep=chr(10)); return [e for e in events if e.number == 5]"
    )
    road.put(range(10))
    until(lambda: road.letters()["total"], "a dead letter")
    assert set(road.handled()) == set(range(10))
    assert road.handled().count(5) >= 2


def test_deploying_again_changes_the_mapping_and_a_handler_of_single_events_has_none(road: Road):
    road.write("print('handled', event.number)")
    road.write("print('handled', event.number)", '@batch_handler(OrderPlaced, size=7, window="2s", parallelism=3)')
    (mapping,) = road.mappings()
    wanted = {"BatchSize": 7, "MaximumBatchingWindowInSeconds": 2, "ParallelizationFactor": 3}
    assert {name: mapping[name] for name in wanted} == wanted
    road.write("print('handled', event.number)", '@batch_handler(OrderPlaced, source="queue", size=10, window=0)')
    until(
        lambda: [m["EventSourceArn"].split(":")[2] for m in road.mappings()] == ["sqs"], "the queue's mapping alone"
    )
    assert road.client("kinesis").list_streams()["StreamNames"] == []
    road.put(range(30))
    until(lambda: len(set(road.handled())) == 30, "the batches of a queue")
    road.write("print('handled', event.number)", "@handler(OrderPlaced)")
    until(lambda: road.mappings() == [], "no mapping")
    road.put(range(30, 33))
    until(lambda: len(set(road.handled())) == 33, "single events")
    assert sorted(road.handled()) == list(range(33))


def test_a_message_that_fails_leaves_the_queue_for_the_dead_letters(road: Road):
    options = 'source="queue", size=10, window=0, retries=0, timeout="1s"'
    road.write("assert event.number != 3; print('handled', event.number)", f"@batch_handler(OrderPlaced, {options})")
    road.put(range(10))
    until(lambda: road.letters()["total"] == 1, "a dead letter")
    (letter,) = road.letters()["items"]
    assert (letter["attempts"], '"number":3}' in letter["payload"]) == (1, True)
    road.write("print('handled', event.number)", f"@batch_handler(OrderPlaced, {options})")
    assert road.busway("redrive", "post-orders") == "1 sent back\n"
    until(lambda: 3 in road.handled(), "the redriven event")
    assert sorted(set(road.handled())) == list(range(10))


def test_a_handler_that_is_gone_leaves_only_its_dead_letters(road: Road):
    road.busway("dev", "--once")
    for file in sorted(road.file.parent.iterdir()):
        file.unlink()
    road.file.parent.rmdir()
    road.busway("dev", "--once")
    until(lambda: road.mappings() == [], "no mapping")
    assert road.client("kinesis").list_streams()["StreamNames"] == []
    queues = road.client("sqs").list_queues(QueueNamePrefix="shop-").get("QueueUrls", [])
    assert [url.rsplit("/", 1)[1] for url in queues] == ["shop-post-orders-dead-letters"]
