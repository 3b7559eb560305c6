"""A stream through a mapping in full: order by partition key, nothing lost, whatever happens on the way.

Handlers that fail at random, whole or with a report, poison records, shards that split and merge, and `kill -9` of
the server. 20,000 records, and 1,000,000 with `make nightly`.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .whole_server import PATIENCE_S, ROLE, WholeServer, arn, whole_server, zipped

KEYS, PUT, BATCH, LANES = 50, 500, 500, 4
STREAM, FAILURES = "orders", "failures"
# A record is "key number"; every 997th of all can never be handled.
POISON_EVERY = 997

# Tells the test what it handled, and goes on only when the test has noted it: so the test's order is the handlers'.
HANDLER = """
    import base64, json, os, random, socket

    host, port = os.environ["TEST"].split(":")
    wire = socket.create_connection((host, int(port)))
    answers = wire.makefile("rb")

    def tell(records):
        wire.sendall((json.dumps(records) + "\\n").encode())
        assert answers.readline() == b"noted\\n"

    def handler(event, context):
        read = [base64.b64decode(one["kinesis"]["data"]).decode().split() for one in event["Records"]]
        # Not small ones: a record that was singled out is given up after its second failure.
        lucky = len(read) < 5
        if not lucky and random.random() < 0.03:
            raise RuntimeError("a bad day")
        bad = next((at for at, one in enumerate(read) if one[2] == "poison"), None)
        if bad is None and not lucky and random.random() < 0.1:
            bad = random.randrange(len(read))
        tell(read[:bad])
        if bad is None:
            return {}
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][bad]["kinesis"]["sequenceNumber"]}]}
"""


@dataclass
class Ledger:
    """What handlers were done with, in order, judged as it comes in. `epoch` counts the deaths of the server."""

    epoch: int = 0
    total: int = 0
    done: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    newest: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    poison: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    repeated: int = 0
    faults: list[str] = field(default_factory=list[str])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, records: list[list[str]]) -> None:
        with self.lock:
            for key, text, _ in records:
                self._note(key, int(text))

    def _note(self, key: str, number: int) -> None:
        done = self.done.setdefault(key, set())
        epoch, newest = self.newest.get(key, (self.epoch, -1))
        before = number - 1
        while (key, before) in self.poison:
            before -= 1
        if before >= 0 and before not in done:
            self.faults.append(f"{key} {number} came before {before}")
        if number <= newest and epoch == self.epoch:
            self.faults.append(f"{key} {number} came after {newest}")
        self.newest[key] = (self.epoch, number)
        self.repeated += number in done
        self.total += number not in done
        done.add(number)


class _Wire(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.server.ledger.note(json.loads(line))  # pyright: ignore[reportAttributeAccessIssue]
            self.wfile.write(b"noted\n")


@contextmanager
def listening(ledger: Ledger) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Wire) as server:
        server.daemon_threads = True
        server.ledger = ledger  # pyright: ignore[reportAttributeAccessIssue]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Producer:
    """Puts records, numbered along each key."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.put_so_far = ledger, 0

    def put(self, kinesis: Any) -> None:
        entries: list[dict[str, Any]] = []
        for at in range(self.put_so_far, self.put_so_far + PUT):
            key, number = f"key-{at % KEYS}", at // KEYS
            kind = "fine"
            if at % POISON_EVERY == POISON_EVERY - 1:
                kind = "poison"
                with self.ledger.lock:
                    self.ledger.poison.add((key, number))
            entries.append({"Data": f"{key} {number} {kind}".encode(), "PartitionKey": key})
        answer = kinesis.put_records(StreamName=STREAM, Records=entries)
        assert answer["FailedRecordCount"] == 0
        self.put_so_far += PUT


def set_up(server: WholeServer, wire: str) -> None:
    lambda_, kinesis = server.client("lambda"), server.client("kinesis")
    kinesis.create_stream(StreamName=STREAM, ShardCount=2)
    server.client("sqs").create_queue(QueueName=FAILURES)
    lambda_.create_function(
        FunctionName="orders", Runtime="python3.12", Role=ROLE, Handler="app.handler", Timeout=30,
        Code={"ZipFile": zipped(HANDLER)}, Environment={"Variables": {"TEST": wire}},
    )  # fmt: skip
    lambda_.create_event_source_mapping(
        FunctionName="orders", EventSourceArn=arn("kinesis", f"stream/{STREAM}"), StartingPosition="TRIM_HORIZON",
        BatchSize=BATCH, ParallelizationFactor=LANES, BisectBatchOnFunctionError=True, MaximumRetryAttempts=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": arn("sqs", FAILURES)}},
    )  # fmt: skip


def reshard(kinesis: Any, turn: int) -> None:
    """Split the first open shard, or merge the first two."""
    listed = kinesis.list_shards(StreamName=STREAM, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    shards = sorted(listed, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    first = shards[0]["HashKeyRange"]
    if turn % 2:
        kinesis.merge_shards(
            StreamName=STREAM, ShardToMerge=shards[0]["ShardId"], AdjacentShardToMerge=shards[1]["ShardId"]
        )
    else:
        middle = (int(first["StartingHashKey"]) + int(first["EndingHashKey"])) // 2
        kinesis.split_shard(StreamName=STREAM, ShardToSplit=shards[0]["ShardId"], NewStartingHashKey=str(middle))


def wait_for(ledger: Ledger, wanted: int) -> None:
    """Return when so many different records are handled; it may take long, but not without any progress."""
    seen, since = -1, time.monotonic()
    while ledger.total < wanted and not ledger.faults:
        if ledger.total != seen:
            seen, since = ledger.total, time.monotonic()
        assert time.monotonic() - since < PATIENCE_S, f"stuck at {seen} of {wanted}"
        time.sleep(0.02)


def letters(server: WholeServer) -> list[dict[str, Any]]:
    """What the on-failure queue was told."""
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName=FAILURES)["QueueUrl"]
    found: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
    return found


def run(folder: Path, count: int, kills: int) -> Ledger:
    """Put `count` records while `kills` servers die; return when all are done with."""
    ledger = Ledger()
    producer = Producer(ledger)
    with listening(ledger) as wire:
        for life in range(kills + 1):
            end = count * (life + 1) // (kills + 1) // PUT * PUT
            with whole_server(folder) as server:
                if life == 0:
                    set_up(server, wire)
                kinesis, turns = server.client("kinesis"), 0
                while producer.put_so_far < end:
                    producer.put(kinesis)
                    if producer.put_so_far % (8 * PUT) == 0:
                        reshard(kinesis, turns)
                        turns += 1
                if life < kills:
                    # Somewhere in the middle of what it was given.
                    wait_for(ledger, end - count // (kills + 1) // 2)
                    server.process.kill()
                    server.process.wait()
                    with ledger.lock:
                        ledger.epoch += 1
                    continue
                wait_for(ledger, producer.put_so_far - len(ledger.poison))
                assert not ledger.faults, ledger.faults[:10]
                check_letters(server, ledger)
    return ledger


def check_letters(server: WholeServer, ledger: Ledger) -> None:
    """Each poison record ended alone in the on-failure queue, and nothing else did (but twice, after a crash)."""
    told = letters(server)
    deadline = time.monotonic() + PATIENCE_S
    while len(told) < len(ledger.poison):
        assert time.monotonic() < deadline, f"{len(told)} letters of {len(ledger.poison)}"
        time.sleep(0.1)
        told += letters(server)
    starts = {letter["KinesisBatchInfo"]["startSequenceNumber"] for letter in told}
    assert all(letter["KinesisBatchInfo"]["batchSize"] == 1 for letter in told)
    assert len(starts) == len(ledger.poison)


def check(ledger: Ledger, kills: int) -> None:
    assert not ledger.faults, ledger.faults[:10]
    # In flight when it died: what the lanes of at most four shards may be ahead of their checkpoints.
    assert ledger.repeated <= kills * 4 * 2 * BATCH * LANES


def test_order_and_completeness_hold_through_failures_resharding_and_kill_9(tmp_path: Path):
    ledger = run(tmp_path, 20_000, kills=1)
    check(ledger, kills=1)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("BUSWAY_NIGHTLY"), reason="a million records: `make nightly`")
def test_order_holds_over_a_million_records(tmp_path: Path):
    ledger = run(tmp_path, 1_000_000, kills=10)
    check(ledger, kills=10)
