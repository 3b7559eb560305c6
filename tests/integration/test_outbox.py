"""The outbox with real databases, a real server and real deaths."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy import create_engine, text

from busway.outbox.table import schema

from ..postgres import postgres, tool

CYCLES = (
    {"postgresql": 1_000, "sqlite": 200} if os.environ.get("BUSWAY_NIGHTLY") else {"postgresql": 30, "sqlite": 10}
)
SEED = int(os.environ.get("BUSWAY_SEED", "20261124"))
PATIENCE_S = 60.0
KEYS = "abc"

# Writes numbered events of three keys, one transaction after the other; says in its ledger what it is about to
# commit, what was committed, and what it rolled back.
PRODUCER = """
import json, os, sys, time
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from busway.outbox import add

engine, ledger = create_engine(sys.argv[1]), open(sys.argv[2], "a", buffering=1)
number = int(sys.argv[3])
while True:
    key, count = "abc"[number % 3], 1 + number % 4
    numbers = list(range(number, number + count))
    with Session(engine) as session:
        for each in numbers:
            detail = json.dumps({"n": each, "key": key})
            add(session, {"Source": "shop", "DetailType": "Paid", "Detail": detail}, key=key)
        if number % 7 == 0:
            session.rollback()
            ledger.write(json.dumps(["rolled back", key, numbers]) + "\\n")
        else:
            ledger.write(json.dumps(["began", key, numbers]) + "\\n")
            session.commit()
            ledger.write(json.dumps(["committed", key, numbers]) + "\\n")
    number += count
    time.sleep(0.02)  # it is its deaths that are tested, not how much it writes
"""


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'shop.db'}"
        _make(url)
        yield url
        return
    request.getfixturevalue("needs_postgres")
    with postgres() as url:
        _make(url)
        yield url


@pytest.fixture
def needs_postgres() -> None:
    if tool("initdb") and tool("postgres"):
        return
    if "postgres" in os.environ.get("BUSWAY_REQUIRED", "").split(","):
        pytest.fail("PostgreSQL is required, and not installed")
    pytest.skip("PostgreSQL is not installed: apt-get install postgresql")


def _make(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(schema(engine.dialect.name)))
    engine.dispose()


class Server:
    """A server with a rule that puts what is published into a FIFO queue, which keeps the journal's order."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", str(data), "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = str(json.loads(self.process.stdout.readline())["url"])
        self._queue = self._client("sqs").create_queue(
            QueueName="paid.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        )["QueueUrl"]
        events = self._client("events")
        events.put_rule(Name="paid", EventPattern='{"source": ["shop"]}')
        events.put_targets(
            Rule="paid",
            Targets=[
                {
                    "Id": "q",
                    "Arn": "arn:aws:sqs:us-east-1:000000000000:paid.fifo",
                    "SqsParameters": {"MessageGroupId": "all"},
                }
            ],
        )

    def _client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip

    def queued(self) -> int:
        name = "ApproximateNumberOfMessages"
        found = self._client("sqs").get_queue_attributes(QueueUrl=self._queue, AttributeNames=[name])
        return int(found["Attributes"][name])

    def arrived(self) -> list[dict[str, Any]]:
        """The details, in the order of the bus; each once."""
        sqs, details = self._client("sqs"), list[dict[str, Any]]()
        while messages := sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            details += [json.loads(message["Body"])["detail"] for message in messages]
            entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
        return details

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "data")
    yield running
    running.close()


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "busway", "outbox", *words], capture_output=True, text=True, timeout=60, check=False
    )


def relay_once(database: str, server: Server) -> None:
    run = cli("relay", "--database", database, "--endpoint", server.url, "--once")
    assert run.returncode == 0, run.stdout + run.stderr


class Producer:
    def __init__(self, database: str, ledger: Path) -> None:
        began = [json.loads(line) for line in ledger.read_text().splitlines()] if ledger.exists() else []
        first = 1 + max((numbers[-1] for _, _, numbers in began), default=0)
        self.process = subprocess.Popen([sys.executable, "-c", PRODUCER, database, str(ledger), str(first)])


@pytest.mark.slow
def test_through_kill_9_nothing_committed_is_lost_and_each_key_keeps_its_order(
    database: str, server: Server, tmp_path: Path
):
    kind = database.split("+")[0].split(":")[0]
    chance, ledger = random.Random(SEED), tmp_path / "ledger"
    relay_words = ["outbox", "relay", "--database", database, "--endpoint", server.url]

    def relay() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "busway", *relay_words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    processes = {"producer": Producer(database, ledger).process, "relay": relay()}
    try:
        for cycle in range(CYCLES[kind]):
            # Some die while they start; on a slow machine all would, so every fifth death waits for work of both.
            if cycle % 5 == 0:
                _until_both_have_worked(ledger, server)
            time.sleep(chance.uniform(0.2, 1.0))
            victim = chance.choice(["producer", "relay"])
            processes[victim].send_signal(signal.SIGKILL)
            processes[victim].wait()
            processes[victim] = Producer(database, ledger).process if victim == "producer" else relay()
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    before = _settled(server)
    relay_once(database, server)
    _judge(ledger, before + _settled(server))


def _until_both_have_worked(ledger: Path, server: Server) -> None:
    """Until more is in the ledger than now, and more has arrived in the queue."""
    committed, queued = _committed(ledger), server.queued()
    _until(lambda: _committed(ledger) > committed, "the producer commits")
    _until(lambda: server.queued() > queued, "the relay publishes")


def _until(happened: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _settled(server: Server) -> list[dict[str, Any]]:
    """All that arrives, until the bus has routed everything."""
    arrived = server.arrived()
    while more := server.arrived():
        arrived += more
    return arrived


def _lines(ledger: Path, word: str) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for line in ledger.read_text().splitlines():
        said, key, numbers = json.loads(line)
        if said == word:
            found[key] |= set(numbers)
    return found


def _committed(ledger: Path) -> int:
    return sum(map(len, _lines(ledger, "committed").values())) if ledger.exists() else 0


def _judge(ledger: Path, arrived: list[dict[str, Any]]) -> None:
    began, committed = _lines(ledger, "began"), _lines(ledger, "committed")
    first: dict[str, list[int]] = {key: [] for key in KEYS}
    for detail in arrived:
        if detail["n"] not in first[detail["key"]]:
            first[detail["key"]].append(detail["n"])
    for key in KEYS:
        assert committed[key] <= set(first[key]), "committed, and lost"
        # A death between the commit and the ledger's line leaves open which it was.
        assert set(first[key]) <= began[key], "published, and never committed"
        assert first[key] == sorted(first[key]), "out of order"


def test_a_second_relay_waits_for_the_first_ones_end_and_goes_on(database: str, server: Server):
    command = [sys.executable, "-m", "busway", "outbox", "relay", "--database", database, "--endpoint", server.url]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    second: subprocess.Popen[str] | None = None
    try:
        _publish_one(database, 1)
        _until(server.arrived, "the first relay works")
        second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "another relay works on this database" in second.stderr.readline()
        first.kill()
        first.wait()
        _publish_one(database, 2)
        _until(lambda: any(detail["n"] == 2 for detail in server.arrived()), "the second relay goes on")
    finally:
        for process in filter(None, (first, second)):
            process.kill()
            process.communicate()


def _publish_one(database: str, number: int) -> None:
    """As a program in any language does: one INSERT."""
    detail = json.dumps({"n": number, "key": "a"})
    entry = json.dumps({"Source": "shop", "DetailType": "Paid", "Detail": detail})
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO busway_outbox (entry) VALUES (:entry)"), {"entry": entry})
    engine.dispose()


DJANGO = """
import django, sys
from django.conf import settings

settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}})
django.setup()
from django.db import transaction
from busway import Event
from busway.errors import NoTransaction
from busway.outbox.django import add

class Paid(Event, source="shop", detail_type="Paid"):
    n: int
    key: str = "a"

try:
    add(Paid(n=0))
except NoTransaction as error:
    print(error, error.hint)
with transaction.atomic():
    add(Paid(n=1), Paid(n=2), key="a")
try:
    with transaction.atomic():
        add(Paid(n=3), key="a")
        raise RuntimeError
except RuntimeError:
    pass
"""


def test_django_writes_within_its_transaction_and_nowhere_else(server: Server, tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    _make(url)
    run = subprocess.run(
        [sys.executable, "-c", DJANGO, str(tmp_path / "shop.db")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "is in no transaction" in run.stdout and "transaction.atomic()" in run.stdout
    relay_once(url, server)
    _until(lambda: [detail["n"] for detail in server.arrived()] == [1, 2], "both arrive in order")


def test_status_tells_what_waits_and_what_was_refused(database: str, server: Server):
    _publish_one(database, 1)
    run = cli("status", "--database", database, "--json")
    assert run.returncode == 0 and json.loads(run.stdout) == {"waiting": 1, "refused": 0, "refusals": []}
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO busway_outbox (entry) VALUES ('nonsense')"))
    engine.dispose()
    relay_once(database, server)
    run = cli("status", "--database", database)
    assert run.returncode == 1 and "0 waiting, 1 refused" in run.stdout and "entry is not JSON" in run.stderr


def test_a_database_without_the_table_is_told_how_to_get_it(tmp_path: Path):
    empty = tmp_path / "empty.db"
    run = cli("status", "--database", f"sqlite:///{empty}")
    assert run.returncode == 2 and f"there is no file {empty}" in run.stderr and not empty.exists()
    empty.touch()
    run = cli("status", "--database", f"sqlite:///{empty}")
    assert run.returncode == 1 and "no such table" in run.stderr and "busway outbox schema" in run.stderr
    run = cli("schema", "--dialect", "sqlite")
    assert run.returncode == 0 and run.stdout.startswith("CREATE TABLE busway_outbox")
