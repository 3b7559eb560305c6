"""`examples/batch` as its page says: 250 orders reach a third party that takes two calls a second, in a few calls."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from .whole_server import until

EXAMPLE = Path(__file__).parents[2] / "examples" / "batch"
PATIENCE_S = 60.0
ORDERS = 250


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example in a folder of its own."""
    return shutil.copytree(EXAMPLE, tmp_path / "batch", ignore=shutil.ignore_patterns(".*", "__pycache__"))


@pytest.fixture
def ledger(project: Path) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("ledger_of_the_example", project / "ledger.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Ledger() as running:
        yield running


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "busway", "serve", "--port", "0", "--data", str(tmp_path / "data"), "--json"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def busway(project: Path, *words: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "busway", *words], cwd=project, env={**os.environ, **environment},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def put(url: str, orders: dict[str, int]) -> None:
    """Put an order of each id with its total."""
    events = boto3.client(
        "events", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="k"
    )
    entries = [
        {
            "Source": "com.example.shop",
            "DetailType": "Order Placed",
            "Detail": json.dumps({"order-id": order_id, "total": total}),
        }
        for order_id, total in orders.items()
    ]
    for i in range(0, len(entries), 10):
        assert events.put_events(Entries=entries[i : i + 10])["FailedEntryCount"] == 0


def test_its_own_tests_pass(project: Path):
    assert "5 passed" in busway(project, "test")


def test_the_ledger_gets_every_order_in_a_few_calls_and_what_it_refuses_is_redriven(
    project: Path, ledger: Any, url: str
):
    environment = {"BUSWAY_ENDPOINT": url, "LEDGER_URL": ledger.url}
    handler = project / "handlers/post_orders/handler.py"
    handler.write_text(handler.read_text().replace("retries=5", "retries=1"))
    busway(project, "dev", "--once", **environment)
    put(url, {f"o-{number}": 5 for number in range(ORDERS)})
    until(lambda: len(ledger.orders) == ORDERS, "every order is posted")
    assert ledger.calls < ORDERS / 10
    assert ledger.throttled == 0

    put(url, {"o-bad": -1, "o-good": 1})
    until(lambda: json.loads(busway(project, "dlq", "--json", **environment))["total"], "a dead letter")
    (letter,) = json.loads(busway(project, "dlq", "post-orders", "--json", **environment))["items"]
    assert "batchItemFailures" in letter["error_message"]
    assert set(ledger.orders) == {f"o-{number}" for number in range(ORDERS)} | {"o-good"}
    handler.write_text(handler.read_text().replace("str(event.total)", "str(abs(event.total))"))
    busway(project, "dev", "--once", **environment)
    assert busway(project, "redrive", "post-orders", **environment) == "1 sent back\n"
    until(lambda: "o-bad" in ledger.orders, "the refused order is posted")
