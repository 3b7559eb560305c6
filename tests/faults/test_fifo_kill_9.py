"""kill -9 under a FIFO queue's load: groups stay in order, a sender's repeats are one message, a delete is for good.

Senders repeat a message with the same id until it is acknowledged, and only then go on to the next of its group, as a
careful program does. Receivers work off a batch in its order, message by message: note it, delete it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from faults_scenario import client

from busway.cli.demo.server import ServerProcess, free_port

CYCLES = int(os.environ.get("BUSWAY_CYCLES", 200 if os.environ.get("BUSWAY_NIGHTLY") else 20))
GROUPS = 6
SENDERS = RECEIVERS = 2
LOAD_S_MAX = 0.5
# What was received when the server died comes back after this.
VISIBILITY_S = 1
WITHIN_S = 60.0
QUEUE = "ordered.fifo"


@dataclass
class Book:
    """What the clients know of one queue, by group."""

    server: ServerProcess
    acknowledged: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    # In the order of receiving: (number, message id).
    received: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    deleted: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    repeats: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    faults: list[str] = field(default_factory=list[str])

    @property
    def url(self) -> str:
        return f"{self.server.endpoint}/000000000000/{QUEUE}"

    def send_until(self, stop: threading.Event, groups: list[str]) -> None:
        sqs = client(self.server, "sqs", patient=False)
        with suppress(BotoCoreError, ClientError):
            while not stop.is_set():
                for group in groups:
                    number = len(self.acknowledged[group])
                    answer = sqs.send_message(
                        QueueUrl=self.url, MessageBody=f"{group} {number}", MessageGroupId=group,
                        MessageDeduplicationId=f"{group}-{number}",
                    )  # fmt: skip
                    # The server may die between the head of its answer and the body.
                    if "MessageId" not in answer:
                        return
                    self.acknowledged[group][number] = answer["MessageId"]

    def receive_until(self, stop: threading.Event) -> None:
        with suppress(BotoCoreError, ClientError):
            while not stop.is_set():
                self.receive(patient=False, wait_s=1)

    def receive(self, *, patient: bool, wait_s: int) -> bool:
        sqs = client(self.server, "sqs", patient=patient)
        found = sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
        messages = found.get("Messages", [])
        # The whole batch was handed out before any of it is worked off.
        for message in messages:
            self.note(message)
        for message in messages:
            group, number = message["Body"].split()
            answer = sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
            if answer["ResponseMetadata"]["HTTPStatusCode"] == 200:
                with self.lock:
                    self.deleted[group].add(int(number))
        return bool(messages)

    def note(self, message: Any) -> None:
        group, text = message["Body"].split()
        number = int(text)
        with self.lock:
            log = self.received[group]
            expected = max((n for n, _ in log), default=-1) + 1
            if number > expected:
                self.faults.append(f"{group}: {number} came before {expected}")
            if number in self.deleted[group]:
                self.faults.append(f"{group}: {number} came again after it was deleted")
            self.repeats += number < expected
            log.append((number, message["MessageId"]))

    def check(self) -> None:
        assert not self.faults, self.faults
        for group, numbers in self.acknowledged.items():
            ids: dict[int, set[str]] = defaultdict(set)
            for number, message_id in self.received[group]:
                ids[number].add(message_id)
            # One more may have been stored without an answer.
            assert sorted(ids) in (list(range(len(numbers))), list(range(len(numbers) + 1)))
            wrong = {number: ids[number] for number, told in numbers.items() if ids[number] != {told}}
            assert not wrong, f"{group}: messages under other ids than were told: {wrong}"


def load_and_kill(book: Book, chance: random.Random) -> None:
    stop = threading.Event()
    groups = [f"g{n}" for n in range(GROUPS)]
    work = [lambda n=n: book.send_until(stop, groups[n::SENDERS]) for n in range(SENDERS)]
    work += [lambda: book.receive_until(stop)] * RECEIVERS
    with ThreadPoolExecutor(len(work)) as clients:
        ends = [clients.submit(each) for each in work]
        stop.wait(chance.uniform(0.05, LOAD_S_MAX))
        book.server.kill()
        stop.set()
    for end in ends:
        end.result()


def work_off(book: Book) -> None:
    deadline = time.monotonic() + WITHIN_S
    sqs = client(book.server, "sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while True:
        while book.receive(patient=True, wait_s=1):
            pass
        counts = sqs.get_queue_attributes(QueueUrl=book.url, AttributeNames=names)["Attributes"]
        if not any(map(int, counts.values())):
            return
        assert time.monotonic() < deadline, f"still there: {counts}"


@pytest.mark.slow
def test_groups_stay_in_order_through_kill_9_at_random_moments(tmp_path: Path):
    seed = int(os.environ.get("BUSWAY_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"BUSWAY_SEED={seed} BUSWAY_CYCLES={CYCLES}")
    chance, server = random.Random(seed), ServerProcess(tmp_path / "data", free_port())
    book = Book(server)
    server.start()
    try:
        attributes = {"FifoQueue": "true", "VisibilityTimeout": str(VISIBILITY_S)}
        client(server, "sqs").create_queue(QueueName=QUEUE, Attributes=attributes)
        for _ in range(CYCLES):
            load_and_kill(book, chance)
            server.start()
        work_off(book)
        assert server.stop() == 0
    finally:
        server.kill()
    book.check()
    sent = sum(map(len, book.acknowledged.values()))
    # Too few would prove little.
    assert sent > 5 * CYCLES
    print(f"{CYCLES} deaths, {sent} acknowledged, 0 lost, 0 out of order, 0 after a delete; {book.repeats} repeated")
