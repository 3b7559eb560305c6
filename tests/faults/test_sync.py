"""No acknowledgement leaves before its event is synced: read from the order of a real server's system calls."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_scenario import Publisher, attached

from busway.cli.demo.server import ServerProcess, free_port

EVENTS = 20
UNSYNCED = (sys.executable, str(Path(__file__).with_name("unsynced_server.py")))
ANSWER = re.compile(r"\b(write|writev|sendto|sendmsg)\(.*EventId")
WRITTEN = re.compile(r"pwrite64\(\d+<[^>]*-wal>")
SYNCED = re.compile(r"fdatasync\(\d+<[^>]*-wal>\) += 0|<\.\.\. fdatasync resumed>\) += 0")


def answers(trace: list[str]) -> Iterator[bool]:
    """For each acknowledgement in the trace, whether the log was written and then synced since the one before."""
    written = synced = False
    for line in trace:
        if WRITTEN.search(line):
            written, synced = True, False
        elif SYNCED.search(line):
            synced = written
        elif ANSWER.search(line):
            yield synced
            written = synced = False


@pytest.mark.needs("strace")
@pytest.mark.parametrize("before", [(), UNSYNCED], ids=["the server", "a control run without syncs"])
def test_an_acknowledgement_leaves_after_the_sync_of_its_event(tmp_path: Path, before: tuple[str, ...]):
    server = ServerProcess(tmp_path / "data", free_port())
    server.launch(*before)
    try:
        server.wait_until_ready()
        publisher, trace = Publisher(server), tmp_path / "trace"
        with attached(
            server, ["-o", str(trace), "-y", "-s", "400", "-e", "trace=pwrite64,fdatasync,write,writev,sendto"]
        ):
            # One at a time: what is written between two answers is the second one's.
            for _ in range(EVENTS):
                assert publisher.fire(1)
        assert server.stop() == 0
    finally:
        server.kill()
    found = list(answers(trace.read_text().splitlines()))
    assert len(found) == EVENTS
    assert all(found) is not bool(before)
