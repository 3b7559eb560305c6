"""The proof proves something: one delivery that the router leaves out is found, counted and named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults_scenario import ENVIRONMENT, Publisher, Receiver, lay_out

from busway.cli.demo.server import ServerProcess, free_port

SABOTEUR = Path(__file__).with_name("saboteur_server.py")


@pytest.mark.parametrize("honest", [True, False], ids=["honest", "sabotaged"])
def test_verify_names_the_event_that_a_server_left_out(tmp_path: Path, honest: bool):
    skipped = "nothing has this" if honest else "<4>"
    server = ServerProcess(tmp_path / "data", free_port(), {**ENVIRONMENT, "SKIPPED": skipped})
    server.launch(sys.executable, str(SABOTEUR))
    try:
        server.wait_until_ready()
        lay_out(server)
        publisher, arrived = Publisher(server), Receiver(server, "arrived")
        assert publisher.fire(4)
        assert publisher.fire(4)
        while not {0, 7} <= set(arrived.messages):
            arrived.receive(wait_s=1)
        online = verified("--endpoint", server.endpoint)
        assert server.stop() == 0
        offline = verified("--data", str(server.data))
    finally:
        server.kill()
    for found in (online, offline):
        report = json.loads(found.stdout)
        assert report["events"] == 8
        if honest:
            assert (found.returncode, report["ok"], report["missing"]) == (0, True, 0)
            continue
        assert (found.returncode, report["ok"], report["missing"], report["extra"]) == (1, False, 1, 0)
        (missing,) = report["missing_first"]
        assert missing["event_id"] == publisher.acknowledged[4]
        assert "#queue#" in missing["subscriber"]
    told = busway_verify("--data", str(server.data))
    assert told.returncode == (0 if honest else 1)
    assert (publisher.acknowledged[4] in told.stdout) is not honest


def verified(*arguments: str) -> subprocess.CompletedProcess[str]:
    return busway_verify("--json", *arguments)


def busway_verify(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "busway", "verify", *arguments]
    # A terminal wide enough for a line of the table.
    environment = {**os.environ, "COLUMNS": "400"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
