"""SIGKILL at the n-th write or sync, for n = 1, 2, 3 …, over one put, deliver, dead-letter script."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from faults_scenario import ENVIRONMENT, Publisher, client, conserved, lay_out, receive_all

from busway.cli.demo.server import ServerProcess, free_port

STEP = 1 if os.environ.get("BUSWAY_NIGHTLY") else 10
CALLS = ("pwrite64", "fdatasync")
EVENTS = 2


def run_until_killed(server: ServerProcess, publisher: Publisher, call: str, n: int) -> bool:
    """Run the script on a server that dies at the n-th `call` of a thread; False when it was never reached."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
    command += ["-e", f"inject={call}:signal=SIGKILL:when={n}"]
    command += [sys.executable, "-m", "busway", "serve", "--port", str(server.port), "--data", str(server.data)]
    with server.log_file.open("ab") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **ENVIRONMENT}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and not answers(server):
            time.sleep(0.05)
        for _ in range(EVENTS):
            if process.poll() is None:
                publisher.fire(1)
        while process.poll() is None and time.monotonic() < deadline and not dead_lettered(server):
            time.sleep(0.05)
        return process.poll() is not None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(server: ServerProcess) -> bool:
    try:
        return httpx.get(f"{server.endpoint}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def dead_lettered(server: ServerProcess) -> bool:
    """Whether the script has come to its end: every event's dead letter is there."""
    try:
        sqs = client(server, "sqs")
        url = sqs.get_queue_url(QueueName="dead")["QueueUrl"]
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(counts["Attributes"]["ApproximateNumberOfMessages"]) >= EVENTS
    except Exception as fault:
        if fault.__class__.__module__.startswith("botocore"):
            return False
        raise


@pytest.mark.slow
@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", CALLS)
def test_nothing_acknowledged_is_lost_wherever_the_server_dies(tmp_path: Path, call: str):
    laid_out = ServerProcess(tmp_path / "laid-out" / "data", free_port(), ENVIRONMENT)
    laid_out.data.parent.mkdir()
    laid_out.start()
    lay_out(laid_out)
    laid_out.stop()
    for n in itertools.count(1, STEP):
        folder = tmp_path / f"{call}-{n}"
        shutil.copytree(laid_out.data.parent, folder)
        server = ServerProcess(folder / "data", free_port(), ENVIRONMENT)
        publisher = Publisher(server)
        died = run_until_killed(server, publisher, call, n)
        server.start()
        arrived = {event["detail"]["n"] for event in receive_all(server, "arrived")}
        dead = wait_for_dead(server, set(publisher.acknowledged))
        server.stop()
        assert set(publisher.acknowledged) <= arrived, f"{call} {n}: lost on the way to the queue"
        assert set(publisher.acknowledged) <= dead, f"{call} {n}: lost on the way to the dead letters"
        conserved(server.data)
        shutil.rmtree(folder)
        if not died:
            assert n > STEP, f"the script never made {n} calls of {call}"
            return


def wait_for_dead(server: ServerProcess, wanted: set[int], within_s: float = 60.0) -> set[int]:
    """The numbers in the dead-letter queue once all wanted are there, or when time is up."""
    dead: set[int] = set()
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and not wanted <= dead:
        dead |= {event["detail"]["n"] for event in receive_all(server, "dead")}
    return dead
