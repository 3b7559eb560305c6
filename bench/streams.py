"""Records per second into and out of a Kinesis stream, over HTTP, the client on the same machine.

    .venv/bin/python bench/streams.py [--seconds 4] [--shards 4]

`measure` is what `run.py` may call for any server that speaks Kinesis. Requests are prebuilt, so that the server is
what is measured; the last row has boto3 as the client, which is what a Python producer gets.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import socket
import statistics
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from load import Line, load, request
from peers import Server

RECORDS = 500
DATA = b'{"order": 12345678, "customer": "c-0001", "state": "shipped", "note": "about a hundred bytes"}'
TARGET = "Kinesis_20131202."
# As a producer of many keys has them.
KEYS = 1_000

Note = Callable[[str, float], None]


def put_records(port: int, stream: str) -> bytes:
    """One PutRecords of 500 records, over many keys."""
    data = base64.b64encode(DATA).decode()
    records = [{"Data": data, "PartitionKey": f"customer-{n % KEYS}"} for n in range(RECORDS)]
    return request("kinesis", f"{TARGET}PutRecords", "1.1", {"StreamName": stream, "Records": records}, port)


def ask(line: Line, port: int, operation: str, body: dict[str, object]) -> dict[str, object]:
    answer = line.call(request("kinesis", TARGET + operation, "1.1", body, port))
    return json.loads(answer) if answer else {}


def read_all(server: Server, line: Line, stream: str) -> int:
    """Read the whole stream, 10,000 records a call; return how many there were."""
    found = 0
    shards: list[dict[str, str]] = ask(line, server.port, "ListShards", {"StreamName": stream})["Shards"]  # type: ignore[assignment]
    for shard in shards:
        start = {"StreamName": stream, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = ask(line, server.port, "GetShardIterator", start)["ShardIterator"]
        while True:
            answer = ask(line, server.port, "GetRecords", {"ShardIterator": iterator})
            records: list[object] = answer["Records"]  # type: ignore[assignment]
            found += len(records)
            iterator = answer.get("NextShardIterator")
            if not records:
                break
    return found


def measure(server: Server, note: Note, seconds: float, shards: int = 4) -> None:
    """Note rows for a server that runs."""
    with contextlib.closing(Line(server.port)) as line:
        for connections in (1, 4):
            stream = f"bench-{connections}"
            ask(line, server.port, "CreateStream", {"StreamName": stream, "ShardCount": shards})
            cpu = server.cpu_s()
            payload = put_records(server.port, stream)
            sent = load(server.port, payload, connections=connections, requests=1_000_000, limit_s=seconds)
            records = (sent.requests - sent.failed) * RECORDS
            what = f"PutRecords of {RECORDS} into {shards} shards, {connections} connections"
            note(f"{what}: records/s", records / sent.seconds)
            note(f"{what}: server CPU us/record", (server.cpu_s() - cpu) * 1e6 / max(1, records))
            note(f"{what}: p50 request ms", statistics.median(sent.latencies_ms))
            if sent.failed:
                note(f"{what}: failed requests", sent.failed)
        began, cpu = time.perf_counter(), server.cpu_s()
        found = read_all(server, line, stream)
        note("GetRecords: records/s", found / (time.perf_counter() - began))
        note("GetRecords: server CPU us/record", (server.cpu_s() - cpu) * 1e6 / max(1, found))
        note("GetRecords: missing records", records - found)
    with_boto3(server, note, seconds, stream)
    mapped(server, note, shards)


def client(server: Server, service: str) -> Any:
    """Of boto3, without retries."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{server.port}",
        region_name="us-east-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        config=Config(retries={"max_attempts": 0}),
    )


HANDLER = b"""
import os, socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def handler(event, context):
    out.sendto(b"%d" % len(event["Records"]), ("127.0.0.1", int(os.environ["REPLY"])))
"""


def mapped(server: Server, note: Note, shards: int) -> None:
    """Records per second from the first PutRecords to the last batch that a function got, in batches of 500."""
    kinesis, functions = client(server, "kinesis"), client(server, "lambda")
    kinesis.create_stream(StreamName="bench-mapped", ShardCount=shards)
    source = kinesis.describe_stream_summary(StreamName="bench-mapped")["StreamDescriptionSummary"]["StreamARN"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", HANDLER)
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as inbox:
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(60)
        functions.create_function(
            FunctionName="bench-mapped",
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/bench",
            Handler="app.handler",
            Code={"ZipFile": packed.getvalue()},
            Environment={"Variables": {"REPLY": str(inbox.getsockname()[1])}},
        )
        functions.create_event_source_mapping(
            EventSourceArn=source, FunctionName="bench-mapped", StartingPosition="TRIM_HORIZON", BatchSize=RECORDS
        )
        payload, cpu, began = put_records(server.port, "bench-mapped"), server.cpu_s(), time.perf_counter()
        handled, requests = 0, 400
        # Received meanwhile: what does not fit into a socket's buffer is lost.
        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(load, server.port, payload, connections=1, requests=requests, limit_s=60)
            while handled < requests * RECORDS:
                handled += int(inbox.recv(100))
            if sent.result().failed:
                raise RuntimeError(f"{server.name}: {sent.result().failed} PutRecords failed")
    note("PutRecords to a function in batches of 500: records/s", handled / (time.perf_counter() - began))
    note("PutRecords to a function in batches of 500: server CPU us/record", (server.cpu_s() - cpu) * 1e6 / handled)


def with_boto3(server: Server, note: Note, seconds: float, stream: str) -> None:
    kinesis = client(server, "kinesis")
    records = [{"Data": DATA, "PartitionKey": f"customer-{n % KEYS}"} for n in range(RECORDS)]
    sent, cpu, began = 0, server.cpu_s(), time.perf_counter()
    while time.perf_counter() < began + seconds:
        sent += RECORDS - kinesis.put_records(StreamName=stream, Records=records)["FailedRecordCount"]
    note("PutRecords by one boto3 client: records/s", sent / (time.perf_counter() - began))
    note("PutRecords by one boto3 client: server CPU us/record", (server.cpu_s() - cpu) * 1e6 / max(1, sent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--shards", type=int, default=4)
    chosen = parser.parse_args()
    server = Server("busway", functions=True, durable=True)
    server.start()
    try:
        measure(server, lambda name, value: print(f"{name:70} {value:12.2f}"), chosen.seconds, chosen.shards)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
