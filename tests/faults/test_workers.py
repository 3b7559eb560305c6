"""Functions that end, hang and eat memory, under load on a whole server: only their own events suffer."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_scenario import ATTEMPTS, QUEUE_ARN, Publisher, Receiver, check_books, client, conserved, packed, work_off

from busway.cli.demo.server import ServerProcess, free_port

# One worker for each function, and some to spare.
ENVIRONMENT = {"BUSWAY_ASYNC_RETRY_S": "0.05,0.05", "BUSWAY_WORKERS_MAX": "6", "BUSWAY_SANDBOX": "process"}
NOTE = """
import os, time
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def handler(event, context):
    os.write(LEDGER, b"%d\\n" % event["detail"]["n"])
"""
FAULTS = {"exits": "os._exit(3)", "hangs": "time.sleep(600)", "eats": "x = b'x' * 400_000_000; time.sleep(600)"}
# The first events go to the faulty functions too.
SOME = '{"source": ["fault.test"], "detail": {"n": [{"numeric": [">=", 0, "<", 3]}]}}'
KILLS = 12


def lay_out(server: ServerProcess) -> None:
    events, sqs = client(server, "events"), client(server, "sqs")
    for queue in ("arrived", "unlucky", *FAULTS):
        sqs.create_queue(QueueName=queue)
    good = make_function(server, "good", NOTE, dead="unlucky", timeout_s=30)
    events.put_rule(Name="all", EventPattern='{"source": ["fault.test"]}')
    events.put_targets(Rule="all", Targets=[target(good), target(f"{QUEUE_ARN}arrived")])
    faulty = [
        make_function(server, name, f"{NOTE}    {fault}\n", dead=name, timeout_s=1) for name, fault in FAULTS.items()
    ]
    events.put_rule(Name="some", EventPattern=SOME)
    events.put_targets(Rule="some", Targets=[target(arn) for arn in faulty])


def make_function(server: ServerProcess, name: str, source: str, *, dead: str, timeout_s: int) -> str:
    functions = client(server, "lambda")
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/test",
        Handler="app.handler",
        Timeout=timeout_s,
        Code={"ZipFile": packed(source)},
        Environment={"Variables": {"LEDGER": str(ledger(server, name))}},
        DeadLetterConfig={"TargetArn": f"{QUEUE_ARN}{dead}"},
    )
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=ATTEMPTS - 1)
    return str(made["FunctionArn"])


def target(arn: str) -> dict[str, Any]:
    return {"Id": arn.rsplit(":", 1)[1], "Arn": arn}


def ledger(server: ServerProcess, name: str) -> Path:
    return server.data.parent / f"invocations-{name}"


def handled(server: ServerProcess, name: str) -> Counter[int]:
    file = ledger(server, name)
    return Counter(map(int, file.read_text().split())) if file.exists() else Counter()


def workers(server: ServerProcess) -> list[int]:
    """The server's child processes."""
    children = Path(f"/proc/{server.pid}/task").glob("*/children")
    return [int(pid) for file in children for pid in file.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="a server's workers are found in Linux's /proc")
def test_workers_that_end_hang_eat_memory_or_are_killed_disturb_no_other_function(tmp_path: Path):
    server = ServerProcess(tmp_path / "data", free_port(), ENVIRONMENT)
    server.start()
    try:
        lay_out(server)
        publisher, arrived = Publisher(server), Receiver(server, "arrived")
        letters, lost = [Receiver(server, name) for name in FAULTS], Receiver(server, "unlucky")
        stop = threading.Event()
        load = threading.Thread(target=fire_until, args=(publisher, stop))
        load.start()
        # And somebody kills workers from outside, whoever they work for.
        for killed in range(KILLS):
            kill_a_worker(server, killed)
        stop.set()
        load.join()
        work_off(server, [arrived, lost, *letters])
        assert server.exit_code() is None
        assert not publisher.unanswered
        check_books([publisher], arrived, arrived)
        for name, receiver in zip(FAULTS, letters, strict=True):
            assert {number: len(ids) for number, ids in receiver.messages.items()} == dict.fromkeys(range(3), 1)
            assert all(count <= ATTEMPTS for count in handled(server, name).values())
        unlucky = set(lost.messages)
        assert set(handled(server, "good")) | unlucky == set(publisher.acknowledged)
        # A kill costs one attempt of one event.
        assert len(unlucky) <= KILLS / ATTEMPTS
        assert server.stop() == 0
        conserved(server.data)
    finally:
        server.kill()


def fire_until(publisher: Publisher, stop: threading.Event) -> None:
    while not stop.is_set():
        publisher.fire(3)


def kill_a_worker(server: ServerProcess, number: int, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    time.sleep(0.1)
    while not (found := workers(server)):
        assert time.monotonic() < deadline, "no worker to be killed"
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.kill(found[number % len(found)], signal.SIGKILL)
