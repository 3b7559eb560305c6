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

LETTERS, DEATHS = 3_000, 5
# How long a redrive may go on after its first page, until the server dies: some pages take so long.
GOES_ON_S_MAX = 0.03
PUT_AT_ONCE = 10
PATIENCE_S = 90.0
# It fails as long as a file is there, and notes each success.
SOURCE = """
import os
LEDGER = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def handler(event, context):
    if os.path.exists(os.environ["BROKEN"]):
        raise RuntimeError("broken")
    os.write(LEDGER, b"%d\\n" % event["detail"]["n"])
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
    events = client(server, "events")
    events.put_rule(Name="fault", EventPattern='{"source": ["fault.test"]}')
    target = "arn:aws:lambda:us-east-1:000000000000:function:failing"
    events.put_targets(Rule="fault", Targets=[{"Id": "f", "Arn": target}])
    for begin in range(0, LETTERS, PUT_AT_ONCE):
        details = [json.dumps({"n": number}) for number in range(begin, begin + PUT_AT_ONCE)]
        entries = [{"Source": "fault.test", "DetailType": "Numbered", "Detail": detail} for detail in details]
        events.put_events(Entries=entries)


def left(server: ServerProcess) -> int:
    return int(connect(server.endpoint).get("/_busway/dead-letters", limit=0)["total"])


def until_all(server: ServerProcess, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left(server) != count:
        assert time.monotonic() < deadline, f"{left(server)} dead letters; wanted {count}"
        time.sleep(0.1)


def redrive(server: ServerProcess, began: threading.Event) -> None:
    """As the command does; a server that dies meanwhile is expected. `began`: a page of it is done, or it is over."""
    try:
        with suppress(BuswayError):
            for _ in connect(server.endpoint).stream(
                "/_busway/redrive", order={"handler": "failing", "stream": True}
            ):
                began.set()
    finally:
        began.set()


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
            began = threading.Event()
            client_side = threading.Thread(target=redrive, args=(server, began))
            client_side.start()
            began.wait(PATIENCE_S)
            # The moment of a death can't be waited for by a condition: it is any moment of the pages that follow.
            threading.Event().wait(chance.uniform(0.0, GOES_ON_S_MAX))
            server.kill()
            client_side.join()
            server.start()
        deadline = time.monotonic() + PATIENCE_S
        while left(server):
            assert time.monotonic() < deadline, f"{left(server)} letters are never sent back"
            redrive(server, threading.Event())
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
