"""kill -9 in the middle of redrives: no dead letter is lost, and none is sent back twice."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from faults_scenario import ENVIRONMENT, WORKERS, client, conserved, packed

from busway.cli.demo.server import ServerProcess, free_port
from busway.cli.options import connect
from busway.errors import BuswayError
from busway.function.workers.placement import prefetch

LETTERS, DEATHS = 1_500, 4
# How long after its begin a redrive may go on until the server dies.
REDRIVE_S_MAX = 0.3
PATIENCE_S = 90.0
# It fails as long as a file is there, and notes each success.
SOURCE = """
import os
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def handler(event, context):
    if os.path.exists(os.environ["BROKEN"]):
        raise RuntimeError("broken")
    os.write(LEDGER, b"%d\\n" % event["n"])
"""


def lay_out(server: ServerProcess, folder: Path) -> None:
    """A function that fails, and as many dead letters of it in a queue of its own."""
    sqs, functions = client(server, "sqs"), client(server, "lambda")
    sqs.create_queue(QueueName="dead")
    functions.create_function(
        FunctionName="failing", Runtime="python3.11", Role="arn:aws:iam::000000000000:role/test",
        Handler="app.handler", Code={"ZipFile": packed(SOURCE)},
        Environment={"Variables": {"LEDGER": str(folder / "ledger"), "BROKEN": str(folder / "broken")}},
        DeadLetterConfig={"TargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"},
    )  # fmt: skip
    functions.put_function_event_invoke_config(FunctionName="failing", MaximumRetryAttempts=0)
    for number in range(LETTERS):
        payload = json.dumps({"n": number})
        functions.invoke(FunctionName="failing", InvocationType="Event", Payload=payload)


def left(server: ServerProcess) -> int:
    return int(connect(server.endpoint).get("/_busway/dead-letters", limit=0)["total"])


def until_all(server: ServerProcess, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left(server) != count:
        assert time.monotonic() < deadline, f"{left(server)} dead letters; wanted {count}"
        time.sleep(0.1)


def redrive(server: ServerProcess) -> None:
    """As the command does; a server that dies meanwhile is expected."""
    with suppress(BuswayError):
        for _ in connect(server.endpoint).stream("/_busway/redrive", order={"handler": "failing", "stream": True}):
            pass


def test_a_redrive_that_is_killed_loses_no_letter_and_sends_none_twice(tmp_path: Path):
    chance = random.Random(9)
    (tmp_path / "broken").touch()
    server = ServerProcess(tmp_path / "data", free_port(), ENVIRONMENT)
    try:
        server.start()
        lay_out(server, tmp_path)
        until_all(server, LETTERS)
        (tmp_path / "broken").unlink()
        for _ in range(DEATHS):
            client_side = threading.Thread(target=redrive, args=(server,))
            client_side.start()
            threading.Event().wait(chance.uniform(0.02, REDRIVE_S_MAX))
            server.kill()
            client_side.join()
            server.start()
        deadline = time.monotonic() + PATIENCE_S
        while left(server):
            assert time.monotonic() < deadline, f"{left(server)} letters are never sent back"
            redrive(server)
            time.sleep(0.2)
        ledger = tmp_path / "ledger"
        while len(set(ledger.read_text().split())) < LETTERS:
            assert time.monotonic() < deadline, "letters that were sent back never came to their handler"
            time.sleep(0.1)
        assert server.stop() == 0
    finally:
        server.kill()
    handled = Counter(map(int, ledger.read_text().split()))
    assert set(handled) == set(range(LETTERS))
    repeated = sum(handled.values()) - LETTERS
    # What the workers had in hand when the server died runs again; a redrive adds nothing to that.
    in_flight = (1 + prefetch(1e-6)) * WORKERS * DEATHS
    assert repeated <= in_flight, f"{repeated} were handled again, of at most {in_flight} in flight"
    conserved(server.data)
    print(f"{DEATHS} deaths, {LETTERS} letters, 0 lost, {repeated} handled again of at most {in_flight} in flight")
