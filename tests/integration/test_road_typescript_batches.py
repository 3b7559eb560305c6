"""Handlers of batches in TypeScript: on a real server, without any as Lambda calls them, on the bus of a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from busway.road.describe import describe
from busway.road.generator import BatchSpec, HandlerSpec, add_handler
from busway.road.project_files import new_project

from .packages import put_road_packages
from .test_road_batches import ORDER, Road, until

pytestmark = pytest.mark.needs("node")

PATIENCE_S = 90.0
BATCH = HandlerSpec("post_orders", ORDER, batch=BatchSpec(100, "1s"), language="typescript")
IMPORTS = """import { batchHandler } from "busway";
import { OrderPlaced } from "../../events/order-placed.ts";
"""
# Gives back what it refuses; throws for all where there is a poison.
BODY = """
  if (events.some(({ detail }) => detail.number === 66)) throw new RangeError("poison");
  const refused = events.filter(({ detail }) => REFUSES.includes(detail.number));
  for (const event of events) if (!refused.includes(event)) console.log(`handled ${event.detail.number}`);
  return refused;
"""


def text(options: str, refuses: str = "[33]") -> str:
    run = f"async (events) => {{{BODY.replace('REFUSES', refuses)}}}"
    return f"{IMPORTS}\nexport const postOrders = batchHandler(OrderPlaced, {options}, {run});\n"


class NodeRoad(Road):
    def __init__(self, root: Path, port: int) -> None:
        super().__init__(root, port)
        self.file = root / "handlers/post-orders/handler.ts"

    def deploy(self, handler: str) -> None:
        self.file.write_text(handler)
        self.busway("dev", "--once")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    new_project(root, "shop", language="typescript")
    put_road_packages(root)
    add_handler(root, BATCH)
    return root


@pytest.fixture
def road(project: Path, free_port: int) -> Iterator[NodeRoad]:
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", str(free_port), "--data", str(project / ".busway/data")],
        env={**os.environ, "BUSWAY_WORKERS_MAX": "2"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert "is ready" in process.stdout.readline()
        yield NodeRoad(project, free_port)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_generated_handler_gets_its_events_in_batches(road: NodeRoad):
    assert "stream, batches of 100 or 1 s" in road.run("dev", "--once").stderr
    road.put(range(250))
    until(lambda: sum("handling" in line for line in road.lines()) >= 250, "all events are handled")
    lines = road.lines()
    assert sorted(int(n) for line in lines for n in re.findall(r'"number":(\d+)', line)) == list(range(250))
    assert sum("START RequestId" in line for line in lines) < 50
    (mapping,) = road.mappings()
    assert (mapping["BatchSize"], mapping["FunctionResponseTypes"]) == (100, ["ReportBatchItemFailures"])


def test_what_is_given_back_and_what_throws_end_alone_in_the_dead_letters(road: NodeRoad):
    road.deploy(text("{ window: 0, retries: 1 }"))
    road.put(range(80))
    until(lambda: road.letters()["total"] == 2, "two dead letters")
    until(lambda: len(set(road.handled())) == 78, "all others")
    assert set(road.handled()) == set(range(80)) - {33, 66}
    codes = {group["error_code"] for group in road.letters()["groups"]}
    assert codes == {"RetryAttemptsExhausted", "RangeError"}
    road.deploy(text("{ window: 0, retries: 1 }", "[]").replace("=== 66", "=== -1"))
    assert road.busway("redrive", "post-orders") == "2 sent back\n"
    until(lambda: set(road.handled()) == set(range(80)), "the redriven events")


def test_messages_of_a_queue_fail_each_by_itself(road: NodeRoad):
    road.deploy(text('{ source: "queue", size: 10, window: 0, retries: 0, timeout: "1s" }', "[3, 5]"))
    road.put(range(10))
    until(lambda: road.letters()["total"] == 2, "two dead letters")
    assert sorted(set(road.handled())) == [n for n in range(10) if n not in (3, 5)]


async def test_the_bundle_answers_lambda_s_event_without_any_server(project: Path):
    await describe(project)
    events = [
        {"id": str(n), "source": "shop", "detail-type": "Order Placed", "detail": {"number": n}} for n in (1, 2)
    ]
    bodies = [json.dumps(events[0]), "{", json.dumps(events[1])]
    records = [{"eventSource": "aws:sqs", "messageId": f"m-{n}", "body": body} for n, body in enumerate(bodies)]
    (bundle,) = (project / ".busway/build/post-orders").glob("handler.*js")
    call = (
        f"const {{ postOrders }} = await import({json.dumps(str(bundle))});"
        f"console.log(JSON.stringify(await postOrders({json.dumps({'Records': records})}, {{}})));"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", call], cwd="/", env={"PATH": os.environ["PATH"]}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}, done.stderr
    assert "message m-1 failed: EventMismatch" in done.stderr


ON_A_BUS = """
import assert from "node:assert/strict";
import { test } from "node:test";
import { localBus } from "busway/testing";
import { OrderPlaced } from "../../events/order-placed.ts";
import { postOrders } from "./handler.ts";

test("a refused order ends alone in the dead letters", async (t) => {
  const bus = await localBus(t, postOrders);
  for (const number of [1, 33, 2]) await bus.put(OrderPlaced.sample({ number }));
  assert.deepEqual(await bus.attempts(postOrders), []);
  await bus.clock.advance("5s");
  const [first] = await bus.attempts(postOrders);
  assert.deepEqual([first?.events.length, first?.failed.length, first?.error, first?.number], [3, 2, null, 1]);
  await bus.clock.advance("1m");
  const handled = await bus.handled(postOrders);
  assert.deepEqual(handled.map((event) => event["detail"]), [{ number: 1 }, { number: 2 }]);
  const [letter, ...others] = await bus.deadLetters(postOrders);
  assert.deepEqual([letter?.event["detail"], letter?.errorCode], [{ number: 33 }, "RetryAttemptsExhausted"]);
  assert.deepEqual(others, []);
});

test("what throws is one failed try of the whole batch", async (t) => {
  const bus = await localBus(t, postOrders);
  await bus.put(OrderPlaced.sample({ number: 66 }));
  await bus.clock.advance("1m");
  const attempts = await bus.attempts(postOrders);
  assert.deepEqual(attempts.map(({ number, error }) => [number, error]), [[1, "poison"], [2, "poison"]]);
});
"""


def test_on_the_bus_of_a_test_batches_are_windowed_retried_and_given_up(project: Path):
    folder = project / "handlers/post-orders"
    (folder / "handler.ts").write_text(text('{ window: "5s", retries: 1, orderBy: "number" }'))
    (folder / "handler.test.ts").write_text(ON_A_BUS.lstrip())
    ran = subprocess.run(
        [sys.executable, "-m", "busway", "test", "--json"], cwd=project, capture_output=True, text=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(ran.stdout)
    assert (told["tests"], told["failures"]) == (2, 0), ran.stdout + ran.stderr
    tsc = [str(project / "node_modules/.bin/tsc"), "-p", str(project)]
    typed = subprocess.run(tsc, cwd=project, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert typed.returncode == 0, typed.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('{ orderBy: "nobody" }', '"nobody"'),
        ("{ once: true }", "'once' does not exist"),
        ('{ source: "topic" }', '"topic"'),
    ],
)
def test_a_wrong_option_is_found_by_the_types(project: Path, options: str, said: str):
    (project / "handlers/post-orders/handler.ts").write_text(text(options))
    tsc = [str(project / "node_modules/.bin/tsc"), "-p", str(project)]
    typed = subprocess.run(tsc, cwd=project, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert said in typed.stdout
