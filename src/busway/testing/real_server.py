"""The fixture `busway_server`: a real server beside the tests, for code that speaks to AWS by itself."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

# An access key of twelve digits is an account of its own, so each test begins with nothing there.
_ACCOUNTS = itertools.count(100_000_000_001)
# What would lead an SDK elsewhere.
_UNWANTED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EVENTBRIDGE", "AWS_ENDPOINT_URL_SQS")
STOP_S_MAX = 20.0


@dataclass(frozen=True, slots=True)
class BuswayServer:
    """Where it is, and the account that is the test's."""

    url: str
    account: str
    region: str = "us-east-1"


@pytest.fixture(scope="session")
def busway_server_url() -> Iterator[str]:
    """One server for the whole run, which keeps everything in memory."""
    command = [sys.executable, "-m", "busway", "serve", "--port", "0", "--engine", "memory", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        if not ready:
            pytest.fail("the server did not start: `busway serve --engine memory` says why")
        yield str(json.loads(ready)["url"])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture
def busway_server(busway_server_url: str, monkeypatch: pytest.MonkeyPatch) -> BuswayServer:
    """Every AWS client made during the test speaks to a real Busway server, in an account of the test's own."""
    server = BuswayServer(busway_server_url, str(next(_ACCOUNTS)))
    if "boto3" in sys.modules:
        # Its session remembers the keys that it found first.
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    for name in _UNWANTED:
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": server.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": server.region,
        "AWS_REGION": server.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return server
