"""kill -9 under load on a stream that is being resharded: no acknowledged record is lost, order per key holds.

Producers own their keys and number the records of each; a third thread splits and merges. What got no answer may be
there or not; a producer goes on with the next number and never repeats one, so that a repeat would be ours.
"""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from faults_scenario import client

from busway.cli.demo.server import ServerProcess, free_port

NIGHTLY = bool(os.environ.get("BUSWAY_NIGHTLY"))
CYCLES = 60 if NIGHTLY else 5
RECORDS = 1_000_000 if NIGHTLY else 20_000
PRODUCERS, KEYS_EACH, BATCH = 2, 20, 500
LOAD_S_MAX = 0.6
STREAM = "orders"
SHARDS_MIN, SHARDS_MAX = 2, 8


@dataclass
class Producer:
    """Puts numbered records of its own keys; remembers what was sent and what was acknowledged."""

    server: ServerProcess
    name: int
    chance: random.Random
    next: dict[str, int] = field(default_factory=dict[str, int])
    acknowledged: dict[str, set[int]] = field(default_factory=dict[str, set[int]])

    def put(self) -> bool:
        """One PutRecords; False when it got no answer."""
        numbered: list[tuple[str, int]] = []
        for _ in range(BATCH):
            key = f"{self.name}/{self.chance.randrange(KEYS_EACH)}"
            self.next[key] = self.next.get(key, 0) + 1
            numbered.append((key, self.next[key]))
        records = [{"Data": b"%d" % number, "PartitionKey": key} for key, number in numbered]
        try:
            answer = client(self.server, "kinesis", patient=False).put_records(StreamName=STREAM, Records=records)
        except BotoCoreError:
            return False
        if "Records" not in answer:
            # The server died between the head of its answer and the body: botocore takes that for an empty answer.
            return False
        assert answer["FailedRecordCount"] == 0
        for key, number in numbered:
            self.acknowledged.setdefault(key, set()).add(number)
        return True

    def put_until(self, stop: threading.Event) -> None:
        while not stop.is_set() and self.put():
            pass


def open_shards(server: ServerProcess) -> list[dict[str, Any]]:
    shards: list[dict[str, Any]] = client(server, "kinesis").list_shards(StreamName=STREAM)["Shards"]
    here = [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
    return sorted(here, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))


def reshard_until(server: ServerProcess, chance: random.Random, stop: threading.Event) -> None:
    """Splits and merges without a pause, until told to stop or the server is gone."""
    kinesis = client(server, "kinesis", patient=False)
    with suppress(BotoCoreError, ClientError, KeyError):
        while not stop.is_set():
            here = open_shards(server)
            if len(here) < SHARDS_MIN or (len(here) < SHARDS_MAX and chance.random() < 0.5):
                shard = chance.choice(here)
                low, high = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
                kinesis.split_shard(
                    StreamName=STREAM, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high + 1) // 2)
                )
            else:
                at = chance.randrange(len(here) - 1)
                kinesis.merge_shards(
                    StreamName=STREAM, ShardToMerge=here[at]["ShardId"], AdjacentShardToMerge=here[at + 1]["ShardId"]
                )
            stop.wait(0.02)


def read_all(server: ServerProcess) -> dict[str, list[int]]:
    """The numbers by key, as a consumer gets them that reads parents before their children."""
    kinesis = client(server, "kinesis")
    pages = kinesis.get_paginator("list_shards").paginate(StreamName=STREAM)
    found: dict[str, list[int]] = {}
    # Ids count up, so a parent's is below its children's.
    for shard in [shard for page in pages for shard in page["Shards"]]:
        start = {"StreamName": STREAM, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**start)["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator)
            for record in answer["Records"]:
                found.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
            iterator = answer.get("NextShardIterator") if answer["Records"] else None
    return found


def check(producers: list[Producer], found: dict[str, list[int]]) -> None:
    for producer in producers:
        for key, last in producer.next.items():
            numbers = found.get(key, [])
            assert numbers == sorted(set(numbers)), f"{key}: out of order or twice"
            lost = producer.acknowledged.get(key, set()) - set(numbers)
            assert not lost, f"{key}: {len(lost)} acknowledged records are gone: {sorted(lost)[:10]}"
            assert not numbers or numbers[-1] <= last, f"{key}: a record that nobody sent"


def load_and_kill(server: ServerProcess, producers: list[Producer], chance: random.Random) -> None:
    """The moment of a death can't be waited for by a condition: it is any moment."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(producers) + 1) as clients:
        ends = [clients.submit(producer.put_until, stop) for producer in producers]
        ends.append(clients.submit(reshard_until, server, chance, stop))
        stop.wait(chance.uniform(0.05, LOAD_S_MAX))
        server.kill()
        stop.set()
        for end in ends:
            end.result()


def load_until(server: ServerProcess, producers: list[Producer], chance: random.Random, wanted: int) -> None:
    """So many acknowledged records in all, with resharding beside."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as others:
        resharding = others.submit(reshard_until, server, chance, stop)
        while sum(len(numbers) for p in producers for numbers in p.acknowledged.values()) < wanted:
            for producer in producers:
                assert producer.put()
        stop.set()
        resharding.result()


@pytest.mark.slow
def test_no_acknowledged_record_is_lost_and_order_per_key_holds_through_deaths_and_resharding(tmp_path: Path):
    seed = int(os.environ.get("BUSWAY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"BUSWAY_SEED={seed}")
    chance = random.Random(seed)
    server = ServerProcess(tmp_path / "data", free_port())
    producers = [Producer(server, n, random.Random(seed + n)) for n in range(PRODUCERS)]
    try:
        server.start()
        client(server, "kinesis").create_stream(StreamName=STREAM, ShardCount=3)
        for _ in range(CYCLES):
            load_and_kill(server, producers, chance)
            server.start()
        load_until(server, producers, chance, RECORDS)
        assert server.stop() == 0
        server.start()
        found = read_all(server)
    finally:
        server.kill()
    check(producers, found)
    assert sum(map(len, found.values())) >= RECORDS
