"""AWS's SDK for JavaScript, unchanged, against `busway serve`: its checksums, its signatures, its error classes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .packages import ROOT, npm_installed
from .whole_server import ACCOUNT, PATIENCE_S, REGION, ROLE, arn, whole_server, zipped

# What the SDK is pinned to, and what runs it.
SOURCE = ROOT / "tests" / "node"


@pytest.fixture(scope="module")
def sdk() -> Path:
    """A folder with the SDK in it."""
    folder = npm_installed("node", SOURCE)
    for script in ("alarms.mjs", "clients.mjs", "deploy.mjs"):
        shutil.copyfile(SOURCE / script, folder / script)
    return folder


@pytest.mark.needs("node")
def test_the_javascript_sdk_puts_receives_invokes_and_knows_every_error(sdk: Path, tmp_path: Path):
    package = tmp_path / "code.zip"
    package.write_bytes(zipped("def handler(event, context):\n    print('printed')\n    return event['n'] + 1"))
    with whole_server(tmp_path) as server:
        ran = subprocess.run(
            ["node", "clients.mjs", ROLE, str(package)], cwd=sdk,
            env={**server.environment, "AWS_REGION": REGION, "NODE_OPTIONS": "--unhandled-rejections=strict"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["batch"] == ["m1", "m2"]
    assert seen["bodies"] == ["batch 1", "batch 2", "höllo"]
    assert seen["attributes"] == {"text": "é", "bytes": [0, 255]}
    put = seen["put"]
    assert (put["failed"], put["second"]) == (
        1, {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."},
    )  # fmt: skip
    assert seen["delivered"] == (
        f'{{"version":"0","id":"{put["id"]}","detail-type":"Tést","source":"node","account":"{ACCOUNT}",'
        f'"time":"2026-11-23T16:30:05Z","region":"{REGION}","resources":["arn:x"],"detail":{{"n":1.0}}}}'
    )
    assert seen["invoked"] == {
        "arn": arn("lambda", "function:from-node"), "waited": "SUCCESS", "status": 200, "payload": 2, "log": True,
        "error": ["Unhandled", "KeyError"], "later": 202,
    }  # fmt: skip
    assert seen["functions"] == ["from-node"]
    errors = seen["errors"]
    assert {name: (error["name"], error["status"], error["isOfItsClass"]) for name, error in errors.items()} == {
        "rule": ("ResourceNotFoundException", 400, True),
        "entries": ("ValidationException", 400, None),
        "queue": ("QueueDoesNotExist", 400, True),
        "function": ("ResourceNotFoundException", 404, True),
    }
    assert {error["requestId"] for error in errors.values()} == {"string"}
    assert {error["fault"] for error in errors.values()} == {"client"}
    assert errors["rule"]["message"] == "Rule no does not exist on EventBus default."
    assert errors["queue"]["message"] == "The specified queue does not exist."
    assert errors["function"]["type"] == "User"


@pytest.mark.needs("node")
def test_the_javascript_sdk_deploys_versions_and_aliases(sdk: Path, tmp_path: Path):
    for name in ("one", "two"):
        source = f"def handler(event, context): return ['{name}', context.function_version]"
        (tmp_path / f"{name}.zip").write_bytes(zipped(source))
    with whole_server(tmp_path) as server:
        ran = subprocess.run(
            ["node", "deploy.mjs", ROLE, str(tmp_path / "one.zip"), str(tmp_path / "two.zip")], cwd=sdk,
            env={**server.environment, "AWS_REGION": REGION, "NODE_OPTIONS": "--unhandled-rejections=strict"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["before"] == [[["two", "$LATEST"], "$LATEST"], [["one", "1"], "1"]]
    assert seen["after"] == [["two", "2"], "2"]
    assert seen["versions"] == ["$LATEST", "1", "2"]
    assert seen["code"] is True
    assert seen["url"] == [200, "application/json", ["two", "$LATEST"]]
    itself = arn("lambda", "function:deployed")
    assert seen["errors"]["moved"][:2] == [True, 412]
    assert seen["errors"]["twice"] == [True, 409, f"Alias already exists: {itself}:live"]
    assert seen["errors"]["gone"] == [True, 404, f"Function not found: {itself}:gone"]


@pytest.mark.needs("node")
def test_the_javascript_sdk_makes_an_alarm_feeds_it_sees_it_ring_and_reads_its_history(sdk: Path, tmp_path: Path):
    with whole_server(tmp_path) as server:
        ran = subprocess.run(
            ["node", "alarms.mjs"], cwd=sdk, env={**server.environment, "AWS_REGION": REGION},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["values"] == [["twice", 1, [15]]]
    assert seen["state"] == "ALARM"
    assert seen["reason"].startswith("Threshold Crossed: 1 out of the last 1 datapoints [7.5")
    assert seen["history"] == ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    assert seen["refused"] == {"isOfItsClass": True, "name": "ResourceNotFound"}
