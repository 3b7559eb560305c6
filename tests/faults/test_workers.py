"""Functions that end, hang and eat memory, under load on a whole server: only their own events suffer."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults_scenario import ATTEMPTS, QUEUE_ARN, Publisher, Receiver, check_books, client, conserved, packed, work_off

from busway.cli.demo.server import ServerProcess, free_port

# One worker for each function, and some to spare.
ENVIRONMENT = {"BUSWAY_ASYNC_RETRY_S": "0.05,0.05", "BUSWAY_WORKERS_MAX": "6"}
NOTE = """
import os, time
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def handler(event, context):
    os.write(LEDGER, b"%d\\n" % event["detail"]["n"])
"""
FAULTS = {"exits": "os._exit(3)", "hangs": "time.sleep(600)", "eats": "x = b'x' * 400_000_000; time.sleep(600)"}
# The first events go to the faulty functions too.
SOME = '{"source": ["fault.test"], "detail": {"n": [{"numeric": [">=", 0, "<", 3]}]}}'
CALLS = 100


def lay_out(server: ServerProcess) -> None:
    events, sqs = client(server, "events"), client(server, "sqs")
    for queue in ("arrived", *FAULTS):
        sqs.create_queue(QueueName=queue)
    good = make_function(server, "good", NOTE)
    events.put_rule(Name="all", EventPattern='{"source": ["fault.test"]}')
    events.put_targets(Rule="all", Targets=[target(good), target(f"{QUEUE_ARN}arrived")])
    faulty = [make_function(server, name, f"{NOTE}    {fault}\n", dead=name) for name, fault in FAULTS.items()]
    events.put_rule(Name="some", EventPattern=SOME)
    events.put_targets(Rule="some", Targets=[target(arn) for arn in faulty])


def make_function(server: ServerProcess, name: str, source: str, dead: str = "") -> str:
    functions = client(server, "lambda")
    made = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/test",
        Handler="app.handler",
        Timeout=1 if dead else 30,
        Code={"ZipFile": packed(source)},
        Environment={"Variables": {"LEDGER": str(ledger(server, name))}},
        **({"DeadLetterConfig": {"TargetArn": f"{QUEUE_ARN}{dead}"}} if dead else {}),
    )
    functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=ATTEMPTS - 1)
    return str(made["FunctionArn"])


def target(arn: str) -> dict[str, Any]:
    return {"Id": arn.rsplit(":", 1)[1], "Arn": arn}


def ledger(server: ServerProcess, name: str) -> Path:
    return server.data.parent / f"invocations-{name}"


def handled(server: ServerProcess, name: str) -> Counter[int]:
    return Counter(map(int, ledger(server, name).read_text().split()))


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
        letters = [Receiver(server, name) for name in FAULTS]
        ended, killed = threading.Event(), 0
        load = threading.Thread(target=fire, args=(publisher, ended))
        load.start()
        while not ended.wait(0.02):
            # And somebody kills workers from outside, whoever they work for.
            for pid in workers(server):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        load.join()
        work_off(server, [arrived, *letters])
        assert killed > len(FAULTS)
        assert server.exit_code() is None
        assert len(publisher.acknowledged) == 3 * CALLS
        check_books([publisher], arrived, arrived)
        for name, receiver in zip(FAULTS, letters, strict=True):
            assert {number: len(ids) for number, ids in receiver.messages.items()} == dict.fromkeys(range(3), 1)
            assert all(count <= ATTEMPTS for count in handled(server, name).values())
        unlucky = undeliverable(server)
        # A worker killed twice in a row with the same event of the good function: its two attempts are used up.
        assert set(handled(server, "good")) | unlucky == set(publisher.acknowledged)
        assert server.stop() == 0
        conserved(server.data)
    finally:
        server.kill()


def fire(publisher: Publisher, ended: threading.Event) -> None:
    for _ in range(CALLS):
        publisher.fire(3)
    ended.set()


def undeliverable(server: ServerProcess) -> set[int]:
    receiver = Receiver(server, "busway-undeliverable-default")
    receiver.receive_all()
    return set(receiver.messages)
