"""Rules on the road: generated, tested, deployed, fed and removed, in both languages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .packages import put_road_packages
from .whole_server import BIN, PATIENCE_S, WholeServer, whole_server


def busway(server: WholeServer | None, root: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(root)} if server is None else server.environment
    done = subprocess.run(
        [BIN / "busway", *words], cwd=root, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(params=["python", "typescript"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    busway(None, tmp_path, "new", "shop", "--language", request.param, "--bus", "orders")
    root = tmp_path / "shop"
    if request.param == "typescript":
        put_road_packages(root)
    words = ("--source", "shop", "--detail-type", "Order Placed", "--field", "total:int=50")
    busway(None, root, "add", "handler", "send-receipt", "--event", "OrderPlaced", *words)
    return root


def received(server: WholeServer, queue: str) -> list[Any]:
    sqs = server.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    for message in answer.get("Messages", []):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_a_rule_is_generated_tested_deployed_and_ends_with_its_file(project: Path, tmp_path: Path):
    filtered = ("--filter", '{"total": [{"numeric": [">", 10]}]}')
    made = busway(
        None, project, "add", "rule", "big-orders", "--event", "OrderPlaced", "--to", "queue:audit", *filtered
    )
    assert "rules/big-orders.json" in made.stdout
    assert "the filter matches the 1 sample" in made.stderr
    busway(
        None,
        project,
        "add",
        "rule",
        "again",
        "--event",
        "OrderPlaced",
        "--to",
        "handler:send-receipt",
        "--to",
        "stream:log",
    )
    ran = json.loads(busway(None, project, "test", "--json").stdout)
    assert (ran["tests"], ran["failures"], ran["errors"]) == (7, 0, 0)
    with whole_server(tmp_path) as server:
        deployed = busway(server, project, "dev", "--once", "--zip")
        assert "rule big-orders -> Queue audit (dead letters, alarms)" in deployed.stderr
        events = server.client("events")
        targets = events.list_targets_by_rule(Rule="shop-again", EventBusName="orders")["Targets"]
        assert [target["Arn"].rsplit(":", 1)[1] for target in targets] == ["shop-send-receipt", "stream/log"]
        busway(server, project, "send", "OrderPlaced", "--set", "total=11")
        busway(server, project, "send", "OrderPlaced", "--set", "total=9")
        assert [body["detail"]["total"] for body in received(server, "audit")] == [11]
        busway(server, project, "dev", "--once", "--zip")
        (project / "rules/big-orders.json").unlink()
        ended = busway(server, project, "dev", "--once", "--zip")
        assert "big-orders is gone" in ended.stderr
        rules = [rule["Name"] for rule in events.list_rules(EventBusName="orders")["Rules"]]
        assert sorted(rules) == ["shop-again", "shop-send-receipt"]


def test_where_nobody_can_be_asked_what_is_missing_is_named(project: Path):
    refused = busway(None, project, "add", "rule", "--event", "OrderPlaced", code=2)
    assert "NAME and --to are missing" in refused.stderr
    assert "busway add rule audit --event OrderPlaced --to queue:audit" in refused.stderr
    refused = busway(None, project, "add", "rule", "x", "--event", "Nothing", "--to", "queue:a", code=1)
    assert "there is no event 'Nothing'; there are OrderPlaced" in refused.stderr
    refused = busway(None, project, "add", "rule", "x", "--event", "OrderPlaced", "--to", "topic:a", code=1)
    assert "'topic:a' is no target" in refused.stderr
