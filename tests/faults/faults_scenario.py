"""The script that faults are injected into: events go to a queue and to a function that fails into its dead letters.

Each event carries a number and a text made from it, so that what arrives can be compared with what was acknowledged,
and a half of it would show. The function notes each invocation in a file before it fails.
"""

from __future__ import annotations

import asyncio
import functools
import io
import json
import shutil
import signal
import subprocess
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from busway.cli.demo.server import ServerProcess
from busway.cli.options import connect
from busway.cli.verify import report_of_folder

WORKERS = 2
ENVIRONMENT = {"BUSWAY_ASYNC_RETRY_S": "0.05,0.05", "BUSWAY_WORKERS_MAX": str(WORKERS), "BUSWAY_SANDBOX": "process"}
# First attempt and one retry.
ATTEMPTS = 2
FAILING = """
import os, time
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def handler(event, context):
    os.write(LEDGER, b"%d\\n" % event["detail"]["n"])
    time.sleep(float(os.environ["WORK_S"]))
    raise RuntimeError("always")
"""
PATTERN = {"source": ["fault.test"]}
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"
_making_clients = threading.Lock()


def client(server: ServerProcess, service: str, *, patient: bool = True) -> Any:
    """A patient client asks again when it gets no answer; a publisher must not."""
    with _making_clients:
        return _client(server.endpoint, service, 3 if patient else 0)


@functools.cache
def _client(endpoint: str, service: str, retries: int) -> Any:
    """Making a client costs a tenth of a second; threads may share one, and may not make them side by side."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": retries}, connect_timeout=5, read_timeout=30),
    )


def packed(source: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", source)
    return content.getvalue()


def ledger_of(server: ServerProcess) -> Path:
    return server.data.parent / "invocations"


def invocations(server: ServerProcess) -> Counter[int]:
    """How often the function was really started, by event."""
    file = ledger_of(server)
    return Counter(map(int, file.read_text().split())) if file.exists() else Counter()


def lay_out(server: ServerProcess, work_s: float = 0.0) -> None:
    """A rule with a queue as target, and with a function that fails after `work_s` and has a dead-letter queue."""
    sqs, events, functions = (client(server, service) for service in ("sqs", "events", "lambda"))
    sqs.create_queue(QueueName="dead")
    # What was received when the server died comes back soon.
    sqs.create_queue(QueueName="arrived", Attributes={"VisibilityTimeout": "2"})
    made = functions.create_function(
        FunctionName="failing",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/test",
        Handler="app.handler",
        Code={"ZipFile": packed(FAILING)},
        Environment={"Variables": {"LEDGER": str(ledger_of(server)), "WORK_S": str(work_s)}},
        DeadLetterConfig={"TargetArn": f"{QUEUE_ARN}dead"},
    )
    functions.put_function_event_invoke_config(FunctionName="failing", MaximumRetryAttempts=ATTEMPTS - 1)
    events.put_rule(Name="fault", EventPattern=json.dumps(PATTERN))
    targets = {"queue": f"{QUEUE_ARN}arrived", "function": made["FunctionArn"]}
    events.put_targets(Rule="fault", Targets=[{"Id": name, "Arn": arn} for name, arn in targets.items()])


def detail_of(number: int) -> dict[str, Any]:
    return {"n": number, "text": f"<{number}>" * (1 + number % 50)}


@dataclass
class Publisher:
    """Fires numbered events; remembers which were acknowledged and which got no answer."""

    server: ServerProcess
    next: int = 0
    acknowledged: dict[int, str] = field(default_factory=dict[int, str])
    unanswered: list[list[int]] = field(default_factory=list[list[int]])
    refusals: list[ClientError] = field(default_factory=list[ClientError])

    def fire(self, count: int) -> bool:
        """One PutEvents of `count` events; False when it got no answer or was refused."""
        numbers = list(range(self.next, self.next + count))
        self.next += count
        entries = [
            {"Source": "fault.test", "DetailType": "Numbered", "Detail": json.dumps(detail_of(number))}
            for number in numbers
        ]
        try:
            answer = client(self.server, "events", patient=False).put_events(Entries=entries)
        except ClientError as refusal:
            self.refusals.append(refusal)
            return False
        except BotoCoreError:
            self.unanswered.append(numbers)
            return False
        if "Entries" not in answer:
            # The server died between the head of its answer and the body: botocore takes that for an empty answer.
            self.unanswered.append(numbers)
            return False
        for number, result in zip(numbers, answer["Entries"], strict=True):
            self.acknowledged[number] = result["EventId"]
        return True


@dataclass
class Receiver:
    """Receives and deletes events; remembers under which message and event ids each number came."""

    server: ServerProcess
    queue: str
    messages: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    event_ids: dict[int, str] = field(default_factory=dict[int, str])

    def receive(self, *, patient: bool = True, wait_s: int = 0) -> bool:
        """One round; False when the queue was empty. Fails the test for an event that isn't whole."""
        sqs = client(self.server, "sqs", patient=patient)
        url = f"{self.server.endpoint}/000000000000/{self.queue}"
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s).get("Messages", [])
        for message in found:
            event = json.loads(message["Body"])
            number = event["detail"]["n"]
            assert event["detail"] == detail_of(number), f"half an event: {message['Body']}"
            assert self.event_ids.setdefault(number, event["id"]) == event["id"], f"event {number} changed its id"
            self.messages.setdefault(number, set()).add(message["MessageId"])
        if found:
            handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(found)]
            sqs.delete_message_batch(QueueUrl=url, Entries=handles)
        return bool(found)

    def receive_all(self) -> None:
        while self.receive():
            pass

    def receive_until(self, stop: threading.Event) -> None:
        """Until told to stop, or the server is gone."""
        with suppress(BotoCoreError, ClientError):
            while not stop.is_set():
                self.receive(patient=False, wait_s=1)


def conserved(data: Path) -> dict[str, Any]:
    """The proof of a data folder that no server holds; fails the test when the sums differ."""
    report = asyncio.run(report_of_folder(data))
    assert report["ok"], report
    return report


def conserved_copy(data: Path, to: Path) -> Path:
    """The folder as the dead server left it, so that the next server finds it so too. Without the ballast."""
    return Path(shutil.copytree(data, to, ignore=shutil.ignore_patterns("ballast", "functions")))


def work_off(
    server: ServerProcess,
    receivers: list[Receiver],
    within_s: float = 120.0,
    pause: Callable[[], object] = lambda: time.sleep(0.2),
) -> None:
    """Receive until every event came to its end; fails the test when that takes too long."""
    deadline = time.monotonic() + within_s
    while True:
        for receiver in receivers:
            receiver.receive_all()
        report = connect(server.endpoint).get("/_busway/verify")
        assert report["ok"], report
        if not report["pending"] + report["unrouted"]:
            break
        assert time.monotonic() < deadline, f"still on the way after {within_s:.0f} s: {report}"
        pause()
    for receiver in receivers:
        receiver.receive_all()


def check_books(publishers: list[Publisher], arrived: Receiver, dead: Receiver) -> None:
    """Everything acknowledged is there, whole and under its id; nothing is there that nobody sent."""
    acknowledged = {number: event_id for p in publishers for number, event_id in p.acknowledged.items()}
    batches = [batch for p in publishers for batch in p.unanswered]
    sent = set(acknowledged) | {number for batch in batches for number in batch}
    for receiver in (arrived, dead):
        there = set(receiver.messages)
        lost = sorted(set(acknowledged) - there)
        assert not lost, f"{len(lost)} acknowledged events never came to {receiver.queue}: {lost[:10]}"
        assert there <= sent, f"{receiver.queue} holds what nobody sent or what was refused"
        wrong = {number for number in acknowledged if receiver.event_ids[number] != acknowledged[number]}
        assert not wrong, f"{receiver.queue}: events under another id than was answered"
        torn = [batch for batch in batches if 0 < len(there & set(batch)) < len(batch)]
        assert not torn, f"{receiver.queue}: of a request without an answer only a part is there: {torn}"
    twice = {number: ids for number, ids in arrived.messages.items() if len(ids) > 1}
    assert not twice, f"the queue got an event twice: {twice}"


@contextmanager
def attached(server: ServerProcess, options: list[str]) -> Iterator[None]:
    """strace on the threads that the server has now, and on none of its workers."""
    tasks = [f"--attach={task.name}" for task in Path(f"/proc/{server.pid}/task").iterdir()]
    tracer = subprocess.Popen(["strace", *options, *tasks], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        for _ in tasks:
            assert "attached" in tracer.stderr.readline()
        yield
    finally:
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGINT)
        tracer.communicate()
