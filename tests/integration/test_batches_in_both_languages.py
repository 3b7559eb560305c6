"""Handlers of batches mean the same in Python and in TypeScript: one table of cases, and any others."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from busway import Event, batch_handler
from busway.road.project_files import new_project
from busway.road.typescript.package import put_package

from ..unit.road.test_batch_handling import envelope, queue, stream
from .packages import put_road_packages

TESTS = Path(__file__).parents[1]
CASES: list[dict[str, Any]] = [
    json.loads(line) for line in (TESTS / "vectors/batches.jsonl").read_text().splitlines()
]
RANDOM_CASES = 400
Outcome = dict[str, Any]


class Order(Event, source="shop", detail_type="Order"):
    total: int


class Refused(Exception):
    pass


def lambda_event(case: Mapping[str, Any]) -> dict[str, Any]:
    """Of numbers it makes orders; text is a body as it is."""
    if "event" in case:
        return case["event"]
    bodies = [body if isinstance(body, str) else envelope(body) for body in case["bodies"]]
    event = stream(bodies) if case["source"] == "stream" else queue(bodies, case.get("groups", ""))
    for place, data in case.get("data", {}).items():
        event["Records"][int(place)]["kinesis"]["data"] = data
    return event


def in_python(case: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> Outcome:
    given: list[int] = []

    @batch_handler(Order)
    def post(events: list[Order]) -> Any:
        given.extend(event.total for event in events)
        if case.get("throws"):
            raise Refused("no")
        return case["gives"] if "gives" in case else [e for e in events if e.total in case.get("refused", [])]

    capsys.readouterr()
    try:
        answer = post(lambda_event(case), object())
        outcome: Outcome = {"failed": [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]}
    except Exception as error:  # noqa: BLE001, whatever it is: its name is compared
        outcome = {"error": type(error).__name__}
    told = [line.removeprefix("[ERROR] ") for line in capsys.readouterr().out.splitlines() if line[:1] == "["]
    return {**outcome, "given": given, "told": told}


@pytest.fixture(scope="module")
def in_typescript(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Mapping[str, Any]]], list[Outcome]]:
    project = tmp_path_factory.mktemp("both") / "shop"
    new_project(project, "shop", language="typescript")
    put_road_packages(project)
    put_package(project)
    script = shutil.copy(TESTS / "node/batches.mjs", project)

    def run(cases: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        asked = json.dumps([{**case, "event": lambda_event(case)} for case in cases])
        done = subprocess.run(["node", script], input=asked, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def check(case: Mapping[str, Any], outcome: Outcome) -> None:
    wanted = {name: case[name] for name in ("failed", "error", "given") if name in case}
    assert {name: outcome.get(name) for name in wanted} == wanted, case["claim"]
    beginnings = case.get("told", [])
    assert len(outcome["told"]) == len(beginnings), (case["claim"], outcome["told"])
    for line, beginning in zip(outcome["told"], beginnings, strict=True):
        assert line.startswith(beginning), case["claim"]


@pytest.mark.parametrize("case", CASES, ids=[case["claim"].replace(" ", "-") for case in CASES])
def test_a_batch_in_python_is_what_the_table_says(case: dict[str, Any], capsys: pytest.CaptureFixture[str]):
    check(case, in_python(case, capsys))


@pytest.mark.needs("node")
def test_and_so_it_is_in_typescript(in_typescript: Callable[..., list[Outcome]]):
    for case, outcome in zip(CASES, in_typescript(CASES), strict=True):
        check(case, outcome)


@pytest.mark.needs("node")
def test_whatever_comes_both_answer_the_same(
    in_typescript: Callable[..., list[Outcome]], capsys: pytest.CaptureFixture[str]
):
    drawn = random.Random(7)
    cases: list[dict[str, Any]] = []
    for _ in range(RANDOM_CASES):
        count = drawn.randint(1, 8)
        source, fifo = drawn.choice(("stream", "queue")), drawn.random() < 0.5
        bodies = [drawn.choice(("{", "null", n, n, n, n)) for n in range(count)]
        groups = "".join(drawn.choice("ab") for _ in bodies) if source == "queue" and fifo else ""
        refused = [n for n in range(count) if drawn.random() < 0.3]
        throws = drawn.random() < 0.1
        cases.append({"source": source, "bodies": bodies, "groups": groups, "refused": refused, "throws": throws})
    for case, outcome in zip(cases, in_typescript(cases), strict=True):
        expected = in_python(case, capsys)
        heard = {**outcome, "told": [line.split(": ")[0] for line in outcome["told"]]}
        assert heard == {**expected, "told": [line.split(": ")[0] for line in expected["told"]]}, case
