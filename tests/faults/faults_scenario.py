"""The script that faults are injected into: events go to a queue and to a function that fails into its dead letters.

Each event carries a number in its detail, so that what arrives can be compared with what was acknowledged.
"""

from __future__ import annotations

import functools
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from busway.cli.demo.server import ServerProcess

ENVIRONMENT = {"BUSWAY_ASYNC_RETRY_S": "0.05,0.05", "BUSWAY_WORKERS_MAX": "2"}
FAILING = "def handler(event, context):\n    raise RuntimeError('always')\n"
PATTERN = {"source": ["fault.test"]}


def client(server: ServerProcess, service: str) -> Any:
    return _client(server.endpoint, service)


@functools.cache
def _client(endpoint: str, service: str) -> Any:
    """Making a client costs a tenth of a second; threads may share one."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        # A publisher counts an event as unanswered at the first failure; a reader just asks again.
        config=Config(retries={"max_attempts": 0 if service == "events" else 3}, connect_timeout=5, read_timeout=30),
    )


def packed(source: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", source)
    return content.getvalue()


def lay_out(server: ServerProcess, *, with_function: bool = True) -> None:
    """A rule with a queue as target, and with a function that always fails and has a dead-letter queue."""
    sqs, events = client(server, "sqs"), client(server, "events")
    for name in ("arrived", "dead"):
        sqs.create_queue(QueueName=name)
    arn = "arn:aws:sqs:us-east-1:000000000000:"
    targets = [{"Id": "queue", "Arn": f"{arn}arrived"}]
    if with_function:
        made = client(server, "lambda").create_function(
            FunctionName="failing",
            Runtime="python3.11",
            Role="arn:aws:iam::000000000000:role/test",
            Handler="app.handler",
            Code={"ZipFile": packed(FAILING)},
            DeadLetterConfig={"TargetArn": f"{arn}dead"},
        )
        targets.append({"Id": "function", "Arn": made["FunctionArn"]})
    events.put_rule(Name="fault", EventPattern=json.dumps(PATTERN))
    events.put_targets(Rule="fault", Targets=targets)


@dataclass
class Publisher:
    """Fires numbered events; remembers which were acknowledged and which got no answer."""

    server: ServerProcess
    next: int = 0
    acknowledged: dict[int, str] = field(default_factory=dict[int, str])
    unanswered: set[int] = field(default_factory=set[int])

    def fire(self, count: int) -> bool:
        """One PutEvents of `count` events; False when it got no answer or was refused."""
        numbers = list(range(self.next, self.next + count))
        self.next += count
        entries = [
            {"Source": "fault.test", "DetailType": "Numbered", "Detail": json.dumps({"n": number})}
            for number in numbers
        ]
        try:
            answer = client(self.server, "events").put_events(Entries=entries)
        except (BotoCoreError, ClientError):
            self.unanswered.update(numbers)
            return False
        for number, result in zip(numbers, answer["Entries"], strict=True):
            self.acknowledged[number] = result["EventId"]
        return True


def receive_all(server: ServerProcess, queue: str, *, quiet_s: int = 1) -> list[dict[str, Any]]:
    """Every event in the queue, received and deleted, until it stays empty for a long poll of `quiet_s`."""
    sqs = client(server, "sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    events: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=quiet_s).get(
        "Messages"
    ):
        events += [json.loads(message["Body"]) for message in messages]
        sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)],
        )
    return events


def conserved(data: Path) -> dict[str, Any]:
    """What `busway verify` says of a data folder that no server holds; fails the test when it is not conserved."""
    result = subprocess.run(
        [sys.executable, "-m", "busway", "verify", "--data", str(data), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"verify ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
    return json.loads(result.stdout)
