"""AWS's SDK for JavaScript against streams: its default handler for Kinesis speaks HTTP/2, and signs as it has it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .packages import ROOT, npm_installed
from .whole_server import ACCOUNT, PATIENCE_S, REGION, whole_server

SOURCE = ROOT / "tests" / "node"


@pytest.fixture(scope="module")
def sdk() -> Path:
    """A folder with the SDK in it."""
    folder = npm_installed("node", SOURCE)
    shutil.copyfile(SOURCE / "kinesis.mjs", folder / "kinesis.mjs")
    return folder


@pytest.mark.needs("node")
def test_the_javascript_sdk_puts_and_reads_over_http_2(sdk: Path, tmp_path: Path):
    with whole_server(tmp_path) as server:
        ran = subprocess.run(
            ["node", "kinesis.mjs"], cwd=sdk,
            env={**server.environment, "AWS_REGION": REGION, "NODE_OPTIONS": "--unhandled-rejections=strict"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "handler": "NodeHttp2Handler", "waited": "SUCCESS", "put": [0, 500, 56], "side": 60,
        "shards": ["0", "1", "2", "3"], "ends": [["2", "3"]], "read": [500, 560], "ordered": True, "arrived": True,
        "missing": [
            "ResourceNotFoundException", "ResourceNotFoundException", f"Stream no under account {ACCOUNT} not found.",
            400,
        ],
        "iterator": ["InvalidArgumentException", None, "Invalid ShardIterator.", 400],
    }  # fmt: skip
