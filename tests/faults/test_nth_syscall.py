"""SIGKILL at the n-th write or sync, n = 1, 2, 3 …, over one script: put → deliver → dead-letter → receive → stop.

strace counts the calls of each thread by itself. So the script is cut in two parts: the start, which writes in the
main thread, and the work after it, for which strace is attached to the threads that are there by then. A first run of
each part counts; the following ones die.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from faults_scenario import (
    ENVIRONMENT,
    Publisher,
    Receiver,
    attached,
    check_books,
    client,
    conserved,
    lay_out,
    work_off,
)

from busway.cli.demo.server import DidNotHappen, ServerProcess, free_port
from busway.cli.options import connect

STEP = 1 if os.environ.get("BUSWAY_NIGHTLY") else 5
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "write", "unlink", "rename")
EVENTS = 2
SIDE_BY_SIDE = 3
# Clients don't wait for a server that is dead, and a server under strace is slow.
WITHIN_S = 60.0


@dataclass(frozen=True)
class Death:
    """At the n-th `call` of a thread, in the start of the server or in its work."""

    part: str
    call: str
    n: int

    def strace(self) -> list[str]:
        return ["-e", f"trace={self.call}", "-e", f"inject={self.call}:signal=SIGKILL:when={self.n}"]


def play(server: ServerProcess, publisher: Publisher, arrived: Receiver) -> int:
    """The work, until both events are dead-lettered, received and deleted, and the server has stopped, or is dead."""
    deadline = time.monotonic() + WITHIN_S
    for _ in range(EVENTS):
        publisher.fire(1)
    with suppress(BotoCoreError, ClientError):
        while server.exit_code() is None and dead_letters(server) < EVENTS:
            assert time.monotonic() < deadline, server.log_tail()
            time.sleep(0.02)
        arrived.receive(patient=False)
    return server.stop()


def dead_letters(server: ServerProcess) -> int:
    sqs, url = client(server, "sqs", patient=False), f"{server.endpoint}/000000000000/dead"
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(counts["Attributes"]["ApproximateNumberOfMessages"])


class Stage:
    """A data folder that was laid out once, and copies of it to die on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.original = folder / "original" / "data"
        self.original.parent.mkdir()
        server = ServerProcess(self.original, free_port(), ENVIRONMENT)
        server.start()
        lay_out(server)
        server.stop()

    def server(self, name: str) -> ServerProcess:
        shutil.copytree(self.original.parent, self.folder / name)
        return ServerProcess(self.folder / name / "data", free_port(), ENVIRONMENT)

    def run(self, name: str, part: str, options: list[str]) -> Run:
        """Play on a copy, with strace on one part of it."""
        server = self.server(name)
        run = Run(server, Publisher(server), Receiver(server, "arrived"))
        if part == "start":
            # -D: the tracer stands aside, and the server is our own child.
            server.launch("strace", "-D", "-qq", *options)
            with suppress(DidNotHappen):
                server.wait_until_ready(WITHIN_S)
            run.code = server.stop()
        else:
            server.start()
            with attached(server, options):
                run.code = play(server, run.publisher, run.arrived)
        return run

    def counts(self, part: str) -> Counter[str]:
        """How many of each call the busiest thread makes."""
        trace = self.folder / f"trace-{part}"
        run = self.run(f"count-{part}", part, ["-o", str(trace), "-e", f"trace={','.join(CALLS)}"])
        assert run.code == 0, run.server.log_tail()
        found: dict[str, Counter[str]] = {call: Counter() for call in CALLS}
        for thread, call in re.findall(r"^(?:(\d+) +)?(\w+)\(", trace.read_text(), re.MULTILINE):
            found[call][thread] += 1
        return Counter({call: max(threads.values()) for call, threads in found.items() if threads})

    def die(self, death: Death) -> bool:
        """Die, prove, and let another server finish the work. False when the server lived to the end."""
        run = self.run(f"{death.part}-{death.call}-{death.n}", death.part, ["-o", "/dev/null", *death.strace()])
        assert run.code in (0, -signal.SIGKILL), f"{death}: exit code {run.code}\n{run.server.log_tail()}"
        conserved(run.server.data)
        run.finish()
        conserved(run.server.data)
        shutil.rmtree(run.server.data.parent)
        return run.code != 0


@dataclass
class Run:
    """A server and its clients; `code` is how the server ended."""

    server: ServerProcess
    publisher: Publisher
    arrived: Receiver
    code: int = 0

    def finish(self) -> None:
        """Another server on what is there, with a clock to move: an event in hand is due again 6 s after a death."""
        heir = ServerProcess(self.server.data, free_port(), ENVIRONMENT, ("--clock", "manual"))
        heir.start()
        arrived = Receiver(heir, "arrived", self.arrived.messages, self.arrived.event_ids)
        dead = Receiver(heir, "dead")
        work_off(heir, [arrived, dead], pause=lambda: connect(heir.endpoint).post("/_busway/clock", {"advance_s": 1}))
        assert heir.stop() == 0
        check_books([self.publisher], arrived, dead)


@pytest.mark.slow
@pytest.mark.needs("strace")
@pytest.mark.parametrize("part", ["start", "work"])
def test_nothing_acknowledged_is_lost_wherever_the_server_dies(tmp_path: Path, part: str):
    stage = Stage(tmp_path)
    counts = stage.counts(part)
    assert counts["pwrite64"] > 5
    deaths = [Death(part, call, n) for call in CALLS for n in range(1, counts[call] + 1, STEP)]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        died = list(side_by_side.map(stage.die, deaths))
    print(f"{part}: {dict(counts)}; {sum(died)} of {len(deaths)} runs died")
    # How often a thread writes differs a little from run to run, and so the last ones may live.
    assert sum(died) > len(deaths) / 2
