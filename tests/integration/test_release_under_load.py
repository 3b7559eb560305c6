"""Deployments while events come: each event is handled once, by whole code, and by none that was replaced before."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from busway.road.connection import Connection
from busway.road.event_files import EventSpec
from busway.road.fields import parse_fields
from busway.road.generator import HandlerSpec, add_handler
from busway.road.project_files import new_project
from busway.road.release.release import Project, deploy, read_project, review

ORDER = EventSpec("OrderPlaced", "shop", "Order Placed", parse_fields(["n:int=0"]))
DEPLOYMENTS = 200 if os.environ.get("BUSWAY_NIGHTLY") else 20
# Generous: the machine may be busy.
PATIENCE_S = 120


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Connection]:
    (tmp_path / "shared").mkdir()
    command = [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", str(tmp_path / "data"), "--json"]
    environment = {**os.environ, "BUSWAY_FUNCTION_FOLDERS": str(tmp_path / "shared")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        yield Connection(json.loads(process.stdout.readline())["url"])
        process.terminate()


class Load:
    """Puts events, ten at a time, and remembers how many deployments were over when each was put."""

    def __init__(self, url: str) -> None:
        self.over_at: dict[int, int] = {}
        self.deployed = 0
        self._connection, self._ended = Connection(url), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.03):
            numbers = range(len(self.over_at), len(self.over_at) + 10)
            self.over_at |= dict.fromkeys(numbers, self.deployed)
            entries = [
                {"Source": "shop", "DetailType": "Order Placed", "Detail": json.dumps({"n": number})}
                for number in numbers
            ]
            answer = self._connection.call("events", "PutEvents", {"Entries": entries})
            assert answer["FailedEntryCount"] == 0


def projects(root: Path, log: Path) -> Iterator[Project]:
    """A project whose handler writes down what it handled, and which of the projects it is."""
    new_project(root, "shop")
    add_handler(root, HandlerSpec("note", ORDER))
    file = root / "handlers/note/handler.py"
    text = file.read_text()
    manifest = None
    for version in range(1, DEPLOYMENTS + 1):
        body = f"""
            import os

            log = os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(log, f"{{event.n}} {version}\\n".encode())
            os.close(log)
        """
        line = next(one for one in text.splitlines() if "print(" in one)
        file.write_text(text.replace(line, "\n".join(f"    {one}" for one in dedent(body).strip().splitlines())))
        project = asyncio.run(read_project(root))
        manifest = manifest or project.manifest
        yield replace(project, manifest=manifest)


@pytest.mark.slow
def test_deployments_under_load_lose_and_double_nothing(served: Connection, tmp_path: Path):
    log = tmp_path / "shared/handled"
    made = list(projects(tmp_path / "shop", log))
    environment: dict[str, str] = {}

    def take_over(project: Project) -> None:
        deploy(review(project, served, environment), served, environment, lambda _: None)

    take_over(made[0])
    with Load(served.endpoint) as load:
        load.deployed = 1
        for project in made[1:]:
            take_over(project)
            load.deployed += 1
    deadline = time.monotonic() + PATIENCE_S
    while (handled := log.read_text().splitlines()) and len(handled) < len(load.over_at):
        assert time.monotonic() < deadline, f"{len(handled)} of {len(load.over_at)} were handled"
        time.sleep(0.1)
    by = {int(number): int(version) for number, version in (line.split() for line in handled)}
    assert Counter(int(line.split()[0]) for line in handled) == Counter(load.over_at.keys())
    late = {number: by[number] for number, over in load.over_at.items() if by[number] < over}
    assert late == {}, "handled by code that was replaced before the event was put"
    assert len(set(by.values())) > DEPLOYMENTS / 2, "most versions handled something, so the load was there"
    proof = served.get("/_busway/verify")
    assert proof["ok"] and proof["expected"] == len(load.over_at)
